"""Orders, decisions and the paper broker: nothing doubled, nothing lost, and refusals that say why."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from core.errors import ConfigError, DataError, RetryLater, StopTrading
from core.models import Answer, Fill, Leg, OrderIntent, OrderState, OrderView, Origin, Position, Side, client_order_id
from tests.standins.memory_book import MemoryBook
from trading.brokers.base import unfenced
from trading.brokers.intake import take_fill
from trading.brokers.paper import PaperBroker
from trading.brokers.placing import Patience, place
from trading.costs import Costs
from trading.decide import Decisions, Holdings, decide
from trading.orders import entry_order, exit_order
from trading.portfolio import account, trades_of
from trading.risk import Limits
from trading.sizing import quantity
from trading.strategies.registry import make_strategy

if TYPE_CHECKING:
    from trading.brokers.base import Fence
    from trading.strategies.base import Strategy

MONDAY, TUESDAY, WEDNESDAY = dt.date(2018, 12, 17), dt.date(2018, 12, 18), dt.date(2018, 12, 19)
FREE = Costs(0.0, 0.0)
AT_ONCE = Patience(0.0, 0.0, 0.0)
ACCEPTED = Answer(OrderState.ACCEPTED)


def buy(symbol: str = "AAA", stop: float = 5.0, target: float = float("nan")) -> OrderIntent:
    return entry_order(
        "main",
        "bollinger",
        symbol,
        decision_session=MONDAY,
        session=TUESDAY,
        signed_quantity=10.0,
        stop_pct=stop,
        target_pct=target,
        max_sessions=None,
    )


def bars(day: dt.date, open_: float, high: float, low: float, close: float, symbol: str = "AAA") -> pd.DataFrame:
    row = {"symbol": symbol, "session": pd.Timestamp(day), "open": open_, "high": high, "low": low, "close": close}
    return pd.DataFrame([row | {"adj_close": close, "volume": 1.0}])


@pytest.fixture
def book() -> MemoryBook:
    return MemoryBook()


@pytest.fixture
def broker(book: MemoryBook) -> PaperBroker:
    return PaperBroker(book, FREE)


class Silent(PaperBroker):
    """A broker that takes the order, or does not, and then says nothing."""

    arrives = True

    def submit(self, order: OrderIntent, fence: Fence = unfenced) -> Answer:
        del order, fence
        raise RetryLater("timed out")

    def find(self, client_order_id: str) -> OrderView | None:
        order, _ = self.book.order(client_order_id)  # type: ignore[misc]
        view = OrderView(client_order_id, order.symbol, order.side, order.quantity, OrderState.ACCEPTED)
        return view if self.arrives else None


def test_the_same_decision_has_the_same_id_and_another_one_another() -> None:
    ids = {buy().client_order_id, buy().client_order_id, buy("BBB").client_order_id}

    assert len(ids) == 2
    assert all(len(name) <= 48 for name in ids)


def test_placing_twice_sends_once(book: MemoryBook, broker: PaperBroker) -> None:
    sent = []
    broker.submit = lambda order, _fence: sent.append(order) or ACCEPTED  # type: ignore[method-assign, func-returns-value, assignment]

    for _ in range(3):
        assert place(book, broker, [buy()]) == {buy().client_order_id: OrderState.ACCEPTED}

    assert len(sent) == 1


def test_an_order_written_down_before_a_crash_is_sent_by_the_rerun(book: MemoryBook, broker: PaperBroker) -> None:
    book.record_intents([buy()])

    assert place(book, broker, [buy()]) == {buy().client_order_id: OrderState.ACCEPTED}


@pytest.mark.parametrize(("arrives", "submissions"), [(True, 0), (False, 1)])
def test_an_unanswered_order_is_looked_up_before_anything_is_sent_again(
    book: MemoryBook, arrives: bool, submissions: int
) -> None:
    silent = Silent(book, FREE)
    with pytest.raises(RetryLater):
        place(book, silent, [buy(), buy("BBB")], patience=AT_ONCE)
    assert book.order(buy().client_order_id) == (buy(), OrderState.UNKNOWN)
    assert book.order(buy("BBB").client_order_id) == (buy("BBB"), OrderState.INTENT), "nothing goes out behind an unknown"

    sent: list[OrderIntent] = []
    silent.arrives = arrives
    silent.submit = lambda order, _fence: sent.append(order) or ACCEPTED  # type: ignore[method-assign, func-returns-value, assignment]
    assert set(place(book, silent, [buy()]).values()) == {OrderState.ACCEPTED}
    assert len(sent) == submissions


def test_an_order_for_nothing_is_rejected(book: MemoryBook, broker: PaperBroker) -> None:
    nothing = entry_order(
        "main",
        "s",
        "AAA",
        decision_session=MONDAY,
        session=TUESDAY,
        signed_quantity=0.0,
        stop_pct=1,
        target_pct=1,
        max_sessions=1,
    )

    assert set(place(book, broker, [nothing]).values()) == {OrderState.REJECTED}


def test_living_through_a_session_twice_changes_nothing(book: MemoryBook, broker: PaperBroker) -> None:
    place(book, broker, [buy()])
    tuesday = bars(TUESDAY, 100, 101, 99, 100)

    assert len(broker.advance(TUESDAY, tuesday)) == 1
    before = (broker.cash_usd(), broker.positions(), list(book.events))
    assert broker.advance(TUESDAY, tuesday) == []

    assert (broker.cash_usd(), broker.positions(), list(book.events)) == before
    assert broker.cash_usd() == Decimal(100_000) - 10 * 100
    assert book.positions("main")[0].stop_price == Decimal("95.0")


def test_a_stop_on_the_entry_bar_closes_the_position_the_same_day(book: MemoryBook, broker: PaperBroker) -> None:
    place(book, broker, [buy()])

    entry, stop = broker.advance(TUESDAY, bars(TUESDAY, 100, 101, 94, 100))

    assert (entry.reason, stop.reason, stop.price, stop.side) == ("entry", "stop", Decimal("95.0"), Side.SELL)
    assert broker.positions() == []
    assert broker.cash_usd() == Decimal(100_000) - 50


@pytest.mark.parametrize("state", ["sent", "written"])
def test_an_entry_whose_session_has_no_bar_or_that_was_never_sent_lapses(
    book: MemoryBook, broker: PaperBroker, state: str
) -> None:
    if state == "sent":
        place(book, broker, [buy()])
        day = bars(TUESDAY, 100, 101, 99, 100, symbol="OTHER")
    else:
        book.record_intents([buy()])
        day = bars(TUESDAY, 100, 101, 99, 100)

    assert broker.advance(TUESDAY, day) == []

    assert book.order(buy().client_order_id) == (buy(), OrderState.EXPIRED)
    assert broker.open_orders() == []


def test_an_exit_waits_for_the_next_bar_and_fills_at_its_open(book: MemoryBook, broker: PaperBroker) -> None:
    place(book, broker, [buy(stop=float("nan"))])
    broker.advance(TUESDAY, bars(TUESDAY, 100, 101, 99, 100))
    leave = exit_order(book.positions("main")[0], decision_session=TUESDAY, session=WEDNESDAY)
    place(book, broker, [leave])
    assert [view.client_order_id for view in broker.open_orders()] == [leave.client_order_id]

    assert broker.advance(WEDNESDAY, bars(WEDNESDAY, 1, 1, 1, 1, symbol="OTHER")) == []
    (fill,) = broker.advance(dt.date(2018, 12, 20), bars(dt.date(2018, 12, 20), 102, 103, 101, 102))

    assert (fill.price, fill.reason) == (Decimal("102.0"), "rule")
    assert broker.cash_usd() == Decimal(100_020)


def test_what_is_sold_for_risk_says_so_at_a_time_exit_too(book: MemoryBook, broker: PaperBroker) -> None:
    place(book, broker, [replace(buy(stop=float("nan")), max_sessions=1)])
    broker.advance(TUESDAY, bars(TUESDAY, 100, 101, 99, 100))
    leave = exit_order(book.positions("main")[0], decision_session=TUESDAY, session=WEDNESDAY, origin=Origin.RISK)
    place(book, broker, [leave])

    (fill,) = broker.advance(WEDNESDAY, bars(WEDNESDAY, 102, 103, 101, 102))

    assert fill.reason == "risk"
    assert list(trades_of(book.fills("main"))["reason"]) == ["risk"]


@pytest.mark.parametrize(("origin", "reason"), [(Origin.RISK, "risk"), (Origin.OTHER, "order")])
def test_the_reason_of_a_fill_for_risk_is_risk_whatever_the_venue_calls_it(
    book: MemoryBook, origin: Origin, reason: str
) -> None:
    entry = buy()
    at = dt.datetime.combine(TUESDAY, dt.time(15), dt.UTC)
    bought = Fill(
        "1", entry.client_order_id, "AAA", Side.BUY, entry.quantity, *[Decimal(100)] * 2, Decimal(0), TUESDAY, at, "order"
    )
    book.record_intents([entry])
    book.transition(entry.client_order_id, OrderState.SUBMITTED)
    take_fill(book, bought)
    leave = exit_order(book.positions("main")[0], decision_session=TUESDAY, session=WEDNESDAY, origin=origin)
    book.record_intents([leave])
    book.transition(leave.client_order_id, OrderState.SUBMITTED)

    take_fill(book, replace(bought, fill_id="2", client_order_id=leave.client_order_id, side=Side.SELL))

    assert [fill.reason for _, fill in book.fills("main")] == ["order", reason]
    assert list(trades_of(book.fills("main"))["reason"]) == [reason]
    before = [(order, replace(fill, reason="rule")) for order, fill in book.fills("main")]
    assert list(trades_of(before)["reason"]) == ["risk" if origin is Origin.RISK else "rule"], "of fills from before, too"


def test_an_exit_of_what_is_gone_already_lapses(book: MemoryBook, broker: PaperBroker) -> None:
    place(book, broker, [buy()])
    broker.advance(TUESDAY, bars(TUESDAY, 100, 101, 99, 100))
    leave = exit_order(book.positions("main")[0], decision_session=TUESDAY, session=WEDNESDAY)
    book.held.clear()
    place(book, broker, [leave])

    assert broker.advance(WEDNESDAY, bars(WEDNESDAY, 90, 91, 89, 90)) == []

    assert book.order(leave.client_order_id) == (leave, OrderState.CANCELLED)


def signals(*rows: tuple[str, int, float, float], exit_long: bool = False) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "strategy": "bollinger",
            "symbol": [row[0] for row in rows],
            "session": pd.Timestamp(MONDAY),
            "entry": [row[1] for row in rows],
            "exit_long": exit_long,
            "exit_short": False,
            "stop_pct": 0.8,
            "target_pct": 1.5,
            "strength": [row[2] for row in rows],
            "close": [row[3] for row in rows],
        }
    )


def held(symbol: str, session: dt.date = dt.date(2018, 12, 14)) -> Position:
    return Position("main", "bollinger", symbol, Decimal(5), session, Decimal(100), None, None, 2, "x")


def choose(
    frame: pd.DataFrame, positions: tuple[Position, ...] = (), limits: Limits | None = None, **options: Any
) -> Decisions:
    strategy: Strategy = make_strategy("bollinger")
    prices = dict(zip(frame["symbol"], frame["close"], strict=True)) | {"OLD": 100.0}
    return decide(MONDAY, frame, [strategy], Holdings("main", positions, (), 100_000.0, prices), limits or Limits(), **options)


def test_the_strongest_candidates_get_the_slots_and_the_rest_a_reason() -> None:
    frame = signals(("AAA", 1, 0.1, 100.0), ("BBB", 1, 0.9, 100.0), ("CCC", 1, 0.5, 100.0), ("DDD", 1, 0.7, 100.0))

    decisions = choose(frame)

    assert [intent.symbol for intent in decisions.intents] == ["BBB", "CCC", "DDD"]
    assert [(refusal.symbol, refusal.reason) for refusal in decisions.refusals] == [("AAA", "max_positions")]
    assert all(intent.session == TUESDAY for intent in decisions.intents)
    risked = 100_000 * 0.25 / 0.8 / 100
    assert float(decisions.intents[0].quantity) == pytest.approx(risked, abs=1e-6)


def test_the_arm_of_a_test_is_part_of_an_entrys_id_and_of_no_exits() -> None:
    frame = signals(("AAA", 0, 0.1, 100.0), ("BBB", 1, 0.9, 100.0), ("CCC", 1, 0.5, 100.0))
    arms = {("bollinger", "BBB"): "ab-7", ("bollinger", "AAA"): "ab-7"}

    (leaving, *entries), (_, *without) = (choose(frame, (held("AAA"),), arms=each).intents for each in (arms, None))

    assert [(order.symbol, order.arm) for order in entries] == [("BBB", "ab-7"), ("CCC", "")]
    assert [one.client_order_id == other.client_order_id for one, other in zip(entries, without, strict=True)] == [False, True]
    assert entries[0].client_order_id == client_order_id("main", "bollinger", "BBB", TUESDAY, Leg.ENTRY, arm="ab-7"), (
        "a function of what it is for, whenever it is decided"
    )
    assert (leaving.leg, leaving.arm, leaving.entry_order_id) == (Leg.EXIT, "", "x")
    assert {order.origin for order in (leaving, *entries)} == {Origin.SIGNAL}


def test_each_refusal_says_why() -> None:
    frame = signals(("AAA", 1, 0.1, 100.0), ("BBB", 1, 0.9, 100.0), ("CCC", 1, 0.5, 100.0), ("DDD", 0, 0.0, 100.0))

    decisions = choose(frame, (held("AAA"),), accept={("bollinger", "BBB"): False})

    assert {(refusal.symbol, refusal.reason) for refusal in decisions.refusals} == {
        ("AAA", "held"),
        ("BBB", "filter"),
        ("CCC", "no_prediction"),
    }
    assert [intent.leg for intent in decisions.intents] == [Leg.EXIT], "two sessions are over for AAA"


def test_an_exit_that_no_strategy_decided_is_not_doubled_at_the_close_of_its_own_session() -> None:
    frame, position = signals(("AAA", 0, 0.0, 100.0)), held("AAA")
    own = exit_order(position, decision_session=MONDAY, session=MONDAY)

    def exits(*orders: OrderIntent) -> list[Leg]:
        holdings = Holdings("main", (position,), orders, 0.0, {"AAA": 100.0})
        return [order.leg for order in decide(MONDAY, frame, [make_strategy("bollinger")], holdings, Limits()).intents]

    assert exits(own) == [Leg.EXIT], "decided at this close before: the same answer again"
    assert exits(replace(own, arm="watch-1")) == [], "it is on its way already"


def test_without_capital_nothing_is_opened() -> None:
    rich = Position("main", "bollinger", "OLD", Decimal(1000), MONDAY, Decimal(100), None, None, None, "x")
    frame = signals(("AAA", 1, 0.1, 100.0))
    holdings = Holdings("main", (rich,), (), 0.0, {"AAA": 100.0, "OLD": 100.0})

    decisions = decide(MONDAY, frame, [make_strategy("bollinger")], holdings, Limits())

    assert [refusal.reason for refusal in decisions.refusals] == ["no_capital"]


def test_deciding_on_the_wrong_session_stops_trading() -> None:
    frame = signals(("AAA", 1, 0.1, 100.0))

    with pytest.raises(StopTrading, match="another session"):
        choose(frame.assign(session=pd.Timestamp(TUESDAY)))
    with pytest.raises(StopTrading, match="entered later"):
        choose(frame, (held("OLD", TUESDAY),))


def test_a_holding_without_a_price_is_no_basis_for_a_decision() -> None:
    with pytest.raises(DataError, match="No price for GONE"):
        account(1.0, [held("GONE")], [], {})


def test_a_close_decision_does_not_open_what_is_entered_at_the_open() -> None:
    decisions = choose(signals(("AAA", 1, 0.1, 100.0)), moment="open")

    assert decisions.intents == ()


@pytest.mark.parametrize(
    ("stop", "available", "shares"),
    [
        (0.8, 1e9, 100_000 * 0.25 / 0.8 / 50),  # a stop filled at its price loses 0.25 % of equity
        (0.1, 1e9, 40_000 / 50),  # at most 40 % of equity
        (float("nan"), 1e9, 40_000 / 50),  # no stop: the cap is the size
        (0.8, 1_000.0, 20.0),  # no more than is free
        (0.8, -5.0, 0.0),
    ],
)
def test_the_size_follows_risk_cap_and_free_capital(stop: float, available: float, shares: float) -> None:
    assert quantity(50.0, stop, 100_000.0, available, 0.25, 40.0) == pytest.approx(shares, abs=1e-6)


def test_senseless_limits_and_costs_are_refused() -> None:
    for wrong in ({"risk_per_trade_pct": 0}, {"max_position_pct": 101}, {"max_positions": 0}):
        with pytest.raises(ConfigError):
            Limits(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="basis points"):
        Costs(commission_bps=-1)
