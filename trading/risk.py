"""Limits on new positions, and the choice among the entries that compete for them. It sends and exits nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from core.compiled import compiled
from core.errors import ConfigError
from trading.sizing import quantity

if TYPE_CHECKING:
    from numpy.typing import NDArray

ACCEPTED: Final = 0
MAX_POSITIONS: Final = 1
NO_CAPITAL: Final = 2
MAX_DRAWDOWN: Final = 3
VERDICTS: Final = ("accepted", "max_positions", "no_capital", "max_drawdown")


class LimitTerms(NamedTuple):
    """`Limits` as plain numbers for the kernels; a drawdown limit that is off is infinity."""

    risk_per_trade_pct: float
    max_position_pct: float
    max_positions: int
    max_exposure_pct: float
    max_drawdown_pct: float
    halve_drawdown_pct: float


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
    max_exposure_pct
        Gross notional of all positions and orders, in percent of equity at the decision.
    max_drawdown_pct
        Nothing is entered while equity is so far under its highest close. Once all is sold equity moves no more, so this is an
        end until a person resets the peak; None = no such limit.
    halve_drawdown_pct
        While equity is more than this under its highest close, a new position risks half and is at most half as large;
        None = never.
    """

    risk_per_trade_pct: float = 0.25
    max_position_pct: float = 40.0
    max_positions: int = 3
    max_exposure_pct: float = 100.0
    max_drawdown_pct: float | None = None
    halve_drawdown_pct: float | None = None

    def __post_init__(self) -> None:
        percents = {
            "risk_per_trade_pct": self.risk_per_trade_pct,
            "max_position_pct": self.max_position_pct,
            "max_exposure_pct": self.max_exposure_pct,
            "max_drawdown_pct": 100.0 if self.max_drawdown_pct is None else self.max_drawdown_pct,
            "halve_drawdown_pct": 100.0 if self.halve_drawdown_pct is None else self.halve_drawdown_pct,
        }
        for name, value in percents.items():
            if not 0 < value <= 100:  # noqa: PLR2004  # per cent
                raise ConfigError(f"{name}: expected above 0 and at most 100, found {value}. It is in percent: 1 = 1 %.")
        if self.max_positions < 1:
            raise ConfigError(f"max_positions: expected 1 or more, found {self.max_positions}.")

    def __repr__(self) -> str:
        """Return the fields without a halving that is off: the keys of stored trials are made of this text.

        >>> Limits(max_positions=1)  # doctest: +ELLIPSIS
        Limits(risk_per_trade_pct=0.25, ..., max_positions=1, max_exposure_pct=100.0, max_drawdown_pct=None)
        """
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        if self.halve_drawdown_pct is None:
            del values["halve_drawdown_pct"]
        return f"Limits({', '.join(f'{name}={value!r}' for name, value in values.items())})"

    def terms(self) -> LimitTerms:
        """Return the limits as plain numbers for the kernels."""
        return LimitTerms(
            float(self.risk_per_trade_pct),
            float(self.max_position_pct),
            int(self.max_positions),
            float(self.max_exposure_pct),
            math.inf if self.max_drawdown_pct is None else float(self.max_drawdown_pct),
            math.inf if self.halve_drawdown_pct is None else float(self.halve_drawdown_pct),
        )


@compiled
def allocate(  # noqa: PLR0917  # numba kernels take positions
    entry: NDArray[Any],
    price: NDArray[np.float64],
    stop_pct: NDArray[np.float64],
    strength: NDArray[np.float64],
    equity_usd: float,
    exposure_usd: float,
    open_positions: int,
    peak_usd: float,
    limits: LimitTerms,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Share capital and slots among the entries of one moment: strongest first, then in the order given.

    Parameters
    ----------
    entry, price, stop_pct, strength
        Arrays with one element a candidate, sorted by strategy and symbol. `entry` is +1, -1 or 0 (no candidate). A NaN
        strength ranks last.
    exposure_usd
        Gross notional of everything held or ordered, so that exposure never exceeds its limit at the decision.
    peak_usd
        Highest equity at any close up to the decision, and the first cash.

    Returns
    -------
    quantity
        Signed shares, 0 where nothing is to be opened.
    verdict
        Index into `VERDICTS` for each candidate.

    >>> price, stop_pct, strength = np.array([100.0, 50.0]), np.array([2.0, 2.0]), np.array([0.2, 0.9])
    >>> one_place, equity = Limits(max_positions=1).terms(), 100_000.0
    >>> signed, verdict = allocate(np.array([1, -1]), price, stop_pct, strength, equity, 0.0, 0, equity, one_place)
    >>> signed.tolist(), [VERDICTS[each] for each in verdict]
    ([0.0, -250.0], ['max_positions', 'accepted'])
    """
    signed = np.zeros(len(entry), dtype=np.float64)
    verdict = np.zeros(len(entry), dtype=np.int64)
    weakness = np.where(np.isnan(strength), np.inf, -strength)
    for i in np.argsort(weakness, kind="mergesort"):  # stable: ties keep the order given
        if entry[i] == 0:
            continue
        shares, verdict[i] = grant(price[i], stop_pct[i], equity_usd, exposure_usd, open_positions, peak_usd, limits)
        if verdict[i] == ACCEPTED:
            signed[i] = entry[i] * shares
            exposure_usd += shares * price[i]
            open_positions += 1
    return signed, verdict


@compiled
def grant(  # noqa: PLR0917  # numba kernels take positions
    price: float,
    stop_pct: float,
    equity_usd: float,
    exposure_usd: float,
    open_positions: int,
    peak_usd: float,
    limits: LimitTerms,
) -> tuple[float, int]:
    """Return the shares for one entry and the verdict on it; 0 unless it is `ACCEPTED`. Arguments as those of `allocate`."""
    if equity_usd <= peak_usd * (1 - limits.max_drawdown_pct / 100):
        return 0.0, MAX_DRAWDOWN
    if open_positions >= limits.max_positions:
        return 0.0, MAX_POSITIONS
    available_usd = equity_usd * limits.max_exposure_pct / 100 - exposure_usd
    part = 0.5 if equity_usd < peak_usd * (1 - limits.halve_drawdown_pct / 100) else 1.0
    shares = quantity(
        price, stop_pct, equity_usd, available_usd, part * limits.risk_per_trade_pct, part * limits.max_position_pct
    )
    return shares, ACCEPTED if shares > 0 else NO_CAPITAL
