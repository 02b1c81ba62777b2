"""Profit of a book over a span of sessions, by sleeve and symbol, split by its causes. Pure arithmetic, in US dollars.

The profit of a position is the change of its value at the closes plus the cash that its fills and events brought:
``value after - value before + cash``. It splits into what finished trades made of the price (realised), what the price made of
the rest (unrealised), what the fills cost, and dividends and other cash of the book:
``profit = realised + unrealised - costs + other``. Deposits and withdrawals are neither. A trade counts as realised, from its
entry on, in the span in which its last part left.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from core.book_events import CASH_KINDS, TRANSFERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from core.book_events import BookEvent
    from storage.views.book_figures import FillFigures, TradeFigures


class Key(NamedTuple):
    """A sleeve and a symbol; each is empty where the cash has none."""

    sleeve: str
    symbol: str


NOBODY: Final = Key("", "")  # of what concerns the book alone


@dataclass(frozen=True)
class Profit:
    """Profit and its parts, in US dollars, with the trades that finished.

    Attributes
    ----------
    costs_usd
        Commission and slippage of the fills, positive when they cost.
    other_usd
        Dividends, fees and other cash of the book.
    unattributed_usd
        Change of the book's value that neither fills, events nor prices on record explain.
    """

    realised_usd: float = 0.0
    unrealised_usd: float = 0.0
    costs_usd: float = 0.0
    other_usd: float = 0.0
    unattributed_usd: float = 0.0
    trades: int = 0
    winners: int = 0

    @property
    def total_usd(self) -> float:
        """The profit."""
        return self.realised_usd + self.unrealised_usd - self.costs_usd + self.other_usd + self.unattributed_usd

    def __add__(self, more: Profit) -> Profit:
        """Return both together."""
        return Profit(
            self.realised_usd + more.realised_usd,
            self.unrealised_usd + more.unrealised_usd,
            self.costs_usd + more.costs_usd,
            self.other_usd + more.other_usd,
            self.unattributed_usd + more.unattributed_usd,
            self.trades + more.trades,
            self.winners + more.winners,
        )


@dataclass(frozen=True)
class Record:
    """The record of a book in a span of sessions.

    Attributes
    ----------
    before, after
        Value of what was held at the close before the span, and at its last close; shorts are negative.
    fills
        Fills in the span. Where trades stand for fills: those of the positions open at its end, since their entry.
    events
        Book events in the span. Where trades stand for fills: without the cash in lieu that is in the trades.
    trades
        Trades that finished in it.
    earlier
        Where trades stand for fills: those of the positions open at the close before, since their entry.
    by_trades
        Trades stand for fills: a long span is read without its fills.
    """

    before: Mapping[Key, float]
    after: Mapping[Key, float]
    fills: Iterable[FillFigures]
    events: Iterable[BookEvent]
    trades: Mapping[Key, TradeFigures]
    earlier: Iterable[FillFigures] = ()
    by_trades: bool = False


def profit_by_key(record: Record) -> dict[Key, Profit]:
    """Return the profit of each sleeve in each symbol, and of what has neither under empty names.

    Examples
    --------
    Ten shares worth 1,000 at the close before are sold for 1,050 less 2 of commission:

    >>> import datetime as dt
    >>> from decimal import Decimal
    >>> from storage.views.book_figures import FillFigures, TradeFigures
    >>> sold = FillFigures("main", "rsi", "AAA", dt.date(2018, 12, 14), Decimal(-10), Decimal(1048), Decimal(2), Decimal(0))
    >>> trade = TradeFigures(trades=1, winners=1, pnl_usd=147.0, cost_usd=3.0)
    >>> found = profit_by_key(Record({Key("rsi", "AAA"): 1000.0}, {}, [sold], [], {Key("rsi", "AAA"): trade}))
    >>> found[Key("rsi", "AAA")]  # doctest: +ELLIPSIS
    Profit(realised_usd=150.0, unrealised_usd=-100.0, costs_usd=2.0, other_usd=0.0, ...trades=1, winners=1)
    """
    names = _renamed(record.events)
    price: defaultdict[Key, float] = defaultdict(float)  # what the price made, realised or not, costs left aside
    costs: defaultdict[Key, float] = defaultdict(float)
    other: defaultdict[Key, float] = defaultdict(float)
    for key, value in record.after.items():
        price[key] += value
    for key, value in record.before.items():
        price[names.get(key, key)] -= value
    for sign, fills in ((1, record.fills), (-1, record.earlier)):
        for fill in fills:
            key, cost = Key(fill.sleeve, fill.symbol), sign * float(fill.commission_usd + fill.slippage_usd)
            price[names.get(key, key)] += sign * float(fill.cash_usd) + cost
            costs[names.get(key, key)] += cost
    for event in record.events:
        key = Key(event.strategy, event.symbol)
        if event.kind not in CASH_KINDS:
            price[names.get(key, key)] += float(event.cash_usd)
        elif event.kind not in TRANSFERS:
            other[names.get(key, key)] += float(event.cash_usd)
    if record.by_trades:
        for key, trade in record.trades.items():
            price[key] += trade.pnl_usd + trade.cost_usd
            costs[key] += trade.cost_usd
    return {key: _split(price[key], costs[key], other[key], record.trades.get(key)) for key in {*price, *other, *record.trades}}


def _split(price_usd: float, costs_usd: float, other_usd: float, trade: TradeFigures | None) -> Profit:
    """Split what the price made into what finished trades realised and the rest."""
    if trade is None:
        return Profit(unrealised_usd=price_usd, costs_usd=costs_usd, other_usd=other_usd)
    realised = trade.pnl_usd + trade.cost_usd
    return Profit(realised, price_usd - realised, costs_usd, other_usd, trades=trade.trades, winners=trade.winners)


def _renamed(events: Iterable[BookEvent]) -> dict[Key, Key]:
    """Return the name that each renamed position has at the end."""
    names: dict[Key, Key] = {}
    for event in sorted((each for each in events if each.new_symbol), key=lambda each: each.session, reverse=True):
        new = Key(event.strategy, str(event.new_symbol))
        names[Key(event.strategy, event.symbol)] = names.get(new, new)
    return names


def transfers_usd(events: Iterable[BookEvent]) -> float:
    """Return deposits less withdrawals."""
    return float(sum(each.cash_usd for each in events if each.kind in TRANSFERS))
