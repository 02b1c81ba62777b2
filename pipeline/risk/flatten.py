"""Sell everything: cancel the open orders first, then order the exit of every position. It evaluates no risk.

It may be called again until nothing is held: a working exit is not sent twice, one that failed is followed by another under a
new id. The caller holds the executor's lock and has halted the desk, so that nothing is opened meanwhile.
"""

from __future__ import annotations

import datetime as dt
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from core.errors import ExecutorBusy, RetryLater, UnreadableAnswer
from core.models import FINAL, OrderState
from pipeline.accounts.corporate_actions import collect_fills
from pipeline.resources import Resources, live
from pipeline.risk.exit_orders import FLATTEN, ExitOrders, working_exits
from trading.brokers.base import unfenced
from trading.brokers.children import entry_of
from trading.brokers.intake import collect
from trading.brokers.placing import cancel, place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from core.models import OrderIntent, Position
    from pipeline.accounts.trading_account import TradingAccount
    from trading.brokers.base import Fence

log = structlog.get_logger()
LOOK_BACK = dt.timedelta(days=7)


@dataclass(frozen=True)
class Flattening:
    """Result of one attempt to sell everything.

    Attributes
    ----------
    cancelled
        Ids of orders cancelled or being cancelled.
    exits
        Ids of working exits.
    left
        Positions still held.
    """

    cancelled: tuple[str, ...]
    exits: tuple[str, ...]
    left: tuple[Position, ...]

    @property
    def flat(self) -> bool:
        """True once nothing is held."""
        return not self.left


def flatten(reason: str, *, day: dt.date | None = None, resources: Resources | None = None) -> Flattening:
    """Flatten the desk's portfolio; see `flatten_account`."""
    return flatten_account(ExitOrders.of(resources or live()), reason, day=day)


def flatten_account(exit_orders: ExitOrders, reason: str, *, day: dt.date | None = None, fence: Fence = unfenced) -> Flattening:
    """Cancel every open order of the account, then order the exit of every position.

    Parameters
    ----------
    day
        The session at whose close this was decided, for the daily run; None: the present moment, during a session or after it.
    fence
        The caller's, asked at the last moment before each exit is sent.

    An order that cannot be read is logged and passed over, and an exit without an answer keeps no other from being sent.

    Raises
    ------
    core.errors.RetryLater
        When the broker does not answer: call again. What could be sold is on its way then.
    """
    account = exit_orders.account
    ledger, broker, portfolio = account.ledger, account.broker, account.portfolio
    cancelled = tuple(_cancel_orders(account, reason))
    collect_fills(account, exit_orders.clock() - LOOK_BACK, exit_orders.today())
    orders = [order for each in ledger.positions(portfolio) if (order := _exit_for(exit_orders, each, day)) is not None]
    cancelled += tuple(_cancel_others(account, leaving=orders))
    ledger.record_intents(orders)
    exits, unanswered = _send(account, orders, fence)
    collect(ledger, broker, portfolio, exit_orders.clock() - LOOK_BACK)
    done = Flattening(cancelled, exits, tuple(ledger.positions(portfolio)))
    log.warning("flattened", reason=reason, cancelled=cancelled, exits=done.exits, left=len(done.left))
    if unanswered:
        raise unanswered[0]
    return done


def _send(account: TradingAccount, orders: Sequence[OrderIntent], fence: Fence) -> tuple[tuple[str, ...], list[RetryLater]]:
    """Send each exit; return the ids of those that were answered, and the errors of the others."""
    sent, unanswered = [], []
    for order in orders:
        try:
            place(account.ledger, account.broker, [order], fence=fence, patience=account.patience)
        except ExecutorBusy:
            raise
        except RetryLater as error:
            log.warning("exit_without_answer", client_order_id=order.client_order_id, symbol=order.symbol, reason=str(error))
            unanswered.append(error)
        else:
            sent.append(order.client_order_id)
    return tuple(sent), unanswered


def _cancel_orders(account: TradingAccount, reason: str) -> Iterator[str]:
    """Cancel the open orders of the ledger.

    Exits with an arm continue: they sell at once what the strategy's own may sell at a later open.
    """
    for order, _ in account.ledger.open_orders(account.portfolio):
        if order.by_strategy:
            with _passing_over(order.client_order_id):
                cancel(account.ledger, account.broker, order.client_order_id, reason, patience=account.patience)
            yield order.client_order_id


def _cancel_others(account: TradingAccount, leaving: Sequence[OrderIntent]) -> Iterator[str]:
    """Cancel the orders of the venue that the ledger lacks, brackets' children without a position among them.

    The children of what is sold stay: its exit takes them back as it is sent, and puts them back if the venue refuses it.
    """
    continuing = {order.client_order_id for order, _ in account.ledger.open_orders(account.portfolio)}
    entries = {order.entry_order_id for order in leaving}
    for view in account.patience.retrying()(account.broker.open_orders):
        stays = view.client_order_id in continuing or entry_of(view.client_order_id) in entries
        if not stays and view.state not in {*FINAL, OrderState.CANCEL_PENDING}:
            with _passing_over(view.client_order_id):
                account.patience.retrying()(account.broker.cancel, view.client_order_id)
            yield view.client_order_id


@contextmanager
def _passing_over(client_order_id: str) -> Iterator[None]:
    """Log an answer about this one order that cannot be read: what is held must be sold all the same."""
    try:
        yield
    except UnreadableAnswer as error:
        log.warning("order_unreadable", client_order_id=client_order_id, reason=str(error))


def _exit_for(exit_orders: ExitOrders, position: Position, day: dt.date | None) -> OrderIntent | None:
    """Return the exit of a position: a working one with an arm, for whatever session, else a new one."""
    account = exit_orders.account
    order, _ = working_exits(account.ledger, account.portfolio).get((position.strategy, position.symbol), (None, None))
    return order if order is not None and order.arm else exit_orders.exit_for(position, FLATTEN, day)
