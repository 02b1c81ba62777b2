"""Values of what books held at closes, by sleeve and symbol, worked back from the open positions."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from pipeline.accounts.past_positions import held_at, rebuilt_quantities, symbols_with_new_terms

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Mapping, Sequence

    from core.book_events import BookEvent
    from core.models import Position
    from pipeline.accounts.past_positions import Held
    from storage.market.bars import BarStore
    from storage.trading.ledger import Ledger
    from storage.views.bar_history import BarHistory
    from storage.views.book_figures import FillFigures

    End = tuple[str, dt.date]  # a book and the session of a close


@dataclass(frozen=True)
class Holdings:
    """Positions of books now, and the fills that lead back to earlier closes.

    Attributes
    ----------
    fills
        Fills of the sessions after the earliest close that is worked back to.
    later
        What still later fills bought less what they sold, by book, sleeve and symbol; empty when `fills` reach to the present.
    at
        Quantities at closes before those fills, in the terms of their fills.
    """

    positions: Sequence[Position]
    events: Sequence[BookEvent]
    fills: Sequence[FillFigures]
    later: Mapping[tuple[str, str, str], Decimal]
    at: Mapping[End, Held]

    def quantities(self, end: End, rebuilt: Held, changed: Collection[str]) -> Held:
        """Return what a book held at a close; `rebuilt` in the symbols that changed since."""
        book, day = end
        if end in self.at:
            return {key: quantity for key, quantity in self.at[end].items() if key[1] not in changed} | rebuilt
        net: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for (of_book, sleeve, symbol), quantity in self.later.items():
            if of_book == book:
                net[sleeve, symbol] += quantity
        for fill in self.fills:
            if fill.book == book and fill.session > day:
                net[fill.sleeve, fill.symbol] += fill.quantity
        return held_at((each for each in self.positions if each.portfolio == book), net, rebuilt, changed)

    def entered(self) -> dict[str, dt.date]:
        """Return the symbols held, with the session of their oldest entry."""
        oldest: dict[str, dt.date] = {}
        for each in self.positions:
            oldest[each.symbol] = min(oldest.get(each.symbol, each.entry_session), each.entry_session)
        return oldest

    def symbols(self) -> set[str]:
        """Return every symbol that is held, or was at one of the closes."""
        named = {each.symbol for each in self.positions} | {each.symbol for each in self.fills}
        return named | {symbol for _, _, symbol in self.later} | {symbol for held in self.at.values() for _, symbol in held}


@dataclass(frozen=True)
class ClosingValues:
    """Signed values at closes, in US dollars; symbols without a price then are named and not counted."""

    by_end: Mapping[End, Mapping[tuple[str, str], float]]
    unpriced: Mapping[End, tuple[str, ...]]


@dataclass(frozen=True)
class Valuer:
    """Values what books held at closes: quantity times the newest close at or before each, in one set of terms."""

    ledger: Ledger
    bars: BarStore
    history: BarHistory

    def value(self, ends: Collection[End], holdings: Holdings) -> ClosingValues:
        """Return the values at closes."""
        rescaled, entered = self.history.last_rescaled(holdings.symbols()), holdings.entered()
        held = {}
        for book, day in ends:
            changed = symbols_with_new_terms(entered, rescaled, holdings.events, day)
            rebuilt = rebuilt_quantities(self.ledger, self.bars, book, day, changed) if changed else {}
            held[book, day] = holdings.quantities((book, day), rebuilt, changed)
        closes = self.history.closes({(symbol, day) for (_, day), of_end in held.items() for _, symbol in of_end})
        values = {
            end: {key: quantity * closes[key[1], end[1]][1] for key, quantity in of_end.items() if (key[1], end[1]) in closes}
            for end, of_end in held.items()
        }
        unpriced = {
            end: tuple(sorted({symbol for _, symbol in of_end if (symbol, end[1]) not in closes}))
            for end, of_end in held.items()
        }
        return ClosingValues(values, unpriced)
