"""The one way orders go to a venue and its answers into the book. Owns the outcome policy; it decides no order.

What makes a crash harmless: an intent is committed before it is sent, its state says how far it got, and an order whose answer
never came is queried under its id before anything is sent again. Every function may be called again after any crash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential_jitter

from core.errors import ExecutorBusy, RetryLater
from core.failpoints import reach
from core.models import FINAL, SENT, OrderState
from trading.brokers.base import unfenced
from trading.brokers.intake import moved, stored_order, take_state

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tenacity import RetryCallState

    from core.models import Answer, OrderIntent
    from trading.brokers.base import Broker, Fence
    from trading.brokers.book import Book

    PreSendCheck = Callable[[OrderIntent], str | None]  # why the order must not be sent any more; None lets it pass

log = structlog.get_logger()


@dataclass(frozen=True)
class Patience:
    """Retries of a request to a venue that does not answer: pauses double from first to longest, with jitter, to the deadline.

    A venue that states when to come back (Retry-After) is tried then, unless that is past the deadline.
    """

    deadline_seconds: float = 30.0
    first_wait_seconds: float = 0.5
    longest_wait_seconds: float = 8.0

    def retrying(self) -> Retrying:
        """A loop that tries again on `RetryLater` and raises the last one when the deadline is over."""
        backoff = wait_exponential_jitter(self.first_wait_seconds, self.longest_wait_seconds, jitter=self.first_wait_seconds)

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            retry_after = error.retry_after_seconds if isinstance(error, RetryLater) else None
            return max(retry_after or 0.0, backoff(state))

        def over(state: RetryCallState) -> bool:
            return stop_after_delay(self.deadline_seconds)(state) or (
                (state.seconds_since_start or 0.0) + state.upcoming_sleep > self.deadline_seconds
            )

        return Retrying(retry=retry_if_exception(_may_pass), stop=over, wait=wait, reraise=True)


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, RetryLater) and not isinstance(error, ExecutorBusy)


def allow_all(order: OrderIntent) -> None:
    """Let every order pass."""
    del order


def place(
    book: Book,
    broker: Broker,
    intents: Sequence[OrderIntent],
    *,
    pre_send: PreSendCheck = allow_all,
    fence: Fence = unfenced,
    patience: Patience = Patience(),  # immutable
) -> dict[str, OrderState]:
    """Write the intents down, send those not sent yet, and return the state of each.

    Parameters
    ----------
    pre_send
        Called right before each sending; the order is cancelled with the reason it returns. Kill switch and deadline are such
        checks.
    fence
        Called by the broker at the last moment before it writes an order to the wire: an executor that was frozen and
        overtaken by another sends nothing.

    Raises
    ------
    core.errors.RetryLater
        When the venue did not answer in time; the order stays UNKNOWN, those behind it stay INTENT.
    core.errors.ExecutorBusy
        When another executor took the order in the same moment, or has taken over the portfolio.
    """
    book.record_intents(intents)
    reach("place.written")
    return {
        intent.client_order_id: patience.retrying()(_send, book, broker, intent.client_order_id, pre_send, fence)
        for intent in intents
    }


def cancel(book: Book, broker: Broker, client_order_id: str, reason: str, *, patience: Patience = Patience()) -> OrderState:
    """Cancel what is not filled of an order, and return its state: CANCELLED, or CANCEL_PENDING until the venue has done it.

    An order never sent is cancelled in the book alone; an unanswered one is queried first.
    """
    return patience.retrying()(_cancel, book, broker, client_order_id, reason)


def _send(book: Book, broker: Broker, client_order_id: str, pre_send: PreSendCheck, fence: Fence) -> OrderState:
    order, state = stored_order(book, client_order_id)
    if state in SENT:
        state = _look_up(book, broker, client_order_id)
    if state not in {OrderState.INTENT, OrderState.UNKNOWN}:
        return state
    reason = pre_send(order)
    if reason is not None:
        book.transition(client_order_id, OrderState.CANCELLED, reason)
        log.warning("order_not_sent", client_order_id=client_order_id, symbol=order.symbol, reason=reason)
        return OrderState.CANCELLED
    reach("send.allowed")
    if not moved(book, client_order_id, state, OrderState.SUBMITTED, f"to {broker.name}"):
        return _state_after_race(book, client_order_id)
    reach("send.claimed")
    return _submit(book, broker, order, fence)


def _state_after_race(book: Book, client_order_id: str) -> OrderState:
    """Return the state of an order that another process moved right before it was to be sent; only the listener may."""
    state = stored_order(book, client_order_id)[1]
    if state is OrderState.SUBMITTED:
        raise ExecutorBusy(f"Order {client_order_id} is being sent by another executor. Let it finish, then run this again.")
    return state


def _submit(book: Book, broker: Broker, order: OrderIntent, fence: Fence) -> OrderState:
    try:
        answer = broker.submit(order, fence)
    except ExecutorBusy:  # nothing was sent, and the order is the other executor's
        raise
    except RetryLater as error:
        if _in_doubt(book, order.client_order_id, OrderState.SUBMITTED, str(error)) is OrderState.UNKNOWN:
            raise
        return stored_order(book, order.client_order_id)[1]  # the listener had it before the wait for an answer ended
    reach("send.answered")
    state = take_state(book, order.client_order_id, answer.state, _words(answer))
    reach("send.recorded")
    log.info("order_placed", client_order_id=order.client_order_id, symbol=order.symbol, side=order.side, state=state)
    return state


def _look_up(book: Book, broker: Broker, client_order_id: str) -> OrderState:
    """Return the venue's state of an order whose answer never came; UNKNOWN when it did not arrive."""
    found = broker.find(client_order_id)
    reach("lookup.answered")
    if found is not None:
        log.info("order_found", client_order_id=client_order_id, state=found.state)
        return take_state(book, client_order_id, found.state, found.reason or f"found at {broker.name}")
    state = _in_doubt(book, client_order_id, stored_order(book, client_order_id)[1], f"not found at {broker.name}")
    reach("lookup.absent")
    return state


