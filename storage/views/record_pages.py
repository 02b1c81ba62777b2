"""Pages of the record: orders, fills, trades, closes, signals and candidates, newest first. Changes nothing.

A page starts after a key, not at an offset, so that the thousandth costs what the first costs. Each method returns plain rows;
`pipeline.views` gives them types.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from core.frames import BAND_COLUMNS
from storage.trading.control_tables import risk_events
from storage.trading.tables import equity, fills, order_events, order_intents, orders, predictions, signals, trades
from storage.views.packed import pack, unpacked
from storage.views.reading import Reader, Rows, newest_first

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from sqlalchemy.sql.selectable import LateralFromClause

Column = sa.ColumnElement[Any]
Floats = NDArray[np.float64]
ENTRY: Final = "entry"
CLOSES: Final = pack(
    sa.select(*(equity.c[name] for name in ("session", "equity_usd", "cash_usd", "exposure_usd", "positions"))).where(
        equity.c.portfolio == sa.bindparam("book")
    )
)


@dataclass(frozen=True)
class Span:
    """Rows wanted: at most `limit` after a key, of sessions from `first` to `last`, where columns equal values.

    Attributes
    ----------
    equal
        Values by the name of the row's field; None wants every value.
    after
        Key of the last row of the page before; None for the first page.
    """

    first: dt.date | None = None
    last: dt.date | None = None
    equal: Mapping[str, Any] | None = None
    after: Sequence[Any] | None = None
    limit: int = 100

    @property
    def shape(self) -> Shape:
        """The comparisons of a statement for these rows; their values are `values`."""
        equal = tuple(name for name, value in (self.equal or {}).items() if value is not None)
        return Shape(equal, self.first is not None, self.last is not None, self.after is not None)

    @property
    def values(self) -> dict[str, Any]:
        """The values of the parameters of a statement of its shape."""
        found = {f"equal_{name}": value for name, value in (self.equal or {}).items() if value is not None}
        found |= {f"after_{place}": value for place, value in enumerate(self.after or ())}
        return found | {"first": self.first, "last": self.last, "most": self.limit}


class Shape(NamedTuple):
    """The comparisons of a statement. Statements are built once a shape: building one takes as long as its answer."""

    equal: tuple[str, ...]
    first: bool
    last: bool
    after: bool


class Closes(NamedTuple):
    """Closes of a book, oldest first: columns of equal length; money in US dollars."""

    sessions: NDArray[np.datetime64]
    equity_usd: Floats
    cash_usd: Floats
    exposure_usd: Floats
    positions: Floats


class RecordPages(Reader):
    """Pages of the tables of the schema `trading`."""

    def orders(self, span: Span) -> Rows:
        """Return orders with their state and what filled; key: session, created_at, client_order_id."""
        return self._rows(_orders(span.shape), span.values)

    def fills(self, span: Span) -> Rows:
        """Return fills with what their order was; key: session, filled_at, fill_id."""
        return self._rows(_fills(span.shape), span.values)

    def trades(self, span: Span) -> Rows:
        """Return closed trades with the orders that made them; key: exit_session, entry_session, book, sleeve, symbol."""
        return self._rows(_trades(span.shape), span.values)

    def closes(self, book: str) -> Closes:
        """Return the value of a book at each close on record, oldest first."""
        with self._connection() as connection:
            sessions, columns = unpacked(connection, CLOSES, book=book)
        return Closes(sessions, *columns)

    def signals(self, span: Span, *, entries: bool) -> Rows:
        """Return signals, those with an entry alone where wanted; key: session, sleeve, symbol."""
        return self._rows(_signals(span.shape, entries=entries), span.values)

    def decisions(self, span: Span) -> Rows:
        """Return candidates with the filter's answer, the refusals and the order; key: session, sleeve, symbol."""
        return self._rows(_decisions(span.shape), span.values)


