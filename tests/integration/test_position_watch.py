"""The watch over stops at Alpaca's stand-in: real sockets, a real ledger, a Monday's session whose prices a test moves."""

from __future__ import annotations

import datetime as dt
import threading
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from core.errors import ExecutorBusy, RetryLater
from core.models import Leg, OrderState
from desk.cli.app import cli
from pipeline.execution import daily_report, position_watch
from pipeline.execution.position_watch import check_positions, watch
from pipeline.resources import Resources
from pipeline.risk import kill_switch
from pipeline.risk.exit_orders import WATCH, ExitOrders
from storage.locks import executor_lock
from tests.standins.alpaca import KEY, SECRET, AlpacaStandIn, Fault
from tests.standins.feed import walk
from tests.standins.mailbox import OneChannel
from trading.brokers.intake import collect
from trading.brokers.placing import place
from trading.orders import entry_order, exit_order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.models import OrderIntent
    from core.settings import Settings

pytestmark = pytest.mark.integration
FRIDAY, MONDAY = dt.date(2026, 11, 20), dt.date(2026, 11, 23)
NOON = dt.datetime(2026, 11, 23, 17, tzinfo=dt.UTC)


@dataclass
class Mailbox(OneChannel):
    """Keeps what would be mailed."""

    mails: list[tuple[str, str, str]] = field(default_factory=list)

    def send(self, subject: str, body: str, severity: str = "warning", **_: Any) -> bool:
        self.mails.append((subject, body, severity))
        return True

    @property
    def subjects(self) -> list[str]:
        return [subject for subject, _, _ in self.mails]


class Desk:
    """A desk at the stand-in, its clock the venue's, with 100 as the last close of everything."""

    def __init__(self, settings: Settings, alpaca: AlpacaStandIn, **changes: Any) -> None:
        self.alpaca, self.exchange = alpaca, alpaca.exchange
        self.at(NOON)
        values = {
            "provider": "yfinance",
            "venue__kind": "alpaca",
            "venue__alpaca__api_key": KEY,
            "venue__alpaca__secret_key": SECRET,
            "venue__alpaca__url": alpaca.url,
            "venue__alpaca__data_url": alpaca.url,
            "venue__alpaca__brackets": False,
            "venue__timeout_seconds": 0.5,
            "venue__deadline_seconds": 0.1,
        }
        self.resources = Resources(settings.with_changes(**values | changes), clock=self.exchange.now)
        self.mailbox = Mailbox()
        self.resources.alerts = self.mailbox  # type: ignore[assignment]
        for symbol in ("AAPL", "MSFT", "BTC-USD"):
            bars = walk(symbol, FRIDAY - dt.timedelta(days=60), FRIDAY)
            bars.loc[bars.index[-1], ["open", "high", "low", "close", "adj_close"]] = 100.0
            self.resources.bars.write(bars, source="test", ingested_at=NOON - dt.timedelta(days=2), backfilled=True)

    def at(self, moment: dt.datetime) -> None:
        self.exchange.clock_ahead = moment - dt.datetime.now(dt.UTC)

    def hold(self, quantity: float = 2.5, symbol: str = "AAPL", *, stop: float = 5.0, target: float = 10.0) -> OrderIntent:
        """Enter at 100, as the daily trade did."""
        order = entry_order(
            "main", "bollinger", symbol, decision_session=FRIDAY, session=MONDAY, signed_quantity=quantity,
            stop_pct=stop, target_pct=target, max_sessions=5,
        )  # fmt: skip
        place(self.resources.ledger, self.resources.broker, [order], patience=self.resources.patience)
        return order

    def trade(self, price: str, symbol: str = "AAPL") -> None:
        self.exchange.trade(symbol, price)

    def sent(self, side: str = "sell") -> list[tuple[str, Decimal, str]]:
        """Orders without a parent on that side, as the venue has them."""
        found = [order for order in self.exchange.orders.values() if order.side == side and order.parent is None]
        return [(order.symbol, order.qty, order.status) for order in found]

    def held(self) -> dict[str, Decimal]:
        return {position.symbol: position.quantity for position in self.resources.ledger.positions("main")}

    def rows(self) -> dict[str, dict[str, Any]]:
        """Rows of `trading.risk_events` by reason."""
        with self.resources.engine.connect() as connection:
            query = sa.text("SELECT reason, symbol, session, details FROM trading.risk_events")
            return {row["reason"]: dict(row) for row in connection.execute(query).mappings()}

    def exits(self) -> dict[str, OrderState]:
        """Exits decided on Monday by their arm, with their states."""
        orders = self.resources.ledger.orders_decided("main", MONDAY)
        return {order.arm: state for order, state in orders if order.leg is Leg.EXIT}


