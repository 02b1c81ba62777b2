"""Turn stored bars into stored features: compute, write, materialise. The formulas are in `features`."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.bars import load_bars
from pipeline.resources import Resources, live


@dataclass(frozen=True)
class FeaturesWritten:
    """Feature rows computed (`rows`), and those of them that were new or changed (`written`)."""

    session: str
    rows: int
    written: int

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class FeaturesMaterialised:
    """Symbols whose newest features the online store shows."""

    session: str
    symbols: int

    def as_dict(self) -> dict[str, Any]:
        """Return the count as JSON values."""
        return asdict(self)


def write_features(session: str, *, resources: Resources | None = None) -> FeaturesWritten:
    """Compute the features of all history up to `session` and write what is new or changed to the offline store.

    All history, because the recursive indicators (RSI, ADX, EMA) depend on where they start; the store keeps only changes.
    """
    from features.build import build_features
    from features.normalise import normalise

    resources = resources or live()
    filtered = {
        symbol for each in resources.deployments.all() for sleeve in each.sleeves if sleeve.model for symbol in sleeve.symbols
    }
    symbols = [*resources.universe(), *sorted(filtered - {*resources.universe()})]
    bars, vix = load_bars(resources.bars, session, symbols)
    frame = build_features(bars, vix)
    resources.features.apply()
    written = resources.features.write_offline(frame)
    resources.bars.write_normalized(normalise(bars))
    return FeaturesWritten(session, len(frame), written)


def materialise(session: str, *, resources: Resources | None = None) -> FeaturesMaterialised:
    """Copy the newest features up to `session` to the online store."""
    resources = resources or live()
    resources.features.materialise(dt.date.fromisoformat(session))
    return FeaturesMaterialised(session, len(resources.universe()))
