"""The VIX filter: lets a strategy's entries through in the regimes it is meant for. It adds no entry and touches no exit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from features.regime import vix_regime
from trading.strategies.base import Wrapper

if TYPE_CHECKING:
    import pandas as pd

    from trading.strategies.base import Strategy

SUFFIX = "_vix"  # what the filter adds to a strategy's name
FOLLOWS = ("trend",)  # rules that follow a move and revert nothing: the regimes are not theirs


def with_vix_filter(strategy: Strategy) -> Strategy:
    """Return the strategy as the desk trades it: with the VIX filter unless its rule follows a trend."""
    return strategy if strategy.name in FOLLOWS else VixFilter(strategy)


def rule_name(name: str) -> str:
    """Return the name of the rule behind a strategy: its name without what the VIX filter adds.

    >>> rule_name("bollinger_vix"), rule_name("bollinger")
    ('bollinger', 'bollinger')
    """
    return name.removesuffix(SUFFIX)


@dataclass(frozen=True)
class VixFilter(Wrapper):
    """A strategy that enters only when the VIX regime of the decision is one of `regimes`.

    Where VIX is unknown nothing is entered: not knowing the regime is not the same as being in it.
    """

    strategy: Strategy
    regimes: tuple[str, ...] = ("medium", "high")

    @property
    def name(self) -> str:
        """Return the wrapped strategy's name with `_vix`."""
        return f"{self.strategy.name}{SUFFIX}"

    def signals(self, bars: pd.DataFrame) -> pd.DataFrame:
        """Return SIGNALS of the wrapped strategy with the entries of other regimes taken out."""
        vix = bars["vix"].reset_index(drop=True)
        if self.entry == "open":
            vix = vix.shift(1)  # at an open, the newest VIX known is the close of the session before
        signals = self.strategy.signals(bars)
        return signals.assign(entry=signals["entry"].where(vix_regime(vix).isin(self.regimes), 0).astype("int8"))

    def describe(self) -> dict[str, Any]:
        """Return the wrapped strategy's parameters and the regimes."""
        return {**self.strategy.describe(), "vix_regimes": list(self.regimes)}
