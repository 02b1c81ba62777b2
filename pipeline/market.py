"""Stored bars as backtests and strategies take them: a frame a symbol, with VIX. Owns that shape; it fetches nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.regime import with_vix
from pipeline.featurize import load_bars

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.resources import Resources


def bars_by_symbol(resources: Resources, session: str) -> dict[str, pd.DataFrame]:
    """Bars of each symbol up to `session`, with the VIX known at each close."""
    bars, vix = load_bars(resources, session)
    return {str(symbol): with_vix(group.reset_index(drop=True), vix) for symbol, group in bars.groupby("symbol")}
