"""The view of exposure: what is held and ordered, by position, sleeve, symbol or book, at the last prices."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from core.models import OrderIntent, Position
from pipeline.resources import Resources, live
from pipeline.views.money.held import HeldNow, held_now
from pipeline.views.view import MOST_ROWS, After, Book, Filter, Row, View, part

PERCENT = 100.0
By = Literal["position", "sleeve", "symbol", "book"]
Held = Literal["long", "short", "mixed", "none"]
Name = tuple[str, str | None, str | None]  # book, sleeve, symbol
NO_EQUITY = "No value of the book is on record, and nobody stated what it started with."


class ExposureFilter(Filter):
    """Books, and the rows of each."""

    book: Book = None
    by: Annotated[By, Field(description="A row for each sleeve in each symbol (position), each sleeve, symbol or book.")] = (
        "position"
    )


class ExposureRow(Row):
    """Positions and waiting entry orders at the last prices."""

    book: str
    sleeve: Annotated[str | None, Field(description="null: all of them.")]
    symbol: Annotated[str | None, Field(description="null: all of them.")]
    held: Annotated[Held, Field(description="Direction of what is held; mixed: both; none: it waits in orders alone.")]
    quantity: Annotated[float | None, Field(description="Shares held, negative for a short; null over several symbols.")]
    last_price: Annotated[float | None, Field(description="Newest close, in USD; null over several symbols or without one.")]
    price_session: Annotated[dt.date | None, Field(description="Session of that close.")]
    value_usd: Annotated[float, Field(description="Longs less shorts (net), in USD.")]
    gross_usd: Annotated[float, Field(description="Longs plus shorts, in USD.")]
    share_pct: Annotated[float | None, Field(description="value_usd in % of the book's equity.")]
    gross_pct: Annotated[float | None, Field(description="gross_usd in % of the book's equity.")]
    waiting_orders: Annotated[int, Field(description="Entry orders that are not filled yet.")]
    waiting_usd: Annotated[float, Field(description="Their notional at the last prices, buys plus sells, in USD.")]
    waiting_pct: Annotated[float | None, Field(description="waiting_usd in % of the book's equity.")]
    equity_usd: Annotated[float | None, Field(description="Value of the book at its newest close on record, in USD.")]
    equity_session: Annotated[dt.date | None, Field(description="Session of that close; null: what the book started with.")]
    reason: Annotated[str | None, Field(description="Why figures are null, or what is not counted; null: nothing is amiss.")]


@dataclass
class Group:
    """Positions and waiting orders of one row."""

    positions: list[Position] = field(default_factory=list)
    waiting: list[OrderIntent] = field(default_factory=list)


def read_exposure(
    wanted: ExposureFilter, after: After = None, limit: int = MOST_ROWS, *, resources: Resources | None = None
) -> Sequence[ExposureRow]:
    """Return the exposure of every book, or of one."""
    return part(rows_of(held_now(wanted.book, resources=resources or live()), wanted.by), EXPOSURE.key, after, limit)


def rows_of(held: HeldNow, by: By) -> list[ExposureRow]:
    """Return the rows by position, sleeve, symbol or book; by book one that holds nothing has a row as well."""
    groups: dict[Name, Group] = {(book, None, None): Group() for book in held.books if by == "book"}
    for each in held.positions:
        groups.setdefault(_key(each, by), Group()).positions.append(each)
    for order in held.waiting:
        groups.setdefault(_key(order, by), Group()).waiting.append(order)
    order_of = {book: place for place, book in enumerate(held.books)}
    names = sorted(groups, key=lambda name: (order_of[name[0]], name[1] or "", name[2] or ""))
    return [_row(held, name, groups[name]) for name in names]


def _key(each: Position | OrderIntent, by: By) -> Name:
    sleeve = each.strategy if by in {"position", "sleeve"} else None
    return each.portfolio, sleeve, each.symbol if by in {"position", "symbol"} else None


def _row(held: HeldNow, name: Name, group: Group) -> ExposureRow:
    book, sleeve, symbol = name
    values = [value for each in group.positions if (value := held.value_usd(each)) is not None]
    ordered = [abs(value) for each in group.waiting if (value := held.ordered_usd(each)) is not None]
    equity, close = held.equity_usd(book), held.closes.get(book)
    quoted = held.prices.get(symbol) if symbol else None

    def share(usd: float) -> float | None:
        return PERCENT * usd / equity if equity and equity > 0 else None

    return ExposureRow(
        book=book,
        sleeve=sleeve,
        symbol=symbol,
        held=_direction(group.positions),
        quantity=float(sum(each.quantity for each in group.positions)) if symbol else None,
        last_price=quoted and quoted.price,
        price_session=quoted and quoted.session,
        value_usd=sum(values),
        gross_usd=sum(map(abs, values)),
        share_pct=share(sum(values)),
        gross_pct=share(sum(map(abs, values))),
        waiting_orders=len(group.waiting),
        waiting_usd=sum(ordered),
        waiting_pct=share(sum(ordered)),
        equity_usd=equity,
        equity_session=close and close.session,
        reason=_reason(held, group, equity),
    )


def _direction(positions: Iterable[Position]) -> Held:
    signs = {each.quantity > 0 for each in positions}
    if len(signs) != 1:
        return "mixed" if signs else "none"
    return "long" if signs.pop() else "short"


def _reason(held: HeldNow, group: Group, equity: float | None) -> str | None:
    symbols = {each.symbol for each in group.positions} | {order.symbol for order in group.waiting}
    unpriced = sorted(symbols - held.prices.keys())
    if unpriced:
        return f"Without a price, and not counted: {', '.join(unpriced)}."
    return NO_EQUITY if equity is None else None


EXPOSURE = View(
    name="exposure",
    summary="What is held and what waits in entry orders at the last prices, by position, sleeve, symbol or book.",
    filter=ExposureFilter,
    row=ExposureRow,
    read=read_exposure,
    key=("book", "sleeve", "symbol"),
    shown=(
        "book",
        "sleeve",
        "symbol",
        "held",
        "quantity",
        "last_price",
        "price_session",
        "value_usd",
        "share_pct",
        "gross_usd",
        "gross_pct",
        "waiting_orders",
        "waiting_usd",
    ),
)
