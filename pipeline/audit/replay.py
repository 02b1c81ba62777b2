"""Replay past sessions through the daily live path: settle, decide, place, record, one session after the other.

It calls what the scheduled steps call (`trading.decide.decide`, `trading.brokers.placing.place`, the paper broker, `account`,
`trades_of`) on the bars as they were known at each decision, and keeps its book in memory under a portfolio of its own name.
It touches neither the live portfolio nor its signals or predictions, and nothing is sent to anyone. That it makes the trades
of the scheduled steps on a ledger in PostgreSQL is tested (`tests/parity/test_parity_day.py`).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from core.frames import BARS, SESSION
from core.sessions import normalise_symbol
from pipeline.accounts.recorded_actions import largest_ratio, recorded_actions
from pipeline.audit.session_inputs import SessionInputs, session_inputs
from pipeline.audit.vintages import read_vintages
from pipeline.resources import Resources, live
from trading.brokers.book_events import apply_event
from trading.brokers.delisting import book_delistings
from trading.brokers.memory import MemoryBook
from trading.brokers.paper import PaperBroker
from trading.brokers.placing import place
from trading.corporate_actions import order_split, rescaled_trades, split_of
from trading.decide import Holdings, decide
from trading.delistings import delistings_of
from trading.orders import exact
from trading.portfolio import trades_of
from trading.strategies.vix_filter import rule_name

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from core.models import Position
    from ml.entry_filter.predict import EntryFilter
    from ml.tracking.registry import Registry
    from pipeline.accounts.recorded_actions import Action
    from trading.costs import Costs
    from trading.decide import Decisions, Key, Refusal
    from trading.risk import Limits
    from trading.strategies.base import Strategy

    Progress = Callable[[int, int], None]

NO_BARS = BARS.empty()
REPLAY_PREFIX = "replay"  # of the name of every replayed portfolio


def no_progress(done: int, of: int) -> None:
    """Report nothing."""
    del done, of


@dataclass(frozen=True)
class Replay:
    """Outcome of a replay.

    Attributes
    ----------
    trades
        Closed TRADES.
    positions
        Positions after the last session.
    equity
        Columns session, equity_usd.
    signals
        SIGNALS with strategy, symbol, open and close of every session.
    refusals
        Candidates not entered, and why.
    split_ratio
        Largest ratio of a symbol's splits in these sessions, 0 without one.
    seconds, loop_seconds
        Of the whole, reading and signals included, and of the sessions alone.
    """

    portfolio: str
    strategies: tuple[Strategy, ...]
    trades: pd.DataFrame
    positions: tuple[Position, ...]
    equity: pd.DataFrame
    signals: pd.DataFrame
    accept: pd.DataFrame | None
    refusals: tuple[Refusal, ...]
    split_ratio: float
    seconds: float
    loop_seconds: float

    @property
    def sessions_a_second(self) -> float:
        """Sessions replayed per second, reading and signals included."""
        return len(self.equity) / self.seconds


def run_replay(
    first: dt.date,
    last: dt.date,
    *,
    symbols: Sequence[str] = (),
    model: str | None = None,
    strategies: Sequence[Strategy] = (),
    initial_cash_usd: float | None = None,
    on_progress: Progress = no_progress,
    resources: Resources | None = None,
) -> Replay:
    """Replay every session from `first` to `last`, both included.

    Parameters
    ----------
    symbols
        The universe when empty.
    model
        Version of the entry filter, or `champion`; None trades every entry. The filter is the one of today: on sessions that it
        was trained on its answers are better than any it could have given then.
    strategies
        The desk's own unless given.
    initial_cash_usd
        `INITIAL_CASH_USD` unless given.

    Raises
    ------
    DataError
        When there is no session or no bar to replay.
    NoChampion
        When a model is asked for and there is none.
    """
    resources = resources or live()
    started = time.perf_counter()
    traded = tuple(strategies) or resources.strategies
    names = [normalise_symbol(each) for each in symbols] or resources.universe()
    vintages = read_vintages(resources.bars, first, last, names)
    recorded = recorded_actions(resources.bars, names, last)
    inputs = session_inputs(vintages, traded, None if model is None else _load_filter(resources.registry, model), recorded)
    inputs = replace(inputs, delistings=delistings_of(resources.bars.actions(names)))
    read = time.perf_counter()
    cash_usd = resources.settings.initial_cash_usd if initial_cash_usd is None else initial_cash_usd
    desk = ReplayDesk(f"{REPLAY_PREFIX}-{first}-{last}", traded, resources.limits, resources.costs, cash_usd)
    for done, stamp in enumerate(inputs.sessions):
        desk.process_session(stamp, inputs)
        on_progress(done + 1, len(inputs.sessions))
    ended, splits = time.perf_counter(), desk.book.book_events(desk.portfolio)
    return Replay(
        desk.portfolio,
        traded,
        _in_terms_of_bars(trades_of(desk.book.fills(desk.portfolio), splits), inputs.splits),
        tuple(desk.book.positions(desk.portfolio)),
        desk.equity(),
        _stacked(inputs.signals),
        inputs.accept,
        tuple(desk.refusals),
        largest_ratio(_by_symbol(inputs.splits)),
        ended - started,
        ended - read,
    )


class ReplayDesk:
    """A desk with a book in memory and the paper broker.

    Attributes
    ----------
    refusals
        Candidates not entered so far.
    """

    def __init__(
        self, portfolio: str, strategies: tuple[Strategy, ...], limits: Limits, costs: Costs, initial_cash_usd: float
    ) -> None:
        self.portfolio = portfolio
        self.book = MemoryBook()
        self.refusals: list[Refusal] = []
        self._strategies, self._limits = strategies, limits
        self._enters_at_open = any(strategy.entry == "open" for strategy in strategies)
        self._exits_at_close = any(strategy.exit == "close" for strategy in strategies)
        self._broker = PaperBroker(self.book, costs, portfolio=portfolio, initial_cash_usd=initial_cash_usd)
        self._closes: dict[str, float] = {}
        self._peak_usd = float(initial_cash_usd)
        self._values: list[tuple[pd.Timestamp, float]] = []

    def process_session(self, stamp: pd.Timestamp, inputs: SessionInputs) -> None:
        """Settle the session, decide at its close, place, and mark the portfolio; without any bar, orders lapse and no more."""
        for symbol, action in inputs.splits.get(stamp, ()):
            self._split(stamp.date(), symbol, action)
        bars, signals = inputs.bars.get(stamp, NO_BARS), inputs.signals.get(stamp)
        if self._enters_at_open and signals is not None:
            self._act(stamp, signals, inputs, "open")
        today = [each for each in inputs.delistings if each.session == stamp.date()]
        book_delistings(self.book, self.portfolio, today)
        self._settle(stamp, bars)
        self._closes.update(zip(bars["symbol"], bars["close"], strict=True))
        if signals is not None:
            self._act(stamp, signals, inputs, "close")
        if self._exits_at_close:
            self._settle(stamp, bars)
        equity_usd = self._broker.account(self._closes).equity_usd
        self._peak_usd = max(self._peak_usd, equity_usd)
        self._values.append((stamp, equity_usd))

    def equity(self) -> pd.DataFrame:
        """Return columns session, equity_usd: the value at each close."""
        frame = pd.DataFrame(self._values, columns=["session", "equity_usd"])
        return frame.astype({"session": SESSION})

    def _split(self, session: dt.date, symbol: str, action: Action) -> None:
        """Bring positions, orders and the last close of a symbol into the terms after a split."""
        if symbol in self._closes:
            self._closes[symbol] /= action.value
        step, terms = self._broker.instrument(symbol).quantity_step, {"effective": action.session, "session": session}
        positions = [held for held in self.book.positions(self.portfolio) if held.symbol == symbol]
        for position in positions:
            price = exact(self._closes.get(symbol, float(position.entry_price) / action.value))
            apply_event(
                self.book, split_of(position, action.kind, action.value, step=step, last_price=price, **terms), position
            )
        held_by = {position.strategy for position in positions}
        for order, _ in self.book.open_orders(self.portfolio):
            if order.symbol == symbol and order.strategy not in held_by:
                apply_event(self.book, order_split(order, action.kind, action.value, step=step, **terms))

    def _settle(self, stamp: pd.Timestamp, bars: pd.DataFrame) -> None:
        """Give the broker the bars of the symbols that are held or ordered."""
        concerned = self._held_or_ordered()
        if concerned:
            self._broker.advance(stamp.date(), bars[_among(bars, concerned)])

    def _held_or_ordered(self) -> set[str]:
        orders = self.book.open_orders(self.portfolio)
        return {held.symbol for held in self.book.positions(self.portfolio)} | {order.symbol for order, _ in orders}

    def _act(self, stamp: pd.Timestamp, signals: pd.DataFrame, inputs: SessionInputs, moment: Literal["open", "close"]) -> None:
        """Decide on the symbols that are held or may be entered, and place; the rows of the others decide nothing."""
        held = {position.symbol for position in self.book.positions(self.portfolio)}
        concerned = (signals["entry"].to_numpy() != 0) | _among(signals, held)
        if not concerned.any():
            return
        decisions = self._decide(stamp, signals[concerned], inputs, moment)
        place(self.book, self._broker, decisions.intents)
        self.refusals.extend(decisions.refusals)

    def _decide(
        self, stamp: pd.Timestamp, signals: pd.DataFrame, inputs: SessionInputs, moment: Literal["open", "close"]
    ) -> Decisions:
        orders = [order for order, _ in self.book.open_orders(self.portfolio)]
        positions = self.book.positions(self.portfolio)
        cash = self._broker.cash_usd()
        holdings = Holdings(self.portfolio, positions, orders, cash, self._closes, self._peak_usd)
        accept, probability = _answers(inputs.accept, stamp, self._strategies)
        return decide(
            stamp.date(),
            signals,
            self._strategies,
            holdings,
            self._limits,
            accept=accept,
            probability=probability,
            moment=moment,
        )


def _in_terms_of_bars(trades: pd.DataFrame, splits: Mapping[pd.Timestamp, Sequence[tuple[str, Action]]]) -> pd.DataFrame:
    """Return trades in the terms after the last session's splits."""
    changes = [(stamp, symbol, action.value) for stamp, parts in splits.items() for symbol, action in parts]
    ratios = [
        math.prod(value for stamp, name, value in changes if name == symbol and stamp > exited)
        for symbol, exited in zip(trades["symbol"], trades["exit_session"], strict=True)
    ]
    return rescaled_trades(trades, ratios)


