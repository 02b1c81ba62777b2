"""The rule of promotion between two next-day models: their squared errors on the same sessions.

The symbols of a session share its market, so that whole blocks of sessions are flipped and drawn, as in
`ml.ab_testing.ab_test`: the sign-flip test of Diebold and Mariano's loss differences (1995), and the stationary bootstrap's
interval of what the challenger saves. The window is fixed beforehand and evaluated once, so that nothing is tried until it is
significant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ml.ab_testing.ab_test import Effect, Kind
from ml.next_day.next_day import Signals, scale_of
from ml.samples.resampling import mean_interval, resample_weights, sign_flip

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from ml.next_day.next_day import NextDay

    Array = NDArray[np.float64]

UNIT: Final = "% of the champion's squared error"
PERCENT: Final = 100


@dataclass(frozen=True)
class NextDayTerms:
    """Terms of a comparison, fixed before the first outcome is known.

    Attributes
    ----------
    sessions
        Fresh ones on which the two are compared, once.
    block_sessions
        Sessions that are flipped, and on average drawn, together.
    level
        Of the interval; a promotion needs evidence of half of the rest, 2.5 % for 0.95.
    """

    sessions: int = 60
    block_sessions: int = 3
    level: float = 0.95
    resamples: int = 2000
    seed: int = 7


@dataclass(frozen=True)
class NextDayDecision:
    """The decision, its reason, and its evidence.

    Attributes
    ----------
    sessions, rows
        That were compared: of the exchange, and of symbols in them.
    saved
        Part of the champion's squared error that the challenger saves, with its interval.
    p_value
        One-sided, of the sign-flip test.
    """

    kind: Kind
    reason: str
    sessions: int
    rows: int
    saved: Effect
    p_value: float

    def report(self, challenger: str) -> dict[str, Any]:
        """Return the evidence as JSON values, in the form of every decision record."""
        compared = {"challenger": challenger, "pairs": self.rows, "p_value": self.p_value, "paired": self.saved._asdict()}
        return {"sessions": self.sessions, "unit": UNIT, "comparisons": [compared]}


def squared_errors(model: NextDay, rows: pd.DataFrame, typical: float) -> Array:
    """Return squared errors in units of each row's volatility, so that one wild symbol does not outvote the others.

    Parameters
    ----------
    rows
        FEATURES and target.
    typical
        Volatility where it is unknown, the same for all models that are compared.
    """
    expected = model.predict(rows, Signals())["predicted_return"].to_numpy(dtype=np.float64)
    found: Array = ((rows["target"].to_numpy(dtype=np.float64) - expected) / scale_of(rows, typical)) ** 2
    return found


def decide_next_day(rows: pd.DataFrame, terms: NextDayTerms) -> NextDayDecision:
    """Compare the errors of a window of fresh sessions, and return the decision.

    Parameters
    ----------
    rows
        session, champion, challenger: the squared errors of both on the same rows, sessions that neither learnt from. Sessions
        beyond `terms.sessions` do not count.

    Returns
    -------
    NextDayDecision
        `extend` until there are as many sessions as agreed.
    """
    sessions = np.sort(rows["session"].unique())[: terms.sessions]
    window = rows[rows["session"].isin(sessions)]
    sums = window.groupby("session", sort=True)[["champion", "challenger"]].sum()
    if len(sessions) < terms.sessions:
        reason = f"It is decided after {terms.sessions} fresh sessions; {len(sessions)} are known."
        return NextDayDecision(Kind.EXTEND, reason, len(sessions), len(window), _saved(sums), 1.0)
    champion, challenger = (sums[name].to_numpy(dtype=np.float64) for name in ("champion", "challenger"))
    gains = champion - challenger
    p_value = float(sign_flip(gains[:, None], terms.block_sessions, terms.resamples, terms.seed)[0])
    weights = resample_weights(len(sessions), terms.block_sessions, terms.resamples, terms.seed)
    low, high = mean_interval(gains, champion, weights, terms.level)
    saved = Effect(_saved(sums).value, float(low), float(high))
    kind, reason = _decision(saved, p_value, terms)
    return NextDayDecision(kind, reason, len(sessions), len(window), saved, p_value)


def _saved(sums: pd.DataFrame) -> Effect:
    total = float(sums["champion"].sum())
    return Effect((total - float(sums["challenger"].sum())) / total if total > 0 else 0.0, None, None)


def _decision(saved: Effect, p_value: float, terms: NextDayTerms) -> tuple[Kind, str]:
    """Promote when test and interval agree; else name what is missing."""
    needed = (1 - terms.level) / 2
    low, high = saved.low or 0.0, saved.high or 0.0
    shown = (
        f"{saved.value:+.2%} of the champion's squared error, {terms.level:.0%} interval {low:+.2%} to {high:+.2%}, "
        f"p = {p_value:.4f}"
    )
    if p_value <= needed and low > 0:
        return Kind.PROMOTE, f"It saves {shown}."
    if high < 0:
        return Kind.KEEP, f"The champion is better: the challenger saves {shown}."
    return Kind.KEEP, f"Inconclusive, the champion stays: the challenger saves {shown}; p of {needed:.3f} or less is needed."
