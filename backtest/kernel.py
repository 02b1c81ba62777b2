"""The backtest's loops, compiled: run a portfolio through its sessions, and each candidate on its own.

Owns the order of events; the rules of a fill, a size and a limit are those of `trading`, which the daily path calls as well.
It knows no frames and no dates. Prices have one row a symbol and one column a session of the joint calendar; signals have one
row a line, which is one strategy on one symbol. Lines are sorted by strategy and symbol, so that no order of input matters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from backtest.one_trade import delisting_after, follow, leaves_at_close, next_session, sessions_after
from core.compiled import compiled
from trading.costs import commission_usd, exit_commission_usd, exit_price, outcome, slipped
from trading.fills import is_tradable
from trading.risk import VERDICTS, LimitTerms, allocate

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Market(NamedTuple):
    """Prices, each (symbols, sessions), and delistings, each (symbols, most that one symbol has).

    `session_no` counts the sessions of a symbol's exchange from its first bar on and is -1 elsewhere (before, or on a day its
    exchange is shut). One without a bar, as all after its last, has NaN prices, and fills nothing. `delisted` are the columns
    at whose open a symbol is delisted, ascending, the number of sessions where there is none; `payout` the cash a share.
    """

    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    session_no: NDArray[np.int64]
    delisted: NDArray[np.int64]
    payout: NDArray[np.float64]


class LineRules(NamedTuple):
    """Signals, each (lines, sessions), and one element a line: its symbol and what its strategy declares.

    `max_sessions` of 0 is no time limit.
    """

    entry: NDArray[np.int8]
    exit_long: NDArray[np.bool_]
    exit_short: NDArray[np.bool_]
    stop_pct: NDArray[np.float64]
    target_pct: NDArray[np.float64]
    strength: NDArray[np.float64]
    symbol: NDArray[np.int64]
    max_sessions: NDArray[np.int64]
    enters_at_open: NDArray[np.bool_]
    exits_at_close: NDArray[np.bool_]


class CostTerms(NamedTuple):
    """Costs and limits as plain numbers."""

    commission_bps: float
    slippage_bps: float
    limits: LimitTerms


class Log(NamedTuple):
    """Trades in the order of their entries, a column each, `used[0]` of them.

    `rows`: line, side, columns of decision, entry and exit, reason. `values`: quantity; raw entry and exit price;
    the prices paid and got, after slippage; gross and net return, profit and cost in USD as `trading.costs.outcome`; both
    commissions in USD; sessions held.
    """

    rows: NDArray[np.int64]
    values: NDArray[np.float64]
    used: NDArray[np.int64]


LINE, SIDE, DECISION, ENTRY, EXIT, REASON = range(6)
QUANTITY, RAW_ENTRY, RAW_EXIT, PAID, GOT, GROSS, NET, PNL, COST, ENTRY_FEE, EXIT_FEE, HOLDING = range(12)


class State(NamedTuple):
    """State of the portfolio, one element a line; `lines` lists the lines that hold or have ordered, `many[0]` of them.

    `shares` are held; `ordered` wait for column `due`, decided at column `decided`; `trade` indexes the log.
    """

    cash_usd: NDArray[np.float64]
    shares: NDArray[np.float64]
    mark: NDArray[np.float64]
    ordered: NDArray[np.float64]
    decided: NDArray[np.int64]
    due: NDArray[np.int64]
    trade: NDArray[np.int64]
    lines: NDArray[np.int64]
    many: NDArray[np.int64]


@compiled
def write(  # noqa: PLR0917  # numba kernels take positions
    log: Log, line: int, side: int, decision: int, entry: int, out: tuple[int, float, int], held: int, shares: float,
    raw_entry: float, commission_bps: float, slippage_bps: float,
) -> int:  # fmt: skip
    """Append the trade that `shares`, entered at column `entry`, turn out to be; `out` is what `follow` returned."""
    column, raw_exit, reason = out
    paid, got = slipped(raw_entry, side, slippage_bps), exit_price(raw_exit, reason, side, slippage_bps)
    entry_fee, exit_fee = commission_usd(shares, paid, commission_bps), exit_commission_usd(shares, got, reason, commission_bps)
    gross, net, pnl, cost = outcome(side, abs(shares), raw_entry, raw_exit, paid, got, entry_fee + exit_fee)
    n = log.used[0]
    rows, values = log.rows[:, n], log.values[:, n]
    rows[LINE], rows[SIDE], rows[DECISION], rows[ENTRY], rows[EXIT], rows[REASON] = line, side, decision, entry, column, reason
    values[QUANTITY], values[HOLDING] = abs(shares), held
    values[RAW_ENTRY], values[RAW_EXIT], values[PAID], values[GOT] = raw_entry, raw_exit, paid, got
    values[GROSS], values[NET], values[PNL], values[COST] = gross, net, pnl, cost
    values[ENTRY_FEE], values[EXIT_FEE] = entry_fee, exit_fee
    log.used[0] = n + 1
    return int(n)


@compiled
def empty_log(size: int) -> Log:
    """Room for `size` trades."""
    return Log(np.zeros((6, size), np.int64), np.zeros((12, size)), np.zeros(1, np.int64))


@compiled
def simulate(
    market: Market, rules: LineRules, terms: CostTerms, initial_cash_usd: float
) -> tuple[Log, NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Run every line in one portfolio that shares cash and slots.

    Returns
    -------
    log
        The trades.
    equity_usd, exposure_usd
        At each close: cash and positions marked to the close; gross notional of the positions.
    refused
        How many candidates met each verdict of `trading.risk.VERDICTS`.
    """
    lines, sessions = rules.entry.shape
    log = empty_log(int(np.count_nonzero(rules.entry)))
    state = _flat(lines, initial_cash_usd)
    equity_usd, exposure_usd = np.zeros(sessions), np.zeros(sessions)
    refused = np.zeros(len(VERDICTS), np.int64)
    candidates, first = _by_session(rules.entry)
    peak_usd = initial_cash_usd
    for t in range(sessions):
        now = candidates[first[t] : first[t + 1]]
        if len(now) == 0 and state.many[0] == 0:
            equity_usd[t] = state.cash_usd[0]
            continue
        _order(state, market, rules, terms.limits, t, now, True, peak_usd, refused)
        _fill_entries(state, log, market, rules, terms, t)
        _fill_exits(state, log, rules, t, False)
        _mark(state, market, rules, t)
        _order(state, market, rules, terms.limits, t, now, False, peak_usd, refused)
        _fill_exits(state, log, rules, t, True)
        _forget(state)
        equity_usd[t], exposure_usd[t] = _equity(state), _exposure(state, False)
        peak_usd = max(peak_usd, equity_usd[t])
    return log, equity_usd, exposure_usd, refused


