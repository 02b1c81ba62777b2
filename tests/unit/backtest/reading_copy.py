"""The rules of the backtest a second time, in plain Python and written for reading. The kernel must agree with it.

One portfolio lives through the sessions one by one; nothing here looks ahead, except to know the run's last session.
A line is one strategy on one symbol.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backtest.kernel import CostTerms, LineRules, Market


@dataclass
class Trade:
    """An entry and, once it is over, its exit."""

    line: int
    side: int
    decision: int
    entry: int
    quantity: float
    raw_entry: float
    paid: float
    exit: int = -1
    reason: str = ""
    got: float = math.nan
    leaving: str = ""  # an exit decided at a close, to be filled at the next open


@dataclass
class Portfolio:
    """Cash, what is held, what is ordered, what is over, and the account at each close."""

    cash: float
    peak: float
    held: dict[int, Trade] = field(default_factory=dict)
    orders: dict[int, tuple[int, int, float]] = field(default_factory=dict)  # line -> decision, side, quantity
    marks: dict[int, float] = field(default_factory=dict)
    done: list[Trade] = field(default_factory=list)
    equity: list[float] = field(default_factory=list)
    exposure: list[float] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=lambda: {"max_positions": 0, "no_capital": 0, "max_drawdown": 0})

    def worth(self) -> float:
        """Cash and positions at their last closes."""
        return self.cash + sum(trade.side * trade.quantity * self.marks[line] for line, trade in self.held.items())

    def notional(self) -> float:
        """Of what is held, long or short."""
        return sum(trade.quantity * self.marks[line] for line, trade in self.held.items())


def run(market: Market, rules: LineRules, terms: CostTerms, cash: float) -> Portfolio:
    """Live through every session."""
    book = Portfolio(cash, peak=cash)
    lines = range(len(rules.entry))
    for t in range(market.open.shape[1]):
        decide(book, market, rules, terms, t, at_open=True)
        delist(book, market, rules, terms, t)
        enter(book, market, rules, terms, t)
        for line in sorted(book.held):
            leave_on_the_bar(book, market, rules, terms, line, t)
        for line in lines:
            if tradable(market, rules.symbol[line], t):
                book.marks[line] = market.close[rules.symbol[line], t]
        decide(book, market, rules, terms, t, at_open=False)
        for line in sorted(book.held):
            leave_at_the_close(book, market, rules, terms, line, t)
        book.equity.append(book.worth())
        book.exposure.append(book.notional())
        book.peak = max(book.peak, book.worth())
    return book


def tradable(market: Market, s: int, t: int) -> bool:
    """Rule 6: a bar with a missing or non-positive price fills nothing."""
    return all(prices[s, t] > 0 for prices in (market.open, market.high, market.low, market.close))


def decide(book: Portfolio, market: Market, rules: LineRules, terms: CostTerms, t: int, *, at_open: bool) -> None:
    """Rules 1 and 5: flat lines with a signal compete for slots and capital, the strongest first."""
    price = market.open if at_open else market.close
    limits = terms.limits
    wanting = [
        line
        for line in range(len(rules.entry))
        if rules.entry[line, t] != 0
        and rules.enters_at_open[line] == at_open
        and line not in book.held
        and line not in book.orders
        and tradable(market, rules.symbol[line], t)
    ]
    equity = book.worth()
    used = book.notional() + sum(quantity * book.marks[line] for line, (_, _, quantity) in book.orders.items())
    slots = limits.max_positions - len(book.held) - len(book.orders)

    def weakness(line: int) -> float:
        return math.inf if math.isnan(rules.strength[line, t]) else -rules.strength[line, t]

    for line in sorted(wanting, key=weakness):
        if equity <= book.peak * (1 - limits.max_drawdown_pct / 100):
            book.refused["max_drawdown"] += 1
            continue
        if slots <= 0:
            book.refused["max_positions"] += 1
            continue
        part = 0.5 if equity < book.peak * (1 - limits.halve_drawdown_pct / 100) else 1.0
        notional = min(equity * (part * limits.max_position_pct) / 100, equity * limits.max_exposure_pct / 100 - used)
        stop = rules.stop_pct[line, t]
        if stop > 0:
            notional = min(notional, equity * (part * limits.risk_per_trade_pct) / stop)
        paper = price[rules.symbol[line], t]
        quantity = math.floor(notional / paper * 1e6) / 1e6 if equity > 0 else 0.0
        if quantity <= 0:
            book.refused["no_capital"] += 1
            continue
        book.orders[line] = (t, int(rules.entry[line, t]), quantity)
        book.marks[line] = paper
        used += quantity * paper
        slots -= 1


def delist(book: Portfolio, market: Market, rules: LineRules, terms: CostTerms, t: int) -> None:
    """Rule 6: who held the symbol before this session is paid out at its open, and what was ordered before it lapses."""
    for s, (columns, cash) in enumerate(zip(market.delisted, market.payout, strict=True)):
        for column, paid in zip(columns, cash, strict=True):
            if column != t:
                continue
            for line in [line for line in sorted(book.held) if rules.symbol[line] == s]:
                close_trade(book, terms, book.held[line], t, paid, "delisted")
            for line in [line for line, order in book.orders.items() if rules.symbol[line] == s and order[0] < t]:
                del book.orders[line]


def enter(book: Portfolio, market: Market, rules: LineRules, terms: CostTerms, t: int) -> None:
    """Rule 1: an order fills at the open of the symbol's next session (of this one when decided at the open), or lapses."""
    for line, (decision, side, quantity) in sorted(book.orders.items()):
        s = rules.symbol[line]
        if market.session_no[s, t] < 0:
            continue  # the exchange is shut today
        del book.orders[line]
        if not tradable(market, s, t):
            continue
        raw = market.open[s, t]
        paid = raw * (1 + side * terms.slippage_bps / 10_000)
        book.held[line] = Trade(line, side, decision, t, quantity, raw, paid)
        book.marks[line] = raw
        book.cash -= side * quantity * paid + quantity * paid * terms.commission_bps / 10_000


