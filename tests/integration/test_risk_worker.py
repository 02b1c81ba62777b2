"""The risk worker on a real PostgreSQL: what it measures, when it mails, and how it flattens a breached portfolio."""

from __future__ import annotations

import datetime as dt
import math
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import sqlalchemy as sa
from scipy import stats

from core.models import OrderState
from pipeline.resources import Resources
from pipeline.risk import kill_switch, monitor
from pipeline.risk.monitor import check_portfolio
from pipeline.risk.pre_send import risk_checks
from tests.standins.feed import walk
from tests.standins.mailbox import OneChannel
from trading.brokers.placing import place
from trading.orders import entry_order
from trading.portfolio import Account, trades_of

if TYPE_CHECKING:
    import pandas as pd

    from core.models import OrderIntent
    from core.settings import Settings
    from pipeline.risk.flatten import Flattening
    from storage.trading.heartbeats import Heartbeat

pytestmark = pytest.mark.integration
START, DECIDED, ENTERED, FALLEN = (dt.date(2017, 6, 1), dt.date(2018, 12, 26), dt.date(2018, 12, 27), dt.date(2018, 12, 28))
AFTER = dt.date(2018, 12, 31)
NOW = dt.datetime(2019, 1, 1, 12, tzinfo=dt.UTC)


@dataclass
class Mailbox(OneChannel):
    """Keeps what would be mailed."""

    mails: list[tuple[str, str, str]] = field(default_factory=list)

    def send(self, subject: str, body: str, severity: str = "warning") -> bool:
        self.mails.append((subject, body, severity))
        return True


def desk_of(settings: Settings, **changes: Any) -> Resources:
    desk = Resources(settings.with_changes(**changes), clock=lambda: NOW)
    desk.alerts = Mailbox()  # type: ignore[assignment]
    return desk


def mails(desk: Resources) -> list[tuple[str, str, str]]:
    kept: Any = desk.alerts
    return list(kept.mails)


def load(desk: Resources, symbol: str, until: dt.date, **last: float) -> pd.DataFrame:
    """Bars of a symbol up to a session, whose prices may be set."""
    bars = walk(symbol, START, until)
    for name, value in last.items():
        bars.loc[bars.index[-1], name] = value
    desk.bars.write(bars, source="test", ingested_at=NOW - dt.timedelta(days=1))
    return bars


def entry(symbol: str, quantity: float, *, decided: dt.date = DECIDED, session: dt.date = ENTERED) -> OrderIntent:
    return entry_order(
        "main", "bollinger", symbol, decision_session=decided, session=session, signed_quantity=quantity,
        stop_pct=50.0, target_pct=50.0, max_sessions=None,
    )  # fmt: skip


def hold(desk: Resources, quantity: float = 400.0) -> float:
    """Bars up to the entry, and so many shares of AAA bought at its open; returns its last close."""
    bars = load(desk, "AAA", ENTERED)
    place(desk.ledger, desk.broker, [entry("AAA", quantity)])
    assert desk.paper is not None
    desk.paper.advance(ENTERED, bars)
    return float(bars["close"].iloc[-1])


def fall(desk: Resources, close: float) -> None:
    """The next session, in which AAA closes there."""
    bars = load(desk, "AAA", FALLEN, open=close, high=close, low=close, close=close, adj_close=close)
    assert desk.paper is not None
    desk.paper.advance(FALLEN, bars)


def sell(desk: Resources) -> tuple[Heartbeat, Flattening | None]:
    """Two looks: the first halts, the second sells."""
    _, done = check_portfolio(resources=desk)
    assert done is None
    return check_portfolio(resources=desk)


def test_a_desk_that_holds_nothing_is_worth_its_cash(database_settings: Settings) -> None:
    desk = desk_of(database_settings)

    heartbeat, done = check_portfolio(resources=desk)

    assert done is None
    assert (heartbeat.level, heartbeat.equity_usd, heartbeat.drawdown_pct, heartbeat.positions) == ("ok", 100_000.0, 0.0, 0)
    assert (heartbeat.gross_usd, heartbeat.var_historical_usd) == (0.0, 0.0)
    assert mails(desk) == []


