"""The ledger on a real PostgreSQL: nothing twice, nothing half, nothing rounded."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from core.errors import ExecutorBusy, IllegalTransition
from core.frames import BAND_COLUMNS, TRADES
from core.models import Fill, Leg, OrderIntent, OrderState, Position, Side, client_order_id
from storage.locks import executor_lock
from storage.research.runs import Runs
from storage.trading.ledger import Ledger
from trading.brokers.intake import take_fill

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

pytestmark = pytest.mark.integration
MONDAY, TUESDAY = dt.date(2018, 12, 17), dt.date(2018, 12, 18)
ODD = Decimal("101.30000000000001")  # a float, to its last digit


def intent(symbol: str = "AAPL", leg: Leg = Leg.ENTRY) -> OrderIntent:
    return OrderIntent(
        client_order_id=client_order_id("main", "s", symbol, TUESDAY, leg),
        portfolio="main",
        strategy="s",
        symbol=symbol,
        session=TUESDAY,
        decision_session=MONDAY,
        leg=leg,
        side=Side.BUY if leg is Leg.ENTRY else Side.SELL,
        quantity=Decimal(7),
        stop_pct=0.8,
        target_pct=1.5,
        max_sessions=2,
        entry_order_id=client_order_id("main", "s", symbol, TUESDAY, Leg.ENTRY) if leg is Leg.EXIT else None,
    )


def fill_of(order: OrderIntent, price: Decimal = ODD) -> Fill:
    return Fill(
        fill_id=f"paper-{order.client_order_id}",
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        side=order.side,
        quantity=order.quantity,
        price=price,
        raw_price=Decimal(101),
        commission_usd=Decimal("0.07"),
        session=TUESDAY,
        filled_at=dt.datetime(2018, 12, 18, 14, 30, tzinfo=dt.UTC),
        reason="entry",
    )


def position_of(order: OrderIntent) -> Position:
    return Position(
        "main", "s", order.symbol, Decimal(7), TUESDAY, ODD, Decimal("100.1896"), Decimal("102.5"), 2, order.client_order_id
    )


def test_an_intent_is_written_once_and_comes_back_whole(database: Engine) -> None:
    ledger = Ledger(database)

    assert ledger.record_intents([intent(), intent("MSFT")]) == 2
    assert ledger.record_intents([intent()]) == 0

    assert ledger.order(intent().client_order_id) == (intent(), OrderState.INTENT)
    assert ledger.order("unknown") is None
    assert [order.symbol for order, _ in ledger.open_orders("main")] == ["AAPL", "MSFT"]
    assert ledger.open_orders("other") == []
    assert len(ledger.orders_decided("main", MONDAY)) == 2
    assert ledger.orders_decided("main", TUESDAY) == []


def test_a_fill_moves_order_and_position_together_and_counts_once(database: Engine) -> None:
    ledger, order = Ledger(database), intent()
    ledger.record_intents([order])
    for state in (OrderState.SUBMITTED, OrderState.ACCEPTED):
        ledger.transition(order.client_order_id, state)

    assert ledger.record_fill(fill_of(order), order, lambda _: position_of(order))
    assert not ledger.record_fill(fill_of(order), order, lambda _: position_of(order))

    assert ledger.order(order.client_order_id) == (order, OrderState.FILLED)
    assert ledger.positions("main") == [position_of(order)], "prices to the last digit"
    assert ledger.fills("main") == [(order, fill_of(order))]
    assert ledger.cash_flow_usd("main") == -7 * ODD - Decimal("0.07")
    assert ledger.open_orders("main") == []


def test_an_exit_the_broker_made_by_itself_is_recorded_with_its_order(database: Engine) -> None:
    ledger, entry, stop = Ledger(database), intent(), intent(leg=Leg.EXIT)
    ledger.record_intents([entry])
    ledger.transition(entry.client_order_id, OrderState.SUBMITTED)
    ledger.record_fill(fill_of(entry), entry, lambda _: position_of(entry))

    assert ledger.record_fill(fill_of(stop, Decimal(100)), stop, lambda _: None)

    assert ledger.positions("main") == []
    assert ledger.order(stop.client_order_id) == (stop, OrderState.FILLED)
    assert ledger.cash_flow_usd("main") == Decimal(700) - 7 * ODD - Decimal("0.14")


def test_an_illegal_move_changes_nothing(database: Engine) -> None:
    ledger, order = Ledger(database), intent()
    ledger.record_intents([order])

    with pytest.raises(IllegalTransition, match="which is intent"):
        ledger.record_fill(fill_of(order), order, lambda _: position_of(order))
    with pytest.raises(IllegalTransition, match="not in the book"):
        ledger.transition("unknown", OrderState.SUBMITTED)

    assert ledger.fills("main") == []
    assert ledger.positions("main") == []
    assert ledger.order(order.client_order_id) == (order, OrderState.INTENT)


def test_an_order_filled_in_parts_is_one_position_and_never_more_than_it_asked_for(database: Engine) -> None:
    ledger, order = Ledger(database), intent()
    ledger.record_intents([order])
    for state in (OrderState.SUBMITTED, OrderState.ACCEPTED):
        ledger.transition(order.client_order_id, state)
    first, rest, beyond = (
        replace(fill_of(order), fill_id=name, quantity=Decimal(quantity), price=Decimal(price), raw_price=Decimal(price))
        for name, quantity, price in (("a", 3, 100), ("b", 4, 107), ("c", 1, 100))
    )

    assert take_fill(ledger, first)
    assert ledger.order(order.client_order_id) == (order, OrderState.PARTIALLY_FILLED)
    assert ledger.transition(order.client_order_id, OrderState.CANCEL_PENDING)
    assert [take_fill(ledger, rest), take_fill(ledger, rest), take_fill(ledger, first)] == [True, False, False]
    with pytest.raises(IllegalTransition, match="at most 7, found 8"):
        take_fill(ledger, beyond)

    assert ledger.order(order.client_order_id) == (order, OrderState.FILLED)
    assert ledger.filled(order.client_order_id) == 7
    (held,) = ledger.positions("main")
    assert (held.quantity, held.entry_price) == (Decimal(7), Decimal(104))
    assert float(held.stop_price or 0) == pytest.approx(104 * 0.992)
    assert ledger.cash_flow_usd("main") == -300 - 428 - Decimal("0.14")


@pytest.mark.parametrize("table", ["order_events", "fills"])
@pytest.mark.parametrize("change", ["UPDATE trading.{} SET reason = 'x'", "DELETE FROM trading.{}"])
def test_evidence_cannot_be_changed(database: Engine, table: str, change: str) -> None:
    ledger, order = Ledger(database), intent()
    ledger.record_intents([order])
    ledger.transition(order.client_order_id, OrderState.SUBMITTED)
    take_fill(ledger, fill_of(order))

    with pytest.raises(sa.exc.DBAPIError, match="is evidence"), database.begin() as connection:
        connection.execute(sa.text(change.format(table)))


def test_one_executor_works_and_the_other_is_told_who_and_since_when(database: Engine) -> None:
    with executor_lock(database, "main") as lock:
        lock.require()
        with (
            pytest.raises(ExecutorBusy, match=f"executor main pid {os.getpid()} on .*, since 20"),
            executor_lock(database, "main"),
        ):
            pass
        with executor_lock(database, "other"):
            pass
    with executor_lock(database, "main"):
        pass


def test_the_next_step_finds_the_portfolio_free(database: Engine) -> None:
    for _ in range(20):
        with contextlib.ExitStack() as warm:
            for _ in range(5):
                warm.enter_context(database.connect())  # what waits in the pool is quicker than a connection that closes
        for _ in range(5):
            with executor_lock(database, "main") as lock:
                lock.require()


def test_an_executor_whose_lock_is_lost_sends_nothing_more(database: Engine) -> None:
    with executor_lock(database, "main") as lock:
        with database.begin() as connection:
            connection.execute(
                sa.text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                    "AND application_name LIKE 'executor main%'"
                )
            )
        for _ in range(2):  # the connection would come back, the lock would not
            with pytest.raises(ExecutorBusy, match="lost"):
                lock.require()


def test_each_executor_has_a_higher_token_and_the_one_that_was_overtaken_is_told_by_whom(database: Engine) -> None:
    with executor_lock(database, "main") as first:
        first.require()
    with executor_lock(database, "main") as second:
        assert second.token == first.token + 1
        with database.begin() as connection:  # another takes over while this one still believes that it holds the lock
            connection.execute(sa.text("UPDATE trading.executor_leases SET token = token + 1, holder = 'another'"))
        with pytest.raises(ExecutorBusy, match=f"token {second.token}, has gone to another executor \\(another, token"):
            second.require()
    with executor_lock(database, "other") as other:
        assert other.token == 1


def test_each_move_leaves_an_event_and_a_repeated_one_none(database: Engine) -> None:
    ledger, order = Ledger(database), intent()
    ledger.record_intents([order])
    for state in (OrderState.SUBMITTED, OrderState.SUBMITTED, OrderState.UNKNOWN, OrderState.ACCEPTED):
        ledger.transition(order.client_order_id, state, "because")

    with database.connect() as connection:
        rows = connection.execute(sa.text("SELECT state, reason FROM trading.order_events ORDER BY id")).all()
    assert [tuple(row) for row in rows] == [
        ("intent", "decided"),
        ("submitted", "because"),
        ("unknown", "because"),
        ("accepted", "because"),
    ]


def test_signals_and_predictions_are_replaced_by_a_rerun(database: Engine) -> None:
    ledger = Ledger(database)
    rows = pd.DataFrame(
        {
            "strategy": "s",
            "symbol": ["MSFT", "AAPL"],
            "session": pd.to_datetime([MONDAY, MONDAY]).astype("datetime64[ns]"),
            "entry": np.array([1, 0], dtype="int8"),
            "exit_long": False,
            "exit_short": True,
            "stop_pct": [0.8, np.nan],
            "target_pct": [1.5, np.nan],
            "strength": [0.25, np.nan],
            "close": [10.0, 20.0],
        }
    )
    for strength in (0.1, 0.25):
        ledger.save_signals(rows.assign(strength=[strength, np.nan]))
    stored = ledger.signals(MONDAY, "s")
    pd.testing.assert_frame_equal(
        stored, rows.iloc[::-1].reset_index(drop=True)[list(stored.columns)], check_dtype=True, check_exact=True
    )
    assert ledger.signals(TUESDAY, "s").empty

    answer = {
        "strategy": "s",
        "symbol": "MSFT",
        "model_version": "3",
        "model_name": "entry-filter",
        "probability": 0.4,
        "predicted_return": -0.001,
        "signal": "skip",
        "feature_timestamp": dt.datetime(2018, 12, 17, 21, tzinfo=dt.UTC),
    }
    ledger.save_predictions(MONDAY, [answer])
    ledger.save_predictions(MONDAY, [answer | {"probability": 0.6, "signal": "enter"}])
    assert ledger.predictions(MONDAY).to_dict("records") == [
        {name: answer[name] for name in ("strategy", "symbol", "model_version", "predicted_return")}
        | {"probability": 0.6, "signal": "enter", "ab_arm": ""}
    ]
    assert ledger.predictions(TUESDAY).empty


def test_refusals_trades_and_equity_are_kept_once(database: Engine) -> None:
    ledger = Ledger(database)
    refusal = {"portfolio": "main", "strategy": "s", "symbol": "AAPL", "session": MONDAY, "reason": "filter"}
    for _ in range(2):
        ledger.save_risk_events([refusal])
        ledger.save_trades("main", one_trade())
        ledger.save_equity(
            {"portfolio": "main", "session": MONDAY, "cash_usd": 1.0, "equity_usd": 2.0, "exposure_usd": 1.0, "positions": 1}
        )

    assert ledger.risk_events("main")["reason"].tolist() == ["filter"]
    pd.testing.assert_frame_equal(ledger.trades("main"), one_trade())
    assert ledger.equity("main")["equity_usd"].tolist() == [2.0]
    assert ledger.equity("other").empty


def one_trade() -> pd.DataFrame:
    values = {
        "symbol": "AAPL",
        "strategy": "s",
        "side": 1,
        "decision_session": pd.Timestamp(MONDAY),
        "entry_session": pd.Timestamp(TUESDAY),
        "exit_session": pd.Timestamp(TUESDAY),
        "entry_price": 100.02,
        "exit_price": 99.18,
        "quantity": 7.0,
        "gross_return": -0.008,
        "net_return": -0.0084,
        "pnl_usd": -5.88,
        "cost_usd": 0.28,
        "holding_sessions": 0,
        "reason": "stop",
    }
    return TRADES.coerce(pd.DataFrame([values]))


def test_a_run_is_stored_with_its_files_and_the_latest_is_found(database: Engine, tmp_path: Path) -> None:
    equity = pd.DataFrame(
        {"session": pd.to_datetime([MONDAY, TUESDAY]), "equity_usd": [1e5, 99_994.12], "drawdown": [0.0, -5.88e-5]}
    )
    runs = Runs(database, tmp_path)
    assert runs.latest() is None

    ids = [
        runs.save(
            kind=kind,
            meta={"strategy": "s"},
            metrics={"sharpe": None, "trade_count": 1},
            trades=one_trade(),
            equity=equity,
        )
        for kind in ("unfiltered", "filtered", "unfiltered")
    ]

    newest = runs.latest()
    assert newest is not None
    assert (newest.run_id, newest.kind, newest.metrics) == (ids[2], "unfiltered", {"sharpe": None, "trade_count": 1})
    filtered = runs.latest("filtered")
    assert filtered is not None
    assert filtered.run_id == ids[1]
    assert [run.run_id for run in runs.recent()] == ids[::-1]
    logged = pd.read_parquet(tmp_path / ids[0] / "trades.parquet")
    pd.testing.assert_frame_equal(logged[list(TRADES.columns)], one_trade())
    assert logged[list(BAND_COLUMNS)].isna().all(axis=None), "a strategy that nobody named has no band"
    assert len(pd.read_parquet(tmp_path / ids[0] / "equity.parquet")) == 2
    with database.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM research.backtest_trades")).scalar() == 3
        assert connection.execute(sa.text("SELECT count(*) FROM research.backtest_equity")).scalar() == 6
