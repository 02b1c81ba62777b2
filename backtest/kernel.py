"""The backtest's loops, compiled: follow a trade from entry to exit, and run a portfolio through its sessions.

Owns the order of events; the rules of a fill, a size and a limit are those of `trading`, which the daily path calls as well.
It knows no frames and no dates. Arrays have one row a symbol (sorted by name) and one column a session of the joint calendar.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from trading.compiled import compiled
from trading.costs import commission_usd, exit_price, slipped
from trading.fills import END_OF_DATA, HELD, RULE, brackets, exit_at_bar, exit_due, is_tradable
from trading.risk import VERDICTS, allocate

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Market(NamedTuple):
    """Prices, each (symbols, sessions).

    `session_no` counts a symbol's own sessions from its first bar to its last and is -1 elsewhere (before, after, or on a day
    its exchange is shut). A session inside that range without a bar has NaN prices, and fills nothing.
    """

    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    session_no: NDArray[np.int64]


class Rules(NamedTuple):
    """A strategy's signals, each (symbols, sessions), and what it declares. `max_sessions` of 0 is no time limit."""

    entry: NDArray[np.int8]
    exit_long: NDArray[np.bool_]
    exit_short: NDArray[np.bool_]
    stop_pct: NDArray[np.float64]
    target_pct: NDArray[np.float64]
    strength: NDArray[np.float64]
    max_sessions: int
    enters_at_open: bool
    exits_at_close: bool


class Terms(NamedTuple):
    """Costs and limits as plain numbers."""

    commission_bps: float
    slippage_bps: float
    risk_per_trade_pct: float
    max_position_pct: float
    max_positions: int


class Log(NamedTuple):
    """Trades in the order of their entries, `used[0]` of them.

    `rows` holds symbol, side, decision, entry, exit (columns of the market) and reason; prices are with and without slippage.
    """

    rows: NDArray[np.int64]
    quantity: NDArray[np.float64]
    raw_entry: NDArray[np.float64]
    raw_exit: NDArray[np.float64]
    entry_price: NDArray[np.float64]
    exit_price: NDArray[np.float64]
    entry_fee_usd: NDArray[np.float64]
    exit_fee_usd: NDArray[np.float64]
    used: NDArray[np.int64]


class State(NamedTuple):
    """What the portfolio holds, one element a symbol. `ordered` shares wait for the next open; `trade` indexes the log."""

    cash_usd: NDArray[np.float64]
    quantity: NDArray[np.float64]
    mark: NDArray[np.float64]
    ordered: NDArray[np.float64]
    ordered_at: NDArray[np.int64]
    trade: NDArray[np.int64]


@compiled
def follow(market: Market, rules: Rules, s: int, entry: int, decision: int, side: int) -> tuple[int, float, int]:  # noqa: PLR0917
    """Hold a position from the open of column `entry` until a rule ends it.

    Returns
    -------
    column, raw price, reason
        Of the exit. A position the data end on leaves at its last close, as `END_OF_DATA`.
    """
    raw_entry = market.open[s, entry]
    stop, target = brackets(side, raw_entry, rules.stop_pct[s, decision], rules.target_pct[s, decision])
    due, last = HELD, entry
    for t in range(entry, market.open.shape[1]):
        open_, high, low, close = market.open[s, t], market.high[s, t], market.low[s, t], market.close[s, t]
        if not is_tradable(open_, high, low, close):
            continue
        if due != HELD:
            return t, open_, due
        reason, price = exit_at_bar(side, t == entry, open_, high, low, stop, target)
        if reason != HELD:
            return t, price, reason
        wanted = rules.exit_long[s, t] if side > 0 else rules.exit_short[s, t]
        due = exit_due(wanted, market.session_no[s, t] - market.session_no[s, entry] + 1, rules.max_sessions)
        if due != HELD and rules.exits_at_close:
            return t, close, due
        last = t
    return last, market.close[s, last], END_OF_DATA


@compiled
def simulate_each(market: Market, rules: Rules, terms: Terms) -> Log:
    """Trade every candidate of every symbol on its own, one share each, whatever the others do.

    A candidate whose entry bar does not exist or cannot be traded is left out.
    """
    log = _empty_log(rules.entry)
    for s in range(rules.entry.shape[0]):
        for t in range(rules.entry.shape[1]):
            if rules.entry[s, t] != 0 and _tradable(market, s, t):
                entry = t if rules.enters_at_open else _next_session(market, s, t)
                if entry >= 0 and _tradable(market, s, entry):
                    _write(log, market, rules, terms, s, t, entry, 1.0)
    return log


