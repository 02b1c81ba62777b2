"""Rows that were added since a position, of every kind that `GET /events` streams. It reads and writes nothing.

A row's id is taken before its transaction commits, so that a lower id may appear after a higher one. Each read therefore looks
back a window behind its position, and leaves out the rows that the caller has had.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from storage.alerts.tables import alert_events, alerts
from storage.trading.control_tables import halts, risk_heartbeats
from storage.trading.deployment_tables import deployments
from storage.trading.evening_tables import evening_steps
from storage.trading.tables import equity, fills, order_events, order_intents, strategy_params

EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MICROSECOND: Final = dt.timedelta(microseconds=1)
LONGEST_TEXT: Final = 500  # characters of a reason
STATEMENT_SECONDS: Final = 5
Positions = Mapping[str, int]
Columns = Mapping[str, sa.ColumnElement[Any]]


@dataclass(frozen=True)
class Change:
    """A row that was added, or moved to another outcome.

    Attributes
    ----------
    kind
        One of `KINDS`.
    position
        Grows with the rows of a kind; rows may share one.
    key
        Unique among the changes of a kind.
    at
        Aware; the row's own time.
    data
        JSON values.
    """

    kind: str
    position: int
    key: str
    at: dt.datetime
    data: Mapping[str, Any]


@dataclass(frozen=True)
class _Source:
    """The rows of one kind: how they are ordered, told apart and shown.

    Attributes
    ----------
    column
        The column whose order is that of the rows; `to_column` and `to_position` turn its values into whole numbers and back.
    window
        Width of the window behind a position, in whole numbers of the column.
    """

    kind: str
    column: sa.ColumnElement[Any]
    window: int
    key: sa.ColumnElement[str]
    at: sa.ColumnElement[dt.datetime]
    shown: Columns
    origin: sa.FromClause
    only: sa.ColumnElement[bool] | None = None
    to_column: Callable[[int], Any] = int
    to_position: Callable[[Any], int] = int

    def newest(self) -> sa.Select[Any]:
        return sa.select(sa.func.max(self.column))

    def after(self, position: int, seen: Collection[str], most: int) -> sa.Select[Any]:
        had = sa.literal(list(seen), ARRAY(sa.Text))
        shown = [each.label(name) for name, each in self.shown.items()]
        query = (
            sa.select(self.column.label("_position"), self.key.label("_key"), self.at.label("_at"), *shown)
            .select_from(self.origin)
            .where(self.column > self.to_column(max(position - self.window, 0)), self.key != sa.all_(had))
            .order_by(self.column, self.key)
            .limit(most)
        )
        return query if self.only is None else query.where(self.only)


class Changes:
    """New rows of the schema `trading`, kind by kind."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def newest(self) -> dict[str, int]:
        """Return the position of each kind's newest row, 0 where there is none."""
        with self._connection() as connection:
            values = {each.kind: connection.execute(each.newest()).scalar() for each in SOURCES}
        return {each.kind: 0 if values[each.kind] is None else each.to_position(values[each.kind]) for each in SOURCES}

    def read(self, after: Positions, seen: Mapping[str, Collection[str]], most: int) -> list[Change]:
        """Return the changes after the positions and in the window behind them, by time; at most `most` of a kind.

        Parameters
        ----------
        seen
            Keys of each kind that are left out.
        """
        changes: list[Change] = []
        with self._connection() as connection:
            for source in SOURCES:
                query = source.after(after[source.kind], seen.get(source.kind, ()), most)
                changes += [_change(source, row) for row in connection.execute(query).mappings()]
        return sorted(changes, key=lambda each: each.at)

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sa.Connection]:
        """Yield a connection whose statements end soon."""
        with self._engine.connect() as connection:
            connection.execute(sa.select(sa.func.set_config("statement_timeout", f"{STATEMENT_SECONDS}s", sa.true())))
            yield connection


def _change(source: _Source, row: sa.RowMapping) -> Change:
    data = {name: _json(row[name]) for name in source.shown}
    return Change(source.kind, source.to_position(row["_position"]), row["_key"], row["_at"], data)


