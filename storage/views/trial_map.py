"""Trials by two parameters: the cells of a heat map, added up in the database and remembered until another trial is stored."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import sqlalchemy as sa

from storage.research.tables import trials

if TYPE_CHECKING:
    from collections.abc import Sequence

COLUMNS: Final = ("strategy", "symbol")  # axes that are columns of the trial; every other one is a parameter
MOST_VALUES: Final = 50  # numbers of an axis; more are put into bins
BINS: Final = 20
NONE: Final = "none"  # a parameter that is null: without a stop, say


class Axis(NamedTuple):
    """An axis: how many values it has, and of those that are numbers how many, the smallest and the largest."""

    values: int
    numbers: int
    low: float | None
    high: float | None

    @property
    def binned(self) -> bool:
        """True when there are so many numbers that they are put into `BINS` bins of equal width."""
        return self.numbers > MOST_VALUES


class Cell(NamedTuple):
    """Trials with the same two values, as text, of a binned axis the number of the bin from 1; `defined` have the figure."""

    x: str
    y: str
    mean: float | None
    defined: int
    trials: int


class TrialCells(NamedTuple):
    """The cells, and what is on the axes."""

    x: Axis
    y: Axis
    cells: tuple[Cell, ...]


class _Question(NamedTuple):
    """A heat map asked for, and the newest trial that it knows of."""

    newest: int
    x: str
    y: str
    metric: str
    strategy: str | None
    symbol: str | None


class TrialMap:
    """Rows of `research.trials` by two axes; each backtest counts once, however often it is on record.

    Adding up 100,000 trials takes the database most of a second, and nothing changes until another one is stored.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._remembered = lru_cache(maxsize=32)(self._add_up)

    def newest(self) -> int:
        """Return the id of the trial stored last; 0 before the first."""
        with self._engine.connect() as connection:
            return int(connection.execute(sa.select(sa.func.coalesce(sa.func.max(trials.c.id), 0))).scalar_one())

    def cells(self, x: str, y: str, metric: str, *, strategy: str | None = None, symbol: str | None = None) -> TrialCells:
        """Return the trials by two axes, each one of `COLUMNS` or a parameter.

        Parameters
        ----------
        metric
            Figure whose mean each cell has, over the trials that define it.
        strategy, symbol
            Trials of these alone; None: of all.
        """
        return self._remembered(_Question(self.newest(), x, y, metric, strategy, symbol))

    def _add_up(self, question: _Question) -> TrialCells:
        once = _once(question.x, question.y, question.metric).where(trials.c.id <= question.newest)
        for name, wanted in (("strategy", question.strategy), ("symbol", question.symbol)):
            if wanted is not None:
                once = once.where(trials.c[name] == wanted)
        each = once.cte("once")
        with self._engine.connect() as connection:
            found: Sequence[Any] = connection.execute(sa.select(*_axis("x", each), *_axis("y", each))).one()
            on_x, on_y = Axis(*found[:4]), Axis(*found[4:])
            places: list[sa.Label[Any]] = [_place("x", on_x, each).label("at_x"), _place("y", on_y, each).label("at_y")]
            figures: list[sa.ColumnElement[Any]] = [sa.func.avg(each.c.value), sa.func.count(each.c.value), sa.func.count()]
            query = sa.select(*places, *figures).group_by(*(sa.literal_column(place.name) for place in places))
            rows: Sequence[Any] = connection.execute(query).all()
        return TrialCells(on_x, on_y, tuple(Cell(*row) for row in rows))


def _once(x: str, y: str, metric: str) -> sa.Select[Any]:
    """Return each backtest once: the texts and numbers on both axes, and the figure; failed attempts have none."""
    key, value = trials.c.key, sa.func.max(sa.cast(trials.c.metrics[metric].astext, sa.Double)).label("value")
    texts, numbers = [_text(axis) for axis in (x, y)], [_number(axis) for axis in (x, y)]
    named = [column.label(name) for column, name in zip((*texts, *numbers), ("x", "y", "x_number", "y_number"), strict=True)]
    query = sa.select(*named, value).group_by(key, *(sa.literal_column(name.name) for name in named))
    for axis in {x, y} - {*COLUMNS}:
        query = query.where(trials.c.params.has_key(axis))
    return query


def _text(axis: str) -> sa.ColumnElement[str]:
    return trials.c[axis] if axis in COLUMNS else sa.func.coalesce(trials.c.params[axis].astext, NONE)


def _number(axis: str) -> sa.ColumnElement[Any]:
    if axis in COLUMNS:
        return sa.cast(sa.null(), sa.Double)
    is_number = sa.func.jsonb_typeof(trials.c.params[axis]) == "number"
    return sa.case((is_number, sa.cast(trials.c.params[axis].astext, sa.Double)))


def _axis(name: str, each: sa.CTE) -> tuple[sa.ColumnElement[Any], ...]:
    number = each.c[f"{name}_number"]
    counts = (sa.func.count(sa.distinct(column)) for column in (each.c[name], number))
    return (*counts, sa.func.min(number), sa.func.max(number))


def _place(name: str, axis: Axis, each: sa.CTE) -> sa.ColumnElement[str]:
    text, number = each.c[name], each.c[f"{name}_number"]
    if not axis.binned:
        return text
    bin_number = sa.func.least(sa.func.width_bucket(number, axis.low, axis.high, BINS), BINS)  # NULL would be the last one
    return sa.case((number.is_(None), text), else_=sa.cast(bin_number, sa.Text))
