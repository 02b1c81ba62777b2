"""The backtest of what a book trades, over the sessions of its record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.research.backtest_terms import BacktestTerms
from pipeline.research.datasets import ResearchData
from pipeline.research.sleeve_backtests import backtest_sleeves
from pipeline.resources import Resources, live
from trading.delistings import actions_until

if TYPE_CHECKING:
    import datetime as dt

    from backtest.engine import Result


def backtest_book(book: str, *, first: dt.date, last: dt.date, resources: Resources | None = None) -> dict[str, Result]:
    """Return the backtest of each sleeve of a deployment with its capital, by name.

    Of a book whose strategies share their cash, as those of the settings do, it is one: the strategies together, unfiltered,
    under the book's name.
    """
    desk = (resources or live()).for_portfolio(book)
    if desk.deployment is not None:
        return backtest_sleeves(desk.sleeves, desk.bars, desk.costs, desk.limits, first=first, last=last)
    data = ResearchData.of(desk)
    bars = data.by_symbol(last.isoformat())
    actions = actions_until(data.bars.actions(list(bars)), last)
    return {book: BacktestTerms.of(desk).run(bars, desk.strategies, start=first, actions=actions)}
