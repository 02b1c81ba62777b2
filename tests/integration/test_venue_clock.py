"""`place` at a broker that lives in another time than the desk: a clock apart, a day that is none, hours that changed."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
import structlog

from core.errors import RetryLater
from core.models import Leg, OrderState
from pipeline.execution import daily_trade
from pipeline.risk.pre_send import risk_checks
from tests.standins.alpaca import ALWAYS, AlpacaStandIn, Fault
from tests.standins.alpaca_desk import (
    DAY,
    EVENING,
    NEXT,
    NOON,
    YESTERDAY,
    decided,
    desk_at,
    last_words,
    mailbox,
    placed,
    risk_events,
    turn,
)
from trading.brokers.intake import collect
from trading.brokers.placing import place
from trading.orders import entry_order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.models import OrderIntent
    from core.settings import Settings
    from pipeline.resources import Resources

pytestmark = pytest.mark.integration


@pytest.fixture
def alpaca() -> Iterator[AlpacaStandIn]:
    with AlpacaStandIn() as stand_in:
        yield stand_in


def asked(alpaca: AlpacaStandIn, noun: str) -> int:
    return alpaca.requests.count(("GET", f"/v2/{noun}"))


def apart(desk: Resources, seconds: float) -> None:
    """Turn our own clock: the broker's is then so many seconds ahead of it."""
    venue = desk.clock
    desk.clock = lambda: venue() - dt.timedelta(seconds=seconds)


def entry(symbol: str = "AAA", decided_at: dt.date = DAY, session: dt.date = NEXT, strategy: str = "bollinger") -> OrderIntent:
    return entry_order(
        "main", strategy, symbol, decision_session=decided_at, session=session, signed_quantity=3.0, stop_pct=50.0,
        target_pct=50.0, max_sessions=1,
    )  # fmt: skip


def test_three_entries_cost_one_look_at_the_clock_and_one_at_the_calendar(
    database_settings: Settings, alpaca: AlpacaStandIn
) -> None:
    desk = desk_at(database_settings, alpaca)

    assert set(placed(desk).values()) == {OrderState.ACCEPTED}

    assert len(alpaca.exchange.orders) == 3
    assert (asked(alpaca, "clock"), asked(alpaca, "calendar")) == (1, 1)
    assert mailbox(desk).mails == []


@pytest.mark.parametrize(("seconds", "words"), [(63, "63 s ahead of it"), (-63, "63 s behind it")])
def test_clocks_apart_refuse_every_entry_and_tell_a_person_once(
    database_settings: Settings, alpaca: AlpacaStandIn, seconds: float, words: str
) -> None:
    desk = desk_at(database_settings, alpaca)
    apart(desk, seconds)

    assert set(placed(desk).values()) == {OrderState.CANCELLED}

    assert alpaca.exchange.orders == {}
    assert {reason for _, reason in risk_events(desk)} == {"clock"}
    assert risk_events(desk)["BBB", "clock"]["found_seconds"] == pytest.approx(seconds, abs=1)
    assert last_words(desk)["AAA"] == f"clock: expected the broker's clock within 5 s of ours, found it {words}"
    (body,) = mailbox(desk).about("No entries for 2018-12-28: clock")
    assert words in body


@pytest.mark.parametrize(("tolerance", "state"), [(3.0, OrderState.CANCELLED), (6.0, OrderState.ACCEPTED)])
def test_how_far_the_clocks_may_be_apart_is_a_setting(
    database_settings: Settings, alpaca: AlpacaStandIn, tolerance: float, state: OrderState
) -> None:
    desk = desk_at(database_settings, alpaca, pre_send__clock_tolerance_seconds=tolerance)
    apart(desk, 4.5)

    assert set(placed(desk).values()) == {state}


def test_a_slow_answer_is_no_difference_of_clocks(database_settings: Settings, alpaca: AlpacaStandIn) -> None:
    desk = desk_at(database_settings, alpaca)
    venue = desk.clock
    desk.clock = lambda: venue() + dt.timedelta(seconds=20 * asked(alpaca, "clock"))  # the answer took twenty seconds

    assert set(placed(desk).values()) == {OrderState.ACCEPTED}


@pytest.mark.parametrize(
    ("hours", "words"),
    [
        (None, "expected a session 14:30 to 21:00 UTC on 2018-12-28, found no session at the broker"),
        (
            ("09:30", "13:00"),
            "expected a session 14:30 to 21:00 UTC on 2018-12-28, found a session 14:30 to 18:00 UTC at the broker",
        ),
        (
            ("11:00", "16:00"),
            "expected a session 14:30 to 21:00 UTC on 2018-12-28, found a session 16:00 to 21:00 UTC at the broker",
        ),
    ],
    ids=["a day of mourning", "a half day", "a late open"],
)
def test_a_special_day_that_our_calendar_does_not_know_refuses_entries(
    database_settings: Settings, alpaca: AlpacaStandIn, hours: tuple[str, str] | None, words: str
) -> None:
    desk = desk_at(database_settings, alpaca)
    alpaca.exchange.special_days[NEXT] = hours

    assert set(placed(desk).values()) == {OrderState.CANCELLED}

    assert alpaca.exchange.orders == {}
    assert risk_events(desk)["CCC", "calendar"] == {"says": words, "sessions": ["2018-12-28"]}
    (body,) = mailbox(desk).about("No entries for 2018-12-28: calendar")
    assert body.startswith(f"{words}.\n")


