"""Suspected splits at a real venue: a price in new terms must not sell a position that the book still has in the old ones."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING

from pipeline.accounts.corporate_actions import waiting_by_position

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping

    from pipeline.accounts.trading_account import TradingAccount

REMEDY = "`desk corporate-actions list` shows what is recorded, `... record` and `... resolve` settle it"


def suspected_splits(
    account: TradingAccount, day: dt.date, prices: Mapping[str, float], last_close: Callable[[str], float | None]
) -> dict[str, str]:
    """Return the symbols held whose price may not be compared with the book, with the reason.

    An action is recorded that the venue's quantity does not show yet; or the venue holds another quantity than the book, and
    the price fits the last close better once multiplied by the ratio of the two.

    Parameters
    ----------
    prices
        Last prices in USD; a symbol without one is judged by the recorded actions alone.
    """
    positions = account.ledger.positions(account.portfolio)
    if not positions:
        return {}
    symbols, waiting = sorted({position.symbol for position in positions}), waiting_by_position(account, positions, day)
    there = account.venue_quantities()
    suspects = {}
    for symbol in symbols:
        mine = [position for position in positions if position.symbol == symbol]
        action = next((each for position, each in waiting if position.symbol == symbol), None)
        if action is not None:
            suspects[symbol] = f"a {action.kind} of {action.value:g} on {action.session} is not in the book yet; {REMEDY}"
            continue
        held, at_venue = sum((part.quantity for part in mine), Decimal(0)), there.get(symbol, Decimal(0))
        price, close = prices.get(symbol), last_close(symbol)
        if not held or not at_venue or held == at_venue or not price or not close:
            continue
        ratio = float(at_venue / held)
        if ratio > 0 and abs(math.log(price * ratio / close)) < abs(math.log(price / close)):
            suspects[symbol] = (
                f"the venue holds {at_venue.normalize():f}, the book {held.normalize():f}, and {price:g} after {close:g} fits "
                f"a split of {ratio:.6g}; {REMEDY}"
            )
    return suspects
