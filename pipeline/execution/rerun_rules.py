"""Rules for a step that runs again, that evening or much later: what may still change, and what stands as it was recorded.

The rules read the ledger and the clock. They write nothing; orders that are too late are mailed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.models import Leg, OrderIntent, OrderState
from core.sessions import next_session, open_of, sessions_between
from pipeline.accounts.valuation import last_recorded_session
from trading.risk_manager import CORRELATION_WARNING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from monitoring.alerts import Alerts
    from storage.trading.ledger import Ledger
    from trading.decide import Key
    from trading.strategies.base import Strategy

OrdersById = Mapping[str, tuple[OrderIntent, OrderState]]

PAST = "a later session is on record"
OPENED = "the next session has opened"
DECIDED = "orders were decided on what is stored"


def next_open(session: str) -> dt.date:
    """Return the session at whose open today's decisions are filled.

    >>> next_open("2018-12-21")
    datetime.date(2018, 12, 24)
    """
    return next_session(dt.date.fromisoformat(session))


@dataclass(frozen=True)
class RerunRules:
    """Rules of the changes that a rerun may still make to a session traded before.

    Attributes
    ----------
    historical
        True for a finished history, in which no later session ever opens.
    """

    ledger: Ledger
    portfolio: str
    clock: Callable[[], dt.datetime]
    historical: bool

    def has_opened(self, day: dt.date) -> bool:
        """Return True once the session after `day` has opened."""
        return not self.historical and self.clock() >= open_of(next_session(day))

    def is_past(self, day: dt.date) -> bool:
        """Return True when a later session is on record."""
        newest = last_recorded_session(self.ledger, self.portfolio)
        return newest is not None and day < newest

    def why_inputs_stand(self, day: dt.date, strategies: Iterable[Strategy]) -> str | None:
        """Return the reason why the session's signals and predictions stand; None while no order was decided on them."""
        if self.is_past(day):
            return PAST
        return DECIDED if self.standing(day, self.decided_at(day), strategies) else None

    def why_value_stands(self, day: dt.date) -> str | None:
        """Return the reason why the session's value on record stands; None while it may be written, also once more."""
        newest = last_recorded_session(self.ledger, self.portfolio)
        if newest is not None and day < newest:
            return PAST
        return OPENED if newest == day and self.has_opened(day) else None

    def unsettled(self, day: dt.date) -> list[dt.date]:
        """Return the sessions that the paper broker must process up to `day`, oldest first; a newest one on record again."""
        newest = last_recorded_session(self.ledger, self.portfolio)
        if newest is None or newest == day:
            return [day]
        return [stamp.date() for stamp in sessions_between(newest + dt.timedelta(days=1), day)]

    def decided_at(self, day: dt.date) -> OrdersById:
        """Return the orders on record that were decided at the session, with their states."""
        return {order.client_order_id: (order, state) for order, state in self.ledger.orders_decided(self.portfolio, day)}

    @staticmethod
    def standing(day: dt.date, on_record: OrdersById, strategies: Iterable[Strategy]) -> tuple[OrderIntent, ...]:
        """Return the orders for later sessions among those on record that the strategies that trade have decided."""
        names = {strategy.name for strategy in strategies}
        mine = (order for order, _ in on_record.values() if order.strategy in names and order.by_strategy)
        return tuple(order for order in mine if order.session > day)

    @staticmethod
    def standing_exits(day: dt.date, on_record: OrdersById, positions: Collection[Key]) -> tuple[OrderIntent, ...]:
        """Return the exits for later sessions among those on record that the positions' own rules have decided."""
        exits = (order for order, _ in on_record.values() if order.leg is Leg.EXIT and order.by_strategy)
        return tuple(order for order in exits if order.session > day and (order.strategy, order.symbol) in positions)


def mail_late_orders(
    rules: RerunRules,
    alerts: Alerts,
    day: dt.date,
    decided: tuple[OrderIntent, ...],
    *,
    on_record: OrdersById,
    states: Mapping[str, OrderState],
) -> None:
    """Mail the orders that came after the open: never written down, or entries that the pre-send check held back."""
    if not rules.has_opened(day):
        return
    before = {order_id: on_record[order_id][1] if order_id in on_record else None for order_id in states}
    unsent = [order_id for order_id, state in states.items() if state is OrderState.CANCELLED is not before[order_id]]
    refused = _refused_symbols(rules, day)
    unwritten = [
        intent.client_order_id
        for intent in decided
        if rules.ledger.order(intent.client_order_id) is None and (intent.leg is Leg.EXIT or intent.symbol not in refused)
    ]
    if late := [*unsent, *unwritten]:
        alerts.send(
            f"{len(late)} orders for {next_session(day)} came too late",
            f"The session has opened, and none was sent: {', '.join(late)}.",
        )


def _refused_symbols(rules: RerunRules, day: dt.date) -> set[str]:
    """Return the symbols of which an earlier run for the session refused an entry."""
    events = rules.ledger.risk_events(rules.portfolio)
    refused = (events["session"] == day) & (events["reason"] != CORRELATION_WARNING)
    return set(events.loc[refused, "symbol"])