def test_a_session_that_our_calendar_does_not_have_refuses_entries(database_settings: Settings, alpaca: AlpacaStandIn) -> None:
    desk = desk_at(database_settings, alpaca)
    alpaca.exchange.special_days[dt.date(2018, 12, 29)] = ("09:30", "13:00")  # a Saturday
    monday = entry(decided_at=NEXT, session=dt.date(2018, 12, 31))

    refused = risk_checks(resources=desk)(monday)

    assert refused == "calendar: expected no session on 2018-12-29, found a session 14:30 to 18:00 UTC at the broker"


def test_a_half_day_that_both_know_is_no_difference(database_settings: Settings, alpaca: AlpacaStandIn) -> None:
    desk = desk_at(database_settings, alpaca)
    turn(alpaca, dt.datetime(2018, 11, 21, 22, tzinfo=dt.UTC))
    friday = entry(decided_at=dt.date(2018, 11, 21), session=dt.date(2018, 11, 23))

    assert risk_checks(resources=desk)(friday) is None


@pytest.mark.parametrize(("moment", "is_open", "words"), [
    (NOON, False, "expected a market that is open at 2018-12-27 17:00 UTC, found it closed at the broker"),
    (EVENING, True, "expected a market that is closed at 2018-12-27 22:00 UTC, found it open at the broker"),
])  # fmt: skip
def test_a_market_that_is_not_as_the_hour_says_refuses_entries(
    database_settings: Settings, alpaca: AlpacaStandIn, moment: dt.datetime, is_open: bool, words: str
) -> None:
    desk = desk_at(database_settings, alpaca, moment)
    alpaca.exchange.is_open = is_open

    assert risk_checks(resources=desk)(entry()) == f"calendar: {words}"


def test_a_crypto_pair_has_no_hours_but_one_time(database_settings: Settings, alpaca: AlpacaStandIn) -> None:
    desk = desk_at(database_settings, alpaca)
    alpaca.exchange.special_days[NEXT] = None
    coin = entry("BTC-USD")

    assert risk_checks(resources=desk)(coin) is None
    apart(desk, 63)
    assert str(risk_checks(resources=desk)(coin)).startswith("clock: ")


def test_an_exit_goes_whatever_the_clock_and_the_calendar_say(database_settings: Settings, alpaca: AlpacaStandIn) -> None:
    desk = desk_at(database_settings, alpaca)
    place(desk.ledger, desk.broker, [entry("AAA", YESTERDAY, DAY, desk.strategies[0].name)])
    alpaca.exchange.open_market()
    alpaca.exchange.is_open = False
    collect(desk.ledger, desk.broker, "main", desk.clock() - dt.timedelta(hours=1))
    assert [held.symbol for held in desk.ledger.positions("main")] == ["AAA"]
    alpaca.exchange.special_days[NEXT] = None
    apart(desk, 63)

    daily_trade.place(DAY.isoformat(), resources=desk)

    states = {(order.leg, order.symbol): state for order, state in decided(desk)}
    assert states.pop((Leg.EXIT, "AAA")) is OrderState.ACCEPTED
    assert set(states.values()) == {OrderState.CANCELLED}


def test_a_broker_that_does_not_tell_its_time_gets_no_entry_and_the_run_can_be_repeated(
    database_settings: Settings, alpaca: AlpacaStandIn
) -> None:
    desk = desk_at(database_settings, alpaca)
    alpaca.fail("GET", "/v2/clock", Fault.broken(503), ALWAYS)

    with pytest.raises(RetryLater, match="/clock"):
        daily_trade.place(DAY.isoformat(), resources=desk)

    assert alpaca.exchange.orders == {}
    assert {state for _, state in decided(desk)} == {OrderState.INTENT}
    alpaca.recover()
    assert set(placed(desk).values()) == {OrderState.ACCEPTED}


def test_a_broker_without_a_clock_is_said_and_not_compared(database_settings: Settings, alpaca: AlpacaStandIn) -> None:
    desk = desk_at(database_settings, alpaca, venue__kind="paper")
    apart(desk, 63)

    with structlog.testing.capture_logs() as said:
        assert set(placed(desk).values()) == {OrderState.ACCEPTED}

    unasked = [(each["rule"], each["broker"]) for each in said if each["event"] == "broker_time_not_compared"]
    assert unasked == [("clock", "paper"), ("calendar", "paper")]
