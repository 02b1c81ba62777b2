"""The VIX regime and VIX beside bars."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.errors import DataError
from features.regime import vix_by_session, vix_regime, with_vix


def sessions(*days: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(days)


def test_regime_thresholds_belong_to_the_medium_regime():
    assert vix_regime(pd.Series([25.01, 25.0, 15.0, 14.99, np.nan])).tolist() == ["high", "medium", "medium", "low", None]


def test_a_day_without_vix_is_nan_and_not_filled():
    bars = pd.DataFrame({"symbol": "AAA", "session": sessions("2020-03-02", "2020-03-03", "2020-03-04")})
    vix = pd.DataFrame({"session": sessions("2020-03-02", "2020-03-04"), "close": [33.4, 32.0]})
    np.testing.assert_array_equal(with_vix(bars, vix)["vix"], [33.4, np.nan, 32.0])


@pytest.mark.parametrize("vix", [None, pd.DataFrame({"session": sessions(), "close": []})])
def test_no_vix_at_all_is_nan_everywhere(vix):
    bars = pd.DataFrame({"symbol": "AAA", "session": sessions("2020-03-02")})
    found = with_vix(bars, vix)["vix"]
    assert found.dtype == "float64"
    assert found.isna().all()


def test_vix_of_a_day_on_which_shares_did_not_trade_is_left_out():
    vix = pd.DataFrame({"session": sessions("2004-06-10", "2004-06-11", "2004-06-14"), "close": [15.0, 15.1, 16.0]})
    assert vix_by_session(vix).to_dict() == {pd.Timestamp("2004-06-10"): 15.0, pd.Timestamp("2004-06-14"): 16.0}


def test_two_values_for_one_session_are_refused():
    vix = pd.DataFrame({"session": sessions("2020-03-02", "2020-03-02"), "close": [33.4, 33.5]})
    with pytest.raises(DataError, match="found two for 2020-03-02"):
        vix_by_session(vix)


def test_with_vix_leaves_the_bars_it_was_given():
    bars = pd.DataFrame({"symbol": "AAA", "session": sessions("2020-03-02")})
    with_vix(bars, None)
    assert list(bars) == ["symbol", "session"]
