"""Backtests and labels: frames in, frames out. Owns the alignment of bars and signals to sessions; it loops over none."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from backtest.kernel import Log, Market, Rules, Terms, simulate, simulate_each
from backtest.metrics import Figures, drawdown, summarise
from core.errors import DataError
from core.frames import CANDIDATES, PRICES, SIGNALS, TRADES
from core.sessions import calendar_name, closes_of, sessions_between
from trading.fills import REASONS
from trading.risk import VERDICTS, Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from trading.costs import Costs
    from trading.strategies.base import Strategy

LEVELS = ("stop_pct", "target_pct", "strength")


@dataclass(frozen=True)
class Result:
    """Outcome of a backtest.

    Attributes
    ----------
    trades
        TRADES.
    equity
        Columns session, equity_usd (marked at each close), drawdown (fraction below the peak, 0 or negative).
    metrics
        Figures of `backtest.metrics`, and `refused_<verdict>` counts of candidates that were not traded.
    """

    trades: pd.DataFrame
    equity: pd.DataFrame
    metrics: Figures


@dataclass(frozen=True)
class Aligned:
    """Bars and signals as arrays: one row a symbol, one column a session."""

    symbols: list[str]
    sessions: pd.DatetimeIndex
    market: Market
    rules: Rules


def backtest(
    bars: Mapping[str, pd.DataFrame],
    strategy: Strategy,
    costs: Costs,
    *,
    limits: Limits | None = None,
    initial_cash_usd: float = 100_000.0,
    accept: pd.DataFrame | None = None,
    start: dt.date | None = None,
) -> Result:
    """Run a strategy over symbols that share cash and position slots.

    Parameters
    ----------
    bars
        BARS of each symbol with a column `vix` (NaN where unknown).
    accept
        Columns symbol, session, accept (bool): an entry decided on a session without an accepting row is not traded.
        None trades every entry.
    start
        First session on which an entry may be decided, and of the equity curve. Earlier bars warm the strategy up.

    Raises
    ------
    DataError
        When there are no bars, or a bar falls on a day that is no session.
    """
    limits = limits or Limits()
    aligned = align(bars, strategy)
    refused_by_filter = _apply_filter(aligned, accept, start)
    terms = _terms(costs, limits)
    log, equity_usd, exposure_usd, refused = simulate(aligned.market, aligned.rules, terms, float(initial_cash_usd))
    shown = np.asarray(aligned.sessions >= pd.Timestamp(start or aligned.sessions[0]))
    trades = trades_of(aligned, log, strategy.name)
    metrics = summarise(trades, equity_usd[shown], exposure_usd[shown], initial_cash_usd)
    metrics["refused_filter"] = refused_by_filter
    metrics |= {f"refused_{verdict}": int(refused[i]) for i, verdict in enumerate(VERDICTS) if i}
    below_peak = drawdown(np.concatenate([[initial_cash_usd], equity_usd[shown]]))[1:]
    equity = pd.DataFrame({"session": aligned.sessions[shown], "equity_usd": equity_usd[shown], "drawdown": below_peak})
    return Result(trades, equity, metrics)


def label_candidates(bars: pd.DataFrame, strategy: Strategy, costs: Costs) -> pd.DataFrame:
    """CANDIDATES of one symbol: each entry signal traded on its own, whatever the others do.

    `session` is that of the decision and `event_timestamp` the moment up to which features may be used: its close, or the close
    before for a strategy that decides at the open. `label_end` is the close of the exit's session. Entries whose outcome is not
    known, because the data end first or no bar followed, are left out.
    """
    symbol = str(bars["symbol"].iloc[0])
    aligned = align({symbol: bars}, strategy)
    log = simulate_each(aligned.market, aligned.rules, _terms(costs, Limits()))
    trades = trades_of(aligned, log, strategy.name).query("reason != 'end_of_data'")
    known = pd.DatetimeIndex(trades["decision_session"])
    if strategy.entry == "open":  # nothing but the open is known of the decision's own bar
        known = _sessions_before(known, calendar_name(symbol))
    calendar = calendar_name(symbol)
    return CANDIDATES.coerce(
        pd.DataFrame(
            {
                "symbol": symbol,
                "session": trades["decision_session"].to_numpy(),
                "event_timestamp": closes_of(known, calendar),
                "label_end": closes_of(pd.DatetimeIndex(trades["exit_session"]), calendar),
                "net_return": trades["net_return"].to_numpy(),
                "win": (trades["net_return"] > 0).to_numpy(),
            }
        )
    )


def _terms(costs: Costs, limits: Limits) -> Terms:
    return Terms(
        float(costs.commission_bps),
        float(costs.slippage_bps),
        float(limits.risk_per_trade_pct),
        float(limits.max_position_pct),
        limits.max_positions,
    )


def _sessions_before(days: pd.DatetimeIndex, calendar: str) -> pd.DatetimeIndex:
    """The session before each of `days`."""
    if days.empty:
        return days
    sessions = sessions_between(days.min().date() - dt.timedelta(days=10), days.max().date(), calendar)
    return pd.DatetimeIndex(sessions[sessions.get_indexer(days) - 1])


def align(bars: Mapping[str, pd.DataFrame], strategy: Strategy) -> Aligned:
    """Put every symbol's bars and signals on the sessions of its own exchange, and those on one joint axis."""
    if not bars:
        raise DataError("Backtest: expected bars of one symbol or more, found none. Load some first: `cli ingest`.")
    symbols = sorted(bars)
    own = {symbol: _own_sessions(symbol, bars[symbol]) for symbol in symbols}
    sessions = pd.DatetimeIndex(np.unique(np.concatenate([days.to_numpy() for days in own.values()])))
    shape = (len(symbols), len(sessions))
    session_no = np.full(shape, -1, dtype=np.int64)
    columns: dict[str, NDArray[Any]] = {
        name: np.full(shape, np.nan) for name in (*PRICES, "stop_pct", "target_pct", "strength")
    }
    columns |= {
        "entry": np.zeros(shape, np.int8),
        "exit_long": np.zeros(shape, np.bool_),
        "exit_short": np.zeros(shape, np.bool_),
    }
    for s, symbol in enumerate(symbols):
        session_no[s, sessions.get_indexer(own[symbol])] = np.arange(len(own[symbol]))
        at = sessions.get_indexer(pd.DatetimeIndex(bars[symbol]["session"]))
        signals = SIGNALS.check(strategy.signals(bars[symbol]))
        for name, values in columns.items():
            source = bars[symbol] if name in PRICES else signals
            values[s, at] = source[name].to_numpy()
    prices = {name: columns.pop(name) for name in PRICES}
    market = Market(**prices, session_no=session_no)
    rules = Rules(
        **columns,
        max_sessions=strategy.max_sessions or 0,
        enters_at_open=strategy.entry == "open",
        exits_at_close=strategy.exit == "close",
    )
    return Aligned(symbols, sessions, market, rules)