@lru_cache(maxsize=100)
def _orders(shape: Shape) -> sa.Select[Any]:
    intent, order = order_intents.c, orders.c
    wanted = sa.select(
        intent.client_order_id,
        intent.portfolio.label("book"),
        intent.strategy.label("sleeve"),
        *_named(intent, "symbol", "session", "decision_session", "leg", "side", "order_type", "stop_pct", "target_pct"),
        *_named(intent, "max_sessions", "origin", "arm", "entry_order_id", "created_at", "code_commit", "dag_run"),
        _present("quantity"),
        _present("limit_price"),
        _present("stop_price"),
        *_named(order, "state", "updated_at"),
    ).join_from(order_intents, orders)
    page = _page(wanted, shape, ("session", "created_at", "client_order_id"), intent.session).subquery("page")
    filled = _filled(page.c.client_order_id)
    event = (
        sa.select(order_events.c.reason)
        .where(order_events.c.client_order_id == page.c.client_order_id)
        .order_by(order_events.c.id.desc())
        .limit(1)
        .lateral()
    )
    return (
        sa.select(*page.c, event.c.reason, *filled.c)
        .select_from(page.outerjoin(event, sa.true()).outerjoin(filled, sa.true()))
        .order_by(*_newest(page.c, ("session", "created_at", "client_order_id")))
    )


@lru_cache(maxsize=100)
def _fills(shape: Shape) -> sa.Select[Any]:
    fill, intent = fills.c, order_intents.c
    wanted = sa.select(
        *_named(fill, "fill_id", "client_order_id", "symbol", "side", "quantity", "price", "raw_price", "commission_usd"),
        *_named(fill, "session", "filled_at", "reason"),
        intent.portfolio.label("book"),
        intent.strategy.label("sleeve"),
        intent.leg,
    ).join_from(fills, order_intents)
    return _page(wanted, shape, ("session", "filled_at", "fill_id"), fill.session)


@lru_cache(maxsize=100)
def _trades(shape: Shape) -> sa.Select[Any]:
    trade, intent = trades.c, order_intents.c
    key = ("exit_session", "entry_session", "book", "sleeve", "symbol")
    wanted = sa.select(
        trade.portfolio.label("book"),
        trade.strategy.label("sleeve"),
        *(each for each in trade if each.name not in {"portfolio", "strategy"}),
    )
    page = _page(wanted, shape, key, trade.exit_session).subquery("page")
    entry = (
        sa.select(intent.client_order_id.label("entry_order_id"), intent.stop_pct, intent.target_pct)
        .where(
            intent.portfolio == page.c.book,
            intent.strategy == page.c.sleeve,
            intent.symbol == page.c.symbol,
            intent.decision_session == page.c.decision_session,
            intent.leg == ENTRY,
        )
        .limit(1)
        .lateral()
    )
    decided = (
        (signals.c.strategy == page.c.sleeve)
        & (signals.c.symbol == page.c.symbol)
        & (signals.c.session == page.c.decision_session)
    )
    joined = page.outerjoin(entry, sa.true()).outerjoin(signals, decided)
    bands = (signals.c[name] for name in BAND_COLUMNS)
    return sa.select(*page.c, *entry.c, *bands).select_from(joined).order_by(*_newest(page.c, key))


@lru_cache(maxsize=100)
def _signals(shape: Shape, *, entries: bool) -> sa.Select[Any]:
    row = signals.c
    wanted = sa.select(row.strategy.label("sleeve"), *(each for each in row if each.name != "strategy"))
    wanted = wanted.where(row.entry != 0) if entries else wanted
    return _page(wanted, shape, ("session", "sleeve", "symbol"), row.session)


@lru_cache(maxsize=100)
def _decisions(shape: Shape) -> sa.Select[Any]:
    row, key = signals.c, ("session", "sleeve", "symbol")
    wanted = sa.select(
        row.strategy.label("sleeve"),
        *_named(row, "symbol", "session", "entry", "strength", "close", "filtered", "created_at"),
    ).where(row.entry != 0)
    page = _page(wanted, shape, key, row.session).subquery("page")
    answer, refusals, order = _answer(page.c), _refusals(page.c), _entry_order(page.c)
    joined = page.outerjoin(answer, sa.true()).outerjoin(refusals, sa.true()).outerjoin(order, sa.true())
    columns = (*page.c, *answer.c, *refusals.c, *order.c)
    return sa.select(*columns).select_from(joined).order_by(*_newest(page.c, key))


