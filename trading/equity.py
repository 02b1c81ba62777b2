"""The bounds of an equity that may be believed. Pure; it alerts nobody and sells nothing.

An account that is traded has a positive, finite value, and between two looks its value moves by what is held and traded, never
by more. What is outside is a fault of a price, of the venue's report or of the book: a reason to look, and none to sell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core.models import MOST_USD

if TYPE_CHECKING:
    from collections.abc import Callable

MOVE_SHARE: Final = 0.3  # of everything held: the most that prices move a portfolio between two looks
SLACK_SHARE: Final = 0.01  # of the equity: fees, interest and rounding


@dataclass(frozen=True)
class EquityReferences:
    """Reference values that an equity is compared with.

    Attributes
    ----------
    earlier_usd
        Values believed before: of the last look, of the last close. Empty before the first one.
    books_usd
        Initial cash, the cash flow of the fills and the positions at our prices; None when the initial cash is not known.
    gross_usd
        The larger gross notional, then and now.
    traded_usd
        Notional of the fills since the earlier values; asked for when they do not explain the equity.
    """

    earlier_usd: tuple[float, ...]
    books_usd: float | None
    gross_usd: float
    traded_usd: Callable[[], float]


def is_amount(value: float) -> bool:
    """Return True for a price, or the equity of an account that is traded: positive, and a number that somebody could own.

    >>> [is_amount(value) for value in (0.01, 0.0, -5.0, float("nan"), float("inf"), 1.8e308)]
    [True, False, False, False, False, False]
    """
    return 0 < value < MOST_USD


def equity_doubt(equity_usd: float, references: EquityReferences) -> str | None:
    """Return why an equity is not believed, or None.

    It is believed when it is as near to the books, or to a value believed before, as the prices of what was held or traded may
    have moved it.

    >>> yesterday = EquityReferences((100_000.0,), None, 20_000.0, lambda: 0.0)
    >>> equity_doubt(95_000.0, yesterday), equity_doubt(float("nan"), yesterday)
    (None, 'expected a positive amount, found $nan')
    >>> equity_doubt(50_000.0, yesterday)
    'expected $100,000.00, give or take $7,000.00 by positions of $20,000.00, found $50,000.00'
    """
    if not is_amount(equity_usd):
        return f"expected a positive amount, found ${equity_usd:,.2f}"
    earlier = [value for value in references.earlier_usd if is_amount(value)]
    near = [*earlier, *([] if references.books_usd is None else [references.books_usd])]
    gross = references.gross_usd if math.isfinite(references.gross_usd) else 0.0
    if not near or _is_near(equity_usd, near, gross):
        return None
    gross = max(gross, references.traded_usd())
    if _is_near(equity_usd, earlier, gross):
        return None
    nearest = min(near, key=lambda each: abs(equity_usd - each))
    room = f"${_room(nearest, gross):,.2f} by positions of ${gross:,.2f}"
    return f"expected ${nearest:,.2f}, give or take {room}, found ${equity_usd:,.2f}"


def _is_near(equity_usd: float, references: list[float], gross_usd: float) -> bool:
    return any(abs(equity_usd - each) <= _room(each, gross_usd) for each in references)


def _room(reference_usd: float, gross_usd: float) -> float:
    return MOVE_SHARE * gross_usd + SLACK_SHARE * abs(reference_usd)
