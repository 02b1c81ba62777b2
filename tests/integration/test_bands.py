"""The average and the band of each decision on record: at signals, in the trade log, and in the trades of a backtest."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pandas as pd
import pytest
import sqlalchemy as sa

from core.frames import TRADES
from features.indicators import bollinger
from pipeline.bars import VIX
from pipeline.execution import daily_trade
from pipeline.research.backtest import run_backtest_report
from pipeline.resources import Resources
from pipeline.views.decisions import SIGNALS
from pipeline.views.decisions import SignalFilter as SignalsWanted
from pipeline.views.research.runs import RUN_TRADES, RunTradeFilter
from pipeline.views.trades import TRADES as TRADE_LOG
from pipeline.views.trades import TradeFilter
from storage.trading.tables import signals
from tests.standins.feed import walk
from trading.strategies.registry import make_strategy

if TYPE_CHECKING:
    from core.settings import Settings

pytestmark = pytest.mark.integration
START, DAY = dt.date(2017, 1, 3), dt.date(2018, 12, 28)
LATER = dt.datetime(2019, 1, 1, tzinfo=dt.UTC)
SYMBOLS = ("AAA", "BBB")


@pytest.fixture
def desk(database_settings: Settings) -> Resources:
    """Two random walks, a strategy with bands and one without."""
    desk = Resources(database_settings.with_changes(universe=SYMBOLS), clock=lambda: LATER)
    desk.__dict__["strategies"] = (make_strategy("bollinger", {"deviations": 1.0}), make_strategy("rsi", {"oversold": 45.0}))
    prices = ["open", "high", "low", "close", "adj_close"]
    parts = [walk(name, START, DAY, seed=3) for name in SYMBOLS]
    calm = walk(VIX, START, DAY).assign(**dict.fromkeys(prices, 20.0))
    desk.bars.write(pd.concat([*parts, calm], ignore_index=True), source="walk", ingested_at=LATER, backfilled=True)
    return desk


def test_the_signals_of_an_evening_have_their_bands_and_the_trade_log_those_of_its_decisions(desk: Resources) -> None:
    daily_trade.candidates(DAY.isoformat(), resources=desk)

    with desk.engine.connect() as connection:
        stored = {
            (row.strategy, row.symbol): (row.mean_price, row.band_price) for row in connection.execute(sa.select(signals)).all()
        }
    close = desk.bars.read(["AAA"], end=DAY)["close"].to_numpy()
    bands = bollinger(close, 20, 1.0)
    assert stored["bollinger", "AAA"] == (bands.middle[-1], bands.lower[-1])
    assert stored["rsi", "AAA"] == (None, None)
    shown = {(row.sleeve, row.symbol): row for row in SIGNALS.page(SignalsWanted(entries=False), resources=desk).rows}
    assert (shown["bollinger", "AAA"].mean_price, shown["bollinger", "AAA"].band_price) == stored["bollinger", "AAA"]

    trade = {
        "strategy": "bollinger", "symbol": "AAA", "side": 1, "decision_session": DAY, "entry_session": dt.date(2018, 12, 31),
        "exit_session": dt.date(2019, 1, 2), "quantity": 1.0, "entry_price": 100.0, "exit_price": 102.0, "gross_return": 0.02,
        "net_return": 0.019, "pnl_usd": 1.9, "cost_usd": 0.1, "holding_sessions": 2, "reason": "target",
    }  # fmt: skip
    others = [trade | {"strategy": "rsi"}, trade | {"decision_session": dt.date(2018, 12, 27), "symbol": "BBB"}]
    desk.ledger.save_trades("main", TRADES.coerce(pd.DataFrame([trade, *others])))

    log = {
        (row.sleeve, row.symbol): (row.mean_price, row.band_price) for row in TRADE_LOG.page(TradeFilter(), resources=desk).rows
    }
    assert log == {
        ("bollinger", "AAA"): stored["bollinger", "AAA"],
        ("rsi", "AAA"): (None, None),
        ("bollinger", "BBB"): (None, None),
    }


def test_a_signal_without_bands_is_stored_all_the_same(desk: Resources) -> None:
    frame = make_strategy("rsi").signals(desk.bars.read(["AAA"], end=DAY).assign(vix=20.0)).tail(1)
    desk.ledger.save_signals(frame.assign(strategy="rsi", symbol="AAA", close=100.0))

    assert desk.ledger.signals(DAY, "rsi")["symbol"].tolist() == ["AAA"]


def test_the_trades_of_a_backtest_have_the_bands_of_their_decisions_in_its_record_and_in_its_csv(desk: Resources) -> None:
    made = run_backtest_report(DAY.isoformat(), resources=desk)

    trades, _ = desk.runs.frames(made.run_id)
    banded = trades[trades["strategy"] == "bollinger"]
    assert len(banded) > 10
    assert (banded["band_price"] < banded["mean_price"]).all()
    assert trades[trades["strategy"] == "rsi"][["mean_price", "band_price"]].isna().all(axis=None)
    first = banded.iloc[0]
    closes = desk.bars.read([first["symbol"]], end=first["decision_session"].date())["close"].to_numpy()
    assert first["mean_price"] == pytest.approx(closes[-20:].mean())
    assert closes[-1] < first["band_price"]
    log = pd.read_csv(desk.runs.folder_of(made.run_id) / "trades.csv")
    assert log["band_price"].tolist() == pytest.approx(trades["band_price"].tolist(), nan_ok=True)
    assert list(pd.read_parquet(desk.runs.folder_of(made.run_id) / "trades.parquet").columns) == list(trades.columns)
    rows = RUN_TRADES.page(RunTradeFilter(run=made.run_id), limit=500, resources=desk).rows
    by_key = {(row.sleeve, row.symbol, row.entry_session): row.band_price for row in rows}
    assert by_key["bollinger", first["symbol"], first["entry_session"].date()] == pytest.approx(first["band_price"])
