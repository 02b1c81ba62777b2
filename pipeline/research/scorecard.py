"""The scorecard of a backtest of the desk's strategies, or of a book in the ledger; `research.scorecard` judges it."""

from __future__ import annotations

import datetime as dt
import time
from difflib import get_close_matches
from itertools import cycle, islice
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from core.book_events import TRANSFERS
from core.errors import ConfigError
from pipeline.research.backtest import count_trial
from pipeline.research.backtest_terms import BacktestTerms
from pipeline.research.book_backtest import backtest_book
from pipeline.research.datasets import ResearchData
from pipeline.research.sleeve_backtests import joint_equity
from pipeline.resources import Resources, live
from research.scorecard import RANKS, Estimate, Record, make_scorecard, profit_of, relative, sharpe_of, total_seconds
from trading.delistings import actions_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from backtest.engine import Result
    from core.book_events import BookEvent
    from research.scorecard import Scorecard
    from storage.trading.ledger import Ledger
    from storage.trading.served import ServedPredictions
    from trading.strategies.base import Strategy

SERVED: Final = dt.timedelta(days=30)
QUANTILE: Final = 0.99
BACKTESTS: Final = 60
NO_BOOK: Final = "no book is compared; name one with --deployment"
NOT_COMPARED: Final = "not compared with a backtest here; `desk scorecard --deployment NAME` does"
NOT_TIMED: Final = "time them with --measure"


def score_backtest(
    session: str, *, dataset: str | None = None, measure: bool = False, resources: Resources | None = None
) -> Scorecard:
    """Backtest the desk's strategies on everything up to `session`, and judge each success criterion.

    Parameters
    ----------
    dataset
        Name of the research dataset whose bars are used; the live bars unless given.
    measure
        Time 60 backtests too, one after another.
    """
    resources = resources or live()
    data, terms = ResearchData.of(resources, dataset), BacktestTerms.of(resources)
    bars, strategies = data.by_symbol(session), resources.at(data.moment).strategies
    actions = actions_until(data.bars.actions(list(bars)), dt.date.fromisoformat(session))
    result = terms.run(bars, strategies, actions=actions)
    count_trial(resources.trials, bars, strategies, terms, result, kind="unfiltered", accept=None, dataset=data.reference)
    others: dict[str, Estimate | str] = {
        "live_profit": NO_BOOK,
        "live_sharpe": NO_BOOK,
        "api_p99": latency_of(resources.served, resources.clock() - SERVED),
        "sixty_backtests": total_seconds(_timed(bars, strategies, terms), BACKTESTS) if measure else NOT_TIMED,
    }
    source = f"the dataset {data.dataset.short}" if data.dataset else "the stored bars"
    return make_scorecard(f"Backtest of the desk's strategies, unfiltered, on {source}", record_of(result), others)


