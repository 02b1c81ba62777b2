"""Every combination of stop, target and time limit of one strategy on one symbol, by the kernel `backtest.single`.

The signals are computed once, for the exits do not change them. Memory is that of the result, one row a point.
"""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from backtest import single
from backtest.engine import cost_terms
from backtest.metrics import COUNTS, FIGURES
from backtest.panel import line_of
from core.errors import ConfigError
from trading.risk import Limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from backtest.panel import Panel
    from trading.costs import Costs
    from trading.strategies.base import Strategy

POINTS = ("stop_pct", "target_pct", "max_sessions")


def grid(  # noqa: PLR0917  # the grid is the question
    panel: Panel,
    strategy: Strategy,
    stops: Sequence[float | None],
    targets: Sequence[float | None],
    time_limits: Sequence[int | None],
    costs: Costs,
    limits: Limits | None = None,
    jobs: int = -1,
    *,
    initial_cash_usd: float = 100_000.0,
) -> pd.DataFrame:
    """Figures of the strategy at each combination of exits, in place of its own.

    Parameters
    ----------
    panel
        Of one symbol.
    stops, targets
        In percent of the entry price; None = none.
    time_limits
        Sessions after which a position is left; None = no time limit.
    jobs
        Threads; -1 is one a core.

    Returns
    -------
    frame
        Columns stop_pct, target_pct, max_sessions (NaN = none) and `backtest.metrics.FIGURES` (NaN = not defined); one row a
        point, the last axis fastest.

    Raises
    ------
    ConfigError
        When the panel has several symbols, or a stop, target or limit is out of range.
    """
    if len(panel.symbols) != 1:
        raise ConfigError(f"Grid: expected one symbol, found {len(panel.symbols)}. Prepare a panel of each.")
    points = _points(stops, targets, time_limits)
    line, _ = line_of(panel, strategy, 0)
    terms, found = cost_terms(costs, limits or Limits()), np.empty((len(points), len(FIGURES)))
    stop, target, most = points[:, 0].copy(), points[:, 1].copy(), np.nan_to_num(points[:, 2]).astype(np.int64)

    def scan(part: slice) -> None:
        cash_usd = float(initial_cash_usd)
        single.scan(line, stop[part], target[part], most[part], terms, cash_usd, panel.bars_a_year, found[part])

    parts = _parts(len(points), jobs)
    if len(parts) == 1:
        scan(parts[0])
    else:
        Parallel(n_jobs=len(parts), backend="threading")(delayed(scan)(part) for part in parts)
    frame = pd.DataFrame(np.hstack([points, found]), columns=[*POINTS, *FIGURES])
    return frame.astype(dict.fromkeys(COUNTS, np.int64))


def _points(
    stops: Sequence[float | None], targets: Sequence[float | None], time_limits: Sequence[int | None]
) -> NDArray[np.float64]:
    """The Cartesian product, (points, 3); NaN stands for None."""
    for name, values, most in (
        ("stop_pct", stops, 100.0),
        ("target_pct", targets, np.inf),
        ("max_sessions", time_limits, np.inf),
    ):
        wrong = [value for value in values if value is not None and not 0 < value < most]
        if wrong or not len(values):
            found = wrong[0] if wrong else "no value"
            raise ConfigError(f"Grid, {name}: expected numbers above 0 and below {most:g}, or None, found {found}.")
    rows = itertools.product(
        *([np.nan if value is None else value for value in axis] for axis in (stops, targets, time_limits))
    )
    return np.array(list(rows), dtype=np.float64)


def _parts(points: int, jobs: int) -> list[slice]:
    """Equal runs of points, one a thread."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    many = max(1, min(cores if jobs < 0 else jobs, points))
    edges = np.linspace(0, points, many + 1).astype(int)
    return [slice(int(a), int(b)) for a, b in itertools.pairwise(edges)]
