"""Figures of what a book holds that its limits are compared with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from core.models import Position
from pipeline.views.money.held import HeldNow
from pipeline.views.risk.correlation import pairs_of
from trading import var

PERCENT = 100.0


class Most(NamedTuple):
    """The largest figure of its kind, and whose it is."""

    value: float
    subject: str


@dataclass(frozen=True)
class HeldFigures:
    """Sizes and dangers of what a book holds and has ordered, in percent of its equity where the name says so.

    Attributes
    ----------
    lines
        Number of positions and waiting entries.
    loss_at_stop_pct
        Largest loss of one position when its stop fills at its price, from its entry price; None without stops.
    without_stop
        Symbols of the positions without a stop.
    correlation
        Largest correlation of two symbols held, the sign turned where one is short; None without a pair that is measured.
    pairs, measured_pairs
        Pairs of symbols held, and those with enough common sessions.
    """

    lines: int
    position_pct: Most | None
    symbol_pct: Most | None
    gross_pct: float | None
    net_pct: float | None
    loss_at_stop_pct: Most | None
    without_stop: tuple[str, ...]
    var_historical_pct: float | None
    var_parametric_pct: float | None
    correlation: Most | None
    pairs: int
    measured_pairs: int


def held_figures(book: str, held: HeldNow, returns: pd.DataFrame, correlation_sessions: int, var_sessions: int) -> HeldFigures:
    """Measure what a book holds at the last prices.

    Parameters
    ----------
    returns
        Daily returns of every symbol held, one column a symbol, as many sessions as the longer window needs.
    """
    positions = [each for each in held.positions if each.portfolio == book]
    waiting = [each for each in held.waiting if each.portfolio == book]
    values = [(each.symbol, value) for each in positions if (value := held.value_usd(each)) is not None]
    ordered = [(each.symbol, value) for each in waiting if (value := held.ordered_usd(each)) is not None]
    lines, share = [*values, *ordered], _Share(held.equity_usd(book))
    pairs = pairs_of(book, positions, returns, correlation_sessions)
    related = [Most(each.effective, f"{each.symbol}/{each.other}") for each in pairs if each.effective is not None]
    losses = [(each.symbol, loss) for each in positions if (loss := loss_at_stop_usd(each)) is not None]
    return HeldFigures(
        lines=len(positions) + len(waiting),
        position_pct=share.largest((symbol, abs(usd)) for symbol, usd in lines),
        symbol_pct=share.largest(_by_symbol((symbol, abs(usd)) for symbol, usd in lines).items()),
        gross_pct=share.of(sum(abs(usd) for _, usd in lines)),
        net_pct=share.of(abs(sum(usd for _, usd in lines))),
        loss_at_stop_pct=share.largest(losses),
        without_stop=tuple(sorted({each.symbol for each in positions if each.stop_price is None})),
        var_historical_pct=share.at_risk(returns.tail(var_sessions), _by_symbol(values), var.historical_usd),
        var_parametric_pct=share.at_risk(returns.tail(var_sessions), _by_symbol(values), var.parametric_usd),
        correlation=max(related, default=None),
        pairs=len(pairs),
        measured_pairs=len(related),
    )


def loss_at_stop_usd(position: Position) -> float | None:
    """Return what a position loses when its stop fills at its price, from its entry price; None without a stop.

    A stop beyond the entry price loses nothing.

    >>> import datetime as dt
    >>> from decimal import Decimal
    >>> held = Position("main", "rsi", "AAA", Decimal(-10), dt.date(2018, 12, 14), Decimal(50), Decimal(52), None, None, "id")
    >>> loss_at_stop_usd(held)
    20.0
    """
    if position.stop_price is None:
        return None
    return max(0.0, float(position.quantity * (position.entry_price - position.stop_price)))


class _Share(NamedTuple):
    """Amounts in percent of an equity; None where there is no positive equity."""

    equity_usd: float | None

    def of(self, usd: float) -> float | None:
        """Return an amount in percent."""
        return PERCENT * usd / self.equity_usd if self.equity_usd and self.equity_usd > 0 else None

    def largest(self, amounts: Iterable[tuple[str, float]]) -> Most | None:
        """Return the largest amount in percent with its symbol; None without one."""
        symbol, usd = max(amounts, key=lambda each: each[1], default=("", 0.0))
        share = self.of(usd)
        return Most(share, symbol) if symbol and share is not None else None

    def at_risk(
        self, returns: pd.DataFrame, exposures: Mapping[str, float], method: Callable[..., float | None]
    ) -> float | None:
        """Return a value at risk in percent: 0 of nothing held, None where it cannot be measured."""
        usd = method(var.pnl(returns, exposures)) if exposures else 0.0
        return None if usd is None else self.of(usd)


def _by_symbol(amounts: Iterable[tuple[str, float]]) -> dict[str, float]:
    sums: defaultdict[str, float] = defaultdict(float)
    for symbol, usd in amounts:
        sums[symbol] += usd
    return dict(sums)


def symbols_of(positions: Sequence[Position]) -> list[str]:
    """Return the symbols of positions, sorted."""
    return sorted({each.symbol for each in positions})