def test_value_at_risk_is_that_of_the_bars(database_settings: Settings) -> None:
    desk = desk_of(database_settings, monitor__var_window_sessions=100)
    close = hold(desk)

    heartbeat, _ = check_portfolio(resources=desk)

    returns = walk("AAA", START, ENTERED)["close"].pct_change().dropna().to_numpy()[-100:]
    held = 400.0 * close
    assert heartbeat.gross_usd == pytest.approx(held)
    assert heartbeat.var_historical_usd == pytest.approx(-held * np.sort(returns)[4])
    assert heartbeat.var_parametric_usd == pytest.approx(held * (stats.norm.ppf(0.95) * returns.std(ddof=1) - returns.mean()))


def test_the_heartbeat_is_a_row(database_settings: Settings) -> None:
    desk = desk_of(database_settings)
    heartbeat, _ = check_portfolio(resources=desk)
    assert desk.heartbeats.last("main") == heartbeat


def test_one_per_cent_down_is_mailed_once_and_nothing_is_done(database_settings: Settings) -> None:
    desk = desk_of(database_settings, monitor__mode="enforce")
    close = hold(desk)
    fall(desk, close - 1_500 / 400)

    for _ in range(3):
        heartbeat, done = check_portfolio(resources=desk)

    assert heartbeat.level == "alert"
    assert done is None
    assert kill_switch.halt_reason(resources=desk) is None
    assert [severity for _, _, severity in mails(desk)] == ["warning"]
    assert "drawdown 1." in mails(desk)[0][0]


def test_a_breach_is_one_alert_that_gets_worse_and_is_resolved_once_it_is_over(database_settings: Settings) -> None:
    desk = desk_of(database_settings)
    close = hold(desk)
    load(desk, "AAA", FALLEN, close=close - 1_500 / 400)
    check_portfolio(resources=desk)
    (raised,) = desk.alert_log.read(kind="risk", book="main")
    desk.alert_desk.acknowledge(raised.id, author="ana", reason="it is one stock")
    load(desk, "AAA", AFTER, close=close - 3_000 / 400)
    check_portfolio(resources=desk)
    check_portfolio(resources=desk)
    (worse,) = desk.alert_log.read(kind="risk", book="main")
    desk.halts.resume("main", reason="a new peak", author="ana")
    desk.clock = lambda: NOW + dt.timedelta(days=1)
    load(desk, "AAA", AFTER, close=close + 100)
    check_portfolio(resources=desk)

    assert (raised.key, raised.severity, worse.id) == ("risk:main:drawdown", "warning", raised.id)
    assert (worse.severity, worse.state, worse.notice, worse.repeats) == ("critical", "raised", 2, 2)
    assert [severity for _, _, severity in mails(desk)] == ["warning", "critical"]
    assert desk.alert_log.read(kind="risk") == []
    assert desk.alert_log.find(raised.id).resolved_by == "check"


def test_log_only_does_nothing_about_a_breach_but_say_so(database_settings: Settings) -> None:
    desk = desk_of(database_settings)
    fall(desk, hold(desk) - 3_000 / 400)

    heartbeat, done = check_portfolio(resources=desk)

    assert (heartbeat.level, done) == ("halt", None)
    assert kill_switch.halt_reason(resources=desk) is None
    assert "nothing is done about it" in mails(desk)[0][1]


