"""Recorded delistings: when they take effect, whom they pay and what."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal

import pandas as pd
import pytest

from core.errors import DataError
from core.frames import ACTIONS
from core.models import Leg, Position, Side
from trading.brokers.intake import position_after
from trading.delistings import Delisting, actions_until, delisting_exits, delistings_of

FRIDAY, MONDAY = dt.date(2018, 12, 14), dt.date(2018, 12, 17)


def actions(*rows: tuple[str, str, str, float]) -> pd.DataFrame:
    return ACTIONS.coerce(pd.DataFrame(rows, columns=["symbol", "session", "kind", "value"]))


def held(symbol: str = "OLD", quantity: str = "10", since: dt.date = FRIDAY, strategy: str = "rsi") -> Position:
    return Position("main", strategy, symbol, Decimal(quantity), since, Decimal(20), Decimal(15), None, None, "its-entry")


def test_splits_and_dividends_are_no_delistings_and_order_is_by_session() -> None:
    ends = (("B", "2018-12-14", "delisting", 0.0), ("A", "2018-12-17", "delisting", 3.5))

    found = delistings_of(actions(*ends, ("A", "2018-12-12", "split", 2.0)))

    assert found == (Delisting("B", FRIDAY, Decimal("0.0")), Delisting("A", MONDAY, Decimal("3.5")))


def test_it_takes_effect_at_the_next_session_of_the_symbols_own_exchange() -> None:
    rows = actions(("A", "2018-12-15", "delisting", 1.0), ("BTC-USD", "2018-12-15", "delisting", 1.0))

    assert {each.symbol: each.session for each in delistings_of(rows)} == {"A": MONDAY, "BTC-USD": dt.date(2018, 12, 15)}


def test_a_run_knows_what_takes_effect_by_its_last_session() -> None:
    rows = actions(
        ("A", "2018-12-14", "split", 2.0), ("A", "2018-12-15", "delisting", 1.0), ("A", "2018-12-20", "dividend", 1.0)
    )

    assert [len(actions_until(rows, day)) for day in (dt.date(2018, 12, 13), FRIDAY, MONDAY)] == [0, 1, 2]
    assert ACTIONS.check(actions_until(ACTIONS.empty(), FRIDAY)).empty


@pytest.mark.parametrize("day", ["1950-01-03", "2203-01-03"])
def test_a_day_outside_the_calendar_stays_as_it_is(day: str) -> None:
    assert str(delistings_of(actions(("A", day, "delisting", 1.0)))[0].session) == day


@pytest.mark.parametrize("value", [-0.01, math.inf, -math.inf])
def test_terms_that_are_no_cash_are_refused(value: float) -> None:
    with pytest.raises(DataError, match="Delisting of A: expected the cash a share"):
        delistings_of(actions(("A", "2018-12-14", "delisting", value)))


@pytest.mark.parametrize(("quantity", "side"), [("10", Side.SELL), ("-2.5", Side.BUY)])
def test_every_strategys_position_is_paid_out_without_costs(quantity: str, side: Side) -> None:
    positions = [held(quantity=quantity), held(quantity=quantity, strategy="trend"), held("NEW")]

    exits = delisting_exits(positions, Delisting("OLD", MONDAY, Decimal("14.25")))

    assert [order.strategy for order, _ in exits] == ["rsi", "trend"]
    assert {(order.leg, order.side) for order, _ in exits} == {(Leg.EXIT, side)}
    for order, fill in exits:
        assert (fill.price, fill.raw_price, fill.commission_usd) == (Decimal("14.25"), Decimal("14.25"), Decimal(0))
        assert (fill.session, fill.reason, fill.quantity) == (MONDAY, "delisted", abs(Decimal(quantity)))
        assert (str(fill.filled_at), order.arm, order.by_strategy) == ("2018-12-17 14:30:00+00:00", "delisted", False)
        assert position_after(positions[0], order, fill) is None


def test_booked_twice_the_ids_are_the_same() -> None:
    once, again = (delisting_exits([held()], Delisting("OLD", MONDAY, Decimal(0))) for _ in range(2))

    assert once == again


def test_a_position_of_that_session_or_later_is_in_another_listing() -> None:
    assert delisting_exits([held(since=MONDAY)], Delisting("OLD", MONDAY, Decimal(0))) == []
