"""Compute the signals of the desk's strategies on a symbol's bars in one frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import structlog

from trading.strategies.bands import with_bands
from trading.strategies.base import standing

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.sleeves import TradedSleeve
    from trading.strategies.base import Strategy

log = structlog.get_logger()


def joint_name(strategies: Sequence[Strategy]) -> str:
    """Return the recorded name of strategies that share a portfolio: their names, sorted and joined."""
    return "+".join(sorted(strategy.name for strategy in strategies))


def signals_of(strategies: Sequence[Strategy], bars: pd.DataFrame) -> pd.DataFrame:
    """Return every strategy's signals on the bars of one symbol, one row per strategy and bar.

    Parameters
    ----------
    bars
        BARS of one symbol with a column `vix`.

    Returns
    -------
    pd.DataFrame
        SIGNALS with strategy, symbol, open and close. Strengths of several strategies are their standings, as in the backtest
        (`backtest.panel.rules_of`).
    """
    parts = []
    for strategy in strategies:
        signals = strategy.signals(bars)
        if len(strategies) > 1:
            signals = signals.assign(strength=standing(signals["entry"].to_numpy(), signals["strength"].to_numpy()))
        about = {"strategy": strategy.name, "symbol": str(bars["symbol"].iloc[0])}
        parts.append(signals.assign(**about, open=bars["open"].to_numpy(), close=bars["close"].to_numpy()))
    return pd.concat(parts, ignore_index=True)


def sleeve_signals(sleeves: Iterable[TradedSleeve], bars: Mapping[str, pd.DataFrame], day: dt.date) -> pd.DataFrame:
    """Return the signals of one session of every sleeve on its own symbols, each as its sleeve's backtest has them."""
    parts = [
        session_signals(sleeve.strategies, {name: bars[name] for name in sleeve.symbols if name in bars}, day)
        for sleeve in sleeves
    ]
    filled = [part for part in parts if not part.empty]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame()


def session_signals(strategies: Sequence[Strategy], bars: Mapping[str, pd.DataFrame], day: dt.date) -> pd.DataFrame:
    """Return every strategy's signals of one session, with its bands, for each symbol that has a bar; log the others."""
    stamp, rows = pd.Timestamp(day), []
    for symbol, own in bars.items():
        if own["session"].iloc[-1] != stamp:
            log.warning("stale_symbol", symbol=symbol, session=str(day), last=str(own["session"].iloc[-1].date()))
            continue
        signals = signals_of(strategies, own)
        rows.append(signals[signals["session"] == stamp])
    return with_bands(pd.concat(rows, ignore_index=True), strategies, bars, on="session") if rows else pd.DataFrame()
