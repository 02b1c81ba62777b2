"""The sleeves of what trades: strategies that are decided together over one capital, built from settings or a deployment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from core.deployments import Deployment, Sleeve
    from trading.strategies.base import Strategy


@dataclass(frozen=True)
class TradedSleeve:
    """Strategies that share one capital and compete for it.

    Attributes
    ----------
    strategies
        As they trade, filters included; their names are those of their positions.
    symbols
        The symbols that they may enter.
    capital_usd
        Their own money at the start; None when they trade the whole book.
    filtered
        True when the entry filter must accept each entry.
    rule
        The name under which the entry filter knows the rule; "" where each strategy's own name says it.
    """

    strategies: tuple[Strategy, ...]
    symbols: tuple[str, ...]
    capital_usd: float | None
    filtered: bool
    rule: str = ""

    @property
    def names(self) -> frozenset[str]:
        """The names of its strategies."""
        return frozenset(strategy.name for strategy in self.strategies)


def sleeve_strategy(sleeve: Sleeve) -> Strategy:
    """Return the strategy of a deployment's sleeve, under the sleeve's name.

    Raises
    ------
    ConfigError
        When the strategy is gone, or does not take the stored parameters any more; names the sleeve.
    """
    from trading.strategies.named import Named
    from trading.strategies.registry import make_strategy

    try:
        strategy = make_strategy(sleeve.strategy, sleeve.params, vix_filter=sleeve.vix_filter)
    except ConfigError as error:
        raise ConfigError(f"Sleeve {sleeve.name!r}: {error}") from error
    if strategy.entry == "open":
        raise ConfigError(
            f"Sleeve {sleeve.name!r}: {sleeve.strategy} decides at the open, and the daily desk decides at the close before it."
        )
    return Named(strategy, sleeve.name)


def sleeves_of(deployment: Deployment) -> tuple[TradedSleeve, ...]:
    """Return the sleeves of a deployment, whatever its state: the order checks block entries, and signals stay comparable."""
    from trading.strategies.per_symbol import base_rule

    traded = []
    for sleeve in deployment.sleeves:
        strategy = sleeve_strategy(sleeve)
        rule = base_rule(strategy, sleeve.symbols[0]).name
        traded.append(TradedSleeve((strategy,), sleeve.symbols, sleeve.capital_usd, bool(sleeve.model), rule))
    return tuple(traded)


def symbols_of(sleeves: Iterable[TradedSleeve]) -> dict[str, tuple[str, ...]]:
    """Return the symbols that each strategy may enter, by its name."""
    return {name: sleeve.symbols for sleeve in sleeves for name in sleeve.names}


def unfiltered(sleeves: Sequence[TradedSleeve]) -> frozenset[str]:
    """Return the names of the strategies whose entries no filter must accept."""
    return frozenset(name for sleeve in sleeves if not sleeve.filtered for name in sleeve.names)