def test_enforcing_halts_then_cancels_then_flattens_a_breached_portfolio(database_settings: Settings) -> None:
    desk = desk_of(database_settings, monitor__mode="enforce")
    close = hold(desk)
    waiting = entry("AAA", 5.0, decided=FALLEN, session=AFTER)
    fall(desk, close - 3_000 / 400)
    place(desk.ledger, desk.broker, [waiting])

    heartbeat, done = sell(desk)

    assert heartbeat.level == "halt"
    assert heartbeat.breaches["drawdown"]["limit"] == 2.0
    assert done is not None
    assert done.cancelled == (waiting.client_order_id,)
    assert len(done.exits) == 1
    assert events(desk) == [("cancelled", waiting.client_order_id), ("submitted", done.exits[0])]
    halted = desk.halts.current("main")
    assert halted is not None
    assert (halted.halted, halted.author) == (True, "risk-worker")

    check_portfolio(resources=desk)
    assert len(desk.ledger.open_orders("main")) == 1, "the exit on its way is not sent twice"
    bars = load(desk, "AAA", AFTER)
    assert desk.paper is not None
    desk.paper.advance(AFTER, bars)
    after, _ = check_portfolio(resources=desk)

    assert desk.ledger.positions("main") == []
    assert (after.positions, after.gross_usd) == (0, 0.0)
    assert [fill.reason for _, fill in desk.ledger.fills("main")][-1] == "risk"
    assert list(trades_of(desk.ledger.fills("main"))["reason"]) == ["risk"]
    late = entry("AAA", 1.0, decided=AFTER, session=dt.date(2019, 1, 2))
    states = place(desk.ledger, desk.broker, [late], pre_send=risk_checks(resources=desk))
    assert states == {late.client_order_id: OrderState.CANCELLED}


def test_an_exit_of_the_strategy_is_taken_back_and_replaced_by_one_of_another_id(database_settings: Settings) -> None:
    desk = desk_of(database_settings, monitor__mode="enforce")
    fall(desk, hold(desk) - 3_000 / 400)
    from trading.orders import exit_order

    own = exit_order(desk.ledger.positions("main")[0], decision_session=FALLEN, session=AFTER)
    place(desk.ledger, desk.broker, [own])

    _, done = sell(desk)

    assert done is not None
    assert done.cancelled == (own.client_order_id,)
    assert done.exits != (own.client_order_id,)
    [(leaving, _)] = desk.ledger.open_orders("main")
    assert (leaving.quantity, leaving.session) == (own.quantity, own.session)


def test_an_exit_that_failed_is_followed_by_another(database_settings: Settings) -> None:
    desk = desk_of(database_settings, monitor__mode="enforce")
    fall(desk, hold(desk) - 3_000 / 400)
    _, first = sell(desk)
    assert first is not None
    desk.ledger.transition(first.exits[0], OrderState.CANCELLED, "the venue lost it")

    _, second = check_portfolio(resources=desk)

    assert second is not None
    assert len(second.exits) == 1
    assert second.exits != first.exits


def test_a_sale_that_has_begun_goes_on_when_prices_recover(database_settings: Settings) -> None:
    desk = desk_of(database_settings, monitor__mode="enforce")
    fall(desk, hold(desk) - 3_000 / 400)
    _, first = sell(desk)
    assert first is not None
    desk.ledger.transition(first.exits[0], OrderState.CANCELLED, "the venue lost it")
    load(desk, "AAA", AFTER)

    heartbeat, second = check_portfolio(resources=desk)

    assert heartbeat.level == "ok"
    assert second is not None
    assert len(second.exits) == 1


def test_a_busy_executor_is_waited_for_and_the_desk_is_halted_at_once(database_settings: Settings) -> None:
    from storage.locks import executor_lock

    desk = desk_of(database_settings, monitor__mode="enforce")
    fall(desk, hold(desk) - 3_000 / 400)

    with executor_lock(desk.engine, "main"):
        _, done = sell(desk)

    assert done is None
    assert kill_switch.halt_reason(resources=desk) is not None
    _, done = check_portfolio(resources=desk)
    assert done is not None
    assert len(done.exits) == 1


