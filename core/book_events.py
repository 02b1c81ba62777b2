"""Changes of a portfolio's book that no fill explains: splits, renames, dividends, deposits. Value objects, no I/O.

A book event takes effect before the first fill of its session: a fill of an earlier session is in the terms before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

ONE = Decimal(1)
LARGEST_DENOMINATOR = 20
SAME_RATIO_WITHIN = Fraction(5, 100_000)  # vendors give 0.33333 for a split of one for three


class BookEventKind(StrEnum):
    """Kind of a book event. `SPIN_OFF` divides prices alone; cash kinds name no symbol, or the one that paid."""

    SPLIT = "split"
    SPIN_OFF = "spin_off"
    RENAME = "rename"
    DIVIDEND = "dividend"
    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    ADJUSTMENT = "adjustment"


TRANSFERS = frozenset({BookEventKind.DEPOSIT, BookEventKind.WITHDRAWAL})
CASH_KINDS = TRANSFERS | {BookEventKind.DIVIDEND, BookEventKind.ADJUSTMENT}


@dataclass(frozen=True)
class BookEvent:
    """One change of a book.

    Parameters
    ----------
    event_id
        Deterministic, so that an event is applied once.
    session
        First session in the new terms.
    strategy, symbol
        The position concerned; empty for cash.
    ratio
        New shares for an old one: quantities are multiplied by it.
    price_ratio
        Prices are divided by it: `ratio` for a split, another number for a spin-off.
    fraction
        Quantity in the new terms, signed as the position, that was settled in cash because the venue keeps no such fraction.
    cash_usd
        Cash that the event brings, negative when it takes; that in lieu of `fraction` among it.
    new_symbol
        Name after a rename.
    author, reason
        Who recorded it, and why.
    created_at
        When (UTC); None until it is recorded.
    """

    event_id: str
    portfolio: str
    kind: BookEventKind
    session: dt.date
    strategy: str = ""
    symbol: str = ""
    ratio: Decimal = ONE
    price_ratio: Decimal = ONE
    fraction: Decimal = Decimal(0)
    cash_usd: Decimal = Decimal(0)
    new_symbol: str | None = None
    author: str = "desk"
    reason: str = ""
    created_at: dt.datetime | None = None

    def concerns(self, strategy: str, symbol: str) -> bool:
        """Return True when the event changes that strategy's position in the symbol."""
        return (self.strategy, self.symbol) == (strategy, symbol)


@dataclass(frozen=True)
class CashMovement:
    """Cash that a venue moved without an order, under the venue's own id; `usd` is negative when it left the account."""

    movement_id: str
    kind: BookEventKind
    session: dt.date
    usd: Decimal
    symbol: str = ""
    words: str = ""


def exact_ratio(ratio: Decimal | float) -> Fraction:
    """Return a ratio of a split as the whole numbers it stands for.

    >>> exact_ratio(Decimal("0.33333")), exact_ratio(1.5), exact_ratio(Decimal("1.04663"))
    (Fraction(1, 3), Fraction(3, 2), Fraction(104663, 100000))
    """
    stated = Fraction(str(ratio))
    simple = stated.limit_denominator(LARGEST_DENOMINATOR)
    return simple if abs(simple - stated) <= SAME_RATIO_WITHIN * stated else stated


def scaled(value: Decimal, ratio: Fraction) -> Decimal:
    """Return a quantity times a ratio, or a price divided by it when given the inverse; exact where a decimal can be.

    >>> scaled(Decimal(300), Fraction(1, 3)), scaled(Decimal(90), 1 / Fraction(3, 2))
    (Decimal('100'), Decimal('60'))
    """
    return value if ratio == 1 else value * ratio.numerator / ratio.denominator


def terms_since(events: Iterable[BookEvent], strategy: str, symbol: str, session: dt.date) -> tuple[Fraction, Fraction]:
    """Return the quantity and price ratios from the terms of a session's fills to today's.

    >>> import datetime as dt
    >>> split = BookEvent("1", "main", BookEventKind.SPLIT, dt.date(2020, 8, 31), "rsi", "AAPL", Decimal(4), Decimal(4))
    >>> terms_since([split], "rsi", "AAPL", dt.date(2020, 8, 28))
    (Fraction(4, 1), Fraction(4, 1))
    >>> terms_since([split], "rsi", "AAPL", dt.date(2020, 8, 31))
    (Fraction(1, 1), Fraction(1, 1))
    """
    quantity, price, name = Fraction(1), Fraction(1), symbol
    for event in sorted(events, key=lambda each: each.session):
        if event.session > session and event.concerns(strategy, name):
            quantity, price = quantity * exact_ratio(event.ratio), price * exact_ratio(event.price_ratio)
            name = event.new_symbol or name
    return quantity, price
