"""Candidates made up for the models' tests."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.frames import CANDIDATES, FEATURES
from core.sessions import closes_of, sessions_between


def make_candidates(count: int = 300, skill: float = 0.0, seed: int = 1) -> pd.DataFrame:
    """`count` candidates over some years; `skill` is how much `rsi_14` says about the outcome."""
    rng = np.random.default_rng(seed)
    sessions = sessions_between(pd.Timestamp("2010-01-04").date(), pd.Timestamp("2018-12-31").date())
    at = np.sort(rng.integers(0, len(sessions) - 5, count // 2))
    decided = np.repeat(at, 2)  # two symbols at each moment
    features = pd.DataFrame(rng.normal(size=(len(decided), len(FEATURES))), columns=list(FEATURES))
    win = (skill * features["rsi_14"] + rng.normal(size=len(decided)) > 0).astype("int8")
    frame = pd.DataFrame(
        {
            "strategy": "bollinger",
            "symbol": np.tile(["AAA", "BBB"], len(at)),
            "session": sessions[decided],
            "event_timestamp": closes_of(sessions[decided]),
            "label_end": closes_of(sessions[decided + rng.integers(1, 4, len(decided))]),
            "net_return": np.where(win == 1, 0.015, -0.008) + rng.normal(scale=0.001, size=len(decided)),
            "win": win,
        }
    )
    whole = pd.concat([frame, features], axis=1).drop_duplicates(["symbol", "session"])
    ordered = whole.sort_values(["symbol", "session"], ignore_index=True)
    CANDIDATES.check(ordered)
    return ordered


@pytest.fixture(scope="session")
def noise() -> pd.DataFrame:
    """Candidates whose features say nothing; some VIX unknown."""
    frame = make_candidates()
    frame.loc[::7, ["vix", "vix_change_1"]] = np.nan
    return frame