@compiled
def simulate(
    market: Market, rules: Rules, terms: Terms, initial_cash_usd: float
) -> tuple[Log, NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Run one strategy over a portfolio that shares cash and slots.

    Returns
    -------
    log
        The trades.
    equity_usd, exposure_usd
        At each close: cash and positions marked to the close; gross notional of the positions.
    refused
        How many candidates met each verdict of `trading.risk.VERDICTS`.
    """
    symbols, sessions = rules.entry.shape
    log = _empty_log(rules.entry)
    state = State(
        np.full(1, initial_cash_usd),
        np.zeros(symbols),
        np.zeros(symbols),
        np.zeros(symbols),
        np.zeros(symbols, np.int64),
        np.zeros(symbols, np.int64),
    )
    equity_usd, exposure_usd = np.zeros(sessions), np.zeros(sessions)
    refused = np.zeros(len(VERDICTS), np.int64)
    for t in range(sessions):
        if rules.enters_at_open:
            _order(state, market, rules, terms, t, refused)
        _fill_entries(state, log, market, rules, terms, t)
        _fill_exits(state, log, rules, t, False)
        _mark(state, market, t)
        if not rules.enters_at_open:
            _order(state, market, rules, terms, t, refused)
        _fill_exits(state, log, rules, t, True)
        equity_usd[t] = _equity(state)
        exposure_usd[t] = _exposure(state)
    return log, equity_usd, exposure_usd, refused


@compiled
def _order(state: State, market: Market, rules: Rules, terms: Terms, t: int, refused: NDArray[np.int64]) -> None:  # noqa: PLR0917
    """Decide the entries of one moment: candidates that are flat, by strength, within capital and slots."""
    if not rules.entry[:, t].any():
        return
    candidate = rules.entry[:, t].copy()
    for s in range(len(candidate)):
        if state.quantity[s] != 0 or state.ordered[s] != 0 or not _tradable(market, s, t):
            candidate[s] = 0
    if not candidate.any():
        return
    price = market.open[:, t].copy() if rules.enters_at_open else market.close[:, t].copy()
    signed, verdict = allocate(
        candidate,
        price,
        rules.stop_pct[:, t].copy(),
        rules.strength[:, t].copy(),
        _equity(state),
        np.sum(np.abs(state.quantity + state.ordered) * state.mark),
        np.sum(state.quantity + state.ordered != 0),
        terms.risk_per_trade_pct,
        terms.max_position_pct,
        terms.max_positions,
    )
    for s in range(len(candidate)):
        if candidate[s] != 0:
            refused[verdict[s]] += 1
            state.ordered[s] = signed[s]
            state.ordered_at[s] = t


@compiled
def _fill_entries(state: State, log: Log, market: Market, rules: Rules, terms: Terms, t: int) -> None:  # noqa: PLR0917
    """Fill what was ordered at this open; an order is good for one session of its symbol and lapses where no bar trades."""
    for s in range(len(state.ordered)):
        if state.ordered[s] == 0 or _next_session(market, s, state.ordered_at[s] - rules.enters_at_open) > t:
            continue
        shares, state.ordered[s] = state.ordered[s], 0.0
        if _tradable(market, s, t):
            n = _write(log, market, rules, terms, s, state.ordered_at[s], t, shares)
            state.trade[s] = n
            state.cash_usd[0] -= shares * log.entry_price[n] + log.entry_fee_usd[n]
            state.quantity[s] = shares
            state.mark[s] = market.open[s, t]


@compiled
def _fill_exits(state: State, log: Log, rules: Rules, t: int, at_close: bool) -> None:
    """Book this session's exits: those at the open and within the bar; then, entries being decided, those at the close."""
    for s in range(len(state.quantity)):
        n = state.trade[s]
        if state.quantity[s] == 0 or log.rows[n, 4] != t:
            continue
        reason = log.rows[n, 5]
        leaves_at_close = reason == END_OF_DATA or (reason >= RULE and rules.exits_at_close)
        if leaves_at_close == at_close:
            state.cash_usd[0] += state.quantity[s] * log.exit_price[n] - log.exit_fee_usd[n]
            state.quantity[s] = 0.0


@compiled
def _mark(state: State, market: Market, t: int) -> None:
    for s in range(len(state.mark)):
        if _tradable(market, s, t):
            state.mark[s] = market.close[s, t]


@compiled
def _equity(state: State) -> float:
    equity = state.cash_usd[0]
    for s in range(len(state.mark)):  # a loop, for an array a session would cost more than the session
        equity += state.quantity[s] * state.mark[s]
    return float(equity)


@compiled
def _exposure(state: State) -> float:
    """Gross notional of what is held."""
    exposure = 0.0
    for s in range(len(state.mark)):
        exposure += abs(state.quantity[s]) * state.mark[s]
    return exposure


@compiled
def _tradable(market: Market, s: int, t: int) -> bool:
    return is_tradable(market.open[s, t], market.high[s, t], market.low[s, t], market.close[s, t])


@compiled
def _next_session(market: Market, s: int, t: int) -> int:
    """The symbol's first session after column `t`; -1 when its data end there."""
    for later in range(t + 1, market.session_no.shape[1]):
        if market.session_no[s, later] >= 0:
            return later
    return -1


@compiled
def _empty_log(entry: NDArray[np.int8]) -> Log:
    """Room for as many trades as there are entry signals."""
    size = np.count_nonzero(entry)
    return Log(
        np.zeros((size, 6), np.int64),
        np.zeros(size),
        np.zeros(size),
        np.zeros(size),
        np.zeros(size),
        np.zeros(size),
        np.zeros(size),
        np.zeros(size),
        np.zeros(1, np.int64),
    )


@compiled
def _write(log: Log, market: Market, rules: Rules, terms: Terms, s: int, decision: int, entry: int, shares: float) -> int:  # noqa: PLR0917
    """Append the trade that `shares`, entered at column `entry`, will turn out to be; its exit is booked when it comes."""
    side = int(rules.entry[s, decision])
    column, raw_exit, reason = follow(market, rules, s, entry, decision, side)
    n = int(log.used[0])
    log.rows[n] = np.array((s, side, decision, entry, column, reason))
    log.quantity[n], log.raw_entry[n], log.raw_exit[n] = abs(shares), market.open[s, entry], raw_exit
    log.entry_price[n] = slipped(market.open[s, entry], side, terms.slippage_bps)
    log.exit_price[n] = exit_price(raw_exit, reason, side, terms.slippage_bps)
    log.entry_fee_usd[n] = commission_usd(shares, log.entry_price[n], terms.commission_bps)
    log.exit_fee_usd[n] = commission_usd(shares, log.exit_price[n], terms.commission_bps)
    log.used[0] = n + 1
    return n
