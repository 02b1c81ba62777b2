"""Marks of fills in the terms of the bars."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np

from core.book_events import BookEventKind
from pipeline.accounts.recorded_actions import Action
from pipeline.views.money.prices import mark_of, ratios_since
from storage.views.bar_history import History
from storage.views.book_figures import Execution

DAY, LATER = dt.date(2018, 12, 10), dt.date(2018, 12, 14)


def history(scale: float) -> History:
    sessions = np.array(["2018-12-10", "2018-12-11", "2018-12-14"], "datetime64[D]")
    close = np.array([100.0, 101.0, 102.0]) / scale
    return History(sessions, close, close * 1.01, close * 0.99, close, np.full(3, 1e6))


def execution(price: int = 100) -> Execution:
    return Execution("main", "rsi_vix", "entry", DAY, "buy", Decimal(10), Decimal(price), "order", "entry")


def test_a_mark_stands_at_the_price_of_its_bar_after_a_split() -> None:
    split = Action(dt.date(2018, 12, 12), BookEventKind.SPLIT, 4.0)

    assert ratios_since(execution(), history(4.0), [split]) == (4.0, 4.0)
    assert ratios_since(execution(), history(1.0), [split]) == (1.0, 1.0)  # bars that were never adjusted
    assert ratios_since(execution(25), history(4.0), [Action(DAY, BookEventKind.SPLIT, 4.0)]) == (1.0, 1.0)  # filled after it
    mark = mark_of(execution(), 4.0, 4.0)
    assert (mark["quantity"], mark["price"]) == (40.0, 25.0)


def test_a_spin_off_moves_the_price_of_a_mark_and_not_its_shares() -> None:
    spun = Action(dt.date(2018, 12, 12), BookEventKind.SPIN_OFF, 1.25)

    assert ratios_since(execution(), history(1.25), [spun]) == (1.0, 1.25)
