"""Backtests and labels: frames in, frames out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from backtest import kernel, single
from backtest.kernel import CostTerms, Log
from backtest.metrics import Figures, as_figures, drawdown, measure_equity, measure_trades
from backtest.panel import Panel, line_of, prepare, rules_of
from core.errors import ConfigError
from core.frames import CANDIDATES, TRADES
from core.sessions import calendar_name, closes_of, sessions_between
from trading.fills import REASONS
from trading.risk import VERDICTS, Limits
from trading.strategies.vix_filter import rule_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from backtest.kernel import LineRules
    from trading.costs import Costs
    from trading.strategies.base import Strategy


@dataclass(frozen=True)
class Result:
    """Outcome of a backtest; the frames are made when they are asked for.

    Attributes
    ----------
    metrics
        Figures of `backtest.metrics`, and `refused_<verdict>` counts of candidates that were not traded.
    log
        The kernel's trades, in the order of their entries.
    equity_usd, exposure_usd
        At the close of each of the panel's sessions from column `first` on: cash and positions marked to it; gross notional.
    """

    metrics: Figures
    log: Log
    equity_usd: NDArray[np.float64]
    exposure_usd: NDArray[np.float64]
    initial_cash_usd: float
    panel: Panel
    strategies: tuple[str, ...]
    first: int

    @cached_property
    def trades(self) -> pd.DataFrame:
        """TRADES."""
        return trades_of(self.panel, self.log, self.strategies)

    @cached_property
    def equity(self) -> pd.DataFrame:
        """Columns session, equity_usd (marked at each close), drawdown (fraction below the peak, 0 or negative)."""
        below_peak = drawdown(np.concatenate([[self.initial_cash_usd], self.equity_usd]))[1:]
        sessions = self.panel.sessions[self.first :]
        return pd.DataFrame({"session": sessions, "equity_usd": self.equity_usd, "drawdown": below_peak})


def backtest(  # the first three are the question
    bars: Mapping[str, pd.DataFrame] | Panel,
    strategy: Strategy | Sequence[Strategy],
    costs: Costs,
    *,
    limits: Limits | None = None,
    initial_cash_usd: float = 100_000.0,
    accept: pd.DataFrame | None = None,
    start: dt.date | None = None,
    actions: pd.DataFrame | None = None,
) -> Result:
    """Run one strategy or several over symbols that share cash and position slots.

    Parameters
    ----------
    bars
        BARS of each symbol with a column `vix` (NaN where unknown), or a `Panel` of them, which saves aligning them again.
    strategy
        Several must have different names. Each holds at most one position a symbol.
    accept
        Columns symbol, session, accept (bool) and optionally strategy (a rule's name, without the filter) and
        probability: an entry decided on a session without an accepting row is not traded, and candidates are ranked by
        probability if it is there, else by strength. Without strategy a row speaks for all. None trades every entry.
    start
        First session on which an entry may be decided, and of the equity curve. Earlier bars warm the strategy up.
    actions
        ACTIONS up to the run's end, of which the delistings close positions; a `Panel` was prepared with its own. A position in
        a symbol whose bars stop without one is marked to its last close and keeps its slot to the run's last session.

    Raises
    ------
    ConfigError
        When actions are given with a panel, or two strategies have one name.
    DataError
        When there are no bars, or a bar falls on a day that is no session.
    """
    if isinstance(bars, Panel) and actions is not None:
        raise ConfigError("Backtest: expected actions with bars, found them with a panel. Give them to `prepare`.")
    panel = bars if isinstance(bars, Panel) else prepare(bars, actions=actions)
    strategies = list(strategy) if isinstance(strategy, Sequence) else [strategy]
    terms, cash = cost_terms(costs, limits or Limits()), float(initial_cash_usd)
    first = int(panel.sessions.searchsorted(pd.Timestamp(start))) if start else 0
    if len(strategies) == len(panel.symbols) == 1 and accept is None:
        log, equity_usd, exposure_usd, refused = _alone(panel, strategies[0], terms, cash, first)
        refused_by_filter = 0
    else:
        rules = rules_of(panel, strategies)
        refused_by_filter = _apply_filter(panel, rules, _rules_by_line(strategies), accept, first)
        log, equity_usd, exposure_usd, refused = kernel.simulate(panel.market, rules, terms, cash)
    equity_usd, exposure_usd = equity_usd[first:], exposure_usd[first:]
    metrics = _figures(log, equity_usd, exposure_usd, cash, panel.bars_a_year)
    metrics["refused_filter"] = refused_by_filter
    metrics |= {f"refused_{verdict}": int(refused[i]) for i, verdict in enumerate(VERDICTS) if i}
    names = tuple(sorted(each.name for each in strategies))
    return Result(metrics, log, equity_usd, exposure_usd, cash, panel, names, first)


def _alone(
    panel: Panel, strategy: Strategy, terms: CostTerms, cash_usd: float, first: int
) -> tuple[Log, NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """One strategy on one symbol: the same trades by the kernel that jumps from signal to signal."""
    line, signals = line_of(panel, strategy, 0, first)
    log = kernel.empty_log(int(np.count_nonzero(line.entry)))
    equity_usd, exposure_usd = np.empty(len(panel.sessions)), np.empty(len(panel.sessions))
    refused = np.empty(len(VERDICTS), np.int64)
    single.run(
        line, signals.stop_pct, signals.target_pct, strategy.max_sessions or 0, terms, cash_usd, log, equity_usd, exposure_usd,
        refused,
    )  # fmt: skip
    return log, equity_usd, exposure_usd, refused


def _figures(
    log: Log, equity_usd: NDArray[np.float64], exposure_usd: NDArray[np.float64], cash_usd: float, bars_a_year: float
) -> Figures:
    n = int(log.used[0])
    trades = measure_trades(
        log.values[kernel.NET, :n], log.values[kernel.PNL, :n], log.values[kernel.COST, :n], log.values[kernel.HOLDING, :n],
        len(equity_usd), bars_a_year,
    )  # fmt: skip
    return as_figures(measure_equity(equity_usd, exposure_usd, cash_usd, bars_a_year), trades)


def label_candidates(bars: pd.DataFrame, strategy: Strategy, costs: Costs) -> pd.DataFrame:
    """CANDIDATES of one strategy in one symbol: each entry signal traded on its own, whatever the others do.

    `session` is that of the decision and `event_timestamp` the moment up to which features may be used: its close, or the close
    before for a strategy that decides at the open. `label_end` is the close of the exit's session. Entries whose outcome is not
    known, because the data end first or no bar followed, are left out.
    """
    symbol = str(bars["symbol"].iloc[0])
    panel = prepare({symbol: bars})
    log = kernel.simulate_each(panel.market, rules_of(panel, [strategy]), cost_terms(costs, Limits()))
    trades = trades_of(panel, log, (strategy.name,)).query("reason != 'end_of_data'")
    known = pd.DatetimeIndex(trades["decision_session"])
    if strategy.entry == "open":  # nothing but the open is known of the decision's own bar
        known = _sessions_before(known, calendar_name(symbol))
    calendar = calendar_name(symbol)
    return CANDIDATES.coerce(
        pd.DataFrame(
            {
                "strategy": strategy.name,
                "symbol": symbol,
                "session": trades["decision_session"].to_numpy(),
                "event_timestamp": closes_of(known, calendar),
                "label_end": closes_of(pd.DatetimeIndex(trades["exit_session"]), calendar),
                "net_return": trades["net_return"].to_numpy(),
                "win": (trades["net_return"] > 0).to_numpy(),
            }
        )
    )


def cost_terms(costs: Costs, limits: Limits) -> CostTerms:
    """Costs and limits as the kernels take them."""
    return CostTerms(float(costs.commission_bps), float(costs.slippage_bps), limits.terms())


def _sessions_before(days: pd.DatetimeIndex, calendar: str) -> pd.DatetimeIndex:
    """The session before each of `days`."""
    if days.empty:
        return days
    sessions = sessions_between(days.min().date() - dt.timedelta(days=10), days.max().date(), calendar)
    return pd.DatetimeIndex(sessions[sessions.get_indexer(days) - 1])


def _rules_by_line(strategies: Sequence[Strategy]) -> list[str]:
    """The rule behind each strategy, in the order of the kernel's lines."""
    return [rule_name(name) for name in sorted(strategy.name for strategy in strategies)]


def _apply_filter(panel: Panel, rules: LineRules, names: Sequence[str], accept: pd.DataFrame | None, first: int) -> int:
    """Take out, in place, entries before column `first` and entries not accepted; rank by probability where there is one.

    `names` are the rules behind the lines. Returns how many entries the filter refused.
    """
    rules.entry[:, :first] = 0
    if accept is None:
        return 0
    refused = 0
    for place, name in enumerate(names):
        lines = slice(place * len(panel.symbols), (place + 1) * len(panel.symbols))
        rows = accept[accept["strategy"] == name] if "strategy" in accept else accept
        wanted, probability = _answers(panel, rows)
        if probability is not None:
            rules.strength[lines] = probability
        refused += int(((rules.entry[lines] != 0) & ~wanted).sum())
        rules.entry[lines][~wanted] = 0
    return refused


def _answers(panel: Panel, accept: pd.DataFrame) -> tuple[NDArray[np.bool_], NDArray[np.float64] | None]:
    """Return True for each accepted entry, and its probability where there is one, (symbols, sessions)."""
    s = pd.Index(panel.symbols).get_indexer(pd.Index(accept["symbol"]))
    t = panel.sessions.get_indexer(pd.DatetimeIndex(accept["session"]))
    known = (s >= 0) & (t >= 0)
    at = (s[known], t[known])
    wanted = np.zeros(panel.market.open.shape, dtype=np.bool_)
    wanted[at] = accept["accept"].to_numpy(dtype=np.bool_)[known]
    if "probability" not in accept:
        return wanted, None
    probability = np.full(wanted.shape, np.nan)
    probability[at] = accept["probability"].to_numpy(dtype=np.float64)[known]
    return wanted, probability


def trades_of(panel: Panel, log: Log, strategies: Sequence[str]) -> pd.DataFrame:
    """The kernel's log as TRADES; `strategies` are the sorted names behind its lines.

    `gross_return`, `net_return`, `pnl_usd` and `cost_usd` are those of `trading.costs.outcome`; `holding_sessions` is 0 for a
    trade left in its entry session.
    """
    n = int(log.used[0])
    order = np.lexsort((log.rows[kernel.ENTRY, :n], log.rows[kernel.LINE, :n]))  # by line, then entry, as TRADES wants them
    line, side, decision, entry, exit_, reason = log.rows[:, :n][:, order]
    value = log.values[:, :n][:, order]
    frame = pd.DataFrame(
        {
            "symbol": np.asarray(panel.symbols, dtype=object)[line % len(panel.symbols)],
            "strategy": np.asarray(strategies, dtype=object)[line // len(panel.symbols)],
            "side": side.astype(np.int8),
            "decision_session": panel.sessions[decision],
            "entry_session": panel.sessions[entry],
            "exit_session": panel.sessions[exit_],
            "entry_price": value[kernel.PAID],
            "exit_price": value[kernel.GOT],
            "quantity": value[kernel.QUANTITY],
            "gross_return": value[kernel.GROSS],
            "net_return": value[kernel.NET],
            "pnl_usd": value[kernel.PNL],
            "cost_usd": value[kernel.COST],
            "holding_sessions": value[kernel.HOLDING].astype(np.int64),
            "reason": np.asarray(REASONS, dtype=object)[reason],
        }
    )
    return TRADES.check(frame)
