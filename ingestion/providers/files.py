"""A folder of CSV and Parquet files as a source of daily bars. Subfolders are not read.

A file holds either one symbol (the file's name says which: `AAPL.csv`, `vix_daily.csv`) or many (a column `symbol`). Dates are
in a column `date`, `session` or `timestamp`. A file that holds no daily bars is left out with a logged reason.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd
import structlog

from core.errors import ConfigError, DataError
from core.frames import BARS
from ingestion.normalise import column_name, sessions_of, symbol_name, to_bars
from ingestion.providers.base import VIX, Download, select

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence
    from pathlib import Path

log = structlog.get_logger()

_FREQUENCY = re.compile(r"[_-](daily|day|1d|d)$", re.IGNORECASE)


class FilesProvider:
    """Daily bars of every readable file in `folder`; later additions to the folder are seen by a new instance."""

    name = "files"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def default_universe(self) -> tuple[str, ...]:
        """Every symbol in the folder except `^VIX`, sorted."""
        return tuple(sorted(set(self._table["symbol"]) - {VIX}))

    @property
    def ignored(self) -> dict[str, str]:
        """File name -> why it was left out."""
        return self._read[1]

    def fetch(self, symbols: Sequence[str], start: dt.date, end: dt.date) -> Download:
        """See `Provider.fetch`."""
        return select(self._table, [symbol_name(symbol) for symbol in symbols], start, end, where=f"the files of {self.folder}")

    @property
    def _table(self) -> pd.DataFrame:
        return self._read[0]

    @cached_property
    def _read(self) -> tuple[pd.DataFrame, dict[str, str]]:
        if not self.folder.is_dir():
            raise ConfigError(f"FILES_DIR must be a folder of CSV or Parquet files, found none at {self.folder}.")
        tables, ignored = [], {}
        for path in sorted(self.folder.iterdir()):
            if path.suffix.lower() not in {".csv", ".parquet"}:
                continue
            try:
                tables.append(read_daily_bars(path))
            except (DataError, ValueError, OSError) as error:
                ignored[path.name] = str(error)
                log.warning("file_ignored", file=path.name, reason=str(error))
        bars = pd.concat(tables, ignore_index=True) if tables else BARS.empty()
        return bars.sort_values(["symbol", "session"], kind="stable", ignore_index=True), ignored


def read_daily_bars(path: Path) -> pd.DataFrame:
    """Read one file to the columns and dtypes of `core.frames.BARS`.

    Raises
    ------
    DataError
        The file holds intraday bars or has no date or close column.
    """
    raw = pd.read_parquet(path) if path.suffix.lower() == ".parquet" else pd.read_csv(path)
    raw = raw.rename(columns=column_name)
    if "symbol" not in raw:
        raw["symbol"] = symbol_name(_FREQUENCY.sub("", path.stem))
    if "session" in raw and _is_intraday(raw):
        raise DataError("holds intraday bars (several times a day); this provider reads daily bars")
    return to_bars(raw)


def _is_intraday(raw: pd.DataFrame) -> bool:
    times = raw[["symbol", "session"]].drop_duplicates()
    days = times.assign(session=sessions_of(times["session"], "24/7")).dropna()
    return bool(days.duplicated().mean() > 0.5)  # noqa: PLR2004 - a mostly daily file may repeat a day by mistake
