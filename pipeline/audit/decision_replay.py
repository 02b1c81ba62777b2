"""Repeat a past decision or fill of the live portfolio from stored bars, predictions and the ledger; store and send nothing."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Self

import pandas as pd

from core.models import Leg
from core.sessions import next_session, sessions_between
from features.regime import with_vix
from pipeline.accounts.book import accept, book_before, bring_to_bars
from pipeline.accounts.valuation import closing_prices, initial_equity_usd, peak_equity_usd
from pipeline.audit.vintages import decision_deadlines
from pipeline.bars import VIX
from pipeline.execution.exit_rules import ExitRuleBook, ExitRules
from pipeline.execution.sleeve_decisions import SleeveMoney, answers_of, decide_sleeves
from pipeline.signals import signals_of
from trading.brokers.delisting import book_delistings
from trading.brokers.paper import PaperBroker
from trading.brokers.placing import place
from trading.decide import Holdings
from trading.delistings import delistings_of
from trading.strategies.vix_filter import rule_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from core.models import Fill, OrderIntent
    from pipeline.accounts.trading_account import TradingAccount
    from pipeline.resources import Resources
    from pipeline.sleeves import TradedSleeve
    from storage.market.bars import BarStore
    from storage.trading.deployments import Deployments
    from trading.brokers.memory import MemoryBook
    from trading.costs import Costs
    from trading.risk import Limits
    from trading.strategies.base import Strategy


@dataclass(frozen=True)
class DecisionInputs:
    """Everything that a repeated decision reads.

    Attributes
    ----------
    sleeves
        What traded.
    deployments
        Where the value of each sleeve at earlier closes is on record.
    as_of
        Moment (aware) at which the bars are read, point-in-time; None reads the newest versions.
    exit_rules
        Finds the rules of positions that no listed strategy leaves; None: there are none.
    """

    account: TradingAccount
    sleeves: tuple[TradedSleeve, ...]
    costs: Costs
    limits: Limits
    deployments: Deployments
    as_of: dt.datetime | None = None
    exit_rules: ExitRuleBook | None = None

    @classmethod
    def of(cls, resources: Resources) -> Self:
        """Return the inputs of the decisions of today."""
        return cls(
            account=resources.account,
            sleeves=resources.sleeves,
            costs=resources.costs,
            limits=resources.limits,
            deployments=resources.deployments,
            exit_rules=ExitRuleBook.of(resources),
        )

    @property
    def strategies(self) -> tuple[Strategy, ...]:
        """The strategies of all sleeves."""
        return tuple(strategy for sleeve in self.sleeves for strategy in sleeve.strategies)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols of all sleeves, sorted."""
        return tuple(sorted({symbol for sleeve in self.sleeves for symbol in sleeve.symbols}))

    def rule_of(self, strategy: str) -> str:
        """Return the name under which the entry filter knows a strategy's rule."""
        own = (sleeve.rule for sleeve in self.sleeves if strategy in sleeve.names and sleeve.rule)
        return next(own, rule_name(strategy))

    @property
    def bars(self) -> BarStore:
        """The account's bar store."""
        return self.account.bars

    def at(self, moment: dt.datetime) -> DecisionInputs:
        """Return the same inputs with the bars read as known at a moment."""
        return replace(self, as_of=moment)


def session_before(day: dt.date) -> dt.date:
    """Return the session before the session `day`."""
    before: dt.date = sessions_between(day - dt.timedelta(days=10), day)[-2].date()
    return before


def signals_at(inputs: DecisionInputs, days: tuple[dt.date, ...]) -> pd.DataFrame:
    """Return SIGNALS with strategy, symbol and close of some sessions, computed now."""
    rows, bars = [], _bars_by_symbol(inputs, inputs.symbols, max(days))
    for sleeve in inputs.sleeves:
        for part in (bars[symbol] for symbol in sleeve.symbols if symbol in bars):
            signals = signals_of(sleeve.strategies, part)
            rows.append(signals[signals["session"].isin([pd.Timestamp(day) for day in days])])
    return pd.concat(rows, ignore_index=True)


def decision_signals(inputs: DecisionInputs, session: dt.date) -> pd.DataFrame:
    """Return the signals that a past decision read: the strategies', and those of the rules that left positions."""
    exits = _exit_rules(inputs, _book_at(inputs, session), session)
    return _with_exits(inputs, exits, session, signals_at(inputs, (session,)))


def _bars_by_symbol(inputs: DecisionInputs, symbols: Iterable[str], end: dt.date) -> dict[str, pd.DataFrame]:
    """Return the bars of each symbol up to a session, with the VIX."""
    bars = inputs.bars.read([*symbols, VIX], end=end, as_of=inputs.as_of)
    vix, traded = bars[bars["symbol"] == VIX], bars[bars["symbol"] != VIX]
    return {str(symbol): with_vix(part.reset_index(drop=True), vix) for symbol, part in traded.groupby("symbol")}


