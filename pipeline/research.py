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
) -> Result:
    """Backtest the desk's strategy and store the run.

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

    result = backtest(
        bars,
        resources.strategy,
        resources.costs,
        limits=resources.limits,
        initial_cash_usd=resources.settings.initial_cash_usd,
        accept=accept,
        start=start,
    )
    meta = {
        "strategy": resources.strategy.name,
        "params": resources.strategy.describe(),
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


def run(session: str, *, resources: Resources | None = None) -> dict[str, Any]:
    """Backtest the unfiltered strategy on everything up to `session`."""
    found = resources or live()
    return run_backtest(found, bars_by_symbol(found, session), kind="unfiltered").metrics
