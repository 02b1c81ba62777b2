"""Windows joined into one record, and that record weighed by the search behind it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtest.engine import backtest
from research.evidence import period_returns
from research.out_of_sample import OverfittingEvidence, TrackRecord, cash_record, join, overfitting_evidence, returns_of
from research.search import Constraints, Task
from research.statistics import deflated_sharpe
from tests.standins.feed import walk
from trading.costs import Costs
from trading.risk import Limits
from trading.strategies.registry import make_strategy

COSTS, LIMITS, CASH = Costs(commission_bps=1.0, slippage_bps=2.0), Limits(), 100_000.0
FIRST, MIDDLE, LAST = dt.date(2017, 1, 3), dt.date(2017, 12, 29), dt.date(2018, 12, 31)


@pytest.fixture(scope="module")
def bars() -> dict[str, pd.DataFrame]:
    return {name: walk(name, dt.date(2016, 1, 4), LAST).assign(vix=20.0) for name in ("AAA", "BBB")}


@pytest.fixture(scope="module")
def task() -> Task:
    return Task("bollinger", FIRST, LAST, COSTS, LIMITS, constraints=Constraints(None, None, None))


def record(bars: dict[str, pd.DataFrame], task: Task, first: dt.date, last: dt.date) -> TrackRecord:
    return TrackRecord.of(task.evaluate(task.panel(bars, first, last), {}, first))


def test_the_second_window_trades_with_what_the_first_made(bars: dict[str, pd.DataFrame], task: Task) -> None:
    one, two = record(bars, task, FIRST, MIDDLE), record(bars, task, dt.date(2018, 1, 2), LAST)

    both = join([one, two], CASH)

    factor = one.equity["equity_usd"].iloc[-1] / CASH
    assert factor != 1.0
    later = both.trades[both.trades["entry_session"] > pd.Timestamp(MIDDLE)]
    assert len(both.trades) == len(one.trades) + len(two.trades)
    np.testing.assert_allclose(later["pnl_usd"], two.trades["pnl_usd"] * factor)
    np.testing.assert_allclose(later["net_return"], two.trades["net_return"])
    assert both.equity["equity_usd"].iloc[-1] == pytest.approx(CASH + both.trades["pnl_usd"].sum())
    assert both.metrics["final_equity_usd"] == pytest.approx(both.equity["equity_usd"].iloc[-1])
    assert both.metrics["trade_count"] == len(both.trades)
    assert both.metrics["exposure"] == pytest.approx(
        np.average([one.metrics["exposure"], two.metrics["exposure"]], weights=[len(one.equity), len(two.equity)])
    )


def test_a_window_in_cash_is_flat_and_its_figures_undefined(bars: dict[str, pd.DataFrame], task: Task) -> None:
    traded = record(bars, task, FIRST, MIDDLE)
    still = cash_record(pd.DatetimeIndex(["2018-01-02", "2018-01-03"]), CASH)

    both = join([traded, still], CASH)

    np.testing.assert_allclose(both.equity["equity_usd"].tail(3), traded.equity["equity_usd"].iloc[-1])
    assert len(both.trades) == len(traded.trades)
    assert still.metrics["profit_per_trade"] is None
    assert join([still], CASH).metrics["sharpe"] is None


def test_the_first_return_is_against_the_initial_cash() -> None:
    np.testing.assert_allclose(period_returns(np.array([110.0, 99.0]), 100.0), [0.1, -0.1])


def test_returns_are_those_of_a_backtest_and_idle_sets_are_left_out(bars: dict[str, pd.DataFrame], task: Task) -> None:
    sets: list[dict[str, Any]] = [{}, {"deviations": 10.0}, {"band_sessions": 30}]

    tried = returns_of(bars, task, sets, FIRST, LAST)

    alone = backtest(bars, make_strategy("bollinger"), COSTS, limits=LIMITS, start=FIRST)
    assert tried.shape == (len(alone.equity), 2), "ten deviations are never reached"
    np.testing.assert_allclose(tried[:, 0], period_returns(alone.equity_usd, CASH), atol=1e-12)
    assert returns_of(bars, task, [{"deviations": 10.0}], FIRST, LAST).shape == (0, 0)


def test_deflation_uses_the_annualised_variance_of_what_was_tried() -> None:
    rng = np.random.default_rng(1)
    tried = rng.normal(0.0, 0.01, (500, 20))
    good = rng.normal(0.002, 0.01, 500)

    verdict = overfitting_evidence(good, tried, 50)

    sharpes = [np.sqrt(252) * column.mean() / column.std(ddof=1) for column in tried.T]
    assert verdict.sharpe_variance == pytest.approx(np.var(sharpes, ddof=1))
    assert verdict.deflated_sharpe == deflated_sharpe(good, 50, float(np.var(sharpes, ddof=1)))
    assert overfitting_evidence(good, tried, 5000).deflated_sharpe < verdict.deflated_sharpe  # type: ignore[operator]
    assert verdict.overfitting is not None
    assert 0 <= verdict.overfitting <= 1


def test_what_is_undefined_does_not_survive() -> None:
    noise = np.random.default_rng(2).normal(0, 0.01, (300, 3))

    idle = overfitting_evidence(np.zeros(300), noise, 9)
    assert idle.deflated_sharpe is None
    assert idle.overfitting is not None, "of the sets tried, whether or not one was traded"
    assert not idle.survives
    assert overfitting_evidence(noise[:, 0], noise[:, :1], 9).deflated_sharpe is None, "one set is no choice"
    assert OverfittingEvidence(9, 1.0, 0.96, 0.2).survives
    assert not OverfittingEvidence(9, 1.0, 0.96, 0.5).survives
    assert not OverfittingEvidence(9, 1.0, 0.94, 0.2).survives