@pytest.fixture
def alpaca() -> Iterator[AlpacaStandIn]:
    with AlpacaStandIn() as stand_in:
        for symbol in ("AAPL", "MSFT", "BTC/USD"):
            stand_in.exchange.list_asset(symbol, "100")
        yield stand_in


@pytest.fixture
def make(database_settings: Settings, alpaca: AlpacaStandIn) -> Iterator[Any]:
    desks: list[Desk] = []

    def of(**changes: Any) -> Desk:
        desks.append(Desk(database_settings, alpaca, **changes))
        return desks[-1]

    yield of
    for desk in desks:
        desk.resources.engine.dispose()


def test_nothing_is_sold_between_the_barriers(make: Any) -> None:
    desk = make()
    desk.hold()
    desk.trade("95.01")

    done = check_positions(resources=desk.resources)

    assert (done.within, done.exits, done.refused) == (["AAPL"], {}, {})
    assert desk.held() == {"AAPL": Decimal("2.5")}, "the fill of the entry was brought in before"
    assert desk.mailbox.mails == []


@pytest.mark.parametrize(
    ("quantity", "price", "reason", "side"),
    [
        (2.5, "94", "watch_stop", "sell"),
        (2.5, "111", "watch_target", "sell"),
        (-3.0, "106", "watch_stop", "buy"),
        (-3.0, "89", "watch_target", "buy"),
    ],
    ids=["long, stop", "long, target", "short, stop", "short, target"],
)
def test_what_has_reached_its_barrier_is_left_once_with_its_rows_and_a_mail(
    make: Any, quantity: float, price: str, reason: str, side: str
) -> None:
    desk = make()
    desk.hold(quantity)
    desk.trade(price)

    done = check_positions(resources=desk.resources)
    again = check_positions(resources=desk.resources)

    assert list(done.exits.values()) == ["filled"]
    assert again.exits == {}
    assert desk.sent(side)[-1] == ("AAPL", abs(Decimal(str(quantity))), "filled")
    assert len(desk.sent(side)) == 1
    assert (desk.held(), desk.exits()) == ({}, {"watch-1": OrderState.FILLED})
    row = desk.rows()[reason]
    assert (row["symbol"], row["session"], Decimal(row["details"]["found"])) == ("AAPL", MONDAY, Decimal(price))
    assert row["details"]["client_order_id"] == next(iter(done.exits))
    assert desk.mailbox.subjects == ["Stops and targets reached: AAPL"]
    assert "filled" in desk.mailbox.mails[0][1]


def test_a_crypto_pair_is_watched_by_its_own_last_trade(make: Any) -> None:
    desk = make()
    desk.hold(0.5, "BTC-USD")
    desk.trade("94", "BTC/USD")

    check_positions(resources=desk.resources)

    assert desk.held() == {}
    assert desk.sent() == [("BTC/USD", Decimal("0.5"), "filled")]


def test_children_at_the_venue_are_left_to_it(make: Any) -> None:
    desk = make(venue__alpaca__brackets=True)
    desk.hold(3.0)
    desk.trade("96")
    asked = len(desk.alpaca.requests)

    done = check_positions(resources=desk.resources)

    assert done.at_venue == ["AAPL"]
    assert "/v2/stocks/trades/latest" not in [path for _, path in desk.alpaca.requests[asked:]]


def test_a_position_whose_children_are_gone_is_watched(make: Any) -> None:
    desk = make(venue__alpaca__brackets=True)
    desk.hold(3.0)
    for child in [order for order in desk.exchange.orders.values() if order.parent is not None]:
        if child.status in {"new", "held"}:
            desk.exchange.cancel(child.id)
    desk.trade("94")

    check_positions(resources=desk.resources)

    assert (desk.held(), desk.sent()) == ({}, [("AAPL", Decimal(3), "filled")])


