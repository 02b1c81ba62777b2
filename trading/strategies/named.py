"""A strategy under another name, as a sleeve of a deployment trades it. It knows no rule of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trading.strategies.base import Wrapper

if TYPE_CHECKING:
    import pandas as pd

    from trading.strategies.base import Strategy


@dataclass(frozen=True)
class Named(Wrapper):
    """A strategy under another name, so that positions, orders and trades carry that one.

    Parameters
    ----------
    own_name
        The name.
    """

    strategy: Strategy
    own_name: str

    @property
    def name(self) -> str:
        """Return the name given."""
        return self.own_name

    def signals(self, bars: pd.DataFrame) -> pd.DataFrame:
        """Return SIGNALS of the strategy."""
        return self.strategy.signals(bars)

    def describe(self) -> dict[str, Any]:
        """Return the strategy's parameters."""
        return self.strategy.describe()
