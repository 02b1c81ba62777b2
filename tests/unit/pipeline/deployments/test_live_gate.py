"""The way from paper to real money: what is enough, and what is said when it is not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from monitoring.performance.expectation import Expectation, expectation_of
from pipeline.deployments.live_gate import MIN_SESSIONS, MIN_TRADES, PaperRecord, gap_to_promise

SESSIONS = pd.bdate_range("2015-01-02", periods=1000)


def trades(values: np.ndarray, first: int = 0) -> pd.DataFrame:
    days = SESSIONS[first + np.arange(len(values)) * 3]
    return pd.DataFrame({
        "reason": "target", "net_return": values, "exit_session": days, "entry_session": days,
        "symbol": "AAA", "strategy": "rsi",
    })  # fmt: skip


def promised(mean: float) -> Expectation:
    values = np.random.default_rng(1).normal(0, 0.02, 300)
    return expectation_of(trades(values - values.mean() + mean), None, SESSIONS)


@pytest.mark.parametrize(
    ("sessions", "count", "says"),
    [
        (MIN_SESSIONS - 1, MIN_TRADES, ["not enough: 19 sessions on paper, 20 are asked"]),
        (MIN_SESSIONS, MIN_TRADES - 1, ["not enough: 19 closed trades on paper, 20 are asked"]),
        (MIN_SESSIONS, MIN_TRADES, []),
    ],
)
def test_too_short_a_record_is_not_enough_and_says_how_much_is_asked(sessions: int, count: int, says: list[str]) -> None:
    assert PaperRecord("duo", sessions, count, 0.0, -0.01, 0.01).objections() == says


@pytest.mark.parametrize(("gap", "inside"), [(0.0, True), (-0.0099, True), (-0.0101, False), (0.0101, False)])
def test_a_gap_outside_of_its_interval_is_no_record_for_real_money(gap: float, inside: bool) -> None:
    objections = PaperRecord("duo", 30, 30, gap, -0.01, 0.01).objections()

    assert (objections == []) is inside


def test_without_a_promise_there_is_nothing_to_compare_with() -> None:
    assert gap_to_promise(trades(np.full(30, 0.01)), None) == (None, None)
    assert PaperRecord("duo", 30, 30, None, None, None).objections() == [
        "not enough: its backtest promised no figure to compare with"
    ]


def test_the_gap_is_the_difference_of_the_means_and_its_error_holds_both_samples() -> None:
    live = np.random.default_rng(2).normal(0.004, 0.02, 40)
    expected = promised(0.006)
    assert expected.profit is not None

    gap, half = gap_to_promise(trades(live), expected)

    assert gap == pytest.approx(live.mean() - 0.006)
    error = np.sqrt(live.var(ddof=1) / 40 + expected.profit.deviation**2 / expected.profit.observations)
    assert half == pytest.approx(1.959964 * error)


def test_an_edge_that_is_kept_passes_in_19_of_20_records() -> None:
    rng, expected = np.random.default_rng(3), promised(0.006)
    passed = 0
    for _ in range(2000):
        gap, half = gap_to_promise(trades(rng.normal(0.006, 0.02, 40)), expected)
        assert gap is not None
        assert half is not None
        passed += abs(gap) <= half

    assert 0.93 < passed / 2000 < 0.98
