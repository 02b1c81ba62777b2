"""The view of open positions: entry, value, distances to stop and target, time, and what leaves each."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from core.errors import DeskError
from core.models import Position
from core.sessions import calendar_name, sessions_between
from pipeline.execution.exit_rules import ExitRuleBook, ExitRules, TimeLimitOnly
from pipeline.resources import Resources, live
from pipeline.sleeves import symbols_of
from pipeline.views.money.held import HeldNow, Quoted, held_now
from pipeline.views.view import MOST_ROWS, After, Book, Filter, Row, Sleeve, Symbol, View, part
from storage.trading.position_rules import HandOver

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
    listed = listed_sleeves(resources=resources)
    people = resources.position_rules.hand_overs([each.entry_order_id for each in shown])
    leaving = {
        _place(each): Leaving("strategy", each.strategy)
        for each in shown
        if each.entry_order_id not in people and each.symbol in listed.get((each.portfolio, each.strategy), ())
    }
    for book in dict.fromkeys(each.portfolio for each in shown if _place(each) not in leaving):
        others = [each for each in shown if each.portfolio == book and _place(each) not in leaving]
        leaving |= leaving_of(book, others, people, resources=resources)
    return part([row_of(held, each, leaving[_place(each)]) for each in shown], POSITIONS.key, after, limit)


def listed_sleeves(*, resources: Resources | None = None) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return the symbols of every sleeve that trades, by book and sleeve: a position in one of them is left by its strategy."""
    root = resources or live()
    root = root.parent or root
    own = {(root.desk_portfolio, name): symbols for name, symbols in symbols_of(root.sleeves).items()}
    return own | {(each.name, sleeve.name): sleeve.symbols for each in root.deployments.all() for sleeve in each.sleeves}


def leaving_of(
    book: str, positions: Sequence[Position], given: Mapping[str, HandOver], *, resources: Resources | None = None
) -> dict[Place, Leaving]:
    """Return what leaves each position of a book that no sleeve leaves as it is listed.

    Parameters
    ----------
    given
        The newest hand-over of positions that have one, by their entry orders.
    """
    resources = resources or live()
    try:
        rules = ExitRuleBook.of(resources.for_portfolio(book)).rules_of(positions)
    except DeskError as error:  # real money without its switch, a rule of the settings that cannot be built
        return {_place(each): Leaving(None, None, str(error)) for each in positions}
    why = {(each.strategy, each.symbol): each.why for each in rules.orphans}
    return {_place(each): _leaving(each, rules, given.get(each.entry_order_id), why) for each in positions}


def _leaving(position: Position, rules: ExitRules, given: HandOver | None, why: Mapping[tuple[str, str], str]) -> Leaving:
    key = (position.strategy, position.symbol)
    if given is not None and given.person:
        return Leaving("person", given.person)
    if key not in rules.rules:
        return Leaving("strategy", position.strategy)
    rule = rules.rules[key]
    alone = isinstance(rule, TimeLimitOnly)
    return Leaving("time_limit" if alone else "rule", None if rule is None else rule.name, why.get(key))


@lru_cache(maxsize=4_096)
def _sessions(calendar: str, first: dt.date, last: dt.date) -> int:
    """Return the number of sessions of an exchange, both ends counted, as `trading.portfolio.sessions_held` does."""
    return len(sessions_between(first, last, calendar))


def _place(position: Position) -> Place:
    return position.portfolio, position.strategy, position.symbol


def row_of(held: HeldNow, position: Position, leaving: Leaving) -> PositionRow:
    """Return a position at its last price as a row."""
    quoted = held.prices.get(position.symbol)
    quantity, paid = float(position.quantity), float(position.entry_price)
    until = position.entry_session if quoted is None else max(quoted.session, position.entry_session)
    since = _sessions(calendar_name(position.symbol), position.entry_session, until)
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
