"""The entry filter at work: features in, probability and expected return out. Owns the acceptance rule; it loads nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Payoff:
    """Mean net returns (fractions) of the winners and of the losers that a filter was trained on, and where it draws the line.

    Attributes
    ----------
    threshold
        Lowest probability that is accepted, chosen on past folds (`ml.threshold`). None where the past was too short to choose
        one: then a candidate is accepted when its expected return is above zero.
    """

    mean_win: float
    mean_loss: float
    threshold: float | None = None

    @classmethod
    def of(cls, candidates: pd.DataFrame) -> Payoff:
        """Measure it on candidates with columns win and net_return."""
        won = candidates["win"] == 1
        return cls(float(candidates.loc[won, "net_return"].mean()), float(candidates.loc[~won, "net_return"].mean()))

    def judge(self, probability: NDArray[np.float64]) -> pd.DataFrame:
        """Columns probability, predicted_return, accept, confidence.

        The expected net return of a candidate is `p * mean_win + (1 - p) * mean_loss`; it is accepted from the threshold on.
        Confidence is `|2p - 1|`.
        """
        expected = probability * self.mean_win + (1 - probability) * self.mean_loss
        return pd.DataFrame(
            {
                "probability": probability,
                "predicted_return": expected,
                "accept": expected > 0 if self.threshold is None else probability >= self.threshold,
                "confidence": np.abs(2 * probability - 1),
            }
        )


@dataclass(frozen=True)
class EntryFilter:
    """A fitted filter under its registered name and version; `trained_through` is the last decision it learnt from (ISO)."""

    name: str
    version: str
    score: Callable[[pd.DataFrame], NDArray[np.float64]]
    payoff: Payoff
    features: tuple[str, ...]
    trained_through: str

    def predict(self, features: pd.DataFrame) -> pd.DataFrame:
        """Judge candidates by their features (NaN allowed); see `Payoff.judge` for the columns.

        Raises
        ------
        DataError
            When a feature that the filter was trained on is not there.
        """
        missing = [name for name in self.features if name not in features]
        if missing:
            raise DataError(
                f"{self.name} {self.version} needs the feature {missing[0]!r}, which is no longer made. Train anew."
            )
        X = features[list(self.features)].astype("float64")
        return self.payoff.judge(np.asarray(self.score(X), dtype=np.float64))
