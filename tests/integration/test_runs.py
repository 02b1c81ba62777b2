"""Backtests on record: counted as trials, weighed, reported, found again and put side by side."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from core.errors import DataError
from core.frames import ACTIONS, TRADES
from pipeline.bars import VIX, bars_by_symbol
from pipeline.research import backtest, backtest_report
from pipeline.research.backtest_terms import BacktestTerms
from pipeline.research.sweep import run_sweep
from pipeline.resources import Resources
from tests.standins.feed import walk
from trading.strategies.registry import make_strategy

if TYPE_CHECKING:
    from core.settings import Settings

pytestmark = pytest.mark.integration
START, END = dt.date(2012, 1, 3), dt.date(2018, 12, 31)
NOW = dt.datetime(2019, 1, 2, tzinfo=dt.UTC)
LAST = "2018-12-31"


@pytest.fixture
def desk(database_settings: Settings) -> Resources:
    made = Resources(database_settings.with_changes(universe=("AAA", "BBB")), clock=lambda: NOW)
    bars = pd.concat([walk(name, START, END) for name in ("AAA", "BBB", VIX)], ignore_index=True)
    made.bars.write(bars, source="test", ingested_at=NOW, backfilled=True)
    return made


def test_a_backtest_is_weighed_stored_and_reported(desk: Resources) -> None:
    outcome = backtest.run_backtest_report(LAST, resources=desk, strategy=make_strategy("rsi", {"oversold": 35.0}))
    figures = outcome.as_dict()

    assert figures["trade_count"] > 10
    assert figures["sharpe_low"] < figures["sharpe"] < figures["sharpe_high"]
    assert (figures["trials"], figures["deflated_sharpe"]) == (1, pytest.approx(figures["probabilistic_sharpe"]))
    assert 0 < figures["random_entry_p"] <= 1
    assert figures["buy_and_hold_total_return"] is not None
    page = (desk.data_dir / "runs" / figures["run_id"] / "report.html").read_text()
    assert figures["report"].endswith(f"{figures['run_id']}/report.html")
    assert "rsi, unfiltered" in page
    summary = (desk.data_dir / "runs" / figures["run_id"] / "report.md").read_text()
    assert "deflated" in summary


def test_every_different_backtest_counts_once_against_its_strategy(desk: Resources) -> None:
    for params in ({"oversold": 35.0}, {"oversold": 40.0}, {"oversold": 35.0}):
        last = backtest.run_backtest_report(LAST, resources=desk, strategy=make_strategy("rsi", params)).figures
    strategy = make_strategy("rsi", {"oversold": 35.0}, vix_filter=True)
    filtered = backtest.run_backtest_report(LAST, resources=desk, strategy=strategy).figures
    run_sweep(LAST, ["rsi"], resources=desk)

    assert last["trials"] == 2, "the third was the first again"
    assert filtered["trials"] == 3, "a filter makes another backtest of the same rule"
    assert desk.trials.count("rsi") == 5, "and a sweep over two symbols two more"
    assert last["deflated_sharpe"] < last["probabilistic_sharpe"], "two were tried"


def test_a_run_is_found_by_the_beginning_of_its_id_and_what_is_stored_is_what_was_made(desk: Resources) -> None:
    terms = BacktestTerms(desk.costs, desk.limits, desk.settings.initial_cash_usd)
    bars = bars_by_symbol(desk.bars, LAST, desk.universe())
    made = backtest.run_backtest(bars, desk.strategies, terms, trials=desk.trials, runs=desk.runs, kind="unfiltered")
    run = desk.runs.recent()[0]

    trades, equity = desk.runs.frames(run.run_id)

    assert desk.runs.find(run.run_id[:17]).run_id == run.run_id
    pd.testing.assert_frame_equal(
        trades[list(TRADES.columns)],
        made.trades.sort_values(["strategy", "symbol", "entry_session"], ignore_index=True),
        check_like=True,
    )
    pd.testing.assert_frame_equal(equity, made.equity)
    for unknown in ("", "2031"):
        with pytest.raises(DataError, match="desk runs"):
            desk.runs.find(unknown)


def test_runs_are_compared_side_by_side(desk: Resources) -> None:
    ids = [
        backtest.run_backtest_report(LAST, resources=desk, strategy=make_strategy(name)).run_id for name in ("rsi", "zscore")
    ]

    comparison = backtest_report.compare_runs(ids, resources=desk)
    table, curves = comparison.figures, comparison.curves

    assert list(table) == ids
    assert table.loc["strategy"].tolist() == ["rsi", "zscore"]
    assert len(set(table.loc["sessions"])) == 1
    assert [len(curve) for _, curve in curves] == [table.loc["sessions"].iloc[0]] * 2


def test_a_backtest_without_trades_has_a_report_too(desk: Resources) -> None:
    figures = backtest.run_backtest_report(LAST, resources=desk, strategy=make_strategy("rsi", {"oversold": 5.0})).figures

    assert figures["trade_count"] == 0
    assert figures["deflated_sharpe"] is None
    assert figures["random_entry_p"] is None


def test_a_delisting_on_record_closes_positions_and_makes_another_trial(desk: Resources) -> None:
    holds = make_strategy("trend")
    before = backtest.run_backtest_report(LAST, resources=desk, strategy=holds).figures
    rows = {"symbol": ["AAA", "BBB"], "session": [pd.Timestamp("2018-06-01"), pd.Timestamp("2019-06-03")]}
    desk.bars.write_actions(ACTIONS.coerce(pd.DataFrame({**rows, "kind": "delisting", "value": 0.0})), NOW)

    outcome = backtest.run_backtest_report(LAST, resources=desk, strategy=holds)
    run = desk.runs.find(outcome.run_id)
    trades, _ = desk.runs.frames(run.run_id)

    assert (before["trials"], outcome.figures["trials"]) == (1, 2)
    assert run.meta["last_session"] == LAST, "the later one is of no concern to this run"
    assert trades.loc[trades["reason"] == "delisted", ["symbol", "exit_price"]].values.tolist() in ([], [["AAA", 0.0]])
    assert outcome.figures["buy_and_hold_total_return"] < before["buy_and_hold_total_return"]
