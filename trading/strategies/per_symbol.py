"""One strategy with other parameters for some symbols, and the switch that stops entries. Neither knows a rule of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from core.errors import ConfigError, DataError
from trading.strategies.base import Wrapper

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from trading.strategies.base import Strategy

SHARED = ("name", "entry", "exit", "max_sessions")


def symbol_of(bars: pd.DataFrame) -> str:
    """The one symbol of BARS with a row or more."""
    if "symbol" not in bars:
        raise DataError(f"Bars: expected a column symbol, found {list(bars.columns)}. Parameters and filters differ by symbol.")
    return str(bars["symbol"].iloc[0])


@dataclass(frozen=True)
class PerSymbol(Wrapper):
    """A strategy whose parameters depend on the symbol of the bars.

    Parameters
    ----------
    strategy_by_symbol
        The same rule with the symbol's own parameters.
    strategy
        What every other symbol gets.

    Raises
    ------
    ConfigError
        When a symbol's strategy differs from the default in name, entry, exit or `max_sessions`. The engine takes one time
        limit a strategy, so all symbols need the same.
    """

    strategy_by_symbol: Mapping[str, Strategy] = field(hash=False)
    strategy: Strategy

    def __post_init__(self) -> None:
        for symbol, strategy in self.strategy_by_symbol.items():
            for name in SHARED:
                expected, found = getattr(self.strategy, name), getattr(strategy, name)
                if found != expected:
                    raise ConfigError(
                        f"{self.strategy.name!r} for {symbol}: expected {name} {expected!r} as for all other symbols, found "
                        f"{found!r}. Give every symbol the same {name}, or trade {symbol} with a strategy of its own."
                    )

    def signals(self, bars: pd.DataFrame) -> pd.DataFrame:
        """SIGNALS with the parameters of the bars' symbol."""
        chosen = self.strategy_by_symbol.get(symbol_of(bars), self.strategy) if len(bars) else self.strategy
        return chosen.signals(bars)

    def describe(self) -> dict[str, Any]:
        """The default's parameters, and those of each symbol that has its own."""
        own = {symbol: self.strategy_by_symbol[symbol].describe() for symbol in sorted(self.strategy_by_symbol)}
        return {**self.strategy.describe(), "by_symbol": own}


@dataclass(frozen=True)
class Switch(Wrapper):
    """A strategy that enters nothing in the symbols switched off; its exits go on.

    Parameters
    ----------
    off
        Symbols without entries; None switches off all.
    """

    strategy: Strategy
    off: frozenset[str] | None = None

    def signals(self, bars: pd.DataFrame) -> pd.DataFrame:
        """SIGNALS of the strategy, without entries where it is switched off."""
        signals = self.strategy.signals(bars)
        stopped = self.off is None or (len(bars) > 0 and symbol_of(bars) in self.off)
        return signals.assign(entry=signals["entry"].mul(0).astype("int8")) if stopped else signals

    def describe(self) -> dict[str, Any]:
        """The strategy's parameters and what is switched off."""
        return {**self.strategy.describe(), "switched_off": "all" if self.off is None else sorted(self.off)}


def base_rule(strategy: Strategy, symbol: str) -> Strategy:
    """Return the rule that decides in a symbol, under filters, switches and parameters by symbol."""
    rule: Any = strategy
    while isinstance(rule, Wrapper):
        own = rule.strategy_by_symbol.get(symbol) if isinstance(rule, PerSymbol) else None
        rule = own or rule.strategy
    return cast("Strategy", rule)
