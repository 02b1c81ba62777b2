"""Curves of a book beside its backtest: what came and went as cash, the gap by cause, the range of a promise, few points."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from monitoring.performance.expectation import Expectation
from pipeline.views.columns import on_sessions, thinned
from pipeline.views.performance.live_curve import make_curve
from storage.views.live_record import CashMoved, Closes, Gaps

DAYS = np.array(["2018-12-24", "2018-12-26", "2018-12-27", "2018-12-28"], dtype="datetime64[D]")
NO_DAYS = np.array([], dtype="datetime64[D]")
NO_CASH = CashMoved(NO_DAYS, np.array([]), np.array([]))
NO_GAPS = Gaps(NO_DAYS, np.zeros((0, 4)))
PROMISE = Expectation("", 252, 100, None, 0.5, 0.01, 0.02, None, None, None, 0)


def closes(*equity: float) -> Closes:
    return Closes(DAYS[: len(equity)], np.array(equity, dtype=np.float64))


def test_deposits_and_dividends_are_left_out_of_the_live_curve() -> None:
    cash = CashMoved(DAYS[[0, 2]], np.array([1000.0, 50.0]), np.array([1000.0, 57.0]))

    curve = make_curve(closes(1000, 1010, 1070, 1080), cash, NO_GAPS)

    assert curve.live_usd == [1000, 1010, 1013, 1023], "the first close has what was deposited before it"
    assert curve.backtest_usd == curve.gap_usd == curve.carried_usd == [None] * 4, "nothing is measured"


def test_measured_causes_add_up_and_the_backtest_is_the_live_curve_without_them() -> None:
    gaps = Gaps(DAYS[[1, 3]], np.array([[0.0, -3.0, -1.0, 5.0], [2.0, 0.0, -1.0, 0.0]]))

    curve = make_curve(closes(1000, 1010, 1015, 1020), NO_CASH, gaps)

    assert curve.signal_usd == [0, 0, 0, 2]
    assert curve.fill_usd == [0, -3, -3, -3]
    assert curve.cost_usd == [0, -1, -1, -2]
    assert curve.missed_usd == [0, 5, 5, 5]
    assert curve.gap_usd == [0, 1, 1, 2]
    assert curve.backtest_usd == [1000, 1009, 1014, 1018]
    assert curve.carried_usd == [0, 0, 0, 0]


def test_a_backtest_is_scaled_to_the_first_close_and_what_no_cause_explains_is_carried() -> None:
    gaps = Gaps(DAYS[[1]], np.array([[0.0, 0.0, -4.0, 0.0]]))
    backtest = (DAYS, np.array([100.0, 101.0, 102.0, 103.0]))

    curve = make_curve(closes(1000, 1006, 1015, 1020), NO_CASH, gaps, backtest=backtest)

    assert curve.backtest_usd == pytest.approx([1000, 1010, 1020, 1030])
    assert curve.gap_usd == pytest.approx([0, -4, -5, -10])
    assert curve.carried_usd == pytest.approx([0, 0, -1, -6])


def test_a_backtest_that_begins_later_has_no_value_before() -> None:
    curve = make_curve(closes(1000, 1100), NO_CASH, NO_GAPS, backtest=(DAYS[[1]], np.array([50.0])))
    assert curve.backtest_usd == [None, 1100]

    for nothing in ((NO_DAYS, np.array([])), (DAYS, np.zeros(4))):
        assert make_curve(closes(1000, 1100), NO_CASH, NO_GAPS, backtest=nothing).backtest_usd == [None, None]


def test_the_range_widens_with_the_root_of_the_sessions() -> None:
    curve = make_curve(closes(1000, 1000, 1000, 1000), NO_CASH, NO_GAPS, promised=PROMISE)
    growth = math.log(1.01) - 0.02**2 / 2

    assert (curve.low_usd[0], curve.expected_usd[0], curve.high_usd[0]) == (1000, 1000, 1000)
    assert curve.expected_usd[3] == pytest.approx(1000 * math.exp(3 * growth))
    assert curve.low_usd[3] == pytest.approx(1000 * math.exp(3 * growth - 1.96 * 0.02 * math.sqrt(3)))
    assert curve.high_usd[3] == pytest.approx(1000 * math.exp(3 * growth + 1.96 * 0.02 * math.sqrt(3)))


@pytest.mark.parametrize(
    "promise",
    [None, replace(PROMISE, daily_mean=None), replace(PROMISE, daily_deviation=None), replace(PROMISE, daily_mean=-1.0)],
)
def test_without_a_mean_and_a_spread_there_is_no_range(promise: Expectation | None) -> None:
    curve = make_curve(closes(1000, 1000), NO_CASH, NO_GAPS, promised=promise)
    assert curve.low_usd == curve.expected_usd == curve.high_usd == [None, None]


def test_a_promise_too_large_for_a_number_is_no_number_and_no_error() -> None:
    sessions = np.arange("2000-01-01", "2012-01-01", dtype="datetime64[D]")
    curve = make_curve(
        Closes(sessions, np.full(len(sessions), 1e6)), NO_CASH, NO_GAPS, promised=replace(PROMISE, daily_mean=5.0)
    )
    assert curve.expected_usd[-1] is None


def test_a_book_without_a_close_has_an_empty_curve() -> None:
    curve = make_curve(Closes(NO_DAYS, np.array([])), NO_CASH, Gaps(DAYS[:1], np.ones((1, 4))), promised=PROMISE)
    assert all(column == [] for column in curve.model_dump().values())


def test_a_long_curve_is_thinned_after_it_was_added_up() -> None:
    sessions = np.arange("2000-01-01", "2012-01-01", dtype="datetime64[D]")
    gaps = Gaps(sessions, np.tile([1.0, 0.0, 0.0, 0.0], (len(sessions), 1)))

    curve = make_curve(Closes(sessions, np.arange(len(sessions)) + 1.0), NO_CASH, gaps, most=2000)

    assert len(curve.session) == len(curve.signal_usd) == 2000
    assert (curve.session[0], curve.session[-1]) == (sessions[0].item(), sessions[-1].item())
    assert curve.signal_usd[-1] == len(sessions), "each session counts, shown or not"


def test_what_falls_between_two_sessions_counts_to_the_later_one() -> None:
    days = np.array(["2018-12-25", "2018-12-23", "2018-12-31"], dtype="datetime64[D]")
    assert on_sessions(np.array([1.0, 2.0, 4.0]), days, DAYS).tolist() == [2, 1, 0, 0]


def test_thinning_keeps_every_point_where_there_are_few() -> None:
    assert thinned(3, 3).tolist() == [0, 1, 2]
    places = thinned(2520, 2000)
    assert len(set(places.tolist())) == 2000
