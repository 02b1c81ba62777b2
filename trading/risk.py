"""Limits on what may be opened, and the choice among entries that compete for them. Never sends and never exits anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from core.errors import ConfigError
from trading.compiled import compiled
from trading.sizing import quantity

if TYPE_CHECKING:
    from numpy.typing import NDArray

ACCEPTED: Final = 0
MAX_POSITIONS: Final = 1
NO_CAPITAL: Final = 2
VERDICTS: Final = ("accepted", "max_positions", "no_capital")


@dataclass(frozen=True)
class Limits:
    """Limits of one portfolio.

    Parameters
    ----------
    risk_per_trade_pct
        Percent of equity that a trade loses when its stop fills at its price.
    max_position_pct
        Largest notional of one position, in percent of equity at the decision.
    max_positions
        Positions held or ordered at once. A position whose exit is ordered but not filled still counts.
    """

    risk_per_trade_pct: float = 0.25
    max_position_pct: float = 40.0
    max_positions: int = 3

    def __post_init__(self) -> None:
        percents = {"risk_per_trade_pct": self.risk_per_trade_pct, "max_position_pct": self.max_position_pct}
        for name, value in percents.items():
            if not 0 < value <= 100:  # noqa: PLR2004  # per cent
                raise ConfigError(f"{name}: expected above 0 and at most 100, found {value}. It is in percent: 1 = 1 %.")
        if self.max_positions < 1:
            raise ConfigError(f"max_positions: expected 1 or more, found {self.max_positions}.")


@compiled
def allocate(  # noqa: PLR0917  # numba kernels take positions
    entry: NDArray[Any],
    price: NDArray[np.float64],
    stop_pct: NDArray[np.float64],
    strength: NDArray[np.float64],
    equity_usd: float,
    exposure_usd: float,
    open_positions: int,
    risk_per_trade_pct: float,
    max_position_pct: float,
    max_positions: int,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Share capital and slots among the entries of one moment: strongest first, then in the order given.

    Parameters
    ----------
    entry, price, stop_pct, strength
        Arrays with one element a symbol, sorted by symbol. `entry` is +1, -1 or 0 (no candidate). A NaN strength ranks last.
    exposure_usd
        Gross notional of everything held or ordered, so that exposure never exceeds equity at the decision.

    Returns
    -------
    quantity
        Signed shares, 0 where nothing is to be opened.
    verdict
        Index into `VERDICTS` for each candidate.
    """
    signed = np.zeros(len(entry), dtype=np.float64)
    verdict = np.zeros(len(entry), dtype=np.int64)
    weakness = np.where(np.isnan(strength), np.inf, -strength)
    for i in np.argsort(weakness, kind="mergesort"):  # stable: ties keep the order of symbols
        if entry[i] == 0:
            continue
        if open_positions >= max_positions:
            verdict[i] = MAX_POSITIONS
            continue
        available_usd = equity_usd - exposure_usd
        shares = quantity(price[i], stop_pct[i], equity_usd, available_usd, risk_per_trade_pct, max_position_pct)
        if shares == 0.0:
            verdict[i] = NO_CAPITAL
            continue
        signed[i] = entry[i] * shares
        exposure_usd += shares * price[i]
        open_positions += 1
    return signed, verdict
