"""What comes too late at a venue on a wire: orders after the open, entries that never fill, a record made up for later."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from core.errors import RetryLater
from core.models import OrderState
from core.sessions import close_of
from tests.standins.alpaca import ALWAYS, Fault
from tests.standins.desk_life import CASH, SYMBOLS, Life, life, market

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.settings import Settings

pytestmark = pytest.mark.integration
DECIDED, OPENS, NEXT = dt.date(2018, 12, 20), dt.date(2018, 12, 21), dt.date(2018, 12, 24)  # the last one closes at 13:00
MARKET = market(dt.date(2018, 12, 31))
IMPATIENT = {"venue__deadline_seconds": 0.05, "venue__timeout_seconds": 2.0}


@pytest.fixture
def found(database_settings: Settings) -> Iterator[Life]:
    """A desk that has lived one session and holds nothing; it will decide at its close."""
    with life(database_settings, MARKET, DECIDED, **IMPATIENT) as made:
        made.session_unheard(DECIDED)
        yield made


def states(found: Life, decided: dt.date = DECIDED) -> list[OrderState]:
    return [state for _, state in found.process().ledger.orders_decided("main", decided)]


def silent(found: Life) -> None:
    """The venue takes no order the whole evening, and the run fails for good."""
    found.alpaca.fail("POST", "/v2/orders", Fault.broken(503), times=ALWAYS)
    with pytest.raises(RetryLater):
        found.evening(DECIDED)
    found.alpaca.recover()


def test_what_the_venue_did_not_take_in_the_evening_is_not_sent_after_the_open(found: Life) -> None:
    silent(found)
    written = states(found)
    assert written == [OrderState.UNKNOWN, *[OrderState.INTENT] * (len(written) - 1)]

    found.floor.open(OPENS)
    found.run(DECIDED)

    assert states(found) == [OrderState.CANCELLED] * len(written)
    assert found.books.sent() == []
    assert f"[WARNING] {len(written)} orders for {OPENS} came too late" in found.inbox.subjects
    found.floor.trade_through(OPENS)
    found.floor.close(OPENS)
    (text,) = found.evening(OPENS).mails
    assert text.count(f"for {OPENS}, cancelled: the open of {OPENS} has passed") == len(written)


def test_orders_that_nobody_sent_expire_the_next_evening_and_the_mail_says_so(found: Life) -> None:
    silent(found)
    written = states(found)
    found.session_unheard(OPENS)

    evening = found.evening(OPENS)

    assert [each.rule for each in evening.said["reconcile.reconcile"].differences] == ["never_arrived"] * len(written)
    assert not evening.said["reconcile.reconcile"].halted
    assert states(found) == [OrderState.EXPIRED] * len(written)
    assert evening.mails[0].count("expired: reconciliation: it never reached the venue") == len(written)
    assert evening.differences == ()


def test_a_run_that_begins_after_the_open_writes_nothing_down_and_says_so(found: Life) -> None:
    found.floor.turn_to_evening(DECIDED)
    found.load(DECIDED)
    found.floor.open(OPENS)

    evening = found.run(DECIDED)

    assert (evening.said["daily_trade.place"].orders, states(found), found.books.sent()) == (0, [], [])
    assert any(subject.endswith(f"orders for {OPENS} came too late") for subject in found.inbox.subjects)


@pytest.mark.parametrize("brackets", [True, False], ids=["good till cancelled, with its children", "good for the day"])
def test_an_entry_that_a_halt_keeps_from_its_session_does_not_fill_in_a_later_one(
    database_settings: Settings, *, brackets: bool
) -> None:
    """The session is a half day: a day order ends at 13:00 in New York."""
    with life(database_settings, MARKET, OPENS, stops=brackets, venue__alpaca__brackets=brackets) as found:
        found.session_unheard(OPENS)
        found.evening(OPENS)
        entries = found.books.sent()
        assert entries
        for symbol in SYMBOLS:
            found.alpaca.exchange.assets[symbol].halted = True
        found.session(NEXT)
        if not brackets:
            assert {order.times["expired_at"].replace(microsecond=0) for order in entries} == {close_of(NEXT)}

        evening = found.evening(NEXT)

        for symbol in SYMBOLS:
            found.alpaca.exchange.assets[symbol].halted = False
        last = "cancelled: not filled in its session" if brackets else "expired"
        assert evening.mails[0].count(f"for {NEXT}, {last}") == len(entries)
        assert evening.differences == ()
        found.session(dt.date(2018, 12, 26))
        assert not any(order.filled_qty for order in entries)
        assert found.evening(dt.date(2018, 12, 26)).differences == ()


def test_a_record_made_up_for_after_the_next_open_marks_the_evening_it_is_for(database_settings: Settings) -> None:
    days = [dt.date(2018, 12, day) for day in (13, 14, 17)]
    with life(database_settings, MARKET, days[0]) as found:
        for day in days:
            found.session(day)
            evening = found.evening(day)
        ledger = found.process().ledger
        held, before = ledger.positions("main"), ledger.equity("main").iloc[-1].to_dict()
        with found.listening():
            found.floor.open(dt.date(2018, 12, 18))
            found.until(found.books.caught_up)
        assert ledger.positions("main") != held
        assert found.alpaca.exchange.cash != evening.cash_usd

        found.step("daily_trade.record", days[-1])

        assert ledger.equity("main").iloc[-1].to_dict() == before
        assert before["cash_usd"] == float(evening.cash_usd)
        assert before["positions"] == len(held) > 0


def test_a_desk_that_was_away_for_three_weeks_learns_what_its_stops_did(database_settings: Settings) -> None:
    first, last = dt.date(2018, 12, 3), dt.date(2018, 12, 27)
    with life(database_settings, MARKET, first) as found:
        found.session_unheard(first)
        found.evening(first)
        second = dt.date(2018, 12, 4)
        found.session(second)
        found.evening(second)
        found.floor.open(dt.date(2018, 12, 6))  # the 5th was a day of mourning
        held = list(found.alpaca.exchange.held)
        assert held
        for symbol in held:
            found.floor.go(symbol, found.alpaca.exchange.assets[symbol].price / 2)
        found.floor.close(dt.date(2018, 12, 6))
        assert found.alpaca.exchange.held == {}

        evening = found.evening(last)

        assert evening.differences == ()
        assert not evening.said["reconcile.reconcile"].halted
        assert float(evening.cash_usd) < CASH
