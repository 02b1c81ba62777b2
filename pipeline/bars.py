"""Read stored bars of the universe, whole or one frame a symbol with VIX, as features, strategies and backtests take them."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from features.regime import with_vix
from pipeline.resources import VIX

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.resources import Resources


def load_bars(resources: Resources, session: str, symbols: list[str] | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bars of the universe and of VIX up to `session`, each with `known_at`."""
    end = dt.date.fromisoformat(session)
    bars = resources.bars.read(symbols or resources.universe(), end=end)
    return bars, resources.bars.read([VIX], end=end)


def bars_by_symbol(resources: Resources, session: str) -> dict[str, pd.DataFrame]:
    """Bars of each symbol up to `session`, with the VIX known at each close."""
    bars, vix = load_bars(resources, session)
    return {str(symbol): with_vix(group.reset_index(drop=True), vix) for symbol, group in bars.groupby("symbol")}
