"""Order ids and order states."""

from __future__ import annotations

import datetime as dt

import pytest

from core.errors import IllegalTransition
from core.models import FINAL, SENT, TRANSITIONS, WORKING, Leg, OrderState, client_order_id, follows, require_transition

DAY = dt.date(2024, 3, 8)


def test_the_same_intent_has_the_same_id_and_another_leg_another() -> None:
    first = client_order_id("main", "bollinger", "AAPL", DAY, Leg.ENTRY)
    assert first == client_order_id("main", "bollinger", "AAPL", DAY, Leg.ENTRY)
    assert first.startswith("20240308-entry-AAPL-")
    others = {
        client_order_id("main", "bollinger", "AAPL", DAY, Leg.EXIT),
        client_order_id("other", "bollinger", "AAPL", DAY, Leg.ENTRY),
        client_order_id("main", "rsi", "AAPL", DAY, Leg.ENTRY),
        client_order_id("main", "bollinger", "MSFT", DAY, Leg.ENTRY),
        client_order_id("main", "bollinger", "AAPL", DAY + dt.timedelta(days=3), Leg.ENTRY),
    }
    assert len(others | {first}) == 6


def test_a_filled_order_goes_nowhere() -> None:
    with pytest.raises(IllegalTransition, match="filled"):
        require_transition(OrderState.FILLED, OrderState.CANCELLED)


def test_an_unanswered_submission_can_become_whatever_the_lookup_shows() -> None:
    require_transition(OrderState.SUBMITTED, OrderState.UNKNOWN)
    require_transition(OrderState.UNKNOWN, OrderState.ACCEPTED)
    require_transition(OrderState.UNKNOWN, OrderState.REJECTED)


def test_the_table_names_every_state() -> None:
    assert set(TRANSITIONS) == set(OrderState)


def test_an_arm_of_a_test_has_an_id_of_its_own() -> None:
    plain = client_order_id("main", "bollinger", "AAPL", DAY, Leg.ENTRY)

    assert client_order_id("main", "bollinger", "AAPL", DAY, Leg.ENTRY, arm="") == plain
    assert client_order_id("main", "bollinger", "AAPL", DAY, Leg.ENTRY, arm="challenger") != plain


def test_every_state_is_written_down_sent_working_or_final() -> None:
    assert {OrderState.INTENT} | SENT | WORKING | FINAL == set(OrderState)
    assert not SENT & WORKING
    assert not WORKING & FINAL


@pytest.mark.parametrize(
    ("known", "told", "news"),
    [
        (OrderState.ACCEPTED, OrderState.CANCELLED, True),
        (OrderState.UNKNOWN, OrderState.ACCEPTED, True),
        (OrderState.CANCELLED, OrderState.FILLED, True),  # the last fill was overtaken
        (OrderState.FILLED, OrderState.FILLED, False),
        (OrderState.PARTIALLY_FILLED, OrderState.ACCEPTED, False),
        (OrderState.CANCEL_PENDING, OrderState.PARTIALLY_FILLED, False),
        (OrderState.FILLED, OrderState.EXPIRED, False),
        (OrderState.CANCELLED, OrderState.EXPIRED, False),
    ],
)
def test_what_is_told_twice_or_late_is_no_news(known: OrderState, told: OrderState, news: bool) -> None:
    assert follows(known, told) is news


@pytest.mark.parametrize(
    ("known", "told"),
    [
        (OrderState.FILLED, OrderState.REJECTED),
        (OrderState.REJECTED, OrderState.FILLED),
        (OrderState.PARTIALLY_FILLED, OrderState.REJECTED),
    ],
)
def test_what_no_order_of_events_explains_stops_trading(known: OrderState, told: OrderState) -> None:
    with pytest.raises(IllegalTransition, match=told):
        follows(known, told)
