"""Data-guard's look at quotes, with Alpaca's stand-in and PostgreSQL: what is judged when, and which entries it holds back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import structlog

from core.errors import RetryLater
from core.models import OrderState
from pipeline.risk import data_guard
from tests.standins.alpaca import ALWAYS, AlpacaStandIn, Fault
from tests.standins.alpaca_desk import DAY, EVENING, NOON, START, YESTERDAY, desk_at, mailbox, placed, risk_events, turn
from tests.standins.evidence import vouch
from tests.standins.feed import walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.settings import Settings
    from pipeline.resources import Resources

pytestmark = pytest.mark.integration


@pytest.fixture
def alpaca() -> Iterator[AlpacaStandIn]:
    with AlpacaStandIn() as stand_in:
        yield stand_in


def look(desk: Resources, **how: Any) -> dict[str, tuple[str, str, str]]:
    """A look by hand during the session: rule, severity and words of what was found of quotes, by symbol."""
    verdict = data_guard.check_data(YESTERDAY.isoformat(), resources=desk, **how)
    quoted = [doubt for doubt in verdict.findings if doubt.rule in {"quote", "spread"}]
    assert all(doubt.session == DAY.isoformat() for doubt in quoted)
    return {doubt.symbol: (doubt.rule, doubt.severity, doubt.words) for doubt in quoted}


def requests_for_quotes(alpaca: AlpacaStandIn) -> int:
    return sum("quotes" in path for _, path in alpaca.requests)


def test_a_spread_is_fine_warned_of_or_fails_at_the_limits(database_settings: Settings, alpaca: AlpacaStandIn) -> None:
    desk = desk_at(database_settings, alpaca, NOON)
    alpaca.tape.quote("AAA", 99.90, 100.10)  # 20 bps
    alpaca.tape.quote("BBB", 99.89, 100.11)  # 22 bps
    alpaca.tape.quote("CCC", 99.49, 100.51)  # 102 bps

    found = look(desk)

    assert {symbol: each[:2] for symbol, each in found.items()} == {"BBB": ("spread", "warn"), "CCC": ("spread", "fail")}
    assert found["CCC"][2].startswith("102.0 bps: 99.49 bid, 100.51 asked at 17:00:")
    assert requests_for_quotes(alpaca) == 1
    assert [desk.guard_findings.blocking(DAY, symbol) is not None for symbol in ("AAA", "BBB", "CCC")] == [False, False, True]


@pytest.mark.parametrize(
    ("bid", "ask", "age_seconds", "words"),
    [
        (100.10, 99.90, 0, "expected the bid not over the ask, found 100.1 bid, 99.9 asked"),
        (-99.90, 100.10, 0, "expected both prices over 0, found -99.9 bid, 100.1 asked"),
        (99.90, 0, 0, "expected both prices over 0, found 99.9 bid, 0 asked"),
        (0.01, 199999.99, 0, "expected a spread of at most 5000 bps, found 0.01 bid, 199999.99 asked"),
        (float("nan"), 100.10, 0, "expected two prices, found NaN bid, 100.1 asked"),
        (99.99, 100.01, 600, "expected a quote of the last 60 s, found one 600 s old"),
        (None, None, 0, "none at all"),
    ],
)
def test_an_absurd_quote_blocks_under_its_own_name(
    database_settings: Settings, alpaca: AlpacaStandIn, bid: float | None, ask: float | None, age_seconds: float, words: str
) -> None:
    desk = desk_at(database_settings, alpaca, NOON)
    if bid is None:
        alpaca.tape.silence("BBB")
    else:
        alpaca.tape.quote("BBB", bid, ask, age_seconds=age_seconds)

    assert look(desk) == {"BBB": ("quote", "fail", words)}

    (body,) = mailbox(desk).about("No entries in BBB on 2018-12-27")
    assert f"BBB: quote {words} (2018-12-27)" in body


def test_what_was_found_during_the_session_holds_the_evenings_entry_back(
    database_settings: Settings, alpaca: AlpacaStandIn
) -> None:
    desk = desk_at(database_settings, alpaca, NOON, guard__mode="on")
    alpaca.tape.quote("BBB", 99.00, 101.00)
    look(desk)
    asked = requests_for_quotes(alpaca)
    in_the_evening(desk, alpaca)

    first, second = placed(desk), placed(desk)

    assert first == {"AAA": OrderState.ACCEPTED, "BBB": OrderState.CANCELLED, "CCC": OrderState.ACCEPTED}
    assert second == first, "the verdict of the evening still says it"
    assert [each["rule"] for each in risk_events(desk)["BBB", "data_guard"]["findings"]] == ["spread"]
    assert requests_for_quotes(alpaca) == asked, "after the close nobody asks"


def test_a_later_look_lifts_the_block(database_settings: Settings, alpaca: AlpacaStandIn) -> None:
    desk = desk_at(database_settings, alpaca, NOON, guard__mode="on")
    alpaca.tape.quote("BBB", 99.00, 101.00)
    look(desk)
    alpaca.tape.quote("BBB", 99.99, 100.01)
    assert look(desk) == {}
    in_the_evening(desk, alpaca)

    assert placed(desk)["BBB"] is OrderState.ACCEPTED


def test_a_wide_or_missing_quote_after_the_close_says_nothing(database_settings: Settings, alpaca: AlpacaStandIn) -> None:
    desk = desk_at(database_settings, alpaca, guard__mode="strict", guard__jump_warn_bps=5_000.0)
    alpaca.tape.quote("AAA", 0, 0)
    alpaca.tape.quote("BBB", 50.00, 150.00)

    verdict = data_guard.check_data(DAY.isoformat(), resources=desk)

    assert verdict.findings == ()
    assert verdict.unquoted.startswith("no trading in AAA, BBB, CCC at this hour")
    assert set(placed(desk).values()) == {OrderState.ACCEPTED}
    assert requests_for_quotes(alpaca) == 0


def test_a_crypto_pair_is_judged_when_it_is_decided(database_settings: Settings, alpaca: AlpacaStandIn) -> None:
    desk = desk_at(database_settings, alpaca, symbols=("AAA", "BTC-USD"), guard__mode="on", ingestion__jump_fail_bps=5_000.0)
    alpaca.exchange.list_asset("BTC/USD", "100")
    alpaca.tape.quote("BTC/USD", 98.00, 102.00)

    assert placed(desk) == {"AAA": OrderState.ACCEPTED, "BTC-USD": OrderState.CANCELLED}

    assert [each["rule"] for each in risk_events(desk)["BTC-USD", "data_guard"]["findings"]] == ["spread"]
    assert requests_for_quotes(alpaca) == 1


def test_a_broker_without_quotes_is_said_once_and_nothing_is_judged(database_settings: Settings, alpaca: AlpacaStandIn) -> None:
    desk = desk_at(database_settings, alpaca, NOON, venue__kind="paper")
    alpaca.tape.quote("BBB", 50.00, 150.00)

    with structlog.testing.capture_logs() as said:
        verdict = data_guard.check_data(YESTERDAY.isoformat(), resources=desk)

    assert verdict.unquoted == "VENUE__KIND=paper has no quotes: the spread is not checked"
    assert [each["reason"] for each in said if each["event"] == "quotes_not_looked_at"] == [verdict.unquoted]
    assert [doubt for doubt in verdict.findings if doubt.rule in {"quote", "spread"}] == []


def test_quotes_of_now_say_nothing_of_a_session_long_gone(database_settings: Settings, alpaca: AlpacaStandIn) -> None:
    desk = desk_at(database_settings, alpaca, NOON)
    alpaca.tape.quote("BBB", 50.00, 150.00)

    verdict = data_guard.check_data("2018-12-24", resources=desk)

    assert verdict.unquoted == "quotes are of this moment and do not apply to 2018-12-24"
    assert requests_for_quotes(alpaca) == 0


def test_a_broker_that_does_not_tell_its_quotes_concludes_nothing(database_settings: Settings, alpaca: AlpacaStandIn) -> None:
    desk = desk_at(database_settings, alpaca, NOON)
    alpaca.fail("GET", "/v2/stocks/quotes", Fault.broken(503), ALWAYS)

    with pytest.raises(RetryLater, match="/v2/stocks/quotes/latest"):
        data_guard.check_data(YESTERDAY.isoformat(), resources=desk)

    assert desk.guard_findings.blocking(YESTERDAY, "AAA") is None
    assert mailbox(desk).mails == []


def in_the_evening(desk: Resources, alpaca: AlpacaStandIn) -> None:
    """The session has closed, and its bars have come in."""
    turn(alpaca, EVENING)
    alpaca.exchange.is_open = False
    for symbol in desk.universe():
        desk.bars.write(walk(symbol, START, DAY), source="test", ingested_at=desk.clock())
        vouch(desk.engine, walk(symbol, START, DAY), first=DAY)
