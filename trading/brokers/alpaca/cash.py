"""Alpaca's account activities that are no trades: deposits, withdrawals, dividends, fees and interest, as cash movements.

Source: Alpaca's "Account Activities" page, non-trade activities (`net_amount` in USD, `date` in New York, no time of day).
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from core.book_events import BookEventKind, CashMovement
from core.sessions import normalise_symbol
from trading.brokers.listing import Listing, Unreadable, read_each

if TYPE_CHECKING:
    from collections.abc import Iterable

    Json = dict[str, Any]

TRANSFERS = frozenset({"CSD", "CSW", "JNLC", "ACATC", "TRANS"})
DIVIDENDS = ("DIV", "DIVCGL", "DIVCGS", "DIVFT", "DIVNRA", "DIVROC", "DIVTW", "DIVTXEX")
TYPES = (*sorted(TRANSFERS), *DIVIDENDS, "CFEE", "FEE", "INT", "PTC")


def movements_of(rows: Iterable[Json]) -> Listing[CashMovement]:
    """Return the cash movements of account activities, oldest first; a row without an amount moves none.

    >>> row = {"id": "20261201000000000::a", "activity_type": "CSW", "date": "2026-12-01", "net_amount": "-3000"}
    >>> [(str(each.kind), each.usd, str(each.session)) for each in movements_of([row])]
    [('withdrawal', Decimal('-3000'), '2026-12-01')]
    """
    found = read_each(rows, _movement, lambda row, problem: Unreadable("", "", str(row), problem))
    return Listing(
        sorted((each for each in found if each.usd), key=lambda each: (each.session, each.movement_id)), found.unreadable
    )


def _movement(row: Json) -> CashMovement:
    kind, usd, symbol = str(row["activity_type"]), Decimal(str(row["net_amount"])), str(row.get("symbol") or "")
    if not usd.is_finite():
        raise ValueError(f"Expected an amount in USD, found {usd}.")
    return CashMovement(
        movement_id=f"alpaca-{row['id']}",
        kind=_kind(kind, usd),
        session=dt.date.fromisoformat(str(row["date"])[:10]),
        usd=usd,
        symbol=normalise_symbol(symbol) if symbol else "",
        words=f"Alpaca {kind} {row.get('description') or ''}".strip(),
    )


def _kind(activity: str, usd: Decimal) -> BookEventKind:
    if activity in TRANSFERS:
        return BookEventKind.DEPOSIT if usd > 0 else BookEventKind.WITHDRAWAL
    return BookEventKind.DIVIDEND if activity in DIVIDENDS else BookEventKind.ADJUSTMENT