@compiled
def _flat(lines: int, cash_usd: float) -> State:
    whole = np.zeros((4, lines), np.int64)
    return State(
        np.full(1, cash_usd), np.zeros(lines), np.zeros(lines), np.zeros(lines), whole[0], whole[1], whole[2], whole[3],
        np.zeros(1, np.int64),
    )  # fmt: skip


@compiled
def _by_session(entry: NDArray[np.int8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lines with an entry signal, session after session, and where each session's begin."""
    lines, sessions = entry.shape
    first = np.zeros(sessions + 2, np.int64)
    for line in range(lines):
        for t in range(sessions):
            first[t + 2] += entry[line, t] != 0
    first = np.cumsum(first)
    found = np.zeros(first[-1], np.int64)
    for line in range(lines):
        for t in range(sessions):
            if entry[line, t] != 0:
                found[first[t + 1]] = line
                first[t + 1] += 1
    return found, first[:-1]


@compiled
def _order(  # noqa: PLR0917  # numba kernels take positions
    state: State, market: Market, rules: LineRules, limits: LimitTerms, t: int, candidates: NDArray[np.int64], at_open: bool,
    peak_usd: float, refused: NDArray[np.int64],
) -> None:  # fmt: skip
    """Decide the entries of one moment: candidates that are flat, by strength, within capital and slots."""
    lines = np.empty(len(candidates), np.int64)
    n = 0
    for line in candidates:
        flat = state.shares[line] == 0 and state.ordered[line] == 0
        if rules.enters_at_open[line] == at_open and flat and _tradable(market, rules.symbol[line], t):
            lines[n] = line
            n += 1
    if n == 0:
        return
    side, price, stop_pct, strength = np.empty(n, np.int8), np.empty(n), np.empty(n), np.empty(n)
    for i in range(n):
        line = lines[i]
        price[i] = (market.open if at_open else market.close)[rules.symbol[line], t]
        side[i], stop_pct[i], strength[i] = rules.entry[line, t], rules.stop_pct[line, t], rules.strength[line, t]
    signed, verdict = allocate(
        side, price, stop_pct, strength, _equity(state), _exposure(state, True), state.many[0], peak_usd, limits
    )  # fmt: skip
    for i in range(n):
        refused[verdict[i]] += 1
        if signed[i] != 0:
            line = lines[i]
            session_no = market.session_no[rules.symbol[line]]
            state.ordered[line], state.mark[line] = signed[i], price[i]
            state.decided[line], state.due[line] = t, t if at_open else next_session(session_no, t)
            state.lines[state.many[0]] = line
            state.many[0] += 1


@compiled
def _fill_entries(state: State, log: Log, market: Market, rules: LineRules, terms: CostTerms, t: int) -> None:  # noqa: PLR0917
    """Fill what was ordered for this open; an order is good for one session of its symbol and lapses where no bar trades.

    So does an order that was decided before the symbol was delisted.
    """
    for line in state.lines[: state.many[0]]:
        if state.ordered[line] == 0 or state.due[line] > t:
            continue
        shares, state.ordered[line] = state.ordered[line], 0.0
        s, decision = rules.symbol[line], state.decided[line]
        end, payout = delisting_after(market.delisted[s], market.payout[s], decision, market.open.shape[1])
        if t >= end or not _tradable(market, s, t):
            continue
        side, number = int(rules.entry[line, decision]), market.session_no[s]
        out = follow(
            market.open[s], market.high[s], market.low[s], market.close[s], number,
            rules.exit_long[line] if side > 0 else rules.exit_short[line], t, end, payout, side, rules.stop_pct[line, decision],
            rules.target_pct[line, decision], rules.max_sessions[line], rules.exits_at_close[line],
        )  # fmt: skip
        n = write(
            log, line, side, decision, t, out, sessions_after(number, t, out[0]), shares, market.open[s, t],
            terms.commission_bps, terms.slippage_bps,
        )  # fmt: skip
        state.trade[line], state.shares[line], state.mark[line] = n, shares, market.open[s, t]
        state.cash_usd[0] -= shares * log.values[PAID, n] + log.values[ENTRY_FEE, n]


@compiled
def _fill_exits(state: State, log: Log, rules: LineRules, t: int, at_close: bool) -> None:
    """Book this session's exits: those at the open and within the bar; then, entries being decided, those at the close."""
    for line in state.lines[: state.many[0]]:
        n = state.trade[line]
        if state.shares[line] == 0 or log.rows[EXIT, n] != t:
            continue
        if leaves_at_close(log.rows[REASON, n], rules.exits_at_close[line]) == at_close:
            state.cash_usd[0] += state.shares[line] * log.values[GOT, n] - log.values[EXIT_FEE, n]
            state.shares[line] = 0.0
    if not at_close:
        _forget(state)


@compiled
def _forget(state: State) -> None:
    """Take lines that neither hold nor have ordered off the list, the others keeping their order."""
    kept = 0
    for i in range(state.many[0]):
        line = state.lines[i]
        if state.shares[line] != 0 or state.ordered[line] != 0:
            state.lines[kept] = line
            kept += 1
    state.many[0] = kept


@compiled
def _mark(state: State, market: Market, rules: LineRules, t: int) -> None:
    for line in state.lines[: state.many[0]]:
        s = rules.symbol[line]
        if _tradable(market, s, t):
            state.mark[line] = market.close[s, t]


@compiled
def _equity(state: State) -> float:
    equity = state.cash_usd[0]
    for line in state.lines[: state.many[0]]:
        equity += state.shares[line] * state.mark[line]
    return float(equity)


@compiled
def _exposure(state: State, with_orders: bool) -> float:
    """Gross notional of what is held, and of what is ordered if asked for."""
    exposure = 0.0
    for line in state.lines[: state.many[0]]:
        exposure += abs(state.shares[line] + (state.ordered[line] if with_orders else 0.0)) * state.mark[line]
    return exposure


@compiled
def _tradable(market: Market, s: int, t: int) -> bool:
    return is_tradable(market.open[s, t], market.high[s, t], market.low[s, t], market.close[s, t])


@compiled
def simulate_each(market: Market, rules: LineRules, terms: CostTerms) -> Log:
    """Trade every candidate of every line on its own, one share each, whatever the others do.

    A candidate whose entry bar does not exist or cannot be traded is left out.
    """
    log = empty_log(int(np.count_nonzero(rules.entry)))
    for line in range(rules.entry.shape[0]):
        s = rules.symbol[line]
        number = market.session_no[s]
        for t in range(rules.entry.shape[1]):
            if rules.entry[line, t] == 0:
                continue
            entry = t if rules.enters_at_open[line] else next_session(number, t)
            end, payout = delisting_after(market.delisted[s], market.payout[s], t, len(number))
            if not _tradable(market, s, t) or entry >= end or not _tradable(market, s, entry):
                continue
            side = int(rules.entry[line, t])
            out = follow(
                market.open[s], market.high[s], market.low[s], market.close[s], number,
                rules.exit_long[line] if side > 0 else rules.exit_short[line], entry, end, payout, side,
                rules.stop_pct[line, t], rules.target_pct[line, t], rules.max_sessions[line], rules.exits_at_close[line],
            )  # fmt: skip
            write(
                log, line, side, t, entry, out, sessions_after(number, entry, out[0]), 1.0, market.open[s, entry],
                terms.commission_bps, terms.slippage_bps,
            )  # fmt: skip
    return log