def leave_on_the_bar(book: Portfolio, market: Market, rules: LineRules, terms: CostTerms, line: int, t: int) -> None:
    """Rules 2 and 3: what was decided at a close leaves at this open; then the stop and the target, the stop first."""
    trade, s = book.held[line], rules.symbol[line]
    if not tradable(market, s, t):
        return
    open_, high, low = market.open[s, t], market.high[s, t], market.low[s, t]
    if trade.leaving:
        close_trade(book, terms, trade, t, open_, trade.leaving)
        return
    stop = trade.raw_entry * (1 - trade.side * rules.stop_pct[line, trade.decision] / 100)
    target = trade.raw_entry * (1 + trade.side * rules.target_pct[line, trade.decision] / 100)
    long = trade.side > 0

    def beyond_stop(price: float) -> bool:
        return price <= stop if long else price >= stop

    def beyond_target(price: float) -> bool:
        return price >= target if long else price <= target

    if t > trade.entry and beyond_stop(open_):
        close_trade(book, terms, trade, t, open_, "stop_gap")
    elif t > trade.entry and beyond_target(open_):
        close_trade(book, terms, trade, t, open_, "target_gap")
    elif beyond_stop(low if long else high):
        close_trade(book, terms, trade, t, stop, "stop")
    elif beyond_target(high if long else low):
        close_trade(book, terms, trade, t, target, "target")


def leave_at_the_close(book: Portfolio, market: Market, rules: LineRules, terms: CostTerms, line: int, t: int) -> None:
    """Rules 3 and 6: the time exit, the rule exit, and the end of the run, at the last close that there was."""
    trade, s = book.held[line], rules.symbol[line]
    if tradable(market, s, t):
        decide_exit(book, market, rules, terms, line, t)
    if line in book.held and t == market.open.shape[1] - 1:
        last = max(day for day in range(t + 1) if tradable(market, s, day))
        close_trade(book, terms, trade, t, market.close[s, last], "end_of_data")


def decide_exit(book: Portfolio, market: Market, rules: LineRules, terms: CostTerms, line: int, t: int) -> None:
    """Rule 3: decided at this close, done at the next open, or at once by a strategy that leaves at the close."""
    trade, s = book.held[line], rules.symbol[line]
    sessions = market.session_no[s, t] - market.session_no[s, trade.entry] + 1
    wanted = rules.exit_long[line, t] if trade.side > 0 else rules.exit_short[line, t]
    if rules.max_sessions[line] and sessions >= rules.max_sessions[line]:
        trade.leaving = "time"
    elif wanted:
        trade.leaving = "rule"
    if trade.leaving and rules.exits_at_close[line]:
        close_trade(book, terms, trade, t, market.close[s, t], trade.leaving)


def close_trade(book: Portfolio, terms: CostTerms, trade: Trade, t: int, raw: float, reason: str) -> None:
    """Rule 4: slippage on everything but targets, commission on everything; a delisting is no order and costs nothing."""
    slip = 0.0 if reason in {"target", "target_gap", "delisted"} else terms.slippage_bps
    fee = 0.0 if reason == "delisted" else terms.commission_bps
    trade.exit, trade.reason = t, reason
    trade.got = raw * (1 - trade.side * slip / 10_000)
    book.cash += trade.side * trade.quantity * trade.got - trade.quantity * trade.got * fee / 10_000
    book.done.append(book.held.pop(trade.line))
