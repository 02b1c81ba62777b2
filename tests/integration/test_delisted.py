"""A position whose bars have stopped, as after a delisting: the evening goes on, and a person is told of it by name."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from core.errors import DataError
from core.frames import ACTIONS
from core.models import OrderState
from core.sessions import close_of, next_session
from pipeline.audit import parity_day
from pipeline.bars import VIX
from pipeline.execution import daily_report, daily_trade, reconcile
from pipeline.resources import Resources
from pipeline.risk.monitor import check_portfolio
from tests.standins.alpaca import AlpacaStandIn
from tests.standins.alpaca_desk import DAY, Mailbox, desk_at, mailbox, placed
from tests.standins.evidence import vouch
from tests.standins.feed import walk
from trading.brokers.delisting import book_delistings
from trading.brokers.intake import collect
from trading.brokers.placing import place
from trading.delistings import delistings_of
from trading.orders import entry_order

if TYPE_CHECKING:
    from core.settings import Settings

pytestmark = pytest.mark.integration
START, GONE = dt.date(2016, 1, 4), dt.date(2017, 3, 1)  # 460 sessions before DAY: further back than any window of ours
LATE = dt.datetime(2018, 12, 27, 22, tzinfo=dt.UTC)


def held(settings: Settings, *, stored: bool = True, **changes: Any) -> Resources:
    """A paper desk that holds ten GON, whose last bar is of GONE (unless nothing of it is stored), and may buy AAA."""
    desk = Resources(settings.with_changes(universe=("AAA",), **changes), clock=lambda: LATE)
    desk.alerts = Mailbox()  # type: ignore[assignment]
    for symbol, end in (("AAA", DAY), (VIX, DAY), *((("GON", GONE),) if stored else ())):
        desk.bars.write(walk(symbol, START, end), source="test", ingested_at=LATE, backfilled=True)
        vouch(desk.engine, walk(symbol, START, end), first=end)
    bought = entry_order(
        "main", "bollinger", "GON", decision_session=dt.date(2017, 2, 28), session=GONE, signed_quantity=10.0, stop_pct=50.0,
        target_pct=50.0, max_sessions=2,
    )  # fmt: skip
    place(desk.ledger, desk.broker, [bought])
    assert desk.paper is not None
    desk.paper.advance(GONE, walk("GON", START, GONE))
    assert [position.symbol for position in desk.ledger.positions("main")] == ["GON"]
    return desk


def candidate(desk: Resources, symbol: str) -> None:
    """One entry that the filter lets pass at DAY."""
    close = float(walk(symbol, START, DAY)["close"].iloc[-1])
    row = {"symbol": symbol, "session": pd.Timestamp(DAY), "close": close, "strength": 0.5}
    signals = pd.DataFrame([row]).assign(
        strategy=desk.strategies[0].name, entry=np.int8(1), exit_long=False, exit_short=False, stop_pct=2.0, target_pct=3.0
    )
    desk.ledger.save_signals(signals)
    answer = {
        "strategy": desk.strategies[0].name,
        "symbol": symbol,
        "model_version": "1",
        "model_name": "filter",
        "probability": 0.6,
        "predicted_return": 0.01,
    }
    desk.ledger.save_predictions(DAY, [answer | {"signal": "enter", "feature_timestamp": close_of(DAY)}])


@pytest.mark.parametrize(
    "changes", [{}, {"venue__paper__leverage": 1.0}, {"risk__max_symbol_pct": 50.0, "risk__max_net_pct": 100.0}]
)
def test_the_evening_goes_on_with_the_rest(database_settings: Settings, changes: dict[str, float]) -> None:
    desk, session = held(database_settings, **changes), DAY.isoformat()

    daily_trade.settle(session, resources=desk)
    daily_trade.candidates(session, resources=desk)
    candidate(desk, "AAA")
    outcome = daily_trade.place(session, resources=desk)
    daily_trade.confirm(session, resources=desk)
    recorded = daily_trade.record(session, resources=desk)
    parity_day.record_day(session, resources=desk)

    assert (outcome.placed, outcome.refused) == (1, 0)
    last = float(walk("GON", START, GONE)["close"].iloc[-1])
    assert recorded.equity_usd == pytest.approx(float(desk.broker.cash_usd()) + 10 * last)
    assert reconcile.reconcile(session, resources=desk).differences == ()


def test_the_mail_names_it_each_evening(database_settings: Settings) -> None:
    desk = held(database_settings)
    daily_trade.record(DAY.isoformat(), resources=desk)

    evening = daily_report.evening_of(desk, DAY.isoformat())

    (said,) = evening.attention
    assert said.startswith(
        "GON is held and has had no bar for 460 sessions, since 2017-03-01: delisted, renamed or not loaded."
    )
    assert evening.subject.startswith("2018-12-27: 1 to look at, ")


def test_a_bar_that_is_a_few_sessions_late_is_not_named(database_settings: Settings) -> None:
    desk = held(database_settings)
    day = GONE
    for _ in range(5):
        day = next_session(day)

    assert daily_report.evening_of(desk, day.isoformat()).attention == []
    assert len(daily_report.evening_of(desk, next_session(day).isoformat()).attention) == 1


def test_the_risk_worker_sees_the_portfolio_and_alerts(database_settings: Settings) -> None:
    desk = held(database_settings)

    heartbeat, done = check_portfolio(resources=desk)

    assert (heartbeat.level, heartbeat.positions, done) == ("alert", 1, None)
    assert heartbeat.breaches["stale_price"]["symbols"] == ["GON"]
    assert heartbeat.gross_usd == pytest.approx(10 * float(walk("GON", START, GONE)["close"].iloc[-1]))
    assert heartbeat.var_historical_usd is None, "of what has no prices no risk is reckoned"
    assert [subject for subject, _, _ in mailbox(desk).mails] == [
        "Risk of main: stale_price 460 sessions (limit 5 sessions) GON"
    ]


def test_a_value_at_risk_that_has_a_limit_and_cannot_be_measured_is_an_alert(database_settings: Settings) -> None:
    heartbeat, _ = check_portfolio(resources=held(database_settings, monitor__var_limit_pct=1.0))

    assert heartbeat.level == "alert"
    assert heartbeat.breaches["value_at_risk"] == {"limit": 1.0, "found": None, "unit": "%"}


def test_a_symbol_that_never_had_a_bar_is_an_error_with_its_name(database_settings: Settings) -> None:
    desk = held(database_settings, stored=False)

    with pytest.raises(DataError, match="GON, which is held"):
        check_portfolio(resources=desk)
    with pytest.raises(DataError, match="GON, which is held"):
        daily_trade.record(DAY.isoformat(), resources=desk)


def test_a_day_on_which_a_delisting_paid_out_has_parity(database_settings: Settings) -> None:
    desk, session = held(database_settings), DAY.isoformat()
    rows = {"symbol": ["GON"], "session": [pd.Timestamp(DAY)], "kind": ["delisting"], "value": [7.5]}
    desk.bars.write_actions(ACTIONS.coerce(pd.DataFrame(rows)), LATE)

    book_delistings(desk.ledger, "main", delistings_of(desk.bars.actions(["GON"])))
    daily_trade.settle(session, resources=desk)
    recorded = daily_trade.record(session, resources=desk)
    day = parity_day.record_day(session, resources=desk)

    assert (recorded.positions, recorded.trades, recorded.equity_usd) == (0, 1, float(desk.broker.cash_usd()))
    assert desk.ledger.fills("main")[-1][1].reason == "delisted"
    assert (day.differences, day.record_usd == day.backtest_usd) == ((), True)


def test_at_alpaca_it_is_named_too_and_halts_the_desk_once_it_is_gone(database_settings: Settings) -> None:
    with AlpacaStandIn() as alpaca:
        desk = desk_at(database_settings, alpaca, symbols=("AAA",), venue__initial_cash_usd=100_000.0)
        desk.bars.write(walk("GON", START, GONE), source="test", ingested_at=LATE, backfilled=True)
        alpaca.exchange.list_asset("GON", f"{walk('GON', START, GONE)['close'].iloc[-1]:.2f}")
        alpaca.exchange.is_open = True
        bought = entry_order(
            "main", "rsi", "GON", decision_session=dt.date(2018, 12, 21), session=dt.date(2018, 12, 24), signed_quantity=10.0,
            stop_pct=50.0, target_pct=50.0, max_sessions=None,
        )  # fmt: skip
        place(desk.ledger, desk.broker, [bought])
        collect(desk.ledger, desk.broker, "main", desk.clock() - dt.timedelta(hours=1))
        alpaca.exchange.is_open = False
        alpaca.exchange.assets["GON"].tradable = False

        assert placed(desk) == {"AAA": OrderState.ACCEPTED}
        assert daily_trade.record(DAY.isoformat(), resources=desk).equity_usd == pytest.approx(100_000.0)
        assert reconcile.reconcile(DAY.isoformat(), resources=desk).differences == ()
        (said,) = daily_report.evening_of(desk, DAY.isoformat()).attention
        assert said.startswith("GON is held")

        del alpaca.exchange.held["GON"]  # taken over, and the shares are gone
        outcome = reconcile.reconcile(DAY.isoformat(), resources=desk)

    assert [(str(each.rule), each.subject) for each in outcome.differences] == [("missing_position", "GON")]
    assert outcome.halted
