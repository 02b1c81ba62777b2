"""What a fill costs: slippage and commission, with their formulas. Never decides when or whether anything fills."""

from __future__ import annotations

from dataclasses import dataclass

from core.compiled import compiled
from core.errors import ConfigError
from trading.fills import is_limit_fill


@dataclass(frozen=True)
class Costs:
    """Costs of one side of a trade, in basis points.

    Parameters
    ----------
    commission_bps
        Of the notional of every fill.
    slippage_bps
        By which the price of every market and stop fill is worse; target fills are limit orders and pay none.
    """

    commission_bps: float = 1.0
    slippage_bps: float = 2.0

    def __post_init__(self) -> None:
        for name, value in (("commission_bps", self.commission_bps), ("slippage_bps", self.slippage_bps)):
            if not 0 <= value < 10_000:  # noqa: PLR2004  # the whole notional
                raise ConfigError(f"{name}: expected 0 to 10000, found {value}. It is in basis points: 1 = 0.01 %.")


@compiled
def slipped(raw_price: float, direction: int, slippage_bps: float) -> float:
    """Price of a market order: `raw * (1 + direction * bps / 10000)`, direction +1 when buying and -1 when selling."""
    return raw_price * (1 + direction * slippage_bps / 10_000)


@compiled
def exit_price(raw_price: float, reason: int, side: int, slippage_bps: float) -> float:
    """Price of an exit: a target at its raw price, everything else as a market order against the position's `side`."""
    return raw_price if is_limit_fill(reason) else slipped(raw_price, -side, slippage_bps)


@compiled
def commission_usd(quantity: float, price: float, commission_bps: float) -> float:
    """Commission of one fill: `|quantity| * price * bps / 10000`."""
    return abs(quantity) * price * commission_bps / 10_000


@compiled
def outcome(  # noqa: PLR0917  # numba kernels take positions
    side: int, quantity: float, raw_entry: float, raw_exit: float, paid: float, got: float, fees_usd: float
) -> tuple[float, float, float, float]:
    """What a finished trade came to.

    Parameters
    ----------
    raw_entry, raw_exit
        Prices before slippage.
    paid, got
        Prices of the two fills.
    fees_usd
        Both commissions.

    Returns
    -------
    gross_return, net_return, pnl_usd, cost_usd
        The raw move; profit to the entry's notional; `side * quantity * (got - paid) - fees`; what the raw move would have paid
        more than that.
    """
    pnl = side * quantity * (got - paid) - fees_usd
    return side * (raw_exit / raw_entry - 1), pnl / (quantity * paid), pnl, side * quantity * (raw_exit - raw_entry) - pnl
