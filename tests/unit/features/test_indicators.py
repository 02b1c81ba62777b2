"""Indicators against figures a person can check, and against TA-Lib where the desk computes its own."""

from __future__ import annotations

import math

import numpy as np
import pytest
import talib

from features import indicators as ta


def test_rsi_is_100_when_every_close_rises_and_0_when_every_close_falls():
    rising = np.linspace(1, 2, 30)
    assert ta.rsi(rising)[14] == pytest.approx(100)
    assert ta.rsi(rising[::-1].copy())[-1] == pytest.approx(0)


def test_rsi_of_a_price_that_has_never_moved_is_undefined():
    still = np.full(40, 5.0)
    assert np.isnan(ta.rsi(still)).all()
    late = np.concatenate([still, [5.1, 5.0, 5.2]])
    assert np.isnan(ta.rsi(late)[:40]).all()
    assert ta.rsi(late)[40] == pytest.approx(100)


def test_bollinger_bands_are_two_population_deviations_from_the_mean():
    close = np.arange(1.0, 21.0)
    bands = ta.bollinger(close)
    deviation = np.sqrt((20**2 - 1) / 12)  # of the integers 1 to 20
    assert bands.middle[-1] == pytest.approx(10.5)
    assert bands.upper[-1] == pytest.approx(10.5 + 2 * deviation)
    assert bands.lower[-1] == pytest.approx(10.5 - 2 * deviation)


def test_ema_basis_moves_the_middle_but_not_the_width():
    close = np.concatenate([np.linspace(100, 110, 25), np.linspace(110, 90, 15)])
    simple, exponential = ta.bollinger(close), ta.bollinger(close, basis="ema")
    assert exponential.middle[-1] != pytest.approx(simple.middle[-1])
    np.testing.assert_allclose(exponential.upper - exponential.lower, simple.upper - simple.lower)


def test_atr_of_constant_ranges_is_the_range():
    close = np.full(40, 50.0)
    np.testing.assert_allclose(ta.atr(close + 1, close - 1, close, 14)[14:], 2.0)


def test_the_slope_of_log_closes_is_the_growth_rate_of_a_steady_trend():
    np.testing.assert_allclose(ta.slope(np.log(100 * 1.01 ** np.arange(20.0)), 9)[8:], np.log(1.01))


def test_zscore_of_a_last_jump_matches_numpy():
    close = np.concatenate([np.linspace(10, 11, 19), [15.0]])
    assert ta.zscore(close, 20)[-1] == pytest.approx((15 - close.mean()) / close.std())


def test_zscore_of_a_price_that_stands_still_is_unknown():
    assert np.isnan(ta.zscore(np.full(30, 5.0), 20)).all()


def test_volatility_is_annualised_from_log_returns():
    close = np.exp(np.concatenate([[0.0], np.cumsum(np.tile([0.01, -0.01], 10))]))
    assert ta.volatility(close)[-1] == pytest.approx(0.01 * np.sqrt(252))


def test_macd_histogram_is_line_less_signal():
    close = 100 + np.sin(np.arange(80.0) / 5)
    macd = ta.macd(close)
    np.testing.assert_allclose(macd.histogram, macd.line - macd.signal, atol=1e-12)


@pytest.fixture
def untied() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    paths = 50 * np.exp(np.random.default_rng(5).normal(0, 0.01, (3, 400)).cumsum(axis=1))
    return paths.max(axis=0) * 1.003, paths.min(axis=0) * 0.997, paths[0]


def test_directional_movement_equals_ta_lib_where_no_two_moves_tie(untied):
    found = ta.directional(*untied)
    np.testing.assert_allclose(found.plus_di, talib.PLUS_DI(*untied, 14), rtol=1e-12)
    np.testing.assert_allclose(found.minus_di, talib.MINUS_DI(*untied, 14), rtol=1e-12)
    np.testing.assert_allclose(found.adx, talib.ADX(*untied, 14), rtol=1e-12)


def directional_as_read(high, low, close, sessions):
    """The same written for reading, one step an array: an oracle for the compiled loop."""
    up, down, tie = np.diff(high), -np.diff(low), ta.TIE * close[1:]
    ranges = wilder(talib.TRANGE(high, low, close)[1:], sessions)
    lines = [
        100 * np.divide(wilder(moves, sessions), ranges, out=np.zeros_like(ranges), where=ranges != 0)
        for moves in (np.where((up > tie) & (up > down + tie), up, 0.0), np.where((down > tie) & (down > up + tie), down, 0.0))
    ]
    total = lines[0] + lines[1]
    index = 100 * np.divide(np.abs(lines[0] - lines[1]), total, out=np.zeros_like(total), where=total != 0)
    mean = np.full(len(index), np.nan)
    for t in range(2 * sessions - 2, len(index)):
        first = t == 2 * sessions - 2
        mean[t] = (
            math.fsum(index[sessions - 1 : t + 1]) / sessions if first else (mean[t - 1] * (sessions - 1) + index[t]) / sessions
        )
    return [np.concatenate([np.full(1, np.nan), values]) for values in (*lines, mean)]


def wilder(values, sessions):
    sums = np.full(len(values), np.nan)
    total = math.fsum(values[: sessions - 1])
    for t in range(sessions - 1, len(values)):
        total = total - total / sessions + values[t]
        sums[t] = total
    return sums


@pytest.mark.parametrize("sessions", [1, 2, 5, 14, 30])
@pytest.mark.parametrize("rows", [1, 2, 14, 15, 27, 28, 29, 400])
def test_the_compiled_directional_loop_gives_the_bits_of_the_readable_one(rows, sessions, bars):
    high, low, close = (bars[name].to_numpy()[:rows] for name in ("high", "low", "close"))
    for found, expected in zip(
        ta.directional(high, low, close, sessions), directional_as_read(high, low, close, sessions), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_tied_moves_have_no_direction_at_any_scale():
    """Highs rise by five cents as lows fall by five: rounding alone would choose a direction."""
    step = np.arange(40)
    high, low = (100.0 + 0.05 * step).round(2), (99.0 - 0.05 * step).round(2)
    close = np.full(40, 99.5)
    assert not ((np.diff(high) > -np.diff(low)) == (np.diff(high / 3) > -np.diff(low / 3))).all()
    for scale in (1.0, 1 / 3, 1e6):
        found = ta.directional(high * scale, low * scale, close * scale)
        assert (found.plus_di[14:] == 0).all()
        assert (found.minus_di[14:] == 0).all()


def test_directional_movement_of_a_price_that_stands_still_is_zero_as_in_ta_lib():
    still = np.full(40, 5.0)
    found = ta.directional(still, still, still)
    assert found.adx[-1] == talib.ADX(still, still, still, 14)[-1] == 0


@pytest.mark.parametrize("rows", [0, 1, 2, 13, 14, 27])
def test_a_history_shorter_than_the_warm_up_is_all_nan(rows):
    price = np.linspace(1, 2, rows) if rows else np.empty(0)
    found = [*ta.directional(price, price, price), *ta.bollinger(price[:19]), ta.rsi(price[:14]), ta.volatility(price[:20])]
    assert all(np.isnan(values[:14]).all() for values in found)
    assert [len(values) for values in ta.directional(price, price, price)] == [rows] * 3
