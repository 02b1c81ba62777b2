"""Prediction of the entry filter: features in, probability, expected return and acceptance out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.errors import DataError
from ml.samples.dataset import marked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Payoff:
    """Mean net returns (fractions) of the winners and of the losers that a filter was trained on, and where it draws the line.

    Attributes
    ----------
    threshold
        Lowest probability that is accepted, chosen on past folds (`ml.estimators.threshold`). None where the past was too
        short to choose one: then a candidate is accepted when its expected return is above zero.
    """

    mean_win: float
    mean_loss: float
    threshold: float | None = None

    @classmethod
    def of(cls, candidates: pd.DataFrame) -> Payoff:
        """Measure it on candidates with columns win and net_return."""
        won = candidates["win"] == 1
        return cls(float(candidates.loc[won, "net_return"].mean()), float(candidates.loc[~won, "net_return"].mean()))

    def apply(self, probability: NDArray[np.float64]) -> pd.DataFrame:
        """Return columns probability, predicted_return, accept, confidence.

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


def apply_payoffs(payoffs: Mapping[str, Payoff], strategy: pd.Series[str], probability: NDArray[np.float64]) -> pd.DataFrame:
    """Return `Payoff.apply` of each row, by its own strategy's payoff.

    Raises
    ------
    DataError
        When a strategy has no payoff: nothing was learnt about it.
    """
    strange = sorted(set(strategy) - set(payoffs))
    if strange:
        raise DataError(
            f"The filter learnt about {', '.join(sorted(payoffs))}, not about {strange[0]}. Train again: `desk train`."
        )
    parts = [payoffs[name].apply(probability[rows]).set_index(rows) for name, rows in _rows_by(strategy).items()]
    return pd.concat(parts).sort_index(ignore_index=True) if parts else next(iter(payoffs.values())).apply(probability)


def _rows_by(strategy: pd.Series[str]) -> dict[str, NDArray[np.int64]]:
    """Positions of each strategy's rows."""
    return {str(name): np.flatnonzero(strategy == name) for name in strategy.unique()}


@dataclass(frozen=True)
class EntryFilter:
    """A fitted filter under its registered name and version.

    Attributes
    ----------
    payoffs
        Of each strategy that it was trained on; a mark of its strategy goes with each row where there are several.
    trained_through
        Last decision that it learnt from (ISO).
    """

    name: str
    version: str
    score: Callable[[pd.DataFrame], NDArray[np.float64]]
    payoffs: Mapping[str, Payoff]
    features: tuple[str, ...]
    trained_through: str

    @property
    def strategies(self) -> tuple[str, ...]:
        """The strategies that it knows, sorted."""
        return tuple(sorted(self.payoffs))

    def predict(self, features: pd.DataFrame) -> pd.DataFrame:
        """Score candidates by their features (NaN allowed); see `Payoff.apply` for the columns.

        Parameters
        ----------
        features
            The filter's features, and a column strategy (a rule's name) unless it knows one strategy alone.

        Raises
        ------
        DataError
            When a feature that the filter was trained on is not there, or it knows nothing of a strategy.
        """
        missing = [name for name in self.features if name not in features]
        if missing:
            raise DataError(
                f"{self.name} {self.version} needs the feature {missing[0]!r}, which is no longer made. Train again."
            )
        strategy = self._strategy_of(features)
        X = marked(features[list(self.features)].astype("float64").assign(strategy=strategy), self.strategies)
        probability = np.asarray(self.score(X.drop(columns="strategy")), dtype=np.float64)
        return apply_payoffs(self.payoffs, strategy, probability)

    def _strategy_of(self, features: pd.DataFrame) -> pd.Series[str]:
        if "strategy" in features:
            return features["strategy"]
        if len(self.payoffs) > 1:
            raise DataError(f"{self.name} {self.version} knows {', '.join(self.strategies)}: expected a strategy, found none.")
        return pd.Series(self.strategies[0], index=features.index, dtype=object)
