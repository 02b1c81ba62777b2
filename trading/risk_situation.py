"""The state of a portfolio at a decision, as the risk rules need it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from core.models import Leg, Side

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd

    from core.models import OrderIntent


@dataclass(frozen=True)
class Line:
    """A position, or an entry ordered and not filled: its notional at the last price, negative for a short."""

    strategy: str
    symbol: str
    usd: float


@dataclass(frozen=True)
class Situation:
    """State of the portfolio at the decision, as the rules need it; figures of rules that are off may be absent.

    Parameters
    ----------
    base_usd
        Initial cash, which the bounds of scaling refer to.
    prices
        Last price of each symbol to be entered.
    entries
        Entries on record for the session to come, by strategy; they are among the `lines` too, unless filled.
    sessions_since_loss
        Sessions since the newest losing trade of (strategy, symbol) ended, 0 in its own session; absent when there was none.
    returns
        Daily returns, one column a symbol.
    volume
        Average shares a session.
    """

    equity_usd: float
    base_usd: float
    prices: Mapping[str, float]
    lines: tuple[Line, ...] = ()
    entries: Mapping[str, int] = field(default_factory=dict)
    sessions_since_loss: Mapping[tuple[str, str], int] = field(default_factory=dict)
    returns: pd.DataFrame | None = None
    volume: Mapping[str, float] = field(default_factory=dict)

    @property
    def gross_usd(self) -> float:
        """Notional of everything held or ordered."""
        return sum(abs(line.usd) for line in self.lines)

    @property
    def net_usd(self) -> float:
        """Longs less shorts."""
        return sum(line.usd for line in self.lines)

    def after(self, order: OrderIntent) -> Situation:
        """The situation once the entry is ordered too."""
        line = Line(order.strategy, order.symbol, _signed_usd(order, self.prices[order.symbol]))
        counted = {**self.entries, order.strategy: self.entries.get(order.strategy, 0) + 1}
        return replace(self, lines=(*self.lines, line), entries=counted)


def lines_of(positions: Iterable[Any], orders: Iterable[OrderIntent], prices: Mapping[str, float]) -> tuple[Line, ...]:
    """Lines of the positions held and the entries ordered; every symbol must have a price."""
    held = [Line(each.strategy, each.symbol, float(each.quantity) * prices[each.symbol]) for each in positions]
    ordered = [
        Line(order.strategy, order.symbol, _signed_usd(order, prices[order.symbol]))
        for order in orders
        if order.leg is Leg.ENTRY
    ]
    return (*held, *ordered)


def _signed_usd(order: OrderIntent, price: float) -> float:
    return (1 if order.side is Side.BUY else -1) * float(order.quantity) * price
