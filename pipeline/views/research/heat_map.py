"""A heat map of trials: the mean of a figure by two parameters, with the number of trials behind each cell."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from backtest.metrics import FIGURES
from core.errors import ConfigError
from pipeline.resources import Resources, live
from pipeline.views.view import Row
from storage.views.trial_map import BINS, MOST_VALUES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.views.trial_map import Axis, Cell

Names = Annotated[list[str], Field(description="Values in rising order, texts after numbers; of bins their ends.")]


class BadHeatMap(ConfigError):
    """An unknown figure, or one axis twice."""


class HeatMapAxis(Row):
    """An axis of a heat map."""

    name: str
    values: Names
    binned: Annotated[bool, Field(description="true: there were more than 50 numbers, and they are in 20 bins of equal width.")]


class HeatMap(Row):
    """Trials by two parameters; the three tables have a row for each value of `y` and a column for each of `x`."""

    strategy: str | None
    symbol: str | None
    metric: str
    x: HeatMapAxis
    y: HeatMapAxis
    mean: Annotated[list[list[float | None]], Field(description="Mean of the figure; null: no trial defines it.")]
    count: Annotated[list[list[int]], Field(description="Trials that define the figure.")]
    trials: Annotated[list[list[int]], Field(description="Different backtests tried.")]
    total: Annotated[int, Field(description="Trials of all cells, of those left out too.")]
    left_out: Annotated[int, Field(description="Trials of values beyond the 50 tried most on an axis.")]


def read_heat_map(
    x: str,
    y: str,
    metric: str = "sharpe",
    *,
    strategy: str | None = None,
    symbol: str | None = None,
    resources: Resources | None = None,
) -> HeatMap:
    """Return the trials of a strategy, or of all, by two of their parameters.

    Parameters
    ----------
    x, y
        Names of parameters, or `strategy` and `symbol`. Trials without one of them are left out.
    metric
        One of `backtest.metrics.FIGURES`.
    strategy, symbol
        As the trials have them: `rsi`, or of several symbols together `AAPL,MSFT`.

    Raises
    ------
    BadHeatMap
        When the figure is unknown, or both axes are the same.
    """
    resources = resources or live()
    if metric not in FIGURES:
        raise BadHeatMap(f"Heat map: expected a figure of {', '.join(FIGURES)}, found {metric!r}.")
    if x == y:
        raise BadHeatMap(f"Heat map: expected two different axes, found {x!r} twice.")
    found = resources.trial_map.cells(x, y, metric, strategy=strategy, symbol=symbol)
    columns, rows = (
        _places([(each.x, each.trials) for each in found.cells]),
        _places([(each.y, each.trials) for each in found.cells]),
    )
    inside = [each for each in found.cells if each.x in columns and each.y in rows]
    mean, count, tried = _tables(inside, columns, rows)
    total = sum(each.trials for each in found.cells)
    return HeatMap(
        strategy=strategy,
        symbol=symbol,
        metric=metric,
        x=_axis(x, found.x, columns),
        y=_axis(y, found.y, rows),
        mean=mean,
        count=count,
        trials=tried,
        total=total,
        left_out=total - sum(each.trials for each in inside),
    )


def _places(tried: Sequence[tuple[str, int]]) -> dict[str, int]:
    """Return the place of each value on its axis; of too many values those tried most."""
    trials: Counter[str] = Counter()
    for value, many in tried:
        trials[value] += many
    kept = [value for value, _ in sorted(trials.items(), key=lambda each: (-each[1], each[0]))[:MOST_VALUES]]
    return {value: place for place, value in enumerate(sorted(kept, key=_in_order))}


def _in_order(value: str) -> tuple[bool, float, str]:
    try:
        return False, float(value), ""
    except ValueError:
        return True, 0.0, value


def _tables(
    cells: Sequence[Cell], columns: dict[str, int], rows: dict[str, int]
) -> tuple[list[list[float | None]], list[list[int]], list[list[int]]]:
    mean: list[list[float | None]] = [[None] * len(columns) for _ in rows]
    count, tried = ([[0] * len(columns) for _ in rows] for _ in range(2))
    for each in cells:
        row, column = rows[each.y], columns[each.x]
        mean[row][column], count[row][column], tried[row][column] = each.mean, each.defined, each.trials
    return mean, count, tried


def _axis(name: str, axis: Axis, places: dict[str, int]) -> HeatMapAxis:
    return HeatMapAxis(name=name, values=[_label(value, axis) for value in places], binned=axis.binned)


def _label(value: str, axis: Axis) -> str:
    if not (axis.binned and value.isdigit() and axis.low is not None and axis.high is not None):
        return value
    width = (axis.high - axis.low) / BINS
    low = axis.low + (int(value) - 1) * width
    return f"{low:.4g} to {low + width:.4g}"
