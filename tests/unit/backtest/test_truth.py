"""The stated rule on real bars, against figures that an independent simulation gave."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from backtest.engine import backtest
from ingestion.providers.files import FilesProvider
from trading.costs import Costs
from trading.risk import Limits
from trading.strategies.registry import make_strategy

CORPUS = Path(__file__).parents[4] / "shared" / "data"
pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(not CORPUS.is_dir(), reason="the real data folder ../shared/data is not beside the checkout"),
]


@pytest.fixture(scope="module")
def bars() -> dict[str, pd.DataFrame]:
    provider = FilesProvider(CORPUS)
    found = provider.fetch(provider.default_universe, dt.date(2010, 1, 1), dt.date(2021, 12, 31)).bars
    return {str(symbol): group.reset_index(drop=True).assign(vix=20.0) for symbol, group in found.groupby("symbol")}


@pytest.mark.parametrize(
    ("parameters", "count", "profit_pct", "winners_pct"),
    [
        ({}, 2466, -0.18, 30),
        ({"stop_pct": None, "target_pct": None, "max_sessions": 10}, 1055, 1.04, 62),
    ],
    ids=["as stated", "without stop and target, ten sessions"],
)
def test_each_symbol_on_its_own_makes_the_known_trades(
    bars: dict[str, pd.DataFrame], parameters: dict[str, Any], count: int, profit_pct: float, winners_pct: int
) -> None:
    strategy, limits = make_strategy("bollinger", parameters), Limits(0.25, 40.0, 1)

    trades = pd.concat([backtest({s: frame}, strategy, Costs(1.0, 2.0), limits=limits).trades for s, frame in bars.items()])

    assert len(trades) == count
    assert round(trades["net_return"].mean() * 100, 2) == profit_pct
    assert round((trades["net_return"] > 0).mean() * 100) == winners_pct
