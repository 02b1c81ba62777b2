"""The costs of a fill: slippage and commission, with their formulas."""

from __future__ import annotations

from dataclasses import dataclass

from core.compiled import compiled
from core.errors import ConfigError
from trading.fills import DELISTED, is_limit_fill


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
    """Return the price of a market order: `raw * (1 + direction * bps / 10000)`, direction +1 to buy and -1 to sell.

    >>> round(slipped(100.0, +1, 5.0), 6), round(slipped(100.0, -1, 5.0), 6)
    (100.05, 99.95)
    """
    return raw_price * (1 + direction * slippage_bps / 10_000)


@compiled
def exit_price(raw_price: float, reason: int, side: int, slippage_bps: float) -> float:
    """Return the price of an exit: that of a market order against `side`, or the raw price of a target or a delisting.

    >>> from trading.fills import STOP, TARGET
    >>> exit_price(104.0, TARGET, 1, 5.0), round(exit_price(98.0, STOP, 1, 5.0), 6)
    (104.0, 97.951)
    """
    return raw_price if reason == DELISTED or is_limit_fill(reason) else slipped(raw_price, -side, slippage_bps)


@compiled
def commission_usd(quantity: float, price: float, commission_bps: float) -> float:
    """Return the commission of one fill: `|quantity| * price * bps / 10000`.

    >>> commission_usd(-50.0, 200.0, 1.0)
    1.0
    """
    return abs(quantity) * price * commission_bps / 10_000


@compiled
def exit_commission_usd(quantity: float, price: float, reason: int, commission_bps: float) -> float:
    """Return the commission of an exit: `commission_usd`, and none for a delisting, which is no order.

    >>> from trading.fills import DELISTED, RULE
    >>> exit_commission_usd(50.0, 200.0, RULE, 1.0), exit_commission_usd(50.0, 200.0, DELISTED, 1.0)
    (1.0, 0.0)
    """
    return 0.0 if reason == DELISTED else commission_usd(quantity, price, commission_bps)


@compiled
def outcome(  # noqa: PLR0917  # numba kernels take positions
    side: int, quantity: float, raw_entry: float, raw_exit: float, paid: float, got: float, fees_usd: float
) -> tuple[float, float, float, float]:
    """Return the returns, profit and costs of a finished trade.

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
        The raw move; profit by the entry's notional; `side * quantity * (got - paid) - fees`; the raw move's profit less that.

    >>> gross, net, pnl, cost = outcome(1, 10.0, 100.0, 103.0, 100.05, 103.0, 2.0)
    >>> round(gross, 6), round(net, 6), round(pnl, 6), round(cost, 6)
    (0.03, 0.027486, 27.5, 2.5)
    """
    pnl = side * quantity * (got - paid) - fees_usd
    return side * (raw_exit / raw_entry - 1), pnl / (quantity * paid), pnl, side * quantity * (raw_exit - raw_entry) - pnl
