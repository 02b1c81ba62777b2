"""The size of a position: fixed when the decision is made, from the decision price and the equity at that moment.

Owns the formula; it counts no positions and knows no account. Quantities are fractional, rounded down to a millionth of a
share: a small account can then hold what the risk rule asks for, and Alpaca takes nine decimals. For a broker that takes whole
shares only, orders are rounded down again when they are written (`pipeline.execution.order_checks`).
"""

from __future__ import annotations

import math

from core.compiled import compiled

STEPS_A_SHARE = 1e6


@compiled
def quantity(  # noqa: PLR0917  # numba kernels take positions
    price: float, stop_pct: float, equity_usd: float, available_usd: float, risk_per_trade_pct: float, max_position_pct: float
) -> float:
    """Return the shares to trade, 0 when there is no capital.

    The notional is `equity * risk_per_trade_pct / stop_pct`, so that a stop filled at its price loses `risk_per_trade_pct` of
    equity; it is at most `equity * max_position_pct / 100`, which is also the size of a trade without a stop, and at most
    `available_usd`, the part of equity that no other position uses.

    Parameters
    ----------
    price
        Decision price: the close (or the open) at which the decision is made.
    stop_pct
        Distance of the stop in percent of the price; NaN = no stop.

    >>> quantity(100.0, 2.0, 100_000.0, 100_000.0, 0.25, 40.0)  # $250 at risk over $2 a share
    125.0
    >>> quantity(100.0, float("nan"), 100_000.0, 100_000.0, 0.25, 40.0)  # without a stop the largest position
    400.0
    >>> quantity(100.0, 2.0, 100_000.0, 5_000.0, 0.25, 40.0)  # no more than what is available
    50.0
    """
    if not (price > 0 and equity_usd > 0):
        return 0.0
    notional = equity_usd * max_position_pct / 100
    if stop_pct > 0:
        notional = min(notional, equity_usd * risk_per_trade_pct / stop_pct)
    notional = min(notional, available_usd)
    return max(0.0, math.floor(notional / price * STEPS_A_SHARE) / STEPS_A_SHARE)
