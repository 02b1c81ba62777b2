"""The view of open positions: entry, value, distances to stop and target, time, and what leaves each."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from core.errors import DeskError
from core.models import Position
from pipeline.execution.exit_rules import ExitRuleBook, TimeLimitOnly
from pipeline.resources import Resources, live
from pipeline.views.money.held import HeldNow, Quoted, held_now
from pipeline.views.view import MOST_ROWS, After, Book, Filter, Row, Sleeve, Symbol, View, part
from trading.portfolio import sessions_held

PERCENT = 100.0
LeftBy = Literal["strategy", "rule", "person", "time_limit"]
Place = tuple[str, str, str]  # book, sleeve, symbol


class PositionFilter(Filter):
    """Positions of a book, a sleeve or a symbol."""

    book: Book = None
    sleeve: Sleeve = None
    symbol: Symbol = None


class PositionRow(Row):
    """An open position at its last price, in the terms of the newest bars."""

    book: str
    sleeve: str
    symbol: str
    side: Literal["long", "short"]
    quantity: Annotated[float, Field(description="Shares, negative for a short.")]
    entry_session: Annotated[dt.date, Field(description="Session of its entry.")]
    entry_price: Annotated[float, Field(description="Average price of its fills, slippage included, in USD.")]
    entry_order_id: Annotated[str, Field(description="Client order id of its entry.")]
    last_price: Annotated[float | None, Field(description="Newest close, in USD; null: none is stored.")]
    price_session: Annotated[dt.date | None, Field(description="Session of that close.")]
    value_usd: Annotated[float | None, Field(description="Quantity times last price, negative for a short, in USD.")]
    unrealised_usd: Annotated[float | None, Field(description="Profit at the last price, commission left aside, in USD.")]
    unrealised_pct: Annotated[float | None, Field(description="The same in % of what the entry cost.")]
    stop_price: Annotated[float | None, Field(description="In USD; null: none.")]
    stop_distance_pct: Annotated[
        float | None,
        Field(description="Move from the last price to the stop, in % of the last price; negative: it is past it."),
    ]
    target_price: Annotated[float | None, Field(description="In USD; null: none.")]
    target_distance_pct: Annotated[
        float | None, Field(description="Move from the last price to the target, in % of the last price; negative: past it.")
    ]
    sessions_held: Annotated[int, Field(description="Sessions from the entry to the last price, both counted.")]
    sessions_left: Annotated[int | None, Field(description="Closes until the time limit decides to leave; null: no limit.")]
    left_by: Annotated[
        LeftBy | None,
        Field(
            description="strategy: the one that trades under the sleeve's name; rule: another, of the entry or handed over to; "
            "person: a person; time_limit: no rule can be built, so stop, target and time limit alone; null: see reason."
        ),
    ]
    left_by_name: Annotated[str | None, Field(description="Name of that strategy, rule or person.")]
    reason: Annotated[str | None, Field(description="Why a figure is null or no rule can be built; null: nothing is amiss.")]


class Leaving(NamedTuple):
    """The rule or person that leaves a position, and why there is no other."""

    kind: LeftBy | None
    name: str | None
    reason: str | None = None


def read_positions(
    wanted: PositionFilter, after: After = None, limit: int = MOST_ROWS, *, resources: Resources | None = None
) -> Sequence[PositionRow]:
    """Return the open positions of every book, or of one."""
    resources = resources or live()
    held = held_now(wanted.book, resources=resources)
    shown = [each for each in held.positions if wanted.sleeve in {None, each.strategy} and wanted.symbol in {None, each.symbol}]
    leaving: dict[Place, Leaving] = {}
    for book in dict.fromkeys(each.portfolio for each in shown):
        leaving |= leaving_of(book, [each for each in shown if each.portfolio == book], resources=resources)
    return part([row_of(held, each, leaving[_place(each)]) for each in shown], POSITIONS.key, after, limit)


def leaving_of(book: str, positions: Sequence[Position], *, resources: Resources | None = None) -> dict[Place, Leaving]:
    """Return what leaves each position of a book."""
    resources = resources or live()
    try:
        rules = ExitRuleBook.of(resources.for_portfolio(book)).rules_of(positions)
    except DeskError as error:  # real money without its switch, a rule of the settings that cannot be built
        return {_place(each): Leaving(None, None, str(error)) for each in positions}
    people = {
        order_id: given.person
        for order_id, given in resources.position_rules.hand_overs(_orders(positions)).items()
        if given.person
    }
    why = {(each.strategy, each.symbol): each.why for each in rules.orphans}
    found: dict[Place, Leaving] = {}
    for each in positions:
        key = (each.strategy, each.symbol)
        if each.entry_order_id in people:
            found[_place(each)] = Leaving("person", people[each.entry_order_id])
        elif key not in rules.rules:
            found[_place(each)] = Leaving("strategy", each.strategy)
        else:
            rule = rules.rules[key]
            alone = isinstance(rule, TimeLimitOnly)
            found[_place(each)] = Leaving("time_limit" if alone else "rule", None if rule is None else rule.name, why.get(key))
    return found


def _orders(positions: Iterable[Position]) -> list[str]:
    return [each.entry_order_id for each in positions]


def _place(position: Position) -> Place:
    return position.portfolio, position.strategy, position.symbol


def row_of(held: HeldNow, position: Position, leaving: Leaving) -> PositionRow:
    """Return a position at its last price as a row."""
    quoted = held.prices.get(position.symbol)
    quantity, paid = float(position.quantity), float(position.entry_price)
    until = position.entry_session if quoted is None else max(quoted.session, position.entry_session)
    since = sessions_held(position.symbol, position.entry_session, until)
    profit = None if quoted is None else quantity * (quoted.price - paid)
    return PositionRow(
        book=position.portfolio,
        sleeve=position.strategy,
        symbol=position.symbol,
        side="long" if quantity > 0 else "short",
        quantity=quantity,
        entry_session=position.entry_session,
        entry_price=paid,
        entry_order_id=position.entry_order_id,
        last_price=quoted and quoted.price,
        price_session=quoted and quoted.session,
        value_usd=held.value_usd(position),
        unrealised_usd=profit,
        unrealised_pct=None if profit is None else PERCENT * profit / abs(quantity * paid),
        sessions_held=since,
        sessions_left=None if position.max_sessions is None else max(0, position.max_sessions - since),
        left_by=leaving.kind,
        left_by_name=leaving.name,
        reason=leaving.reason or (None if quoted else f"No bar of {position.symbol} is stored."),
        **_levels(position, quoted),
    )


def _levels(position: Position, quoted: Quoted | None) -> Mapping[str, float | None]:
    """Return stop and target, and the moves to them in percent of the last price."""
    side = 1 if position.quantity > 0 else -1
    levels: dict[str, float | None] = {}
    for name, price, direction in (("stop", position.stop_price, -side), ("target", position.target_price, side)):
        level = None if price is None else float(price)
        levels[f"{name}_price"] = level
        known = level is not None and quoted is not None
        levels[f"{name}_distance_pct"] = PERCENT * direction * (level / quoted.price - 1) if known else None  # type: ignore[operator,union-attr]  # both are there
    return levels


POSITIONS = View(
    name="positions",
    summary="Open positions at their last prices, with stop, target, time and what leaves each.",
    filter=PositionFilter,
    row=PositionRow,
    read=read_positions,
    key=("book", "sleeve", "symbol"),
    shown=(
        "book",
        "sleeve",
        "symbol",
        "quantity",
        "entry_session",
        "entry_price",
        "last_price",
        "price_session",
        "value_usd",
        "unrealised_usd",
        "unrealised_pct",
        "stop_distance_pct",
        "target_distance_pct",
        "sessions_held",
        "sessions_left",
        "left_by",
        "left_by_name",
    ),
)