def test_an_exit_that_the_daily_trade_has_sent_is_not_doubled(make: Any) -> None:
    desk = make()
    desk.hold()
    collect(desk.resources.ledger, desk.resources.broker, "main", NOON - dt.timedelta(days=1))
    (position,) = desk.resources.ledger.positions("main")
    desk.exchange.is_open = False  # it rests, unfilled
    daily = exit_order(position, decision_session=FRIDAY, session=MONDAY)
    place(desk.resources.ledger, desk.resources.broker, [daily], patience=desk.resources.patience)
    desk.trade("94")

    done = check_positions(resources=desk.resources)

    assert (done.leaving, done.exits) == (["AAPL"], {})
    assert len(desk.sent()) == 1


def test_an_exit_that_the_daily_trade_wrote_down_and_never_sent_goes_out_under_its_own_id(make: Any) -> None:
    desk = make()
    desk.hold()
    collect(desk.resources.ledger, desk.resources.broker, "main", NOON - dt.timedelta(days=1))
    (position,) = desk.resources.ledger.positions("main")
    daily = exit_order(position, decision_session=FRIDAY, session=MONDAY)
    desk.resources.ledger.record_intents([daily])
    desk.trade("99")
    assert check_positions(resources=desk.resources).within == ["AAPL"], "its run goes on with it when it is started again"
    desk.trade("94")

    done = check_positions(resources=desk.resources)

    assert list(done.exits) == [daily.client_order_id]
    assert (desk.held(), len(desk.sent())) == ({}, 1)


@pytest.mark.parametrize(
    ("price", "minutes", "reason"),
    [(None, 0, "watch_no_price"), ("94", 11, "watch_stale_price"), ("69", 0, "watch_absurd_price")],
    ids=["none", "eleven minutes old", "31 % under the close"],
)
def test_a_price_in_doubt_sells_nothing_and_is_mailed_once(make: Any, price: str | None, minutes: int, reason: str) -> None:
    desk = make()
    desk.hold()
    if price is not None:
        desk.trade(price)
    desk.at(NOON + dt.timedelta(minutes=minutes))

    first, second = check_positions(resources=desk.resources), check_positions(resources=desk.resources)

    assert reason in first.refused["AAPL"]
    assert list(second.refused) == ["AAPL"]
    assert (desk.sent(), desk.exits()) == ([], {})
    assert desk.mailbox.subjects == [f"AAPL is not protected: {reason}"]
    assert desk.mailbox.mails[0][2] == "critical"
    assert desk.rows()[reason]["session"] == MONDAY


def test_right_after_the_open_a_missing_price_is_waited_for(make: Any) -> None:
    desk = make()
    desk.hold()
    desk.at(dt.datetime(2026, 11, 23, 14, 29, 50, tzinfo=dt.UTC))
    desk.trade("94")  # before the open
    desk.at(dt.datetime(2026, 11, 23, 14, 30, 5, tzinfo=dt.UTC))

    done = check_positions(resources=desk.resources)

    assert done.refused == {"AAPL": "no price since the open yet"}
    assert (desk.sent(), desk.mailbox.mails, desk.rows()) == ([], [], {})


def test_a_halt_holds_an_exit_back_only_where_it_is_set_to(make: Any) -> None:
    desk = make(pre_send__halt_blocks_exits=True)
    desk.hold()
    kill_switch.halt("looked odd", "ana", resources=desk.resources)
    desk.trade("94")

    held_back = check_positions(resources=desk.resources)
    check_positions(resources=desk.resources)
    assert "looked odd" in held_back.refused["AAPL"]
    assert (desk.sent(), desk.exits()) == ([], {}), "nothing is written down that a later look would find cancelled"
    assert desk.mailbox.subjects.count("AAPL is not protected: watch_exit_refused") == 1

    kill_switch.resume("it was not", "ana", resources=desk.resources)
    check_positions(resources=desk.resources)
    assert desk.exits() == {"watch-1": OrderState.FILLED}


def test_a_halted_desk_still_sells_at_its_stops(make: Any) -> None:
    desk = make()
    desk.hold()
    kill_switch.halt("looked odd", "ana", resources=desk.resources)
    desk.trade("94")

    check_positions(resources=desk.resources)

    assert desk.held() == {}


