"""Stored bars to stored features: compute, write, materialise. Never computes a feature itself."""

from __future__ import annotations

import datetime as dt
from typing import Any

from pipeline.bars import load_bars
from pipeline.resources import Resources, live


def run(session: str, *, resources: Resources | None = None) -> dict[str, Any]:
    """Compute the features of all history up to `session` and write what is new or changed to the offline store.

    All history, because the recursive indicators (RSI, ADX, EMA) depend on where they start; the store keeps only changes.
    """
    from features.build import build_features
    from features.normalise import normalise

    resources = resources or live()
    bars, vix = load_bars(resources.bars, session, resources.universe())
    frame = build_features(bars, vix)
    resources.features.apply()
    written = resources.features.write_offline(frame)
    resources.bars.write_normalized(normalise(bars))
    return {"session": session, "rows": len(frame), "written": written}


def materialise(session: str, *, resources: Resources | None = None) -> dict[str, Any]:
    """Copy the newest features up to `session` to the online store."""
    resources = resources or live()
    resources.features.materialise(dt.date.fromisoformat(session))
    return {"session": session, "symbols": len(resources.universe())}
