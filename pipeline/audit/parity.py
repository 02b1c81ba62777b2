"""Compare the desk's trades with the backtest's, trade by trade, to the cent, and name the cause of each difference.

A difference between a record (a replay, or the live ledger) and the backtest over the same sessions has one of four causes:

- `signal`: the two computed different signals, because a bar was revised or the code changed;
- `missed`: the same signal, and one of them has no trade (refused, expired, cancelled, sent too late);
- `fill`: the same trade at another raw price, in another session, of another size or left for another reason;
- `cost`: the same fills, and another slippage or commission.

Money: the record's profit less the backtest's. A trade in both splits into cost (difference of `cost_usd`) and fill (the rest).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from core.book_events import CASH_KINDS
from core.errors import DataError
from core.frames import SIGNALS
from pipeline.accounts.recorded_actions import largest_ratio, ratio_since, recorded_actions
from pipeline.accounts.valuation import initial_equity_usd
from pipeline.audit.trade_differences import CENT, SAME_WITHIN, Row, closed_trade_differences, open_position_differences
from pipeline.bars import bars_by_symbol
from pipeline.resources import Resources, live
from pipeline.signals import signals_of
from trading.corporate_actions import rescaled_trades
from trading.delistings import actions_until
from trading.fills import END_OF_DATA, REASONS
from trading.portfolio import trades_of
from trading.sizing import STEPS_A_SHARE
from trading.strategies.vix_filter import rule_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backtest.engine import Result
    from core.book_events import BookEvent
    from core.models import Position
    from pipeline.accounts.recorded_actions import Actions
    from pipeline.accounts.trading_account import TradingAccount
    from pipeline.audit.replay import Replay
    from pipeline.sleeves import TradedSleeve
    from storage.market.bars import BarStore
    from storage.trading.deployments import Deployments
    from trading.costs import Costs
    from trading.risk import Limits
    from trading.strategies.base import Strategy

CAUSES: Final = ("signal", "fill", "cost", "missed")
LONG_AGO, FAR = dt.date(1678, 1, 1), dt.date(2262, 1, 1)  # the first and the last year that pandas knows
KEY: Final = ("strategy", "symbol", "decision_session")
OPEN_END: Final = REASONS[END_OF_DATA]


@dataclass(frozen=True)
class TradingRecord:
    """Trades, positions, values and signals of a desk, from a replay or the ledger.

    Attributes
    ----------
    trades
        Closed TRADES.
    positions
        Open positions.
    equity
        Columns session, equity_usd, from the first session on.
    signals
        SIGNALS with strategy and symbol, as they were acted on.
    split_ratio
        Largest ratio of the splits of its sessions, 0 without one. Sizes are rounded down to a millionth of a share, of the
        old ones before a split: they may be that many millionths apart.
    """

    trades: pd.DataFrame
    positions: tuple[Position, ...]
    equity: pd.DataFrame
    signals: pd.DataFrame
    split_ratio: float = 0.0

    @property
    def same_shares(self) -> float:
        """Shares by which sizes may differ."""
        return 4 * self.split_ratio / STEPS_A_SHARE


@dataclass(frozen=True)
class Parity:
    """Outcome of a comparison.

    Attributes
    ----------
    differences
        One row each: cause, strategy, symbol, session (of the decision), detail, record_usd and backtest_usd (profits, None
        where there is no trade), gap_usd.
    trades, sessions
        How many were compared.
    equity_gap_usd
        Largest difference of the value at a close; the last close is left out while a position is open, which the backtest has
        sold there.
    """

    differences: pd.DataFrame
    trades: int
    sessions: int
    equity_gap_usd: float

    @property
    def holds(self) -> bool:
        """True when there is no difference and every close is the same to the cent."""
        return self.differences.empty and self.equity_gap_usd < CENT

    def split(self) -> pd.DataFrame:
        """Return the number of differences and their money for each cause."""
        by_cause = self.differences.groupby("cause")["gap_usd"].agg(["size", "sum"]).reindex(list(CAUSES), fill_value=0)
        return by_cause.rename(columns={"size": "differences", "sum": "gap_usd"}).reset_index()


def compare_with_backtest(record: TradingRecord, result: Result, signals: pd.DataFrame) -> Parity:
    """Compare a record with a backtest.

    Parameters
    ----------
    signals
        The backtest's: SIGNALS with strategy and symbol, of the sessions of the record.
    """
    expected = result.trades
    finished = expected[expected["reason"] != OPEN_END]
    differing = signal_differences(record.signals, signals)
    parts = [
        [Row("signal", *row) for row in differing.itertuples(index=False, name=None)],
        closed_trade_differences(record.trades, finished, differing, record.same_shares),
        open_position_differences(record.positions, expected[expected["reason"] == OPEN_END], record.same_shares),
    ]
    rows = pd.DataFrame([row for part in parts for row in part], columns=list(Row._fields))
    rows = rows.sort_values(["session", "symbol", "cause"], kind="stable", ignore_index=True)
    gap = _equity_gap(record.equity, result.equity, still_open=len(finished) < len(expected))
    return Parity(rows, len(finished), len(record.equity), gap)


def compare_replay(replayed: Replay, *, initial_cash_usd: float | None = None, resources: Resources | None = None) -> Parity:
    """Compare a replay with the portfolio backtest of its sessions, symbols and filter answers.

    Parameters
    ----------
    initial_cash_usd
        That of the replay; `INITIAL_CASH_USD` unless given.
    """
    resources = resources or live()
    cash_usd = resources.settings.initial_cash_usd if initial_cash_usd is None else initial_cash_usd
    first, last = (replayed.equity["session"].iloc[place].date() for place in (0, -1))
    symbols = sorted(set(replayed.signals["symbol"]))
    reference = Reference(resources.bars, symbols, replayed.strategies, resources.costs, resources.limits, cash_usd)
    result, signals = run_reference_backtest(reference, first, last, accept=replayed.accept)
    return compare_with_backtest(
        TradingRecord(replayed.trades, replayed.positions, replayed.equity, replayed.signals, replayed.split_ratio),
        result,
        signals,
    )


def compare_ledger(first: dt.date | None, last: dt.date | None, *, resources: Resources | None = None) -> Parity:
    """Compare a book's record with the backtest that has the same filter answers: of each sleeve its own, with its capital.

    Parameters
    ----------
    first, last
        Sessions; default: the first and the last on record. A book that was not empty before `first` differs for that alone.

    Raises
    ------
    DataError
        When nothing is on record.
    """
    resources = resources or live()
    portfolio = resources.settings.portfolio
    equity = _between(resources.ledger.equity(portfolio), first, last)
    if equity.empty:
        raise DataError(f"Portfolio {portfolio!r}: no session on record from {first} to {last}. Trade first: `desk trade`.")
    comparison = _BookComparison(resources.account, resources.deployments, resources.costs, resources.limits, equity)
    sleeves = [comparison.of_sleeve(sleeve) for sleeve in resources.sleeves]
    differences = pd.concat([found.differences for found in sleeves], ignore_index=True)
    return Parity(
        differences.sort_values(["session", "symbol", "cause"], kind="stable", ignore_index=True),
        sum(found.trades for found in sleeves),
        len(equity),
        max(found.equity_gap_usd for found in sleeves),
    )


@dataclass(frozen=True)
class _BookComparison:
    """Compares a book's record with backtests.

    Attributes
    ----------
    equity
        Value of the book at the closes that are compared.
    """

    account: TradingAccount
    deployments: Deployments
    costs: Costs
    limits: Limits
    equity: pd.DataFrame

    def of_sleeve(self, sleeve: TradedSleeve) -> Parity:
        """Compare what a sleeve did with its backtest."""
        account, book_equity = self.account, self.equity
        ledger, portfolio = account.ledger, account.portfolio
        days = [stamp.date() for stamp in book_equity["session"]]
        signals = _concat([ledger.signals(day) for day in days])
        answers = _concat([ledger.predictions(day).assign(session=pd.Timestamp(day)) for day in days])
        answers = answers[answers["strategy"].isin(sleeve.names)]
        accept = answers.assign(accept=answers["signal"] == "enter", strategy=[rule_name(name) for name in answers["strategy"]])
        events = ledger.book_events(portfolio)
        whole = sleeve.capital_usd is None
        mine = [
            (order, fill)
            for order, fill in ledger.fills(portfolio)
            if fill.session <= days[-1] and (whole or order.strategy in sleeve.names)
        ]
        closed = trades_of(mine, events)
        held = tuple(each for each in ledger.positions(portfolio) if whole or each.strategy in sleeve.names)
        symbols = sorted({*closed["symbol"], *(position.symbol for position in held)})
        actions = recorded_actions(account.bars, symbols, FAR) if symbols else {}
        trades = _in_terms_of_bars(account.bars, closed, actions)
        if whole:
            equity, initial_usd = _without_cash(book_equity, events), initial_equity_usd(account)
        else:
            history = self.deployments.sleeve_equity(portfolio)
            equity = _between(history[history["strategy"].isin(sleeve.names)], days[0], days[-1])[["session", "equity_usd"]]
            initial_usd = float(sleeve.capital_usd or 0.0)
        reference = Reference(account.bars, list(sleeve.symbols), sleeve.strategies, self.costs, self.limits, initial_usd)
        result, expected = run_reference_backtest(reference, days[0], days[-1], accept=accept if sleeve.filtered else None)
        record = TradingRecord(
            trades[trades["decision_session"] >= pd.Timestamp(days[0])],
            held,
            equity,
            signals[signals["strategy"].isin(sleeve.names)],
            largest_ratio(actions),
        )
        return compare_with_backtest(record, result, expected[expected["session"].isin(book_equity["session"])])


def _between(frame: pd.DataFrame, first: dt.date | None, last: dt.date | None) -> pd.DataFrame:
    """Return the rows of the sessions from `first` to `last`, both included."""
    sessions = frame["session"]
    return frame[(sessions >= pd.Timestamp(first or LONG_AGO)) & (sessions <= pd.Timestamp(last or FAR))]


@dataclass(frozen=True)
class Reference:
    """The desk that a reference backtest simulates."""

    bars: BarStore
    symbols: Sequence[str]
    strategies: Sequence[Strategy]
    costs: Costs
    limits: Limits
    initial_cash_usd: float


def run_reference_backtest(
    reference: Reference, first: dt.date, last: dt.date, *, accept: pd.DataFrame | None
) -> tuple[Result, pd.DataFrame]:
    """Return the portfolio backtest on the newest versions of the bars and delistings, and its signals from `first` on."""
    from backtest.engine import backtest

    bars = bars_by_symbol(reference.bars, last.isoformat(), reference.symbols)
    result = backtest(
        bars,
        reference.strategies,
        reference.costs,
        limits=reference.limits,
        initial_cash_usd=reference.initial_cash_usd,
        accept=accept,
        start=first,
        actions=actions_until(reference.bars.actions(reference.symbols), last),
    )
    signals = pd.concat([signals_of(reference.strategies, part) for part in bars.values()], ignore_index=True)
    return result, signals[signals["session"] >= pd.Timestamp(first)]


def signal_differences(record: pd.DataFrame, expected: pd.DataFrame) -> pd.DataFrame:
    """Return the signals that differ or that one side lacks: strategy, symbol, session, detail (names of columns).

    Numbers are the same within `SAME_WITHIN`: a history that was re-scaled for a split since differs in its last digits.
    """
    key, columns = ["strategy", "symbol", "session"], [name for name in SIGNALS.columns if name != "session"]
    both = record[[*key, *columns]].merge(
        expected[[*key, *columns]], on=key, how="outer", suffixes=("", "_expected"), indicator=True
    )
    detail = pd.Series("", index=both.index, dtype=object)
    for name in columns:
        mine, theirs = both[name], both[f"{name}_expected"]
        differs = (both["_merge"] == "both") & ~_alike(mine, theirs)
        detail[differs] = detail[differs] + f" {name}"
    detail[both["_merge"] == "left_only"] = " no signal in the backtest"
    detail[both["_merge"] == "right_only"] = " no signal on record"
    return both.loc[detail != "", key].assign(detail=detail[detail != ""].str.strip()).reset_index(drop=True)


def _alike(mine: pd.Series, theirs: pd.Series) -> pd.Series:
    """Return True where two columns of signals have the same values, missing ones included."""
    if mine.dtype == "float64":
        return pd.Series(np.isclose(mine, theirs, rtol=SAME_WITHIN, atol=SAME_WITHIN, equal_nan=True), index=mine.index)
    return (mine == theirs) | (mine.isna() & theirs.isna())


def _in_terms_of_bars(bars: BarStore, trades: pd.DataFrame, actions: Actions) -> pd.DataFrame:
    """Return trades in the terms of the newest bars, which later splits have re-scaled."""
    if not actions or trades.empty:
        return trades
    columns = [trades[name] for name in ("symbol", "entry_session", "entry_price", "exit_session")]
    ratios = [
        ratio_since(bars, actions, symbol, entered.date(), price, after=exited.date())
        for symbol, entered, price, exited in zip(*columns, strict=True)
    ]
    return rescaled_trades(trades, ratios)


def _without_cash(equity: pd.DataFrame, events: Sequence[BookEvent]) -> pd.DataFrame:
    """Return the value at each close without the dividends and transfers booked so far, which no backtest has."""
    moved = [event for event in events if event.kind in CASH_KINDS]
    if not moved:
        return equity
    brought = [float(sum(event.cash_usd for event in moved if event.session <= day.date())) for day in equity["session"]]
    return equity.assign(equity_usd=equity["equity_usd"] - brought)


def _concat(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the parts that have rows, one under the other; an empty part has no column types."""
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def _equity_gap(mine: pd.DataFrame, theirs: pd.DataFrame, *, still_open: bool) -> float:
    """Return the largest difference at a close that both have."""
    both = mine.merge(theirs, on="session", suffixes=("", "_expected"))
    both = both.iloc[: len(both) - still_open]
    return float((both["equity_usd"] - both["equity_usd_expected"]).abs().max()) if len(both) else 0.0
