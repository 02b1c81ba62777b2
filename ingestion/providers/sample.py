"""The embedded real sample: daily indices that the package `arch` ships. It needs no network.

S&P 500 and NASDAQ composite, daily OHLCV, 1999-01-04 to 2018-12-31 (Yahoo Finance); CBOE VIX close, 2014-01-03 to 2019-01-03
(FRED series VIXCLS). The VIX has a close alone, so its open, high and low are that close.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd
import structlog

from ingestion.normalise import symbol_name, to_bars
from ingestion.providers.base import VIX, Download, select

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

log = structlog.get_logger()


class SampleProvider:
    """Two real stock indices and the VIX, without a network."""

    name = "sample"
    default_universe = ("^GSPC", "^IXIC")

    def fetch(self, symbols: Sequence[str], start: dt.date, end: dt.date) -> Download:
        """See `Provider.fetch`."""
        return select(self._table, [symbol_name(symbol) for symbol in symbols], start, end, where="the embedded sample")

    @cached_property
    def _table(self) -> pd.DataFrame:
        from arch.data import nasdaq, sp500, vix

        indices = [to_bars(sp500.load(), "^GSPC"), to_bars(nasdaq.load(), "^IXIC")]
        return pd.concat([*indices, to_bars(_without_holidays(vix.load()), VIX)], ignore_index=True)


def _without_holidays(levels: pd.DataFrame) -> pd.DataFrame:
    """Leave out the empty lines that the source writes for exchange holidays: they are calendar entries, not bars."""
    bars = levels.dropna().rename(columns={"vix": "close"})
    log.debug("holiday_lines_left_out", symbol=VIX, lines=len(levels) - len(bars))
    return bars
