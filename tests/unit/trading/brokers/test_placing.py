"""The outcome policy: an answer is final, silence is looked up, and nobody waits for ever."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from core.errors import ExecutorBusy, IllegalTransition, RetryLater, StopTrading
from core.models import Answer, OrderState, OrderView, Refused
from tests.standins.memory_book import MemoryBook
from tests.unit.trading.brokers.test_orders_and_paper import AT_ONCE, FREE, TUESDAY, bars, buy
from trading.brokers.base import unfenced
from trading.brokers.intake import collect, take_fill, take_state
from trading.brokers.paper import PaperBroker
from trading.brokers.placing import Patience, cancel, place

if TYPE_CHECKING:
    from trading.brokers.base import Fence

NAME = buy().client_order_id


class Scripted(PaperBroker):
    """Answers as it is told to, one answer a call; an error is raised."""

    def __init__(self, book: MemoryBook, **script: list[Any]) -> None:
        super().__init__(book, FREE)
        self.script, self.calls = script, []

    def submit(self, order: Any, fence: Fence = unfenced) -> Answer:
        return self._next("submit") or super().submit(order, fence)

    def find(self, client_order_id: str) -> OrderView | None:
        answer = self._next("find")
        return None if answer == "absent" else answer or super().find(client_order_id)

    def cancel(self, client_order_id: str) -> Answer:
        return self._next("cancel") or super().cancel(client_order_id)

    def _next(self, name: str) -> Any:
        self.calls.append(name)
        answers = self.script.get(name)
        answer = answers.pop(0) if answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def book() -> MemoryBook:
    return MemoryBook()


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses asked for, not slept."""
    asked: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", asked.append)
    return asked


def test_a_refusal_is_final_and_keeps_the_venues_words(book: MemoryBook) -> None:
    broker = Scripted(book, submit=[Answer(OrderState.REJECTED, Refused.HALTED, "AAA is halted")])

    for _ in range(2):
        assert place(book, broker, [buy()]) == {NAME: OrderState.REJECTED}

    assert broker.calls == ["submit"]


def test_silence_is_looked_up_and_the_order_is_sent_again_only_if_it_is_not_there(book: MemoryBook, naps: list[float]) -> None:
    broker = Scripted(
        book, submit=[RetryLater("timed out"), RetryLater("timed out")], find=["absent", RetryLater("503"), "absent"]
    )

    assert place(book, broker, [buy()]) == {NAME: OrderState.ACCEPTED}

    assert broker.calls == ["submit", "find", "submit", "find", "find", "submit"]
    assert [state for _, state in book.events] == [
        OrderState.INTENT,
        OrderState.SUBMITTED,
        OrderState.UNKNOWN,
        OrderState.SUBMITTED,
        OrderState.UNKNOWN,
        OrderState.SUBMITTED,
        OrderState.ACCEPTED,
    ]
    assert len(naps) == 3
    assert all(0.5 <= pause <= 8.5 for pause in naps), "half a second, one, two, each with jitter"


def test_a_venue_that_says_when_to_come_back_is_asked_then(book: MemoryBook, naps: list[float]) -> None:
    broker = Scripted(book, submit=[RetryLater("429", retry_after_seconds=7.0)], find=["absent"])

    place(book, broker, [buy()])

    assert naps == [7.0]


def test_a_pause_beyond_the_deadline_is_not_begun(book: MemoryBook, naps: list[float]) -> None:
    broker = Scripted(book, submit=[RetryLater("429", retry_after_seconds=3600.0)])

    with pytest.raises(RetryLater, match="429"):
        place(book, broker, [buy()], patience=Patience(deadline_seconds=30.0))

    assert naps == []
    assert book.orders[NAME][1] is OrderState.UNKNOWN


def test_what_the_gate_holds_back_is_cancelled_with_its_reason_and_never_sent(book: MemoryBook) -> None:
    broker = Scripted(book)

    states = place(
        book, broker, [buy(), buy("BBB")], pre_send=lambda order: "halted by hand" if order.symbol == "AAA" else None
    )

    assert list(states.values()) == [OrderState.CANCELLED, OrderState.ACCEPTED]
    assert broker.calls == ["submit"]
    assert place(book, broker, [buy()]) == {NAME: OrderState.CANCELLED}, "a rerun without the halt does not send it late"


def test_an_order_that_someone_else_is_sending_is_left_to_them() -> None:
    class Twin(MemoryBook):
        def transition(self, client_order_id: str, state: OrderState, reason: str = "") -> bool:
            if state is OrderState.SUBMITTED:
                super().transition(client_order_id, state)
            return super().transition(client_order_id, state, reason)

    twin = Twin()
    broker = Scripted(twin)

    with pytest.raises(ExecutorBusy, match="another executor"):
        place(twin, broker, [buy()])
    assert broker.calls == []


class Overheard(Scripted):
    """A venue whose stream tells of an order before a question about it is answered."""

    def _next(self, name: str) -> Any:
        if self.script.get(name, [None])[0] == "heard":
            self.script[name].pop(0)
            take_state(self.book, NAME, OrderState.ACCEPTED, "told by the stream")
        return super()._next(name)


