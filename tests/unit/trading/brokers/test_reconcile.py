"""Every difference between the desk and a venue has a name, and what the desk cannot resolve stops it."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.models import FINAL, Fill, Leg, OrderIntent, OrderState, OrderView, Position, Side, VenuePosition
from trading.brokers.reconcile import LedgerState, Mismatch, VenueState, compare, expired, missed

TODAY, TOMORROW = dt.date(2026, 11, 20), dt.date(2026, 11, 23)
CENT = Decimal("0.01")


def order(name: str = "A", session: dt.date = TOMORROW, quantity: str = "3") -> OrderIntent:
    return OrderIntent(name, "main", "bollinger", "AAPL", session, TODAY, Leg.ENTRY, Side.BUY, Decimal(quantity))


def view(name: str = "A", quantity: str = "3", state: OrderState = OrderState.ACCEPTED) -> OrderView:
    return OrderView(name, "AAPL", Side.BUY, Decimal(quantity), state, venue_order_id=f"v{name}")


def held(quantity: str = "3", symbol: str = "AAPL") -> Position:
    return Position("main", "bollinger", symbol, Decimal(quantity), TODAY, Decimal(100), None, None, 2, "E")


def desk(
    *orders: tuple[OrderIntent, OrderState], positions: tuple[Position, ...] = (), cash: str = "1000", filled: str = "0"
) -> LedgerState:
    known = frozenset({each.client_order_id for each, _ in orders} | {"E"})
    return LedgerState(orders, positions, Decimal(cash), known, {each.client_order_id: Decimal(filled) for each, _ in orders})


def venue(*working: OrderView, positions: dict[str, str] | None = None, cash: str = "1000") -> VenueState:
    there = [VenuePosition(symbol, Decimal(quantity), Decimal(100)) for symbol, quantity in (positions or {}).items()]
    return VenueState({each.client_order_id: each for each in working}, working, there, Decimal(cash))


CASES = {
    "both agree": (desk((order(), OrderState.ACCEPTED), positions=(held(),)), venue(view(), positions={"AAPL": "3"}), []),
    "written down and in time": (desk((order(), OrderState.INTENT)), venue(), []),
    "an answer that never came, in time": (
        desk((order(), OrderState.UNKNOWN)),
        venue(),
        [(Mismatch.SENT_AGAIN, "A", False)],
    ),
    "an answer that never came, too late": (
        desk((order(session=TODAY), OrderState.UNKNOWN)),
        venue(),
        [(Mismatch.NEVER_ARRIVED, "A", False)],
    ),
    "never sent, too late": (
        desk((order(session=TODAY), OrderState.INTENT)),
        venue(),
        [(Mismatch.NEVER_ARRIVED, "A", False)],
    ),
    "accepted and not there, in time": (
        desk((order(), OrderState.ACCEPTED)),
        venue(),
        [(Mismatch.NOT_LISTED, "A", False)],
    ),
    "accepted and not there, too late": (
        desk((order(session=TODAY), OrderState.ACCEPTED)),
        venue(),
        [(Mismatch.VANISHED, "A", False)],
    ),
    "filled in part, the rest not there": (
        desk((order(session=TODAY), OrderState.PARTIALLY_FILLED), filled="1", positions=(held("1"),)),
        venue(positions={"AAPL": "1"}),
        [(Mismatch.VANISHED, "A", False)],
    ),
    "its cancellation asked for, and not there": (
        desk((order(session=TODAY), OrderState.CANCEL_PENDING)),
        venue(),
        [(Mismatch.VANISHED, "A", False)],
    ),
    "its cancellation asked for, and under way": (
        desk((order(session=TODAY), OrderState.CANCEL_PENDING)),
        venue(view(state=OrderState.CANCEL_PENDING)),
        [],
    ),
    "its cancellation asked for, and works on": (
        desk((order(session=TODAY), OrderState.CANCEL_PENDING)),
        venue(view()),
        [(Mismatch.OVERDUE, "A", False)],
    ),
    "an exit of an earlier session that works on": (
        desk((replace(order(session=TODAY), leg=Leg.EXIT, side=Side.SELL), OrderState.ACCEPTED)),
        venue(replace(view(), side=Side.SELL)),
        [],
    ),
    "over here, and works there": (
        replace(desk(), own_ids=frozenset({"A"}), ended=frozenset({"A"})),
        venue(view()),
        [(Mismatch.STILL_WORKING, "A", True)],
    ),
    "over here, and ending there": (
        replace(desk(), own_ids=frozenset({"A"}), ended=frozenset({"A"})),
        venue(view(state=OrderState.CANCEL_PENDING)),
        [],
    ),
    "filled there, and no fill is told": (
        desk((order(), OrderState.ACCEPTED)),
        replace(venue(), orders={"A": view(state=OrderState.FILLED)}),
        [(Mismatch.FILLS_NOT_TOLD, "A", True)],
    ),
    "filled further there than is told": (
        desk((order(), OrderState.PARTIALLY_FILLED), filled="1", positions=(held("1"),)),
        venue(replace(view(state=OrderState.PARTIALLY_FILLED), filled_quantity=Decimal(2)), positions={"AAPL": "1"}),
        [(Mismatch.FILLS_NOT_TOLD, "A", True)],
    ),
    "an order of somebody else": (desk(), venue(view("X")), [(Mismatch.EXTERNAL_ORDER, "X", True)]),
    "a stop that protects an entry": (desk(positions=(held(),)), venue(view("E.stop"), positions={"AAPL": "3"}), []),
    "replaced at the venue": (
        desk((order(), OrderState.ACCEPTED)),
        venue(view(quantity="5")),
        [(Mismatch.ORDER_QUANTITY, "A", True)],
    ),
    "another quantity": (
        desk(positions=(held(),)),
        venue(positions={"AAPL": "2"}),
        [(Mismatch.QUANTITY_MISMATCH, "AAPL", True)],
    ),
    "gone at the venue": (desk(positions=(held(),)), venue(), [(Mismatch.MISSING_POSITION, "AAPL", True)]),
    "never opened here": (desk(), venue(positions={"TSLA": "-1"}), [(Mismatch.EXTERNAL_POSITION, "TSLA", True)]),
    "two strategies in one symbol": (
        desk(positions=(held("3"), replace(held("2"), strategy="rsi"))),
        venue(positions={"AAPL": "5"}),
        [],
    ),
    "cash within a cent": (desk(cash="1000"), venue(cash="1000.01"), []),
    "cash unreadable": (desk(cash="1000"), venue(cash="NaN"), [(Mismatch.CASH, "cash", False)]),
    "cash unreadable on both sides": (desk(cash="NaN"), venue(cash="NaN"), [(Mismatch.CASH, "cash", False)]),
    "cash apart": (desk(cash="1000"), venue(cash="990"), [(Mismatch.CASH, "cash", False)]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_difference_has_its_name_and_stops_the_desk_or_does_not(case: str) -> None:
    ours, theirs, expected = CASES[case]

    found = compare(ours, theirs, TODAY, cash_tolerance_usd=CENT)

    assert [(each.rule, each.subject, each.halts) for each in found] == expected
    assert all(each.resolution for each in found)


def test_only_what_never_arrived_expires() -> None:
    late = compare(
        desk((order("A", TODAY), OrderState.UNKNOWN), (order("B"), OrderState.UNKNOWN)), venue(), TODAY, cash_tolerance_usd=CENT
    )

    assert list(expired(late)) == ["A"]


def test_an_order_that_the_venue_lost_ends_once_its_open_has_passed_and_a_person_is_told() -> None:
    found = compare(
        desk((order("A", TODAY), OrderState.ACCEPTED), (order("B"), OrderState.CANCEL_PENDING)), venue(), TODAY,
        cash_tolerance_usd=CENT,
    )  # fmt: skip

    assert [(each.rule, each.subject, each.resolved, each.halts, each.is_alerted) for each in found] == [
        (Mismatch.NOT_LISTED, "B", False, False, True),
        (Mismatch.VANISHED, "A", True, False, True),
    ]
    assert list(expired(found)) == ["A"]


def test_a_missed_fill_is_resolved_under_the_venues_own_id() -> None:
    fill = Fill(
        "alpaca:7", "A", "AAPL", Side.BUY, Decimal(3), Decimal(101), Decimal(101), Decimal(0), TODAY,
        dt.datetime.now(dt.UTC), "",
    )  # fmt: skip

    (difference,) = missed([fill])

    assert (difference.rule, difference.resolved, difference.halts) == (Mismatch.MISSED_FILL, True, False)
    assert "alpaca:7" in difference.resolution


quantities = st.dictionaries(st.sampled_from(["AAPL", "MSFT", "SPY"]), st.integers(-3, 3).filter(bool).map(str), max_size=3)


@given(ours=quantities, theirs=quantities)
def test_positions_agree_exactly_when_no_difference_is_named(ours: dict[str, str], theirs: dict[str, str]) -> None:
    positions = tuple(held(quantity, symbol) for symbol, quantity in ours.items())

    found = compare(desk(positions=positions), venue(positions=theirs), TODAY, cash_tolerance_usd=CENT)

    assert (found == []) == (ours == theirs)
    assert {each.subject for each in found} == {s for s in {*ours, *theirs} if ours.get(s) != theirs.get(s)}


SENT_TO_THE_VENUE = sorted(set(OrderState) - FINAL - {OrderState.INTENT})


@given(
    state=st.sampled_from(SENT_TO_THE_VENUE),
    session=st.sampled_from([TODAY, TOMORROW]),
    there=st.none() | st.sampled_from(sorted(set(OrderState) - {OrderState.INTENT, OrderState.SUBMITTED, OrderState.UNKNOWN})),
)
def test_an_order_believed_open_is_confirmed_by_the_venue_or_named(
    state: OrderState, session: dt.date, there: OrderState | None
) -> None:
    """The ledger takes ends before it compares, so an end at the venue confirms the order; FILLED without a fill does not."""
    found = None if there is None else view(state=there)
    working = [found] if found is not None and there not in FINAL else []
    theirs = VenueState({"A": found}, working, [], Decimal(1000))

    named = {each.subject for each in compare(desk((order(session=session), state)), theirs, TODAY, cash_tolerance_usd=CENT)}

    confirmed = found is not None and there is not OrderState.FILLED
    overdue = there in {OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED} and session == TODAY
    assert ("A" in named) == (not confirmed or overdue)
