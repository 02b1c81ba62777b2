"""Walk-forward arithmetic: which sessions train, which test, what is cut off, and curves that join without a jump."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigError, DataError
from research.walkforward import Window, between, stitch, windows
from tests.standins.feed import walk

DAYS = pd.bdate_range("2020-01-06", periods=20)


def curve(first: str, equity_usd: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"session": pd.bdate_range(first, periods=len(equity_usd)), "equity_usd": equity_usd})


def test_windows_roll_and_each_test_follows_its_training() -> None:
    found = windows(DAYS, train_sessions=10, test_sessions=5)

    monday = dt.date(2020, 1, 6)
    assert found[0] == Window(monday, dt.date(2020, 1, 17), dt.date(2020, 1, 20), dt.date(2020, 1, 24))
    assert found[1] == Window(dt.date(2020, 1, 13), dt.date(2020, 1, 24), dt.date(2020, 1, 27), dt.date(2020, 1, 31))
    assert len(found) == 2


def test_an_anchored_training_keeps_its_first_session() -> None:
    found = windows(DAYS, train_sessions=10, test_sessions=5, anchored=True)

    assert {window.train_start for window in found} == {DAYS[0].date()}
    assert [window.train_end for window in found] == [dt.date(2020, 1, 17), dt.date(2020, 1, 24)]


def test_half_a_test_window_at_the_end_is_used_and_less_is_not() -> None:
    assert windows(DAYS[:13], train_sessions=5, test_sessions=5)[-1].test_end == DAYS[12].date()
    assert windows(DAYS[:12], train_sessions=5, test_sessions=5)[-1].test_end == DAYS[9].date()


def test_a_history_that_is_too_short_says_how_long_it_must_be() -> None:
    with pytest.raises(ConfigError, match=r"at least 32 sessions .20 to train, 2 between, 10 to test., found 20"):
        windows(DAYS, train_sessions=20, test_sessions=10, embargo_sessions=2)
    with pytest.raises(ConfigError, match="test_sessions: expected 1 or more, found 0"):
        windows(DAYS, train_sessions=5, test_sessions=0)


@given(
    sessions=st.integers(4, 400),
    train=st.integers(1, 120),
    test=st.integers(1, 60),
    embargo=st.integers(0, 10),
    anchored=st.booleans(),
)
def test_training_never_reaches_its_test_and_tests_never_overlap(
    sessions: int, train: int, test: int, embargo: int, anchored: bool
) -> None:
    days = pd.bdate_range("2010-01-04", periods=sessions)
    if sessions < train + embargo + test:
        return
    found = windows(days, train_sessions=train, test_sessions=test, anchored=anchored, embargo_sessions=embargo)
    no = {day.date(): i for i, day in enumerate(days)}

    for window in found:
        assert no[window.test_start] - no[window.train_end] == embargo + 1
        assert no[window.train_end] - no[window.train_start] + 1 >= train
    for before, after in pairwise(found):
        assert no[after.test_start] == no[before.test_end] + 1


def test_bars_are_cut_at_the_last_session_and_begin_with_the_warm_up() -> None:
    bars = {"AAA": walk("AAA", dt.date(2018, 1, 2), dt.date(2018, 12, 31))}
    days = bars["AAA"]["session"]

    cut = between(bars, days[100].date(), days[149].date(), warm_up_sessions=30)["AAA"]

    assert cut["session"].tolist() == days[70:150].tolist()
    assert between(bars, dt.date(2019, 2, 1), dt.date(2019, 3, 1)) == {}, "no bar inside"


def test_each_window_starts_with_what_the_one_before_ended_with() -> None:
    joined = stitch([curve("2020-01-06", [110.0, 120.0]), curve("2020-01-08", [90.0, 105.0])], 100.0)

    assert joined["equity_usd"].tolist() == pytest.approx([110.0, 120.0, 108.0, 126.0])
    assert joined["drawdown"].tolist() == pytest.approx([0.0, 0.0, -0.1, 0.0])


@given(st.lists(st.lists(st.floats(50, 200), min_size=1, max_size=8), min_size=1, max_size=6))
def test_a_stitched_curve_has_the_returns_of_its_windows_and_no_others(paths: list[list[float]]) -> None:
    starts = np.cumsum([0, *[len(path) for path in paths]])
    days = pd.bdate_range("2020-01-06", periods=int(starts[-1]))
    pieces = [
        pd.DataFrame({"session": days[a : a + len(path)], "equity_usd": path}) for a, path in zip(starts, paths, strict=False)
    ]

    joined = stitch(pieces, 100.0)

    returns = np.concatenate([np.diff([100.0, *path]) / [100.0, *path[:-1]] for path in paths])
    whole = np.concatenate([[100.0], joined["equity_usd"]])
    np.testing.assert_allclose(np.diff(whole) / whole[:-1], returns, rtol=1e-9, atol=1e-12)


def test_windows_that_overlap_are_refused() -> None:
    with pytest.raises(DataError, match="two that overlap"):
        stitch([curve("2020-01-06", [100.0, 101.0]), curve("2020-01-07", [100.0, 99.0])], 100.0)
    with pytest.raises(DataError, match="found none"):
        stitch([], 100.0)
