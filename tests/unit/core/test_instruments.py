"""A field of an instrument comes from the strongest source, and a person's values are checked."""

from __future__ import annotations

import datetime as dt
import doctest

import pytest

from core import instruments
from core.errors import ConfigError
from core.instruments import Statement, calendar_corrections, checked, resolve
from core.sessions import calendar_name, correct_calendars, is_session

NOON = dt.datetime(2024, 1, 2, 12, tzinfo=dt.UTC)


def said(field: str, value: str, source: str, hours: int = 0) -> Statement:
    return Statement("AAA", field, value, source, NOON + dt.timedelta(hours=hours))


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(instruments).failed == 0


def test_a_person_counts_before_the_venue_the_provider_and_the_rule() -> None:
    every = [said("calendar", "XLON", "person"), said("calendar", "XTKS", "ib", 1), said("calendar", "XPAR", "yfinance", 2)]

    for first in range(4):
        record = resolve("AAA", every[first:])
        wanted = [("XLON", "person"), ("XTKS", "ib"), ("XPAR", "yfinance"), ("XNYS", "rule")][first]
        assert (record.calendar, record.sources["calendar"]) == wanted


def test_fields_come_from_different_sources_and_other_symbols_do_not_matter() -> None:
    other = Statement("BBB", "currency", "EUR", "person", NOON)

    record = resolve("AAA", [said("price_tick", "0.01", "alpaca"), said("name:ib", "AAA X", "ib"), other])

    assert record.currency == "USD"
    assert str(record.price_tick) == "0.01"
    assert record.names == {"ib": "AAA X"}
    assert record.sources == {
        "asset_class": "rule", "calendar": "rule", "currency": "rule", "price_tick": "alpaca", "name:ib": "ib",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("calendar", "XNYZ"),
        ("asset_class", "share"),
        ("currency", "$"),
        ("price_tick", "0"),
        ("quantity_step", "nan"),
        ("lot", "1"),
        ("min_notional", "-1"),
        ("name:", "X"),
        ("name:ib", " "),
    ],
)
def test_what_cannot_be_is_refused_with_what_was_found(field: str, value: str) -> None:
    with pytest.raises(ConfigError, match="found"):
        checked(field, value)


def test_a_corrected_calendar_is_used_by_every_look_up_until_it_is_taken_back() -> None:
    record = resolve("AAA", [said("calendar", checked("calendar", "LSE"), "person")])

    correct_calendars(calendar_corrections([record, resolve("BBB")]))

    assert (calendar_name("AAA"), calendar_name("BBB")) == ("XLON", "XNYS")
    assert is_session(dt.date(2024, 7, 4), calendar_name("AAA"))
    correct_calendars({})
    assert calendar_name("AAA") == "XNYS"