def test_value_at_risk_over_its_limit_is_a_breach(database_settings: Settings) -> None:
    desk = desk_of(database_settings, monitor__var_limit_pct=0.1)
    hold(desk)

    heartbeat, _ = check_portfolio(resources=desk)

    assert heartbeat.level == "halt"
    assert heartbeat.breaches["value_at_risk"]["found"] > 0.1


def test_the_peak_starts_anew_once_a_person_has_resumed(database_settings: Settings) -> None:
    desk = desk_of(database_settings, monitor__mode="enforce")
    fall(desk, hold(desk) - 3_000 / 400)
    sell(desk)

    kill_switch.resume("understood", "ada", resources=desk)
    heartbeat, _ = check_portfolio(resources=desk)

    assert heartbeat.level == "ok"
    assert heartbeat.peak_usd == heartbeat.equity_usd < 98_000.0
    assert "selling" not in heartbeat.breaches


def test_one_wrong_price_halts_and_sells_nothing(database_settings: Settings) -> None:
    desk = desk_of(database_settings, monitor__mode="enforce")
    hold(desk)
    load(desk, "AAA", FALLEN, open=1.0, high=1.0, low=1.0, close=1.0, adj_close=1.0)
    _, first = check_portfolio(resources=desk)
    right = walk("AAA", START, FALLEN)
    desk.bars.write(right, source="test", ingested_at=NOW)

    heartbeat, second = check_portfolio(resources=desk)

    assert (first, second) == (None, None)
    assert heartbeat.level != "halt"
    assert desk.ledger.open_orders("main") == []
    assert kill_switch.halt_reason(resources=desk) is not None, "a person looks at it"


def test_strategies_on_both_sides_of_a_symbol_are_both_closed(database_settings: Settings) -> None:
    desk = desk_of(database_settings, monitor__mode="enforce")
    load(desk, "AAA", ENTERED)
    short = entry("AAA", -150.0)
    place(desk.ledger, desk.broker, [entry("AAA", 400.0), replace(short, strategy="rsi", client_order_id="short")])
    assert desk.paper is not None
    desk.paper.advance(ENTERED, walk("AAA", START, ENTERED))
    fall(desk, float(walk("AAA", START, ENTERED)["close"].iloc[-1]) - 3_000 / 250)

    _, done = sell(desk)

    assert done is not None
    orders = [order for order, _ in desk.ledger.open_orders("main")]
    assert {(order.strategy, order.side.value, float(order.quantity)) for order in orders} == {
        ("bollinger", "sell", 400.0),
        ("rsi", "buy", 150.0),
    }


def test_a_position_in_a_symbol_without_new_bars_is_an_alert(database_settings: Settings) -> None:
    desk = desk_of(database_settings)
    hold(desk)
    load(desk, "BBB", dt.date(2019, 1, 7))  # the sixth session after

    heartbeat, _ = check_portfolio(resources=desk)

    assert heartbeat.level == "alert"
    assert heartbeat.breaches == {"stale_price": {"limit": 5, "found": 6, "unit": "sessions", "symbols": ["AAA"]}}


def test_the_worker_goes_on_after_a_look_that_failed(database_settings: Settings) -> None:
    desk = desk_of(database_settings)
    hold(desk)
    reads, read = [0], desk.bars.read

    def stumbling(*args: Any, **kwargs: Any) -> pd.DataFrame:
        reads[0] += 1
        if reads[0] <= 2:
            raise OSError("the disk is asleep")
        return read(*args, **kwargs)

    desk.bars.read = stumbling  # type: ignore[method-assign]
    stop = threading.Event()

    looks = monitor.watch_portfolio(stop, interval_seconds=0.01, on_check=lambda _: stop.set(), resources=desk)

    assert looks == 1
    assert [subject for subject, _, _ in mails(desk)] == ["The risk worker cannot see the portfolio"], "mailed once"


