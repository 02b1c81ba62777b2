"""Live records beside their backtest: planted decay is found, a kept promise is not, and too little is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.configuration.models import Performance
from monitoring.performance.comparisons import LiveRecord, compare_frequency, compare_profit, compare_sharpe
from monitoring.performance.expectation import Expectation, daily_sums, sharpe_promise
from monitoring.performance.sequential import Promise
from tests.simulate.performance import PerformanceWorld, promised, record_until, trades_in

PROFIT = Promise(mean=0.004, deviation=0.02, observations=1250, blocks=60)
EXPECTED = Expectation(
    "rsi", 1250, 1250, PROFIT, 0.58, 0.004, 0.02, Promise(0.2, 1.0, 1250, 60), Promise(1.0, 1.0, 1250, 60), 5.0, 1249
)
TERMS = {"min_ratio": 0.8, "level": 0.05}


def record(returns: np.ndarray, *, sessions: int | None = None) -> LiveRecord:
    """One trade a session."""
    days = np.arange(len(returns))
    length = sessions or len(returns)
    return LiveRecord(returns, days, days, daily_sums(returns, days, length), length)


def around(mean: float, n: int, deviation: float = 0.02) -> np.ndarray:
    """Returns of exactly this mean that go up and down evenly."""
    return mean + deviation * np.resize([1.0, -1.0], n)


def test_a_figure_at_its_promise_is_in_order() -> None:
    found = compare_profit(record(around(0.004, 200)), EXPECTED, "rsi", **TERMS)

    assert (found.verdict, found.n, found.sleeve) == ("ok", 200, "rsi")
    assert found.measured == pytest.approx(0.004)
    assert found.asked == pytest.approx(0.8 * 0.004)


def test_a_figure_below_its_share_alerts_only_beyond_luck() -> None:
    halved = compare_profit(record(around(0.002, 100)), EXPECTED, "rsi", **TERMS)
    lost = compare_profit(record(around(-0.002, 200)), EXPECTED, "rsi", **TERMS)

    assert (halved.verdict, lost.verdict) == ("not enough", "alert")
    assert "it may be bad luck" in halved.text
    assert "0.50 of the +0.40 % promised" in halved.text
    assert "beyond luck" in lost.text
    assert lost.interval is not None
    assert lost.interval[1] < PROFIT.mean


def test_a_figure_above_its_share_never_alerts_however_certain() -> None:
    certain = replace(EXPECTED, profit=replace(PROFIT, deviation=1e-5))
    found = compare_profit(record(around(0.9 * 0.004, 200, 1e-5)), certain, "rsi", **TERMS)

    assert found.verdict == "ok"
    assert found.p_value is not None
    assert found.p_value < 1e-6


def test_a_sharpe_ratio_that_turned_alerts_and_is_shown_annualised() -> None:
    found = compare_sharpe(record(around(-0.004, 200)), EXPECTED, "rsi", **TERMS)

    assert found.verdict == "alert"
    assert "+3.17 promised" in found.text


@pytest.mark.parametrize("compare", [compare_profit, compare_sharpe])
def test_what_cannot_be_compared_is_said(compare: type) -> None:
    long = record(around(-0.02, 200))

    assert compare(long, None, "", **TERMS).text == "No backtest is on record."
    assert "12 trades; 30 are needed" in compare(long, replace(EXPECTED, trades=12), "", **TERMS).text
    nothing = replace(EXPECTED, profit=replace(PROFIT, mean=-0.001), sharpe=Promise(-0.1, 1.0, 1250, 60))
    assert "promises nothing" in compare(long, nothing, "", **TERMS).text
    short = compare(record(around(-0.02, 19)), EXPECTED, "", **TERMS)
    assert (short.verdict, short.measured, short.n) == ("not enough", None, 19)


def test_the_frequency_alerts_when_there_are_far_too_few_entries_or_too_many() -> None:
    quiet = LiveRecord(np.empty(0), np.empty(0, np.int64), np.arange(0, 120, 5), np.zeros(120), 120)
    usual = replace(quiet, entry_days=np.arange(120))
    busy = replace(quiet, entry_days=np.repeat(np.arange(120), 2))
    found = [compare_frequency(each, EXPECTED, "", level=0.05) for each in (quiet, usual, busy)]

    assert [each.verdict for each in found] == ["alert", "ok", "alert"]
    assert "24 entries in 120 sessions" in found[0].text
    assert found[0].interval is not None
    assert found[0].interval[0] > 24 / 120
    assert (
        compare_frequency(replace(quiet, sessions=19, entry_days=np.arange(2)), EXPECTED, "", level=0.05).verdict
        == "not enough"
    )
    assert compare_frequency(quiet, None, "", level=0.05).text == "No backtest is on record."


def test_waiting_counts_from_the_last_entry_or_from_the_first_session() -> None:
    live = LiveRecord(np.empty(0), np.empty(0, np.int64), np.array([3, 10]), np.zeros(20), 20)

    assert live.waiting_sessions == 9
    assert replace(live, entry_days=np.empty(0, np.int64)).waiting_sessions == 19


def test_the_sharpe_ratio_of_a_backtest_has_mertens_error() -> None:
    daily = np.random.default_rng(4).normal(0.001, 0.01, 2000)
    found = sharpe_promise(daily)

    assert found is not None
    assert found.mean == pytest.approx(daily.mean() / daily.std(ddof=1))
    assert found.deviation == pytest.approx(1.0, abs=0.2)


def test_a_kept_promise_seldom_alarms_and_a_lost_edge_is_found() -> None:
    """A small `make simulate-performance`: 60 years of two trades a session, looked at once a month."""
    world, years, evenings = PerformanceWorld(rate=2.0, edge=0.25, common=0.3, bursts=0.5), 60, range(20, 252, 21)
    level = Performance().false_alarms_pct / 100

    def alarms(ratio: float) -> int:
        found = 0
        for year in range(years):
            rng = np.random.default_rng([11, year])
            expected = promised(world, rng)
            days, net = trades_in(world, 252, rng, np.full(252, ratio * world.edge))
            looks = [
                compare(record_until(today, days, net), expected, "", min_ratio=0.8, level=level)
                for today in evenings
                for compare in (compare_profit, compare_sharpe)
            ]
            found += any(each.verdict == "alert" for each in looks)
        return found

    assert alarms(1.0) <= 6  # 5 % of 60 are 3; more than 6 would be a chance of 3 %
    assert alarms(0.0) >= 45
