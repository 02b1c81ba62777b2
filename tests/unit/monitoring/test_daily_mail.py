"""The mail after an evening, as text and as HTML."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

from monitoring.daily_mail import Evening, Held, Limit, to_html, to_text

EVENING = Evening(
    session="2018-12-28",
    opens="2018-12-31",
    portfolio="main",
    broker="paper",
    equity_usd=100_250.5,
    day_usd=-120.25,
    total_pct=0.2505,
    cash_usd=60_000.0,
    model="version 3 judged 2",
    attention=["Trading is halted by risk-worker."],
    fills=["buy 10 AAPL at 101.00 (entry)"],
    orders=["exit: sell 10 MSFT, accepted"],
    refused={"filter": ["SPY", "QQQ"], "max_positions": ["<b>"]},
    positions=[Held("AAPL", "bollinger_vix", 10.0, 100.0, 101.5, 99.2, None)],
    limits=[Limit("Drawdown", 1.9, 2.0, "%"), Limit("Positions", 1.0, 3.0, "")],
)


def test_the_subject_says_whether_to_open_the_mail() -> None:
    assert EVENING.subject == "2018-12-28: 1 to look at, -120.25 USD, 1 order for 2018-12-31"
    assert replace(EVENING, attention=[], orders=[]).subject == "2018-12-28: -120.25 USD, 0 orders for 2018-12-31"


def test_what_needs_a_person_stands_first_and_a_near_limit_is_marked() -> None:
    text = to_text(EVENING)

    assert text.startswith("Needs you\n  Trading is halted by risk-worker.")
    assert "-120.25 USD today, +0.25 % since the start." in text
    assert "AAPL 10 at 100.00, close 101.50: +15.00 USD, stop 99.20" in text
    assert "filter: SPY, QQQ" in text
    assert "Drawdown: 1.90 of 2.00 % (95%)  NEAR" in text
    assert "Positions: 1.00 of 3.00  (33%)" in text


def test_performance_has_a_section_of_its_own_and_none_when_there_is_nothing() -> None:
    watched = replace(EVENING, performance=["8 of 8 checks in order."])

    assert to_text(watched).endswith("Performance\n  8 of 8 checks in order.\n")
    assert "<li>8 of 8 checks in order.</li>" in to_html(watched)
    assert "Performance" not in to_text(EVENING) + to_html(EVENING)


def test_the_scorecard_stands_at_the_end_and_is_left_out_before_a_trade() -> None:
    line = "Win rate: 61.00 % (52.10 to 69.20), asked 65 to 75 %: not met"
    scored = replace(EVENING, scorecard=[line])

    assert to_text(scored).endswith(f"Scorecard\n  {line}\n")
    assert line in to_html(scored)
    assert "Scorecard" not in to_text(EVENING) + to_html(EVENING)


def test_a_quiet_evening_says_so() -> None:
    quiet = Evening("2018-12-28", "2018-12-31", "main", "paper", 100_000.0, 0.0, 0.0, 100_000.0, "asked about nothing")

    text = to_text(quiet)

    assert "Needs you" not in text
    assert "Refused" not in text
    assert text.count("nothing") == 4
    assert "Needs you" not in to_html(quiet)


def test_the_page_escapes_what_comes_from_data_and_loads_nothing() -> None:
    page = to_html(EVENING)
    tags: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, _attributes: object) -> None:
            tags.append(tag)

    Reader().feed(page)
    assert "&lt;b&gt;" in page
    assert "http" not in page
    assert not {"script", "img", "link", "style"} & set(tags)
    assert page.count("<tr>") == 2 + 2, "a head and a position, two limits"
