"""Order intents, as decisions are written down before anything is sent: their ids, sides and sizes."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING

from core.models import Leg, OrderIntent, Origin, Side, client_order_id

if TYPE_CHECKING:
    import datetime as dt

    from core.models import Position


def exact(value: float) -> Decimal:
    """Return the decimal that a float prints as, so that `float(exact(x)) == x`.

    >>> exact(0.1)
    Decimal('0.1')
    """
    return Decimal(repr(float(value)))


def figure(text: str | float | None) -> Decimal:
    """Return the number in a venue's text, exact; NaN for nothing, NaN and infinity, so that orders which need none go on.

    Raises
    ------
    decimal.InvalidOperation
        For words, which are no answer.

    >>> [str(figure(text)) for text in ("12.50", None, "", "NaN", "Infinity")]
    ['12.50', 'NaN', 'NaN', 'NaN', 'NaN']
    """
    value = Decimal(str(text)) if text not in {None, ""} else Decimal("NaN")
    return value if value.is_finite() else Decimal("NaN")


def entry_order(
    portfolio: str,
    strategy: str,
    symbol: str,
    *,
    decision_session: dt.date,
    session: dt.date,
    signed_quantity: float,
    stop_pct: float,
    target_pct: float,
    max_sessions: int | None,
    arm: str = "",
    origin: Origin = Origin.OTHER,
) -> OrderIntent:
    """Return a market order for the open of `session`, good for that session; NaN stop or target is none.

    >>> import datetime as dt
    >>> order = entry_order(
    ...     "main", "rsi", "SPY", decision_session=dt.date(2018, 12, 27), session=dt.date(2018, 12, 28), signed_quantity=-12.5,
    ...     stop_pct=2.0, target_pct=float("nan"), max_sessions=5,
    ... )
    >>> str(order.side), order.quantity, order.stop_pct, order.target_pct
    ('sell', Decimal('12.5'), 2.0, None)
    """
    return OrderIntent(
        client_order_id=client_order_id(portfolio, strategy, symbol, session, Leg.ENTRY, arm=arm),
        portfolio=portfolio,
        strategy=strategy,
        symbol=symbol,
        session=session,
        decision_session=decision_session,
        leg=Leg.ENTRY,
        side=Side.BUY if signed_quantity > 0 else Side.SELL,
        quantity=exact(abs(signed_quantity)),
        stop_pct=None if math.isnan(stop_pct) else float(stop_pct),
        target_pct=None if math.isnan(target_pct) else float(target_pct),
        max_sessions=max_sessions,
        arm=arm,
        origin=origin,
    )


def exit_order(
    position: Position, *, decision_session: dt.date, session: dt.date, origin: Origin = Origin.OTHER
) -> OrderIntent:
    """Return a market order that closes the position, good until filled.

    At the open of `session` when the decision came before; at its close when it was decided there, which is also how a stop or
    target that the broker executes by itself is written down.
    """
    return OrderIntent(
        client_order_id=client_order_id(position.portfolio, position.strategy, position.symbol, session, Leg.EXIT),
        portfolio=position.portfolio,
        strategy=position.strategy,
        symbol=position.symbol,
        session=session,
        decision_session=decision_session,
        leg=Leg.EXIT,
        side=Side.SELL if position.quantity > 0 else Side.BUY,
        quantity=abs(position.quantity),
        origin=origin,
        entry_order_id=position.entry_order_id,
    )
