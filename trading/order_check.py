"""The contract of everything that stands between a decision and an order: a check keeps orders, changes them or refuses them.

A check is a function of the context and the intents that the checks before it kept. `run_order_checks` loops over the checks;
what one refuses, no later one receives. Two rules hold for every check: exits are never refused for want of permission to open
a position, and orders on record from an earlier run stand as they were written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from core.models import Leg

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Sequence

    from core.models import OrderIntent
    from trading.decide import Refusal

Intents = tuple["OrderIntent", ...]


@dataclass(frozen=True)
class OrderContext:
    """The facts that every check may use.

    Attributes
    ----------
    session
        Session at whose close the orders are decided.
    on_record
        Ids of the orders decided at the session that an earlier run has written down.
    """

    session: dt.date
    on_record: frozenset[str] = field(default_factory=frozenset)

    def is_new(self, order: OrderIntent) -> bool:
        """Return True unless an earlier run has written the order down."""
        return order.client_order_id not in self.on_record

    def new_entries(self, intents: Iterable[OrderIntent]) -> list[OrderIntent]:
        """Return the entries that no earlier run has written down: the orders that a check may refuse."""
        return [order for order in intents if order.leg is Leg.ENTRY and self.is_new(order)]


class OrderCheck(Protocol):
    """A check of decided orders, named after what it checks."""

    def __call__(self, context: OrderContext, intents: Intents, /) -> tuple[Intents, Sequence[Refusal]]:
        """Return the orders to go on with, in the order given, and one refusal for each order taken out."""
        ...


def run_order_checks(checks: Iterable[OrderCheck], context: OrderContext, intents: Intents) -> tuple[Intents, list[Refusal]]:
    """Pass the intents through the checks, in their order; return those kept by all of them and every refusal.

    Examples
    --------
    >>> import datetime as dt
    >>> from trading.decide import Refusal
    >>> from trading.orders import entry_order
    >>> def check_long_only(context, intents):
    ...     kept = tuple(order for order in intents if order.side == "buy")
    ...     refused = [order for order in intents if order not in kept]
    ...     return kept, [Refusal(order.strategy, order.symbol, context.session, "short") for order in refused]
    >>> monday, tuesday = dt.date(2018, 12, 17), dt.date(2018, 12, 18)
    >>> orders = tuple(
    ...     entry_order("main", "rsi", symbol, decision_session=monday, session=tuesday, signed_quantity=quantity,
    ...                 stop_pct=2.0, target_pct=4.0, max_sessions=5)
    ...     for symbol, quantity in [("SPY", 3.0), ("QQQ", -2.0)]
    ... )
    >>> kept, refusals = run_order_checks([check_long_only], OrderContext(monday), orders)
    >>> [order.symbol for order in kept], [(refusal.symbol, refusal.reason) for refusal in refusals]
    (['SPY'], [('QQQ', 'short')])
    """
    refusals: list[Refusal] = []
    for check in checks:
        intents, refused = check(context, intents)
        refusals.extend(refused)
    return intents, refusals
