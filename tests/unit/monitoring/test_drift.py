"""Drift against figures worked out by hand and against noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import ks_2samp

from monitoring.drift import bin_edges, feature_drift, outcome_drift, psi, shares, windows_of

DAYS = np.arange("2010-01-01", "2016-01-01", dtype="datetime64[D]").astype("datetime64[ns]")
LATEST = DAYS[-1]


def windows(length: int = 60) -> np.ndarray:
    return windows_of(DAYS, length, LATEST)


def test_the_index_of_two_known_distributions() -> None:
    assert psi(np.array([0.5, 0.5]), np.array([0.25, 0.75])) == pytest.approx(0.25 * np.log(2) + 0.25 * np.log(1.5))
    assert psi(np.array([0.2, 0.8]), np.array([0.2, 0.8])) == 0


def test_unknown_values_are_a_bin_of_their_own() -> None:
    edges = bin_edges(np.arange(100.0))
    found = shares(np.array([0.0, np.nan, np.nan]), edges)

    assert len(edges) == 9
    assert found[[0, -1]] == pytest.approx([1 / 3, 2 / 3], abs=0.01)
    assert found.min() == pytest.approx(0.001, rel=0.02), "an empty bin is no infinity"


def test_a_constant_feature_has_one_bin_and_no_drift() -> None:
    found = feature_drift("flat", np.full(len(DAYS), 3.0), windows(), 0.25)

    assert found.psi == pytest.approx(0)
    assert not found.alert


def test_windows_run_backwards_from_the_newest_session() -> None:
    sessions = np.repeat(DAYS[:10], 2)

    found = windows_of(sessions, 4, DAYS[7])

    assert found.tolist() == [2] * 4 + [1] * 8 + [0] * 8
    assert windows_of(DAYS[:10], 4, DAYS[3]).tolist() == [2, 2, 1, 1, -1, -1, 0, 0, 0, 0]


def test_a_feature_that_wanders_as_it_always_did_is_not_alerted() -> None:
    alerts = 0
    for seed in range(40):
        noise = np.random.default_rng(seed).normal(size=len(DAYS))
        values = lfilter([1.0], [1.0, -0.9], noise)
        found = feature_drift("wanders", values, windows(), 0.25)
        alerts += found.alert
        naive = ks_2samp(values[windows() > 0], values[windows() == 0])
        assert found.statistic == pytest.approx(naive.statistic)
    assert alerts / 40 <= 0.1


def test_a_feature_in_another_unit_is_alerted() -> None:
    values = np.random.default_rng(1).normal(size=len(DAYS))
    values[-60:] *= 100

    found = feature_drift("scaled", values, windows(), 0.25)

    assert found.alert
    assert found.psi is not None
    assert found.psi > 1
    assert found.p_value == pytest.approx(1 / (1 + 36))


def test_a_feature_that_vanishes_is_alerted() -> None:
    values = np.random.default_rng(1).normal(size=len(DAYS))
    values[-60:] = np.nan

    found = feature_drift("gone", values, windows(), 0.25)

    assert found.alert
    assert found.recent_mean is None
    assert found.statistic is None


def test_too_little_of_either_is_undefined_and_not_alerted() -> None:
    found = feature_drift("few", np.arange(30.0), np.repeat([1, 0], [20, 10]), 0.25)

    assert (found.psi, found.statistic, found.p_value, found.alert) == (None, None, None, False)


def test_a_win_rate_that_collapses_is_alerted_and_luck_is_not() -> None:
    wins = (np.random.default_rng(2).random(len(DAYS)) < 0.5).astype(float)
    assert not outcome_drift("win_rate", wins, windows(), 0.1).alert

    wins[-60:] = 0
    found = outcome_drift("win_rate", wins, windows(), 0.1)

    assert found.alert
    assert found.statistic == pytest.approx(-wins[:-60][windows()[:-60] > 0].mean())
