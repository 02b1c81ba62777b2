"""Value at risk of the positions held: the loss of one session that one day in twenty exceeds. Pure arithmetic on returns.

Both methods reprice today's positions on past returns, so that the figure is about what is held now. A loss is a positive
number; a negative one says that even the bad day of the window was a gain. Jorion, *Value at Risk*, 3rd ed. (2007), chapters 5
and 10.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

CONFIDENCE = 0.95
ENOUGH = 20  # under so many sessions the fifth percentile is the worst day or none


def pnl(returns: pd.DataFrame, exposures_usd: Mapping[str, float]) -> NDArray[np.float64]:
    """Return the profit of today's positions on each past session, in USD.

    Parameters
    ----------
    returns
        Simple close-to-close returns, one row a session, one column a symbol. Sessions in which a held symbol has none are left
        out: half a portfolio would understate the loss.
    exposures_usd
        Signed notional of each symbol held; each must be a column.

    >>> import pandas as pd
    >>> returns = pd.DataFrame({"AAA": [0.01, -0.02], "BBB": [0.02, 0.01]})
    >>> [round(float(usd), 6) for usd in pnl(returns, {"AAA": 1000.0, "BBB": -250.0})]
    [5.0, -22.5]
    """
    held = returns[list(exposures_usd)].dropna()
    return held.to_numpy(dtype=np.float64) @ np.array(list(exposures_usd.values()), dtype=np.float64)


def historical_usd(pnl_usd: NDArray[np.float64], confidence: float = CONFIDENCE) -> float | None:
    """Return the value at risk by historical simulation: the empirical quantile of the losses (the 5th worst of 100 days).

    The ``ceil(n (1 - confidence))``-th smallest of `pnl_usd`, negated and not interpolated (Jorion 10.2). None under
    `ENOUGH` sessions.

    >>> historical_usd(np.arange(-50.0, 50.0)), historical_usd(np.arange(10.0))
    (46.0, None)
    """
    if len(pnl_usd) < ENOUGH:
        return None
    rank = max(1, math.ceil(round(len(pnl_usd) * (1 - confidence), 9)))  # 100 * (1 - 0.95) is a little over 5 in floats
    return -float(np.partition(pnl_usd, rank - 1)[rank - 1])


def parametric_usd(pnl_usd: NDArray[np.float64], confidence: float = CONFIDENCE) -> float | None:
    """Return the delta-normal value at risk: ``z s - m`` with mean m, sample deviation s and normal quantile z (Jorion 5.2).

    For one session and weights that do not change this is the variance-covariance method, as ``w' S w`` is the variance of
    `pnl_usd`. None under `ENOUGH` sessions.

    >>> round(parametric_usd(np.tile([-10.0, 10.0], 50)), 2)  # deviation 10.05, times 1.645
    16.53
    """
    if len(pnl_usd) < ENOUGH:
        return None
    return NormalDist().inv_cdf(confidence) * float(pnl_usd.std(ddof=1)) - float(pnl_usd.mean())