def test_without_a_fresh_heartbeat_nothing_is_opened_where_the_setting_asks_for_one(database_settings: Settings) -> None:
    desk = desk_of(database_settings, pre_send__heartbeat_max_age_seconds=120.0)
    first, second = entry("AAA", 1.0), entry("BBB", 1.0)

    states = place(desk.ledger, desk.broker, [first], pre_send=risk_checks(resources=desk))
    assert states == {first.client_order_id: OrderState.CANCELLED}
    check_portfolio(resources=desk)
    assert risk_checks(resources=desk)(second) is None
    desk.clock = lambda: NOW + dt.timedelta(seconds=121)
    refusal = risk_checks(resources=desk)(second)
    assert refusal == "heartbeat: expected the risk worker within 120 s, found the last heartbeat 121 s ago"


@pytest.mark.parametrize("close", [0.0, -1.0, math.inf])
def test_a_price_that_is_none_is_mailed_and_sells_nothing(database_settings: Settings, close: float) -> None:
    desk = desk_of(database_settings, monitor__mode="enforce")
    hold(desk)
    before, _ = check_portfolio(resources=desk)
    load(desk, "AAA", FALLEN, close=close)

    looks = [check_portfolio(resources=desk) for _ in range(3)]

    assert [(look.heartbeat.level, look.flattening) for look in looks] == [("alert", None)] * 3
    says = f"expected a positive price of AAA, found {close}"
    assert looks[0].heartbeat.breaches == {"unreadable_equity": {"says": says}}
    assert (looks[0].heartbeat.equity_usd, looks[0].heartbeat.positions) == (before.equity_usd, 1)
    assert kill_switch.halt_reason(resources=desk) is None
    assert [subject for subject, _, _ in mails(desk)] == ["The equity of main is not believed"]


@pytest.mark.parametrize("value", [0.0, -5.0, math.nan, math.inf, 1.0, 1e9])
@pytest.mark.parametrize("looked", [True, False])
def test_an_impossible_equity_of_the_paper_account_sells_nothing_on_any_look(
    database_settings: Settings, monkeypatch: pytest.MonkeyPatch, value: float, looked: bool
) -> None:
    desk = desk_of(database_settings, monitor__mode="enforce")
    hold(desk)
    if looked:
        check_portfolio(resources=desk)
    monkeypatch.setattr(desk.broker, "account", lambda _: Account(value, value, 0.0))

    looks = [check_portfolio(resources=desk) for _ in range(2)]

    assert [(look.heartbeat.level, look.flattening) for look in looks] == [("alert", None)] * 2
    assert kill_switch.halt_reason(resources=desk) is None
    refusal = risk_checks(resources=desk)(entry("BBB", 1.0)) or ""
    assert refusal.startswith("heartbeat: the risk worker does not believe the equity")


def test_a_heartbeat_from_the_future_opens_nothing_until_the_worker_looks_again(database_settings: Settings) -> None:
    desk = desk_of(database_settings, pre_send__heartbeat_max_age_seconds=120.0)
    desk.clock = lambda: NOW + dt.timedelta(hours=1)
    check_portfolio(resources=desk)
    desk.clock = lambda: NOW

    refusal = risk_checks(resources=desk)(entry("AAA", 1.0))
    check_portfolio(resources=desk)

    assert refusal == (
        "heartbeat: expected the risk worker within 120 s, found the last heartbeat 3600 s in the future: a clock is wrong"
    )
    assert risk_checks(resources=desk)(entry("BBB", 1.0)) is None, "the look after it counts, whose time is earlier"


def events(desk: Resources) -> list[tuple[str, str]]:
    """Cancellations and sendings after the entry of AAA, in their order."""
    with desk.engine.connect() as connection:
        rows = connection.execute(
            sa.text(
                "SELECT state, client_order_id FROM trading.order_events WHERE state IN ('cancelled', 'submitted') ORDER BY id"
            )
        ).all()
    return [(row[0], row[1]) for row in rows][2:]