def test_a_refused_exit_is_mailed_once_and_tried_again_under_another_id(make: Any) -> None:
    desk = make()
    desk.hold()
    desk.trade("94")
    desk.exchange.assets["AAPL"].halted = True
    refused = [check_positions(resources=desk.resources).refused["AAPL"] for _ in range(2)]
    desk.exchange.assets["AAPL"].halted = False
    desk.trade("93")

    check_positions(resources=desk.resources)

    assert all("rejected" in words for words in refused)
    assert desk.exits() == {"watch-1": OrderState.REJECTED, "watch-2": OrderState.REJECTED, "watch-3": OrderState.FILLED}
    assert desk.mailbox.subjects == ["AAPL is not protected: watch_exit_refused", "Stops and targets reached: AAPL"]


@pytest.mark.parametrize(
    "fault",
    [Fault.no_answer(), Fault.dropped(performs=True), Fault.dropped(performs=False), Fault.broken(502, performs=True)],
    ids=["silence", "cut, taken", "cut, lost", "502, taken"],
)
def test_without_an_answer_the_others_are_sold_and_the_next_look_sells_it_once(make: Any, fault: Fault) -> None:
    desk = make(venue__deadline_seconds=0.001)
    desk.hold()
    desk.hold(4.5, "MSFT")
    desk.trade("94")
    desk.trade("94", "MSFT")
    desk.alpaca.fail("POST", "/v2/orders", fault)

    with pytest.raises(RetryLater):
        check_positions(resources=desk.resources)
    assert desk.exits()["watch-1"] is not None
    desk.trade("99")  # what was decided goes on, whatever the price says now
    check_positions(resources=desk.resources)

    assert sorted(desk.sent()) == [("AAPL", Decimal("2.5"), "filled"), ("MSFT", Decimal("4.5"), "filled")]
    assert desk.held() == {}


def test_of_two_looks_at_once_one_works_and_the_other_is_turned_away(make: Any) -> None:
    desk = make()
    desk.hold()
    desk.trade("94")
    ended: list[str] = []
    start = threading.Barrier(2)

    def run() -> None:
        start.wait()
        try:
            check_positions(resources=desk.resources)
            ended.append("looked")
        except ExecutorBusy:
            ended.append("turned away")

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert "looked" in ended
    assert (len(desk.sent()), desk.held(), list(desk.exits())) == (1, {}, ["watch-1"])


def test_while_the_daily_trade_works_a_look_is_turned_away(make: Any) -> None:
    desk = make()
    desk.hold()
    desk.trade("94")

    with executor_lock(desk.resources.engine, "main"), pytest.raises(ExecutorBusy):
        check_positions(resources=desk.resources)

    assert desk.sent() == []


def test_never_more_is_sold_than_the_venue_holds(make: Any) -> None:
    desk = make()
    desk.hold()
    desk.trade("94")
    collect(desk.resources.ledger, desk.resources.broker, "main", NOON - dt.timedelta(days=1))
    desk.exchange.held["AAPL"] = (Decimal(1), Decimal(100))  # the rest was sold by hand
    check_positions(resources=desk.resources)
    assert desk.sent() == [("AAPL", Decimal(1), "filled")]

    gone = check_positions(resources=desk.resources)

    assert gone.refused == {"AAPL": "the venue does not hold it"}
    assert len(desk.sent()) == 1
    assert "AAPL is not protected: watch_not_at_venue" in desk.mailbox.subjects


def test_a_sale_for_risk_leaves_an_exit_of_the_watch_on_its_way(make: Any) -> None:
    from pipeline.risk.flatten import flatten

    desk = make()
    desk.hold()
    collect(desk.resources.ledger, desk.resources.broker, "main", NOON - dt.timedelta(days=1))
    (position,) = desk.resources.ledger.positions("main")
    own = ExitOrders.of(desk.resources).exit_for(position, WATCH)
    assert own is not None
    desk.exchange.is_open = False
    place(desk.resources.ledger, desk.resources.broker, [own], patience=desk.resources.patience)

    done = flatten("a breach", resources=desk.resources)

    assert (done.cancelled, done.exits) == ((), (own.client_order_id,))
    assert len(desk.sent()) == 1


