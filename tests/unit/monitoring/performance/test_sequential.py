"""The sequential test against figures worked out by hand, invariances, and planted decay."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t

from monitoring.performance.sequential import (
    FEWEST,
    OPEN_WINDOWS,
    RESTART_SESSIONS,
    WINDOW_SESSIONS,
    Promise,
    Reading,
    read_windows,
    running_mean,
    running_sharpe,
)

PROMISE = Promise(mean=0.004, deviation=0.02, observations=600, blocks=60)
RETURNS = st.lists(st.floats(-0.2, 0.2), min_size=FEWEST, max_size=60)


def read(values: np.ndarray, days: np.ndarray | None = None, today: int | None = None, **terms: object) -> Reading | None:
    days = np.arange(len(values)) if days is None else days
    return read_windows(
        values, days, int(days[-1]) if today is None else today, PROMISE, **{"planned": 300.0, "level": 0.05} | terms
    )


def test_the_p_value_of_a_constant_shortfall_by_hand() -> None:
    """100 trades of nothing: information 1 / (1/100 + 1/600) = 600/7, score a fifth of it, V = 1 / (1/300 + 1/600) = 200."""
    reading = read(np.zeros(100))

    assert reading is not None
    assert (reading.count, reading.estimate) == (100, 0.0)
    assert reading.p_value == pytest.approx(2 * 2 * t.sf((600 / 7) * 0.2 / math.sqrt(200), 59))
    assert reading.margin == pytest.approx(t.isf(0.05 / 4, 59) * math.sqrt(200) * 0.02 / (600 / 7))


def test_a_figure_at_its_margin_has_the_level_as_p_value() -> None:
    level = 0.05
    margin = t.isf(level / 4, 59) * math.sqrt(200) * 0.02 / (600 / 7)
    reading = read(np.full(100, PROMISE.mean - margin), level=level)

    assert reading is not None
    assert reading.p_value == pytest.approx(level)


def test_fewer_than_twenty_observations_give_no_reading() -> None:
    assert read(np.full(FEWEST - 1, -0.1)) is None
    assert read(np.full(FEWEST, -0.1)) is not None


def test_observations_beyond_the_plan_are_left_to_the_next_window() -> None:
    values = np.concatenate([np.full(30, PROMISE.mean), np.full(30, -0.1)])
    reading = read(values, planned=30.0)

    assert reading is not None
    assert (reading.count, reading.p_value) == (30, 1.0)


@given(RETURNS, st.integers(0, 60))
def test_looks_without_new_trades_change_nothing(returns: list[float], evenings: int) -> None:
    days = np.arange(len(returns)) // 2  # at most 59: one window

    assert read(np.array(returns), days) == read(np.array(returns), days, today=int(days[-1]) + evenings)


@given(RETURNS, st.data())
def test_a_worse_trade_never_lowers_the_evidence(returns: list[float], data: st.DataObject) -> None:
    values = np.array(returns)
    worse = values.copy()
    worse[data.draw(st.integers(0, len(values) - 1))] -= data.draw(st.floats(0, 0.5))
    before, after = read(values), read(worse)

    assert before is not None
    assert after is not None
    assert after.p_value <= before.p_value + 1e-12


@given(RETURNS)
def test_within_half_a_year_later_evenings_never_take_evidence_back(returns: list[float]) -> None:
    values = np.array(returns)
    found = [read(values, np.arange(len(values)), today=today) for today in range(FEWEST - 1, len(values))]
    p_values = [reading.p_value for reading in found if reading is not None]

    assert p_values == sorted(p_values, reverse=True)


@given(RETURNS, st.permutations(range(3)))
def test_the_order_of_trades_within_a_session_does_not_matter(returns: list[float], order: list[int]) -> None:
    values = np.array(returns[: len(returns) // 3 * 3])
    if len(values) < FEWEST:
        values = np.tile(values, 2)
    days = np.arange(len(values)) // 3
    shuffled = values.reshape(-1, 3)[:, order].ravel()
    before, after = read(values, days), read(shuffled, days)

    assert (before is None) == (after is None)
    if before is not None and after is not None:
        assert after.p_value == pytest.approx(before.p_value, rel=1e-9)


def test_above_and_below_are_mirrored() -> None:
    below = read(np.full(100, PROMISE.mean - 0.003))
    over = read(np.full(100, PROMISE.mean + 0.003), above=True)

    assert below is not None
    assert over is not None
    assert over.p_value == pytest.approx(below.p_value)
    assert read(np.full(100, PROMISE.mean + 0.003)).p_value == 1.0  # type: ignore[union-attr]


def test_a_short_backtest_accuses_less() -> None:
    short = Promise(mean=0.004, deviation=0.02, observations=60, blocks=60)
    values, days = np.full(200, -0.002), np.arange(200)
    by_short = read_windows(values, days, 199, short, planned=300.0, level=0.05)
    by_long = read(values)

    assert by_short is not None
    assert by_long is not None
    assert by_long.p_value < 0.05 < by_short.p_value


def test_two_windows_are_open_and_the_one_that_speaks_most_clearly_is_read() -> None:
    good, bad = np.full(WINDOW_SESSIONS - RESTART_SESSIONS, 0.012), np.full(80, -0.004)
    reading = read(np.concatenate([good, bad]))

    assert reading is not None
    assert (reading.count, reading.estimate) == (80, pytest.approx(-0.004))
    assert OPEN_WINDOWS == 2


def test_an_old_window_closes_after_a_year() -> None:
    bad, good = np.full(RESTART_SESSIONS, -0.02), np.full(WINDOW_SESSIONS, 0.01)
    values = np.concatenate([bad, good])

    assert read(values[:WINDOW_SESSIONS]).p_value < 0.01  # type: ignore[union-attr]
    assert read(values).p_value == 1.0  # type: ignore[union-attr]


def test_the_error_of_clustered_values_is_that_of_their_blocks() -> None:
    """Four months with the sums 10, -10, 10, -10 over 10 values each: sqrt(400 / 40 * 4 / 3)."""
    values = np.repeat([1.0, -1.0, 1.0, -1.0], 10)
    days = np.repeat([0, 21, 42, 63], 10)
    found = Promise.of(values, days)

    assert found is not None
    assert (found.mean, found.observations, found.blocks) == (0.0, 40, 4)
    assert found.deviation == pytest.approx(math.sqrt(400 / 40 * 4 / 3))


def test_the_error_is_at_least_that_of_independent_values() -> None:
    values = np.tile([1.0, -1.0], 40)
    found = Promise.of(values, np.arange(80))

    assert found is not None
    assert found.deviation == pytest.approx(values.std(ddof=1))


def test_values_without_a_spread_or_in_one_month_promise_nothing() -> None:
    assert Promise.of(np.ones(60), np.arange(60)) is None
    assert Promise.of(np.array([1.0, 2.0]), np.array([0, 1])) is None
    assert Promise.of(np.empty(0), np.empty(0, dtype=np.int64)) is None


@given(st.lists(st.floats(-0.1, 0.1), min_size=2, max_size=40))
def test_running_figures_are_those_of_each_beginning(returns: list[float]) -> None:
    values = np.array(returns)
    for n in range(1, len(values) + 1):
        part = values[:n]
        assert running_mean(values)[n - 1] == pytest.approx(part.mean(), abs=1e-12)
        if n > 1 and part.std(ddof=1) > 1e-6:
            assert running_sharpe(values)[n - 1] == pytest.approx(part.mean() / part.std(ddof=1), rel=1e-6)
