"""What a single price must be to be traded on, and which barrier it reaches."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from core.models import Position
from trading.watch import (
    ABSURD_PRICE,
    NO_PRICE,
    REACHED_STOP,
    REACHED_TARGET,
    STALE_PRICE,
    Bounds,
    PriceSeen,
    doubt,
    reached,
)

OPENED = dt.datetime(2026, 11, 23, 14, 30, tzinfo=dt.UTC)
NOW = OPENED + dt.timedelta(hours=2)
BOUNDS = Bounds(max_age_seconds=600, max_move_pct=30)


def position(quantity: str, stop: str | None = "95", target: str | None = "110") -> Position:
    barriers = [None if price is None else Decimal(price) for price in (stop, target)]
    return Position("main", "bollinger", "AAPL", Decimal(quantity), OPENED.date(), Decimal(100), *barriers, 5, "entry")


def seen(price: str, *, seconds_ago: float = 0.0) -> PriceSeen:
    return PriceSeen(Decimal(price), NOW - dt.timedelta(seconds=seconds_ago))


@pytest.mark.parametrize(
    ("price", "barrier"),
    [("95.01", None), ("95", REACHED_STOP), ("80", REACHED_STOP), ("109.99", None), ("110", REACHED_TARGET)],
)
def test_a_long_leaves_at_or_under_its_stop_and_at_or_over_its_target(price: str, barrier: str | None) -> None:
    assert reached(position("10"), Decimal(price)) == barrier


@pytest.mark.parametrize(
    ("price", "barrier"),
    [("104.99", None), ("105", REACHED_STOP), ("120", REACHED_STOP), ("90.01", None), ("90", REACHED_TARGET)],
)
def test_a_short_is_mirrored(price: str, barrier: str | None) -> None:
    assert reached(position("-10", "105", "90"), Decimal(price)) == barrier


def test_a_barrier_that_is_not_there_is_not_reached() -> None:
    assert reached(position("10", None, "110"), Decimal(1)) is None
    assert reached(position("10", "95", None), Decimal(1000)) is None


@pytest.mark.parametrize(
    ("price", "reason", "found"),
    [
        (None, NO_PRICE, None),
        (seen("100", seconds_ago=600), None, None),
        (seen("100", seconds_ago=601), STALE_PRICE, 601.0),
        (seen("100", seconds_ago=-59), None, None),
        (seen("100", seconds_ago=-61), ABSURD_PRICE, -61.0),
        (seen("0"), ABSURD_PRICE, "0"),
        (seen("-1"), ABSURD_PRICE, "-1"),
        (seen("NaN"), ABSURD_PRICE, "NaN"),
        (seen("70.01"), None, None),
        (seen("69.99"), ABSURD_PRICE, pytest.approx(30.01)),
        (seen("130.5"), ABSURD_PRICE, pytest.approx(30.5)),
    ],
    ids=["none", "old enough", "too old", "a little ahead", "far ahead", "zero", "negative", "no number", "down", "farther",
         "up"],
)  # fmt: skip
def test_a_price_that_is_old_ahead_impossible_or_far_from_the_close_is_doubted(
    price: PriceSeen | None, reason: str | None, found: object
) -> None:
    doubted = doubt(price, NOW, OPENED, 100.0, BOUNDS)

    assert (doubted and doubted.reason) == reason
    if doubted is not None:
        assert doubted.details["found"] == found


def test_a_price_from_before_the_open_is_of_no_use_however_young() -> None:
    early = PriceSeen(Decimal(100), OPENED - dt.timedelta(seconds=1))

    doubted = doubt(early, OPENED + dt.timedelta(seconds=30), OPENED, 100.0, BOUNDS)

    assert doubted is not None
    assert doubted.reason == STALE_PRICE


@pytest.mark.parametrize("close", [None, 0.0])
def test_without_a_close_to_hold_it_against_a_price_is_not_trusted(close: float | None) -> None:
    doubted = doubt(seen("100"), NOW, OPENED, close, BOUNDS)

    assert doubted is not None
    assert (doubted.reason, doubted.details["close"]) == (ABSURD_PRICE, close)