def _exit_rules(inputs: DecisionInputs, book: MemoryBook, session: dt.date) -> ExitRules:
    """Return the rules that left the positions of a book at a session, with the hand-overs up to its decision."""
    if inputs.exit_rules is None:
        return ExitRules({})
    until = decision_deadlines(pd.DatetimeIndex([pd.Timestamp(session)]))[0].to_pydatetime()
    return inputs.exit_rules.rules_of(book.positions(inputs.account.portfolio), until)


def _with_exits(inputs: DecisionInputs, exits: ExitRules, session: dt.date, signals: pd.DataFrame) -> pd.DataFrame:
    """Return the signals of a session with those of the exit rules."""
    return exits.add_signals(signals, session, _bars_by_symbol(inputs, exits.symbols, session) if exits.symbols else {})


def closes_at(inputs: DecisionInputs, day: dt.date) -> dict[str, float]:
    """Return the last close at or before a session of each symbol of the universe and each that was ever held."""
    traded = {fill.symbol for _, fill in inputs.account.ledger.fills(inputs.account.portfolio)}
    return closing_prices(inputs.bars, {*inputs.symbols, *traded}, day, inputs.as_of)


def repeat_decision(inputs: DecisionInputs, session: dt.date) -> tuple[OrderIntent, ...]:
    """Return what the desk decides at a past close from its bars, its predictions and what it held then."""
    return _decide(inputs, _book_at(inputs, session), session, signals_at(inputs, (session,)))


def repeat_fills(inputs: DecisionInputs, day: dt.date, signals: pd.DataFrame) -> list[tuple[OrderIntent, Fill]]:
    """Return the fills of a session as the paper broker makes them of the orders decided at the close before it.

    Parameters
    ----------
    signals
        SIGNALS with strategy, symbol and close that contain the session before `day`.
    """
    before, portfolio = session_before(day), inputs.account.portfolio
    book = _book_at(inputs, before)
    earlier = {fill.fill_id for _, fill in book.fills(portfolio)}
    broker = PaperBroker(book, inputs.costs, portfolio=portfolio)
    place(book, broker, _decide(inputs, book, before, signals))
    ended = delistings_of(inputs.bars.actions([held.symbol for held in book.positions(portfolio)]))
    book_delistings(book, portfolio, [each for each in ended if each.session == day])
    held = {position.symbol for position in book.positions(portfolio)}
    broker.advance(day, inputs.bars.read(sorted({*inputs.symbols, *held}), start=day, end=day))
    return [pair for pair in book.fills(portfolio) if pair[1].fill_id not in earlier]


def _decide(inputs: DecisionInputs, book: MemoryBook, session: dt.date, signals: pd.DataFrame) -> tuple[OrderIntent, ...]:
    exits = _exit_rules(inputs, book, session)
    rows = signals[signals["session"] == pd.Timestamp(session)].reset_index(drop=True)
    rows = _with_exits(inputs, exits, session, rows)
    portfolio = inputs.account.portfolio
    money = SleeveMoney(partial(book.cash_flow_usd, portfolio), inputs.deployments.sleeve_equity(portfolio), session)
    holdings = replace(_holdings_at(inputs, book, session), exit_rules=exits.rules)
    answers = answers_of(inputs.account.ledger.predictions(session))
    return decide_sleeves(session, rows, inputs.sleeves, holdings, inputs.limits, money, answers).intents


def _holdings_at(inputs: DecisionInputs, book: MemoryBook, session: dt.date) -> Holdings:
    """Return what the portfolio had at the close of a session, for a decision there."""
    ledger, portfolio = inputs.account.ledger, inputs.account.portfolio
    waiting = [order for order, _ in book.open_orders(portfolio)]
    history = ledger.equity(portfolio)
    at = history.loc[history["session"] == pd.Timestamp(session), "cash_usd"]
    initial = initial_equity_usd(inputs.account)
    cash = float(at.iloc[0]) if len(at) else initial + float(book.cash_flow_usd(portfolio))
    peak_usd = peak_equity_usd(inputs.account, session)
    return Holdings(portfolio, book.positions(portfolio), waiting, cash, closes_at(inputs, session), peak_usd)


def _book_at(inputs: DecisionInputs, session: dt.date) -> MemoryBook:
    """Return the book at the close of a session, without the orders decided there, in the terms of the bars that are read."""
    account, after = inputs.account, next_session(session)
    book = _with_waiting_exits(account, book_before(account.ledger, account.portfolio, after), session)
    return book if inputs.as_of is not None else bring_to_bars(book, account.portfolio, inputs.bars, after)


def _with_waiting_exits(account: TradingAccount, book: MemoryBook, before: dt.date) -> MemoryBook:
    """Add the exits that were decided earlier and not filled: they wait for a bar."""
    open_exits = [order for order, _ in account.ledger.open_orders(account.portfolio)]
    later = [order for order, fill in account.ledger.fills(account.portfolio) if fill.session > before]
    for order in (*open_exits, *later):
        if order.leg is Leg.EXIT and order.decision_session < before and book.order(order.client_order_id) is None:
            accept(book, order)
    return book
