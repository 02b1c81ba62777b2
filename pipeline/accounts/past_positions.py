"""Positions in the terms of the stored bars, now and at earlier closes, so that quantity times stored close is the value.

`held_at` works backwards from the open positions, which reads the fills since alone. A symbol whose terms changed meanwhile is
rebuilt from its own fills, and its quantity brought to the terms that the provider has given the bars by now.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING

from core.book_events import BookEventKind
from pipeline.accounts.book import book_before
from pipeline.accounts.recorded_actions import FAR, Action, ratio_since, recorded_actions
from trading.corporate_actions import event_id, scaled_position, split_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from core.book_events import BookEvent
    from core.models import Position
    from pipeline.accounts.recorded_actions import Actions
    from storage.market.bars import BarStore
    from storage.trading.ledger import Ledger

    Held = dict[tuple[str, str], float]  # signed quantity by sleeve and symbol

ONE_DAY = dt.timedelta(days=1)


def held_at(
    positions: Iterable[Position], later: Mapping[tuple[str, str], Decimal], rebuilt: Held, names: Collection[str]
) -> Held:
    """Return the signed quantities at a close by sleeve and symbol.

    Parameters
    ----------
    positions
        Open positions of now.
    later
        What the fills after the close bought less what they sold.
    rebuilt, names
        Quantities in the symbols whose terms changed since, and those symbols.

    Examples
    --------
    >>> held_at([], {("rsi", "AAA"): Decimal(-10), ("rsi", "BBB"): Decimal(-4)}, {("rsi", "BBB"): 2.0}, {"BBB"})
    {('rsi', 'AAA'): 10.0, ('rsi', 'BBB'): 2.0}
    """
    quantities: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for position in positions:
        quantities[position.strategy, position.symbol] += position.quantity
    for key, net in later.items():
        quantities[key] -= net
    return {key: float(value) for key, value in quantities.items() if value and key[1] not in names} | rebuilt


def symbols_with_new_terms(
    held: Mapping[str, dt.date], rescaled: Mapping[str, dt.date], events: Iterable[BookEvent], day: dt.date
) -> frozenset[str]:
    """Return the symbols whose shares were split, renamed or re-scaled since a close, or since their entry.

    Parameters
    ----------
    held
        Symbols with the entry session of what is held of them; those without one with the close.
    rescaled
        Session of each symbol's newest split or spin-off on record.
    events
        Book events; a rename brings both names.
    """
    changed = [each for each in events if each.session > day and each.symbol and changes_terms(each)]
    names = {each.symbol for each in changed} | {each.new_symbol for each in changed if each.new_symbol}
    return frozenset(names | {symbol for symbol, session in rescaled.items() if session > min(held.get(symbol, day), day)})


def changes_terms(event: BookEvent) -> bool:
    """Return True for an event after which a position's quantity, price or name is another."""
    return event.new_symbol is not None or not event.ratio == event.price_ratio == 1 or bool(event.fraction)


def rebuilt_quantities(ledger: Ledger, bars: BarStore, book: str, day: dt.date, symbols: Collection[str]) -> Held:
    """Return the quantities of a book in some symbols at a close, from their fills, in the terms of the newest bars."""
    held = book_before(ledger, book, day + ONE_DAY, symbols).positions(book)
    if not held:
        return {}
    actions, events = recorded_actions(bars, sorted({each.symbol for each in held}), FAR), ledger.book_events(book)
    return {
        (each.strategy, each.symbol): float(each.quantity) * ratio_to_bars(bars, each, actions, events, day) for each in held
    }


def in_terms_of_bars(
    positions: Sequence[Position], rescaled: Mapping[str, dt.date], events: Sequence[BookEvent], bars: BarStore
) -> list[Position]:
    """Return open positions in the terms of the newest bars, also those whose book has not followed a split yet.

    Parameters
    ----------
    rescaled
        Session of each symbol's newest split or spin-off on record; few positions were entered before one.
    events
        Book events of the books that hold them.
    """
    waiting = {each.symbol for each in positions if rescaled.get(each.symbol, each.entry_session) > each.entry_session}
    actions = recorded_actions(bars, sorted(waiting), FAR) if waiting else {}
    return [_in_terms_of(bars, each, actions, events) if each.symbol in waiting else each for each in positions]


def _in_terms_of(bars: BarStore, position: Position, actions: Actions, events: Sequence[BookEvent]) -> Position:
    mine = [event for event in events if event.portfolio == position.portfolio]
    ratio = ratio_to_bars(bars, position, actions, mine, FAR)
    if ratio == 1:
        return position
    day = position.entry_session
    return scaled_position(position, split_of(position, BookEventKind.SPLIT, ratio, effective=day, session=day)) or position


def ratio_to_bars(bars: BarStore, position: Position, actions: Actions, events: Iterable[BookEvent], day: dt.date) -> float:
    """Return the ratio from a position's terms at a close to those of the newest bars, 1 while nothing has re-scaled them.

    Parameters
    ----------
    position
        As it stood at the close.
    actions
        Recorded splits and spin-offs.
    events
        Events of its book: those up to the close are in the position already.
    """
    events = list(events)
    applied = {event.event_id for event in events if event.session <= day}
    ids = {event_id(position, each.kind, each.session): each for each in actions.get(position.symbol, ())}
    waiting = [each for name, each in ids.items() if each.session > position.entry_session and name not in applied]
    waiting += [
        Action(event.session, event.kind, float(event.price_ratio))
        for event in events  # those that a person settled, which no provider recorded
        if event.session > day and event.event_id not in ids and event.price_ratio != 1
        and event.concerns(position.strategy, position.symbol)
    ]  # fmt: skip
    price, first = float(position.entry_price), position.entry_session
    return ratio_since(bars, {position.symbol: sorted(waiting)}, position.symbol, first, price, after=dt.date.min)