def _named(columns: sa.ColumnCollection[str, Any], *names: str) -> list[Column]:
    """Return columns by name, exact numbers as floats: people read these rows, nobody calculates an order from them."""
    return [_float(columns[name]) for name in names]


def _float(number: Column) -> Column:
    return sa.cast(number, sa.Double).label(number.key) if isinstance(number.type, sa.Numeric) else number


def _present(name: str) -> Column:
    """Return a term of an order: as it is after a split, else as it was decided."""
    return sa.cast(sa.func.coalesce(orders.c[name], order_intents.c[name]), sa.Double).label(name)


def _newest(columns: Any, key: Sequence[str]) -> list[Column]:  # noqa: ANN401  # a collection of a subquery's or a statement's
    return [columns[name].desc() for name in key]


def _page(statement: sa.Select[Any], shape: Shape, key: Sequence[str], session: Column) -> sa.Select[Any]:
    """Return the statement for one page, newest first by the key; `Span.values` are its parameters."""
    fields = {each.key: each.element if isinstance(each, sa.Label) else each for each in statement.selected_columns}
    for name in shape.equal:
        statement = statement.where(fields[name] == sa.bindparam(f"equal_{name}", type_=fields[name].type))
    if shape.first:
        statement = statement.where(session >= sa.bindparam("first", type_=session.type))
    if shape.last:
        statement = statement.where(session <= sa.bindparam("last", type_=session.type))
    columns = [fields[name] for name in key]
    after = [sa.bindparam(f"after_{place}", type_=column.type) for place, column in enumerate(columns)]
    return newest_first(statement, columns, after if shape.after else None).limit(sa.bindparam("most", type_=sa.Integer))


def _filled(client_order_id: Column) -> LateralFromClause:
    """Return quantity, mean price, commission and slippage of an order's fills; one row, NULL without fills."""
    fill = fills.c
    against = sa.case((fill.side == "buy", fill.price - fill.raw_price), else_=fill.raw_price - fill.price)
    figures = {
        "filled_quantity": sa.func.sum(fill.quantity),
        "average_price": sa.func.sum(fill.quantity * fill.price) / sa.func.nullif(sa.func.sum(fill.quantity), 0),
        "commission_usd": sa.func.sum(fill.commission_usd),
        "slippage_usd": sa.func.sum(against * fill.quantity),
    }
    return (
        sa.select(*(sa.cast(figure, sa.Double).label(name) for name, figure in figures.items()))
        .where(fill.client_order_id == client_order_id)
        .lateral()
    )


def _answer(candidate: Any) -> LateralFromClause:  # noqa: ANN401  # the columns of a subquery
    row = predictions.c
    names = ("model_name", "model_version", "probability", "predicted_return", "signal", "ab_arm")
    return (
        sa.select(*_named(row, *names))
        .where(row.strategy == candidate.sleeve, row.symbol == candidate.symbol, row.session == candidate.session)
        .order_by(row.created_at.desc(), row.model_version.desc())
        .limit(1)
        .lateral()
    )


def _refusals(candidate: Any) -> LateralFromClause:  # noqa: ANN401
    row = risk_events.c
    return (
        sa.select(sa.func.array_agg(sa.distinct(row.reason)).label("refusals"), sa.func.min(row.portfolio).label("refused_by"))
        .where(row.strategy == candidate.sleeve, row.symbol == candidate.symbol, row.session == candidate.session)
        .lateral()
    )


def _entry_order(candidate: Any) -> LateralFromClause:  # noqa: ANN401
    row = order_intents.c
    return (
        sa.select(row.client_order_id, row.portfolio.label("ordered_by"), orders.c.state.label("order_state"))
        .join_from(order_intents, orders)
        .where(
            row.strategy == candidate.sleeve,
            row.symbol == candidate.symbol,
            row.decision_session == candidate.session,
            row.leg == ENTRY,
        )
        .order_by(row.created_at.desc())
        .limit(1)
        .lateral()
    )