def _by_symbol(splits: Mapping[pd.Timestamp, Sequence[tuple[str, Action]]]) -> dict[str, list[Action]]:
    """Return the splits of each symbol."""
    found: dict[str, list[Action]] = {}
    for parts in splits.values():
        for symbol, action in parts:
            found.setdefault(symbol, []).append(action)
    return found


def _load_filter(registry: Registry, model: str) -> EntryFilter:
    return registry.champion() if model == "champion" else registry.load(model)


def _answers(
    accept: pd.DataFrame | None, stamp: pd.Timestamp, strategies: Sequence[Strategy]
) -> tuple[dict[Key, bool] | None, dict[Key, float] | None]:
    """Return the acceptance and probability of each candidate of a session; None without a filter."""
    if accept is None:
        return None, None
    rows = accept[accept["session"] == stamp]
    traded = {rule_name(strategy.name): strategy.name for strategy in strategies}
    keys = [(traded[rule], str(symbol)) for rule, symbol in zip(rows["strategy"], rows["symbol"], strict=True)]
    return (
        dict(zip(keys, map(bool, rows["accept"]), strict=True)),
        dict(zip(keys, map(float, rows["probability"]), strict=True)),
    )


def _among(frame: pd.DataFrame, symbols: set[str]) -> NDArray[np.bool_]:
    return np.fromiter((symbol in symbols for symbol in frame["symbol"]), dtype=np.bool_, count=len(frame))


def _stacked(parts: Mapping[pd.Timestamp, pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(parts.values(), ignore_index=True)
