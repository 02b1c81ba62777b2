"""The decision of a session sleeve by sleeve, each over its own money, from what is stored.

A sleeve's equity is its capital and what it has won or lost since: sizes follow it, and so do its limits. Sleeves without
capital of their own are decided together over the whole book. Positions whose sleeve is gone are left by their own rules.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from core.models import Leg
from pipeline.accounts.valuation import cash_flow_at, cash_usd, closing_prices, peak_equity_usd, positions_at
from pipeline.sleeves import TradedSleeve
from trading.decide import Decisions, Holdings, decide
from trading.orders import exact
from trading.portfolio import account as value_account

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from pipeline.accounts.trading_account import TradingAccount
    from pipeline.execution.exit_rules import ExitRules
    from storage.trading.deployments import Deployments
    from storage.trading.ledger import Ledger
    from trading.decide import Key
    from trading.risk import Limits
    from trading.strategies.base import Strategy

    CashFlow = Callable[[str], Decimal]  # of a strategy's fills and events so far

ENTER = "enter"  # the API's word for an accepted candidate


class Answers(NamedTuple):
    """Answers of the entry filter by strategy and symbol: is the entry accepted, its probability of a win, its A/B arm."""

    accept: dict[Key, bool]
    probability: dict[Key, float]
    arms: dict[Key, str]


@dataclass(frozen=True)
class SleeveDecisions:
    """Decides the sleeves of a book.

    Attributes
    ----------
    deployments
        Where the value of each sleeve at earlier closes is on record.
    """

    account: TradingAccount
    sleeves: Sequence[TradedSleeve]
    limits: Limits
    deployments: Deployments

    def decide(self, day: dt.date, exits: ExitRules) -> Decisions:
        """Decide from the stored signals and predictions of the session and from what the book holds."""
        ledger, portfolio = self.account.ledger, self.account.portfolio
        strategies = [strategy for sleeve in self.sleeves for strategy in sleeve.strategies]
        signals = stored_signals(ledger, strategies, day, exits.rules)
        positions = ledger.positions(portfolio)
        orders = [order for order, _ in ledger.open_orders(portfolio)]
        symbols = {*signals["symbol"], *(held.symbol for held in positions), *(order.symbol for order in orders)}
        holdings = Holdings(
            portfolio,
            positions,
            orders,
            cash_usd(self.account),
            closing_prices(self.account.bars, symbols, day),
            peak_equity_usd(self.account, day),
            exits.rules,
        )
        money = SleeveMoney(lambda name: ledger.cash_flow_usd(portfolio, name), self.deployments.sleeve_equity(portfolio), day)
        return decide_sleeves(day, signals, self.sleeves, holdings, self.limits, money, answers_of(ledger.predictions(day)))


@dataclass(frozen=True)
class SleeveMoney:
    """Cash and peak equity of sleeves at a decision.

    Attributes
    ----------
    cash_flow
        Cash flow of a strategy's fills and events up to the decision.
    history
        Value of the sleeves at each close: strategy, session, equity_usd.
    """

    cash_flow: CashFlow
    history: pd.DataFrame
    day: dt.date

    def cash_usd(self, sleeve: TradedSleeve) -> Decimal:
        """Return the cash of a sleeve with capital of its own."""
        return exact(sleeve.capital_usd or 0.0) + sum((self.cash_flow(name) for name in sleeve.names), Decimal(0))

    def peak_usd(self, sleeve: TradedSleeve) -> float:
        """Return the highest equity of such a sleeve at a close before the decision, at least its capital."""
        before = self.history[(self.history["session"] < pd.Timestamp(self.day)) & self.history["strategy"].isin(sleeve.names)]
        return max([sleeve.capital_usd or 0.0, *map(float, before["equity_usd"])])


def decide_sleeves(  # noqa: PLR0917  # what a decision reads
    day: dt.date,
    signals: pd.DataFrame,
    sleeves: Sequence[TradedSleeve],
    holdings: Holdings,
    limits: Limits,
    money: SleeveMoney,
    answers: Answers,
) -> Decisions:
    """Decide each sleeve on its own share of a book; exits come first.

    Parameters
    ----------
    signals
        As `trading.decide.decide` takes them, of every sleeve.
    holdings
        Of the whole book; its cash and peak are those of sleeves without capital of their own.
    """
    decided = []
    held = {held.strategy for held in holdings.positions} | {order.strategy for order in holdings.open_orders}
    for sleeve, names in _shares(sleeves, held):
        own = replace(
            holdings,
            positions=[position for position in holdings.positions if position.strategy in names],
            open_orders=[order for order in holdings.open_orders if order.strategy in names],
        )
        if sleeve.capital_usd is not None:
            own = replace(own, cash_usd=money.cash_usd(sleeve), peak_usd=money.peak_usd(sleeve))
        decided.append(
            decide(
                day,
                signals[signals["strategy"].isin(names)].reset_index(drop=True),
                sleeve.strategies,
                own,
                limits,
                accept=answers.accept if sleeve.filtered else None,
                probability=answers.probability if sleeve.filtered else None,
                arms=answers.arms if sleeve.filtered else None,
            )
        )
    intents = sorted((order for each in decided for order in each.intents), key=lambda order: order.leg is Leg.ENTRY)
    return Decisions(tuple(intents), tuple(refusal for each in decided for refusal in each.refusals))


def sleeve_values(
    account: TradingAccount, sleeves: Sequence[TradedSleeve], day: dt.date, closes: Mapping[str, float]
) -> dict[str, float]:
    """Return the equity of each sleeve with capital of its own at the close of a session, by the sleeve's name.

    Raises
    ------
    core.errors.DataError
        When a symbol held has no price.
    """
    own = [(name, sleeve.capital_usd) for sleeve in sleeves if sleeve.capital_usd is not None for name in sleeve.names]
    positions = positions_at(account, day) if own else []
    values = {}
    for name, capital_usd in own:
        cash = exact(capital_usd) + cash_flow_at(account.ledger, account.portfolio, day, name)
        held = [position for position in positions if position.strategy == name]
        values[name] = value_account(cash, held, (), closes).equity_usd
    return values


def answers_of(predictions: pd.DataFrame) -> Answers:
    """Return the answers in stored predictions."""
    keys = list(zip(predictions["strategy"], predictions["symbol"], strict=True))
    accept = dict(zip(keys, (bool(signal == ENTER) for signal in predictions["signal"]), strict=True))
    probability = dict(zip(keys, predictions["probability"].astype(float), strict=True))
    return Answers(accept, probability, dict(zip(keys, predictions["ab_arm"], strict=True)))


def stored_signals(
    ledger: Ledger, strategies: Iterable[Strategy], day: dt.date, positions: Collection[Key] = ()
) -> pd.DataFrame:
    """Return the signals of the strategies that trade, and of some positions; others may have traded that day."""
    signals, names = ledger.signals(day), {strategy.name for strategy in strategies}
    keys = zip(signals["strategy"], signals["symbol"], strict=True)
    traded = pd.Series([key[0] in names or key in positions for key in keys], index=signals.index, dtype=bool)
    return signals[traded].reset_index(drop=True)


def _shares(sleeves: Sequence[TradedSleeve], held: Collection[str]) -> list[tuple[TradedSleeve, frozenset[str]]]:
    """Return each sleeve with the strategies whose positions and orders are its own.

    Those of no sleeve belong to the one that trades the whole book; without such a one they are left by their own rules.
    """
    rest = frozenset(held) - frozenset(name for sleeve in sleeves for name in sleeve.names)
    shares = [(sleeve, sleeve.names if sleeve.capital_usd is not None else sleeve.names | rest) for sleeve in sleeves]
    if rest and all(sleeve.capital_usd is not None for sleeve in sleeves):
        shares.append((TradedSleeve((), (), None, filtered=False), rest))
    return shares