def _json(value: object) -> Any:  # noqa: ANN401  # a JSON value
    if isinstance(value, Decimal | float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return sorted(value)
    return value[:LONGEST_TEXT] if isinstance(value, str) else value


def _of(table: sa.Table, *names: str, **renamed: str) -> dict[str, sa.ColumnElement[Any]]:
    """Return columns of a table under their names; `new=old` renames one."""
    return {name: table.c[name] for name in names} | {new: table.c[old] for new, old in renamed.items()}


def _moment(position: int) -> dt.datetime:
    return EPOCH + position * MICROSECOND


def _day(position: int) -> dt.date:
    return dt.date.fromordinal(max(position, 1))


def _micros(moment: dt.datetime) -> int:
    return (moment - EPOCH) // MICROSECOND


def _by_id(kind: str, table: sa.Table, window: int, at: str, shown: Columns, **more: Any) -> _Source:  # noqa: ANN401  # passed on
    """Return a source whose rows are ordered by their id."""
    given: dict[str, Any] = {"key": sa.cast(table.c.id, sa.Text), "origin": table} | more
    return _Source(kind, table.c.id, window, at=table.c[at], shown=_of(table, "id") | dict(shown), **given)


_ORDER = _of(order_intents, "client_order_id", "symbol", "session", "side", book="portfolio", sleeve="strategy")
SOURCES: Final[Sequence[_Source]] = (
    _by_id(
        "order",
        order_events,
        300,
        "created_at",
        _ORDER | _of(order_intents, "leg", "quantity") | _of(order_events, "state", "reason", at="created_at"),
        origin=order_events.join(order_intents, order_events.c.client_order_id == order_intents.c.client_order_id),
    ),
    _Source(
        "fill",
        fills.c.created_at,
        60_000_000,
        fills.c.fill_id,
        fills.c.filled_at,
        _ORDER | _of(fills, "fill_id", "session", "quantity", "price", "commission_usd", "reason", at="filled_at"),
        fills.join(order_intents, fills.c.client_order_id == order_intents.c.client_order_id),
        to_column=_moment,
        to_position=_micros,
    ),
    _by_id(
        "alert",
        alert_events,
        100,
        "at",
        _of(alert_events, "alert_id", "event", "author", "reason", "at")
        | _of(alerts, "kind", "book", "severity", "subject", "state"),
        origin=alert_events.join(alerts, alert_events.c.alert_id == alerts.c.id),
        only=alert_events.c.channel == "",
    ),
    _by_id("halt", halts, 20, "created_at", _of(halts, "halted", "reason", "author", book="portfolio", at="created_at")),
    _by_id(
        "deployment",
        deployments,
        20,
        "created_at",
        _of(deployments, "version", "stage", "state", "reason", "author", book="name", at="created_at"),
    ),
    _by_id(
        "parameters",
        strategy_params,
        20,
        "created_at",
        _of(strategy_params, "strategy", "symbol", "version", "enabled", "preset", "reason", "author", at="created_at"),
    ),
    _by_id(
        "heartbeat",
        risk_heartbeats,
        50,
        "at",
        _of(risk_heartbeats, "at", "level", "mode", "equity_usd", "drawdown_pct", "positions", "breaches", book="portfolio"),
    ),
    _by_id(
        "step",
        evening_steps,
        300,
        "started_at",
        _of(evening_steps, "book", "session", "step", "symbol", "attempt", "outcome", "started_at", "ended_at"),
        key=sa.func.concat_ws(" ", evening_steps.c.id, evening_steps.c.outcome),
    ),
    _Source(
        "equity",
        equity.c.session,
        40,
        sa.func.concat_ws(" ", *equity.c),
        sa.func.now(),
        _of(equity, "session", "equity_usd", "cash_usd", "exposure_usd", "positions", book="portfolio"),
        equity,
        to_column=_day,
        to_position=dt.date.toordinal,
    ),
)
KINDS: Final = tuple(each.kind for each in SOURCES)
WINDOWS: Final[Positions] = {each.kind: each.window for each in SOURCES}