def test_silence_about_an_order_that_the_stream_has_told_of_is_no_doubt(book: MemoryBook) -> None:
    broker = Overheard(book, submit=["heard", RetryLater("timed out")])

    assert place(book, broker, [buy()]) == {NAME: OrderState.ACCEPTED}
    assert broker.calls == ["submit"]


def test_an_order_that_the_stream_tells_of_while_it_is_looked_up_is_not_sent_again(book: MemoryBook, naps: list[float]) -> None:
    broker = Overheard(book, submit=[RetryLater("timed out")], find=["heard", "absent"])

    assert place(book, broker, [buy()]) == {NAME: OrderState.ACCEPTED}
    assert broker.calls == ["submit", "find"]
    assert len(naps) == 1


def test_an_order_that_the_stream_tells_of_right_before_it_is_sent_again_is_not(book: MemoryBook, naps: list[float]) -> None:
    broker = Scripted(book, submit=[RetryLater("timed out")], find=["absent"])

    def pre_send(order: Any) -> None:
        if broker.calls:
            take_state(book, order.client_order_id, OrderState.ACCEPTED, "told by the stream")

    assert place(book, broker, [buy()], pre_send=pre_send) == {NAME: OrderState.ACCEPTED}
    assert broker.calls == ["submit", "find"]
    assert len(naps) == 1


@pytest.mark.parametrize(
    ("before", "answer", "after"),
    [
        (OrderState.ACCEPTED, Answer(OrderState.CANCELLED), OrderState.CANCELLED),
        (OrderState.ACCEPTED, Answer(OrderState.CANCEL_PENDING), OrderState.CANCEL_PENDING),
        (OrderState.ACCEPTED, Answer(OrderState.ACCEPTED, Refused.OTHER, "not now"), OrderState.ACCEPTED),
        (OrderState.ACCEPTED, Answer(OrderState.FILLED, Refused.TOO_LATE), OrderState.CANCEL_PENDING),  # until the fills come
    ],
)
def test_a_cancellation_ends_as_the_venue_says(book: MemoryBook, before: OrderState, answer: Answer, after: OrderState) -> None:
    broker = Scripted(book, cancel=[answer])
    assert place(book, broker, [buy()]) == {NAME: before}

    assert cancel(book, broker, NAME, "called off") is after
    assert book.orders[NAME][1] is after


def test_an_order_never_sent_is_cancelled_without_a_word_to_the_venue(book: MemoryBook) -> None:
    broker = Scripted(book)
    book.record_intents([buy()])

    assert cancel(book, broker, NAME, "called off") is OrderState.CANCELLED
    assert broker.calls == []
    assert cancel(book, broker, NAME, "again") is OrderState.CANCELLED


def test_an_unanswered_cancellation_stays_pending_and_is_asked_again(book: MemoryBook) -> None:
    broker = Scripted(book, cancel=[RetryLater("dropped")])
    place(book, broker, [buy()])

    with pytest.raises(RetryLater):
        cancel(book, broker, NAME, "called off", patience=AT_ONCE)
    assert book.orders[NAME][1] is OrderState.CANCEL_PENDING

    assert cancel(book, broker, NAME, "called off") is OrderState.CANCELLED


def test_what_contradicts_the_book_stops_trading(book: MemoryBook) -> None:
    broker = Scripted(book)
    place(book, broker, [buy()])
    (fill,) = broker.advance(TUESDAY, bars(TUESDAY, 100, 101, 99, 100))

    with pytest.raises(IllegalTransition):
        take_state(book, NAME, OrderState.REJECTED)
    assert take_state(book, NAME, OrderState.CANCELLED) is OrderState.FILLED, (
        "the news of the end was overtaken by the last fill"
    )
    with pytest.raises(StopTrading, match="desk reconcile"):
        take_fill(book, replace(fill, client_order_id="nobody's"))
    with pytest.raises(IllegalTransition, match="at most 10"):
        take_fill(book, replace(fill, fill_id="one more"))
    assert take_fill(book, fill) is False


def test_collecting_takes_fills_once_and_asks_about_what_is_open(book: MemoryBook) -> None:
    broker = Scripted(book)
    place(book, broker, [buy(), buy("BBB")])
    (fill,) = broker.advance(TUESDAY, bars(TUESDAY, 100, 101, 99, 100))
    fresh = MemoryBook()
    fresh.record_intents([buy(), buy("CCC")])
    for name in (NAME, buy("CCC").client_order_id):
        fresh.transition(name, OrderState.SUBMITTED)
    broker.script["find"] = [OrderView("", "CCC", buy().side, Decimal(10), OrderState.EXPIRED)]

    assert collect(fresh, broker, "main", fill.filled_at) == 1
    assert collect(fresh, broker, "main", fill.filled_at) == 0

    assert fresh.orders[NAME][1] is OrderState.FILLED
    assert fresh.orders[buy("CCC").client_order_id][1] is OrderState.EXPIRED
    assert [(held.symbol, held.quantity) for held in fresh.positions("main")] == [("AAA", Decimal("10.0"))]
