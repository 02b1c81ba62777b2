"""The feature frame: its schema, warm-up, time stamps and treatment of holes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.errors import DataError
from core.frames import BARS, FEATURE_FRAME, FEATURES
from features.build import MEMORY_BARS, WARM_UP, build_features


@pytest.fixture(scope="module")
def one(bars):
    return bars[bars["symbol"] == "AAA"].reset_index(drop=True)


def test_every_feature_declares_its_warm_up():
    assert set(WARM_UP) == set(FEATURES)


@pytest.mark.parametrize("feature", FEATURES)
def test_a_feature_is_nan_for_exactly_its_warm_up(feature, bars, vix):
    for _, frame in build_features(bars, vix).groupby("symbol"):
        known = frame[feature].notna().to_numpy()
        from_first_vix = WARM_UP[feature]
        assert not known[:from_first_vix].any()
        assert known[from_first_vix:].all()


def test_the_frame_keeps_its_schema_when_there_are_no_bars():
    assert FEATURE_FRAME.check(build_features(BARS.empty(), None)).empty


@pytest.mark.parametrize("rows", [1, 2, 20])
def test_a_short_history_gives_rows_of_nan_and_no_error(rows, one, vix):
    frame = build_features(one.head(rows), vix)
    assert len(frame) == rows
    assert frame["rsi_14"].notna().sum() == max(rows - 14, 0)


def test_values_of_a_hand_made_trend(one):
    close = 100 * 1.01 ** np.arange(len(one))
    bars = one.assign(open=close, high=close * 1.02, low=close * 0.98, close=close, volume=500.0)
    last = build_features(bars, None).iloc[-1]
    assert last["return_1"] == pytest.approx(0.01)
    assert last["slope_14"] == pytest.approx(np.log(1.01))
    assert last["rsi_14"] == pytest.approx(100)
    assert last["uptrend_50"] == 1.0
    assert last["volume_ratio_20"] == pytest.approx(1)
    assert last["atr_14_pct"] == pytest.approx(0.04 * (1 / 14) / (1 - (13 / 14) / 1.01))  # Wilder's mean of a growing range
    assert last["price_vs_sma_20"] == pytest.approx(close[-1] / close[-20:].mean() - 1)
    assert np.isnan(last["vix"])


def test_bollinger_position_is_a_quarter_one_deviation_below_and_negative_under_the_band(one):
    close = np.tile([99.0, 101.0], len(one))[: len(one)]
    close[-1] = 80.0
    frame = build_features(one.assign(open=close, high=close + 30, low=close - 30, close=close), None)
    assert frame["bb_position_20"].iloc[-2] == pytest.approx(0.25)  # one deviation below the middle
    assert frame["bb_position_20"].iloc[-1] < 0


def test_volume_of_zero_makes_the_volume_ratio_unknown(one):
    assert build_features(one.assign(volume=0.0), None)["volume_ratio_20"].isna().all()


def test_vix_changes_across_a_missing_day_are_unknown_not_stretched(one, vix):
    gap = one["session"].iloc[100]
    frame = build_features(one, vix[vix["session"] != gap])
    assert frame["vix"].isna().to_numpy().nonzero()[0].tolist() == [100]
    assert frame["vix_high"].isna().to_numpy().nonzero()[0].tolist() == [100]
    assert frame["vix_change_1"].isna().to_numpy().nonzero()[0].tolist() == [0, 100, 101]
    assert frame["vix_change_5"].isna().to_numpy().nonzero()[0].tolist() == [0, 1, 2, 3, 4, 100, 105]
    assert frame["rsi_14"].iloc[100:].notna().all()


def test_vix_flags_follow_the_regimes(one, vix):
    frame = build_features(one, vix)
    np.testing.assert_array_equal(frame["vix_high"], frame["vix"] > 25)
    np.testing.assert_array_equal(frame["vix_low"], frame["vix"] < 15)


def test_a_missing_session_in_the_middle_does_not_stop_the_features(one, vix):
    frame = build_features(one.drop(index=150).reset_index(drop=True), vix)
    assert len(frame) == len(one) - 1
    assert frame["rsi_14"].iloc[14:].notna().all()


def test_the_event_is_the_close_of_the_session_in_summer_winter_and_on_half_days(one):
    frame = build_features(one, None).set_index("session")["event_timestamp"]
    assert frame["2015-01-05"] == pd.Timestamp("2015-01-05 21:00", tz="UTC")
    assert frame["2015-07-06"] == pd.Timestamp("2015-07-06 20:00", tz="UTC")
    assert frame["2015-11-27"] == pd.Timestamp("2015-11-27 18:00", tz="UTC")


def test_a_row_is_known_a_lag_after_its_close_and_with_vix_after_cboe_has_published(one, vix):
    lag = build_features(one, None).eval("created_timestamp - event_timestamp")
    with_vix = build_features(one, vix).eval("created_timestamp - event_timestamp")
    assert (lag == pd.Timedelta(minutes=15)).all()
    assert (with_vix == pd.Timedelta(minutes=30)).all()


def test_vix_said_to_be_known_at_the_shares_close_is_dated_to_its_own_close(one, vix):
    closes = build_features(one, None)["event_timestamp"]
    frame = build_features(one.assign(known_at=closes), vix.assign(known_at=closes))
    assert (frame["created_timestamp"] - frame["event_timestamp"] == pd.Timedelta(minutes=15)).all()


def test_a_revised_bar_dates_every_row_that_depends_on_it(one):
    plain = build_features(one, None)
    revised_at = pd.Timestamp("2020-01-02 22:00", tz="UTC")
    known = plain["created_timestamp"].copy()
    known[100] = revised_at
    created = build_features(one.assign(known_at=known), None)["created_timestamp"]
    assert (created[:100] == plain["created_timestamp"][:100]).all()
    assert (created[100:] == revised_at).all()


def test_a_revised_vix_dates_the_rows_whose_change_it_enters(one, vix):
    known = build_features(one, vix)["created_timestamp"].copy()
    revised_at = pd.Timestamp("2020-01-02 22:00", tz="UTC")
    known[50] = revised_at
    created = build_features(one, vix.assign(known_at=known))["created_timestamp"]
    assert (created == revised_at).to_numpy().nonzero()[0].tolist() == [50, 51, 52, 53, 54, 55]


def test_a_revision_older_than_the_memory_moves_nothing(bars):
    """The claim behind `MEMORY_BARS`: recursive averages forget."""
    one = pd.concat([bars[bars["symbol"] == "AAA"]] * 2, ignore_index=True)
    sessions = pd.date_range("2015-01-01", periods=len(one))  # 24/7, to have enough of them
    crypto = BARS.coerce(one.assign(symbol="BTC-USD", session=sessions))
    revised = crypto.copy()
    revised.loc[1, ["high", "close"]] *= 1.1
    old, new = (build_features(frame, None).iloc[1 + MEMORY_BARS :] for frame in (crypto, revised))
    assert len(old) > 50
    for feature in FEATURES:
        np.testing.assert_allclose(new[feature], old[feature], rtol=1e-9, atol=1e-10, err_msg=feature)


def test_a_bar_on_a_holiday_is_refused(one):
    moved = one.copy()
    moved.loc[0, "session"] = pd.Timestamp("2015-01-01")
    with pytest.raises(DataError, match="XNYS sessions only"):
        build_features(moved, None)


def test_unsorted_bars_are_refused(one):
    with pytest.raises(DataError, match="sorted by"):
        build_features(one.iloc[::-1], None)
