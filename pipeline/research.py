"""Backtests on stored bars: run, save, return the figures. Never simulates by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from features.regime import with_vix
from pipeline.featurize import load_bars
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    import datetime as dt

    import pandas as pd

    from backtest.engine import Result
    from backtest.leakage import Leak
    from trading.strategies.base import Strategy


def bars_by_symbol(resources: Resources, session: str) -> dict[str, pd.DataFrame]:
    """Bars of each symbol up to `session`, with the VIX known at each close."""
    bars, vix = load_bars(resources, session)
    return {str(symbol): with_vix(group.reset_index(drop=True), vix) for symbol, group in bars.groupby("symbol")}


def run_backtest(
    resources: Resources,
    bars: dict[str, pd.DataFrame],
    *,
    kind: str,
    accept: pd.DataFrame | None = None,
    start: dt.date | None = None,
    strategy: Strategy | None = None,
) -> Result:
    """Backtest a strategy, the desk's own unless given, and store the run.

    Parameters
    ----------
    kind
        Name of the run's purpose, e.g. ``unfiltered`` or ``filtered``.
    accept
        Columns symbol, session, probability, accept: entries not accepted are not traded. None trades every entry.
    start
        First session on which an entry may be decided.
    """
    from backtest.engine import backtest
    from storage.runs import save_run

    traded = strategy or resources.strategy
    result = backtest(
        bars,
        traded,
        resources.costs,
        limits=resources.limits,
        initial_cash_usd=resources.settings.initial_cash_usd,
        accept=accept,
        start=start,
    )
    meta = {
        "strategy": traded.name,
        "params": traded.describe(),
        "symbols": sorted(bars),
        "first_session": str(start or min(frame["session"].iloc[0] for frame in bars.values()).date()),
        "last_session": str(max(frame["session"].iloc[-1] for frame in bars.values()).date()),
        "commission_bps": resources.settings.commission_bps,
        "slippage_bps": resources.settings.slippage_bps,
        "initial_cash_usd": resources.settings.initial_cash_usd,
    }
    save_run(
        resources.engine,
        kind=kind,
        meta=meta,
        metrics=result.metrics,
        trades=result.trades,
        equity=result.equity,
        directory=resources.data_dir / "runs",
    )
    return result


def run(session: str, *, resources: Resources | None = None, strategy: Strategy | None = None) -> dict[str, Any]:
    """Backtest a strategy, the desk's own unless given, without the filter on everything up to `session`."""
    found = resources or live()
    return run_backtest(found, bars_by_symbol(found, session), kind="unfiltered", strategy=strategy).metrics


def check_leakage(
    session: str, strategy: Strategy | None, *, cuts: int = 1000, resources: Resources | None = None
) -> list[Leak]:
    """Look for look-ahead in a strategy, or in every feature when None is given, on the stored bars up to `session`."""
    from backtest.leakage import DECIDED_AT_OPEN, find_leaks
    from core.frames import BARS, FEATURES
    from features.build import build_features

    found = resources or live()
    bars = bars_by_symbol(found, session)
    if strategy is not None:
        at_open = DECIDED_AT_OPEN if strategy.entry == "open" else ()
        return find_leaks(strategy.signals, bars, cuts=cuts, decided_at_open=at_open)

    def compute(frame: pd.DataFrame) -> pd.DataFrame:
        vix = frame[["session", "vix"]].rename(columns={"vix": "close"})
        return build_features(frame[list(BARS.columns)], vix)[list(FEATURES)]

    return find_leaks(compute, bars, cuts=cuts)