def _in_doubt(book: Book, client_order_id: str, state: OrderState, reason: str) -> OrderState:
    """Move an order that was sent to UNKNOWN, unless the listener has moved it meanwhile; return its state."""
    if state in SENT:
        moved(book, client_order_id, state, OrderState.UNKNOWN, reason)
    return stored_order(book, client_order_id)[1]


def _cancel(book: Book, broker: Broker, client_order_id: str, reason: str) -> OrderState:
    _, state = stored_order(book, client_order_id)
    if state in SENT:
        state = _look_up(book, broker, client_order_id)
    if state in FINAL:
        return state
    if state in {OrderState.INTENT, OrderState.UNKNOWN}:
        done = moved(book, client_order_id, state, OrderState.CANCELLED, reason)
        return OrderState.CANCELLED if done else _cancel(book, broker, client_order_id, reason)
    if state is not OrderState.CANCEL_PENDING and not moved(book, client_order_id, state, OrderState.CANCEL_PENDING, reason):
        return _cancel(book, broker, client_order_id, reason)
    reach("cancel.claimed")
    answer = broker.cancel(client_order_id)
    reach("cancel.answered")
    if answer.refused is None or answer.state not in {OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED}:
        return take_state(book, client_order_id, answer.state, _words(answer))
    log.warning("cancel_refused", client_order_id=client_order_id, reason=_words(answer))
    back = OrderState.PARTIALLY_FILLED if book.filled(client_order_id) else OrderState.ACCEPTED
    moved(book, client_order_id, OrderState.CANCEL_PENDING, back, _words(answer))
    return stored_order(book, client_order_id)[1]


def _words(answer: Answer) -> str:
    return ": ".join(filter(None, (answer.refused, answer.reason)))
