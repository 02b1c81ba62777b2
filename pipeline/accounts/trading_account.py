"""A portfolio's trading account: its ledger, the broker that holds its money, and the bars that price it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trading.brokers.shared_account import SharedAccount

if TYPE_CHECKING:
    from decimal import Decimal

    from storage.market.bars import BarStore
    from storage.trading.ledger import Ledger
    from trading.brokers.base import Broker
    from trading.brokers.placing import Patience


@dataclass(frozen=True)
class TradingAccount:
    """The parts that every question about a portfolio's money needs.

    Attributes
    ----------
    portfolio
        Name under which the ledger stores the orders, fills and positions.
    patience
        How long a broker that does not answer is asked again.
    initial_cash_usd
        Cash at the start: the paper broker's, or `VENUE__INITIAL_CASH_USD`; None when an outside account states none.
    """

    portfolio: str
    ledger: Ledger
    broker: Broker
    bars: BarStore
    patience: Patience
    initial_cash_usd: float | None

    def venue_quantities(self) -> dict[str, Decimal]:
        """Return what the venue holds for this book by symbol; a broker that does not answer is asked again."""
        return {position.symbol: position.quantity for position in self.patience.retrying()(self.broker.positions)}

    @property
    def venue(self) -> Broker:
        """The venue account itself, where this book has a part of one."""
        return self.broker.venue if isinstance(self.broker, SharedAccount) else self.broker

    @property
    def books(self) -> list[str]:
        """The books in the venue account, this one first."""
        return [self.portfolio, *(self.broker.others() if isinstance(self.broker, SharedAccount) else ())]
