"""Stored bars to stored features: compute, write, materialise. Never computes a feature itself."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from pipeline.resources import VIX, Resources, live

if TYPE_CHECKING:
    import pandas as pd


def load_bars(resources: Resources, session: str, symbols: list[str] | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bars of the universe and of VIX up to `session`, each with `known_at`."""
    end = dt.date.fromisoformat(session)
    bars = resources.bars.read(symbols or resources.universe(), end=end)
    return bars, resources.bars.read([VIX], end=end)


def run(session: str, *, resources: Resources | None = None) -> dict[str, Any]:
    """Compute the features of all history up to `session` and write what is new or changed to the offline store.

    All history, because the recursive indicators (RSI, ADX, EMA) depend on where they start; the store keeps only changes.
    """
    from features.build import build_features
    from features.normalise import normalise

    found = resources or live()
    bars, vix = load_bars(found, session)
    frame = build_features(bars, vix)
    found.features.apply()
    written = found.features.write_offline(frame)
    found.bars.write_normalized(normalise(bars))
    return {"session": session, "rows": len(frame), "written": written}


def materialise(session: str, *, resources: Resources | None = None) -> dict[str, Any]:
    """Copy the newest features up to `session` to the online store."""
    found = resources or live()
    found.features.materialise(dt.date.fromisoformat(session))
    return {"session": session, "symbols": len(found.universe())}