def _own_sessions(symbol: str, bars: pd.DataFrame) -> pd.DatetimeIndex:
    """Sessions of the symbol's exchange from its first bar to its last."""
    days = pd.DatetimeIndex(bars["session"])
    sessions = sessions_between(days[0].date(), days[-1].date(), calendar_name(symbol))
    strays = days.difference(sessions)
    if len(strays):
        raise DataError(
            f"Bars of {symbol}: expected sessions of {calendar_name(symbol)}, found {strays[0].date()}. Validate first."
        )
    return sessions


def _apply_filter(aligned: Aligned, accept: pd.DataFrame | None, start: dt.date | None) -> int:
    """Take out, in place, entries before `start` and entries not accepted; return how many the filter refused."""
    entry = aligned.rules.entry
    if start is not None:
        entry[:, np.asarray(aligned.sessions < pd.Timestamp(start))] = 0
    if accept is None:
        return 0
    wanted = np.zeros(entry.shape, dtype=np.bool_)
    yes = accept[accept["accept"].astype(bool)]
    s = pd.Index(aligned.symbols).get_indexer(pd.Index(yes["symbol"]))
    t = aligned.sessions.get_indexer(pd.DatetimeIndex(yes["session"]))
    wanted[s[(s >= 0) & (t >= 0)], t[(s >= 0) & (t >= 0)]] = True
    refused = int(((entry != 0) & ~wanted).sum())
    entry[~wanted] = 0
    return refused


def trades_of(aligned: Aligned, log: Log, strategy: str) -> pd.DataFrame:
    """The kernel's log as TRADES.

    `gross_return` is the raw move; `net_return` is `pnl_usd` to the entry's notional, after slippage and both commissions;
    `cost_usd` is what the two differ by in money; `holding_sessions` is 0 for a trade left in its entry session.
    """
    n = int(log.used[0])
    order = np.lexsort((log.rows[:n, 3], log.rows[:n, 0]))  # by symbol, then entry, as TRADES wants them
    symbol, side, decision, entry, exit_, reason = log.rows[order].T
    quantity, raw_entry, raw_exit = log.quantity[order], log.raw_entry[order], log.raw_exit[order]
    entry_price, exit_price = log.entry_price[order], log.exit_price[order]
    pnl = side * quantity * (exit_price - entry_price) - log.entry_fee_usd[order] - log.exit_fee_usd[order]
    number = aligned.market.session_no
    frame = pd.DataFrame(
        {
            "symbol": np.asarray(aligned.symbols, dtype=object)[symbol],
            "strategy": np.full(n, strategy, dtype=object),
            "side": side.astype(np.int8),
            "decision_session": aligned.sessions[decision],
            "entry_session": aligned.sessions[entry],
            "exit_session": aligned.sessions[exit_],
            "entry_price": entry_price,
            "exit_price": exit_price,
            "quantity": quantity,
            "gross_return": side * (raw_exit / raw_entry - 1),
            "net_return": pnl / (quantity * entry_price),
            "pnl_usd": pnl,
            "cost_usd": side * quantity * (raw_exit - raw_entry) - pnl,
            "holding_sessions": number[symbol, exit_] - number[symbol, entry],
            "reason": np.asarray(REASONS, dtype=object)[reason],
        }
    )
    return TRADES.check(frame)
