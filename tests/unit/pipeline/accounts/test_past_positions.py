"""Quantities at earlier closes, and the terms that bars have by now."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pandas as pd
import pytest

from core.book_events import BookEvent, BookEventKind
from core.models import Position
from pipeline.accounts.past_positions import held_at, ratio_to_bars, symbols_with_new_terms
from pipeline.accounts.recorded_actions import Action
from trading.corporate_actions import event_id

ENTRY, CLOSE, SPLIT = dt.date(2018, 12, 10), dt.date(2018, 12, 12), dt.date(2018, 12, 14)


def position(symbol: str = "AAA", quantity: int = 100, price: int = 60, strategy: str = "rsi") -> Position:
    return Position("main", strategy, symbol, Decimal(quantity), ENTRY, Decimal(price), None, None, None, f"entry-{symbol}")


class Bars:
    """Bars whose every open is one price."""

    def __init__(self, price: float) -> None:
        self.price = price

    def read(self, symbols: list[str], start: dt.date, end: dt.date) -> pd.DataFrame:
        del symbols, start, end
        return pd.DataFrame({"open": [self.price], "low": [self.price * 0.99], "high": [self.price * 1.01]})


def test_fills_since_a_close_are_taken_back() -> None:
    later = {("rsi", "AAA"): Decimal(40), ("rsi", "BBB"): Decimal(-7)}  # 40 bought, and 7 of what is gone now sold

    assert held_at([position()], later, {}, ()) == {("rsi", "AAA"): 60.0, ("rsi", "BBB"): 7.0}


def test_what_was_bought_since_was_not_held() -> None:
    assert held_at([position()], {("rsi", "AAA"): Decimal(100)}, {}, ()) == {}


def test_symbols_in_new_terms_are_taken_as_they_were_rebuilt() -> None:
    held = held_at([position(), position("BBB")], {}, {("rsi", "AAA"): 50.0}, {"AAA"})

    assert held == {("rsi", "BBB"): 100.0, ("rsi", "AAA"): 50.0}


@pytest.mark.parametrize(
    ("rescaled", "held", "expected"),
    [
        ({"AAA": SPLIT}, {"AAA": ENTRY}, {"AAA"}),
        ({"AAA": ENTRY}, {"AAA": ENTRY}, set()),  # split before it was entered
        ({"AAA": dt.date(2018, 12, 11)}, {"AAA": ENTRY}, {"AAA"}),  # before the close, and perhaps recorded late
        ({"AAA": dt.date(2018, 12, 11)}, {}, set()),  # nothing of it is held that was bought before
    ],
)
def test_a_split_since_the_entry_or_the_close_gives_new_terms(
    rescaled: dict[str, dt.date], held: dict[str, dt.date], expected: set[str]
) -> None:
    assert symbols_with_new_terms(held, rescaled, [], CLOSE) == expected


def test_a_rename_gives_both_names_new_terms_and_a_dividend_none() -> None:
    renamed = BookEvent("1", "main", BookEventKind.RENAME, SPLIT, "rsi", "AAA", new_symbol="BBB")
    dividend = BookEvent("2", "main", BookEventKind.DIVIDEND, SPLIT, symbol="CCC", cash_usd=Decimal(1))
    earlier = BookEvent("3", "main", BookEventKind.SPLIT, ENTRY, "rsi", "DDD", Decimal(2), Decimal(2))

    assert symbols_with_new_terms({}, {}, [renamed, dividend, earlier], CLOSE) == {"AAA", "BBB"}


@pytest.mark.parametrize(("bar", "ratio"), [(60.0, 1.0), (30.0, 2.0)])
def test_the_bar_of_the_entry_tells_whether_the_history_was_re_scaled(bar: float, ratio: float) -> None:
    actions = {"AAA": [Action(SPLIT, BookEventKind.SPLIT, 2.0)]}

    assert ratio_to_bars(Bars(bar), position(), actions, [], CLOSE) == ratio  # type: ignore[arg-type]


def test_an_action_that_the_position_has_followed_does_not_count_again() -> None:
    name = event_id(position(), BookEventKind.SPLIT, SPLIT)
    followed = BookEvent(name, "main", BookEventKind.SPLIT, SPLIT, "rsi", "AAA", Decimal(2), Decimal(2))
    actions = {"AAA": [Action(SPLIT, BookEventKind.SPLIT, 2.0)]}

    after = position(quantity=200, price=30)

    assert ratio_to_bars(Bars(15.0), after, actions, [followed], SPLIT) == 1.0  # type: ignore[arg-type]
    assert ratio_to_bars(Bars(30.0), position(), actions, [followed], CLOSE) == 2.0  # type: ignore[arg-type]


def test_a_split_that_a_person_settled_counts_where_no_provider_recorded_it() -> None:
    settled = BookEvent("by hand", "main", BookEventKind.SPLIT, SPLIT, "rsi", "AAA", Decimal(3), Decimal(3))

    assert ratio_to_bars(Bars(20.0), position(), {}, [settled], CLOSE) == 3.0  # type: ignore[arg-type]
    assert ratio_to_bars(Bars(60.0), position(), {}, [settled], CLOSE) == 1.0  # type: ignore[arg-type]
