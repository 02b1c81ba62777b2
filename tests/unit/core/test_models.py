"""Order ids, order states and quotes."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from core.errors import IllegalTransition
from core.models import (
    FINAL,
    SENT,
    TRANSITIONS,
    WORKING,
    Leg,
    OrderState,
    Quote,
    client_order_id,
    follows,
    require_transition,
)

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


NOON = dt.datetime(2024, 3, 8, 17, tzinfo=dt.UTC)


def quoted(bid: str, ask: str, *, age_seconds: float = 0.0) -> Quote:
    return Quote("AAPL", Decimal(bid), Decimal(ask), NOON - dt.timedelta(seconds=age_seconds))


def test_a_spread_is_measured_from_the_middle() -> None:
    quote = quoted("99.90", "100.10")

    assert quote.mid == 100
    assert quote.spread_bps == 20
    assert quoted("100", "100").spread_bps == 0


@pytest.mark.parametrize(
    ("quote", "why"),
    [
        (quoted("99.90", "100.10"), None),
        (quoted("100", "100"), None),  # locked, and true
        (quoted("60", "100"), None),  # 5000 bps
        (quoted("99.90", "100.10", age_seconds=60), None),
        (quoted("100.10", "99.90"), "expected the bid not over the ask, found 100.10 bid, 99.90 asked"),
        (quoted("0", "100.10"), "expected both prices over 0, found 0 bid, 100.10 asked"),
        (quoted("99.90", "0"), "expected both prices over 0, found 99.90 bid, 0 asked"),
        (quoted("-1", "100.10"), "expected both prices over 0, found -1 bid, 100.10 asked"),
        (quoted("NaN", "100.10"), "expected two prices, found NaN bid, 100.10 asked"),
        (quoted("99.90", "Infinity"), "expected two prices, found 99.90 bid, Infinity asked"),
        (quoted("0.01", "199999.99"), "expected a spread of at most 5000 bps, found 0.01 bid, 199999.99 asked"),
        (quoted("99.90", "100.10", age_seconds=61), "expected a quote of the last 60 s, found one 61 s old"),
        (quoted("99.90", "100.10", age_seconds=-5), None),
        (quoted("99.90", "100.10", age_seconds=-6), "expected a quote of the last 60 s, found one -6 s old"),
        (quoted("99.90", "100.10", age_seconds=-61), "expected a quote of the last 60 s, found one -61 s old"),
    ],
)
def test_an_absurd_quote_says_what_is_wrong_with_it(quote: Quote, why: str | None) -> None:
    assert quote.objection(NOON, max_age_seconds=60) == why


@pytest.mark.parametrize("at", [NOON.replace(tzinfo=None), NOON.astimezone(dt.timezone(dt.timedelta(hours=1)))])
def test_a_quote_has_its_time_in_utc(at: dt.datetime) -> None:
    with pytest.raises(ValueError, match="expected a time in UTC"):
        Quote("AAPL", Decimal(1), Decimal(2), at)
