"""Lines of each strategy."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from pipeline.views.money.indicators import lines_of
from trading.strategies.bollinger import BollingerReversal
from trading.strategies.rsi import RsiReversion
from trading.strategies.trend import EmaAdxTrend
from trading.strategies.zscore import ZScoreReversion

DAY, LATER = dt.date(2018, 12, 10), dt.date(2018, 12, 14)


def test_each_strategy_has_its_own_lines() -> None:
    close = np.linspace(100, 120, 80)
    bands, z, index, trend = (
        lines_of(rule, close)
        for rule in (
            BollingerReversal(band_sessions=10, deviations=1.0),
            ZScoreReversion(sessions=10),
            RsiReversion(rsi_sessions=5),
            EmaAdxTrend(),
        )
    )

    assert bands.band_mean is not None
    assert bands.band_mean[-1] == pytest.approx(close[-10:].mean())
    assert bands.band_lower[-1] == pytest.approx(close[-10:].mean() - close[-10:].std())  # type: ignore[index]
    assert z.zscore[-1] == pytest.approx((close[-1] - close[-10:].mean()) / close[-10:].std())  # type: ignore[index]
    assert np.isnan(index.rsi[:5]).all()
    assert np.isnan(trend.rsi[:14]).all()
    assert [int(np.isnan(each.rsi).sum()) for each in (index, trend)] == [5, 14]
    assert (index.band_mean, trend.zscore, z.band_upper) == (None, None, None)