def score_book(
    book: str, *, session: str | None = None, compare: bool = True, measure: bool = False, resources: Resources | None = None
) -> Scorecard:
    """Judge each success criterion by a book's finished trades and closes on record.

    Parameters
    ----------
    book
        A portfolio of the ledger.
    session
        Leave out what is later; everything unless given.
    compare
        Backtest what the book traded over the same sessions, for the criteria that compare live with backtest: of a deployment
        each sleeve with its capital, of the default one the desk's strategies, unfiltered.
    measure
        Time 60 backtests too, one after another.

    Raises
    ------
    ConfigError
        When the ledger has no such book.
    """
    resources = resources or live()
    if book not in (names := resources.ledger.portfolios()):
        near = get_close_matches(book, names, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"Books: {', '.join(names) or 'none yet'}."
        raise ConfigError(f"Book {book!r}: expected a portfolio of the ledger, found none of that name. {hint}")
    last = dt.date.max if session is None else dt.date.fromisoformat(session)
    record = record_of_book(resources.ledger, book, last)
    profit: Estimate | str = NOT_COMPARED
    sharpe: Estimate | str = NOT_COMPARED
    timed: Estimate | str = NOT_TIMED
    if len(record.sessions) and compare:
        start, end = (day.date() for day in record.sessions[[0, -1]])
        results = backtest_book(book, first=start, last=end, resources=resources)
        reference = record_of_sleeves(results) if resources.for_portfolio(book).deployment else record_of(results[book])
        profit = relative(profit_of(record), profit_of(reference))
        sharpe = relative(sharpe_of(record), sharpe_of(reference))
    if len(record.sessions) and measure:
        desk = resources.for_portfolio(book)
        bars = ResearchData.of(desk).by_symbol(record.sessions[-1].date().isoformat())
        timed = total_seconds(_timed(bars, desk.strategies, BacktestTerms.of(desk)), BACKTESTS)
    others = {
        "live_profit": profit,
        "live_sharpe": sharpe,
        "api_p99": latency_of(resources.served, resources.clock() - SERVED),
        "sixty_backtests": timed,
    }
    return make_scorecard(f"Book {book}", record, others)


def record_of(result: Result) -> Record:
    """Return the record of a backtest, from its first session that could trade."""
    from research.evidence import period_returns

    sessions = pd.DatetimeIndex(result.equity["session"])
    returns = period_returns(result.equity_usd, result.initial_cash_usd)
    return Record(result.trades, sessions, returns, result.panel.bars_a_year)


def record_of_sleeves(results: Mapping[str, Result]) -> Record:
    """Return the record of sleeves backtested alone and held together."""
    from backtest.metrics import SESSIONS_A_YEAR
    from research.evidence import period_returns

    equity = joint_equity(results)
    capital = sum(result.initial_cash_usd for result in results.values())
    trades = pd.concat([result.trades for result in results.values()], ignore_index=True)
    returns = period_returns(equity["equity_usd"].to_numpy(dtype=np.float64), capital)
    return Record(trades, pd.DatetimeIndex(equity["session"]), returns, SESSIONS_A_YEAR)


def record_of_book(ledger: Ledger, book: str, last: dt.date) -> Record:
    """Return the record of a book up to a day."""
    return book_record(ledger.trades(book), ledger.equity(book), ledger.book_events(book), last)


def book_record(trades: pd.DataFrame, equity: pd.DataFrame, events: Sequence[BookEvent], last: dt.date) -> Record:
    """Return the record of a book up to a day, its first close being the start; deposits and withdrawals are no profit."""
    from backtest.metrics import SESSIONS_A_YEAR

    closes = equity[equity["session"] <= pd.Timestamp(last)] if last < dt.date.max else equity
    sessions = pd.DatetimeIndex(closes["session"])
    moved = np.zeros(len(sessions))
    for event in events:
        at = int(sessions.searchsorted(pd.Timestamp(event.session)))
        if event.kind in TRANSFERS and 0 < at < len(moved):
            moved[at] += float(event.cash_usd)
    worth = closes["equity_usd"].to_numpy(dtype=np.float64)
    before = np.concatenate([worth[:1], worth[:-1]]) + moved
    with np.errstate(divide="ignore", invalid="ignore"):
        returns = worth / before - 1
    finished = trades[trades["exit_session"] <= sessions[-1]] if len(sessions) else trades.head(0)
    return Record(finished, sessions, returns, SESSIONS_A_YEAR)


def latency_of(served: ServedPredictions, since: dt.datetime) -> Estimate | str:
    """Return the 99th percentile of the API's stored latencies since a moment, in milliseconds."""
    from research.statistics import Interval, quantile_shares

    count = served.latency_count(since)
    if not count:
        return f"no prediction was served in the last {SERVED.days} days"
    ends = quantile_shares(count, QUANTILE)
    value, *bounds = (each / 1000 for each in served.latency_us([QUANTILE, *(ends or ())], since))
    return Estimate(value, Interval(*bounds) if bounds else None, count, RANKS, f"predictions of the last {SERVED.days} days")


def _timed(bars: Mapping[str, pd.DataFrame], strategies: Sequence[Strategy], terms: BacktestTerms) -> np.ndarray:
    """Return the seconds that each of 60 backtests takes: strategies on single symbols in turn; compiled code is warm."""
    cells = [(symbol, rule) for symbol in sorted(bars) for rule in strategies]

    def seconds() -> Iterator[float]:
        for symbol, rule in islice(cycle(cells), BACKTESTS):
            start = time.perf_counter()
            terms.run({symbol: bars[symbol]}, rule)
            yield time.perf_counter() - start

    return np.fromiter(seconds(), dtype=np.float64)
