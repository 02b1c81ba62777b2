"""Order ids and order states."""

from __future__ import annotations

import datetime as dt

import pytest

from core.errors import IllegalTransition
from core.models import TRANSITIONS, Leg, OrderState, client_order_id, require_transition

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
