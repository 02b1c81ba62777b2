"""The correlation of a new position's daily returns with those of the positions held. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

MIN_COMMON_SESSIONS = 20


def largest_correlation(
    returns: pd.DataFrame | None, symbol: str, sign: float, held: Iterable[tuple[str, float]]
) -> float | None:
    """Return the largest Pearson correlation with another symbol held; None where there is none, NaN where one is unknown.

    Parameters
    ----------
    returns
        Daily returns, one column a symbol. A pair needs 20 sessions that both have.
    sign
        Over 0 for a long, under 0 for a short; a position on the other side counts with the sign turned.
    held
        Symbol and signed notional of each position.

    >>> import pandas as pd
    >>> moves = pd.DataFrame({"AAA": [0.01, -0.01] * 10, "BBB": [0.02, -0.02] * 10})
    >>> round(largest_correlation(moves, "AAA", 1, [("BBB", 5_000.0)]), 6)
    1.0
    >>> round(largest_correlation(moves, "AAA", -1, [("BBB", 5_000.0)]), 6)
    -1.0
    """
    found = [
        math.copysign(1, sign) * math.copysign(1, usd) * _correlated(returns, symbol, other)
        for other, usd in held
        if other != symbol
    ]
    if not found:
        return None
    return math.nan if any(math.isnan(each) for each in found) else max(found)


def _correlated(returns: pd.DataFrame | None, one: str, other: str) -> float:
    if returns is None or one not in returns or other not in returns:
        return math.nan
    return float(returns[one].corr(returns[other], min_periods=MIN_COMMON_SESSIONS))