def test_a_look_outside_the_session_does_nothing_and_the_schedule_says_why(make: Any) -> None:
    desk = make()
    desk.hold()
    desk.trade("94")
    for moment, given, reason in (
        (dt.datetime(2026, 11, 23, 14, 25, tzinfo=dt.UTC), None, "2026-11-23 opens at 09:30 New York"),
        (dt.datetime(2026, 11, 23, 21, 0, tzinfo=dt.UTC), None, "2026-11-23 closed at 16:00 New York"),
        (dt.datetime(2026, 11, 27, 18, 0, tzinfo=dt.UTC), None, "2026-11-27 closed at 13:00 New York"),  # a half day
        (dt.datetime(2026, 11, 26, 17, 0, tzinfo=dt.UTC), None, "Thursday 2026-11-26 is not an XNYS session"),
        (NOON, "2026-11-20", "2026-11-20 closed at 16:00 New York, and it is 2026-11-23 12:00 there"),
    ):
        desk.at(moment)
        chosen = position_watch.choose_session(given, None if given else moment, resources=desk.resources)
        assert (chosen.trades, reason in chosen.reason) == (False, True), chosen
        assert watch(chosen.session, resources=desk.resources).reason == chosen.reason
    assert desk.sent() == []

    desk.at(NOON)
    assert position_watch.choose_session(None, NOON, resources=desk.resources).trades
    assert list(watch("2026-11-23", resources=desk.resources).exits.values()) == ["filled"]


def test_a_run_cleared_on_another_day_is_for_its_own_session(make: Any) -> None:
    desk = make()
    friday_noon = NOON - dt.timedelta(days=3)

    chosen = position_watch.choose_session(None, friday_noon, resources=desk.resources)

    assert (chosen.session, chosen.trades) == ("2026-11-20", False)


def test_paper_and_interactive_brokers_have_nothing_to_watch(database_settings: Settings) -> None:
    paper = Resources(database_settings, clock=lambda: NOON)
    at_ib = Resources(database_settings.with_changes(venue__kind="ib"), clock=lambda: NOON)

    for desk, words in ((paper, "fills stops and targets on each session's bar"), (at_ib, "keeps stops and targets")):
        chosen = position_watch.choose_session(None, NOON, resources=desk)
        assert (chosen.trades, words in chosen.reason) == (False, True)
        assert words in check_positions(resources=desk).reason
        assert words in watch("2026-11-23", resources=desk).reason


def test_the_loop_goes_on_after_a_failure_which_is_mailed_once(make: Any) -> None:
    desk = make()
    desk.hold()
    desk.trade("94")
    desk.alpaca.fail("GET", "/v2/stocks/trades/latest", Fault.broken(503), times=2)
    stop = threading.Event()

    checks = position_watch.run_watch(stop, interval_seconds=0.01, on_check=lambda _: stop.set(), resources=desk.resources)

    assert checks == 1
    assert desk.mailbox.subjects == ["Stops and targets are not watched", "Stops and targets reached: AAPL"]
    assert desk.held() == {}


def test_the_verb_looks_once_and_its_exit_code_says_whether_all_could_be_judged(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = make()
    monkeypatch.setattr(position_watch, "live", lambda: desk.resources)
    desk.hold()
    unjudged = CliRunner().invoke(cli, ["watch-positions", "--once"])
    desk.trade("94")
    sold = CliRunner().invoke(cli, ["watch-positions", "--once"])

    assert (unjudged.exit_code, "watch_no_price" in unjudged.output) == (1, True)
    assert sold.exit_code == 0, sold.output
    assert "0 within, 0 kept by the venue, 0 leaving" in sold.output
    assert ": filled" in sold.output


def test_the_evenings_mail_tells_what_was_sold_as_a_fill_and_what_was_doubted_as_refused(make: Any) -> None:
    desk = make()
    desk.hold()
    check_positions(resources=desk.resources)  # no price yet
    desk.trade("94")
    check_positions(resources=desk.resources)

    evening = daily_report.evening_of(desk.resources, MONDAY.isoformat())

    assert evening.refused == {"watch_no_price": ["AAPL"]}
    assert any(line.startswith("sell 2.5 AAPL at 94.00") for line in evening.fills)


def test_several_strategies_in_a_symbol_leave_by_their_own_barriers(make: Any) -> None:
    desk = make()
    desk.hold()
    near = replace(desk.hold(1.5, stop=2.0), strategy="rsi", client_order_id="20261123-entry-AAPL-near")
    place(desk.resources.ledger, desk.resources.broker, [near], patience=desk.resources.patience)
    desk.trade("97")

    done = check_positions(resources=desk.resources)

    assert (done.within, len(done.exits)) == (["AAPL"], 1)
    assert desk.sent() == [("AAPL", Decimal("1.5"), "filled")]
