"""A folder of CSV and Parquet files as a source of daily bars. Subfolders are not read.

A file holds either one symbol (the file's name says which: `AAPL.csv`, `vix_daily.csv`) or many (a column `symbol`). Dates are
in a column `date`, `session` or `timestamp`. Each file stands alone: it is read, or left out with a reason.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import pandas as pd
import structlog

from core.errors import ConfigError, DataError
from core.frames import BARS
from ingestion.bar_size import long_bars_by_symbol
from ingestion.cells import as_text
from ingestion.normalise import column_name, parse_bars, symbol_name
from ingestion.providers.base import VIX, Download, Origin, Origins, select
from ingestion.providers.file_table import PARQUET, TEXT, FileTable, read_file

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence
    from pathlib import Path

log = structlog.get_logger()

_ENDING = re.compile(r"(\.(csv|tsv|txt|parquet|pq|gz))+$", re.IGNORECASE)
_FREQUENCY = re.compile(r"[_-](daily|day|1d|d)$", re.IGNORECASE)
_SYMBOL = re.compile(r"[A-Z0-9^][A-Z0-9.^=&+_-]{0,29}")
_COLUMNS: Final = list(BARS.columns)


@dataclass(frozen=True)
class _Folder:
    """Contents of a folder: bars with the number of their table and their line, the tables, and what was left out."""

    bars: pd.DataFrame
    tables: list[FileTable]
    ignored: dict[str, str]


class FilesProvider:
    """Daily bars of every readable file in `folder`; later additions to the folder are seen by a new instance."""

    name = "files"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def default_universe(self) -> tuple[str, ...]:
        """Every symbol in the folder except `^VIX`, sorted."""
        return tuple(sorted(set(self._read.bars["symbol"].dropna()) - {VIX}))

    @property
    def ignored(self) -> dict[str, str]:
        """File name (with the symbol, where the file holds others too) -> why it was left out."""
        return self._read.ignored

    def fetch(self, symbols: Sequence[str], start: dt.date, end: dt.date) -> Download:
        """See `Provider.fetch`."""
        where = f"the files of {self.folder}"
        found = select(self._read.bars, [symbol_name(symbol) for symbol in symbols], start, end, where=where)
        failed = {symbol: why + self._left_out(symbol) for symbol, why in found.failed.items()}
        places, tables = found.bars[["table", "line"]].to_numpy().tolist(), self._read.tables
        return Download(bars=found.bars[_COLUMNS], failed=failed, origins=_FileOrigins(places, tables))

    def _left_out(self, symbol: str) -> str:
        """Return the reason of a file of that name that was left out, for the message that the symbol is unknown."""
        named = {file: _symbol_of(file) for file in self.ignored}
        reasons = [
            f"; {file}: {self.ignored[file]}" for file, name in named.items() if symbol == name or file.endswith(f" ({symbol})")
        ]
        return "".join(reasons) or (f"; {len(self.ignored)} files were left out: see the log" if self.ignored else "")

    @cached_property
    def _read(self) -> _Folder:
        if not self.folder.is_dir():
            raise ConfigError(f"INGESTION__FILES_DIR must be a folder of CSV or Parquet files, found none at {self.folder}.")
        parts: list[pd.DataFrame] = []
        tables: list[FileTable] = []
        ignored: dict[str, str] = {}
        for path in sorted(self.folder.iterdir()):
            if path.name.startswith("."):
                continue
            try:
                read = read_daily_bars(path)
            except DataError as error:
                ignored[path.name] = str(error)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one file, the others are read
                ignored[path.name] = f"cannot be read: {type(error).__name__}: {error}"[:400]
            else:
                for table, bars in read:
                    longer = {name: size for name, size in long_bars_by_symbol(bars).items() if size.certain}
                    ignored |= {_place(path.name, name, bars): str(size) for name, size in longer.items()}
                    parts.append(bars[~bars["symbol"].isin(longer)].assign(table=len(tables)))
                    tables.append(table)
        for file, reason in ignored.items():
            log.warning("file_ignored", file=file, reason=reason)
        bars = pd.concat(parts, ignore_index=True) if parts else BARS.empty().assign(table=0, line=0)
        bars = _without_repeated_files(bars)
        return _Folder(bars.sort_values(["symbol", "session"], kind="stable", ignore_index=True), tables, ignored)


class _FileOrigins(Origins):
    """The place of each bar of a download in the files."""

    def __init__(self, places: list[list[int]], tables: list[FileTable]) -> None:
        self._places = places
        self._tables = tables

    def of(self, row: int) -> Origin:
        """See `Origins.of`."""
        number, line = self._places[row]
        table = self._tables[number]
        return Origin(table.file, line, table.unit, table.text(line))


def read_daily_bars(path: Path) -> list[tuple[FileTable, pd.DataFrame]]:
    """Return the tables of one file with their bars: columns and dtypes of `core.frames.BARS`, and `line`.

    Raises
    ------
    DataError
        It is no file of daily bars.
    """
    if path.is_dir():
        raise DataError("is a folder; subfolders are not read")
    if not path.name.lower().endswith((*TEXT, *PARQUET)):
        raise DataError(f"is no file of bars: expected one of {', '.join((*TEXT, *PARQUET))}")
    if not path.is_file():
        raise DataError("is not a regular file")
    tables = read_file(path)
    return [(table, _bars(table, _symbol_of(path.name))) for table in tables]


def _place(file: str, symbol: str, bars: pd.DataFrame) -> str:
    return file if set(bars["symbol"]) == {symbol} else f"{file} ({symbol})"


def _symbol_of(file: str) -> str:
    return symbol_name(_FREQUENCY.sub("", _ENDING.sub("", file)))


def _bars(table: FileTable, named: str) -> pd.DataFrame:
    has_symbols = any(column_name(column) == "symbol" for column in table.rows)
    if not has_symbols and not _SYMBOL.fullmatch(named):
        raise DataError(f"no symbol: {named!r} is none. Add a column symbol, or name the file by its symbol")
    bars = parse_bars(table.rows, None if has_symbols else named).assign(line=table.rows.index.to_numpy())
    _require_daily(table.rows, bars)
    return bars


def _require_daily(rows: pd.DataFrame, bars: pd.DataFrame) -> None:
    """Refuse bars of several times a day; a row that comes twice at one time is a mistake for validation to see."""
    dates = [rows.iloc[:, at] for at, column in enumerate(rows.columns) if column_name(column) == "session"]
    stamps = as_text(dates[0])
    for more in dates[1:]:
        stamps = stamps + " " + as_text(more)
    times = bars[["symbol", "session"]].assign(stamp=stamps.to_numpy()).dropna().drop_duplicates()
    a_day = times.groupby(["symbol", "session"]).size().groupby("symbol").median()
    often = a_day[a_day > 1]
    if len(often):
        spacing = _spacing(times.loc[times["symbol"] == often.index[0], "stamp"])
        raise DataError(
            f"holds intraday bars ({often.index[0]}: {often.iloc[0]:g} bars a day{spacing}); this provider reads daily bars"
        )


def _spacing(stamps: pd.Series) -> str:
    """Return how many minutes lie between bars, where the stamps say."""
    moments = pd.to_datetime(stamps, format="ISO8601", errors="coerce", utc=True).dropna().sort_values()
    minutes = moments.diff().dt.total_seconds() / 60
    apart = minutes[minutes > 0].median()
    return "" if pd.isna(apart) else f", {apart:g} minutes apart"


def _without_repeated_files(bars: pd.DataFrame) -> pd.DataFrame:
    """Leave out the bars that an earlier file holds with the same values; a row twice in one file stays, to be refused."""
    copy = bars.groupby(["table", *_COLUMNS], dropna=False, sort=False).cumcount()
    repeated = bars[_COLUMNS].assign(copy=copy).duplicated() & bars["session"].notna()
    if repeated.any():
        log.info("bars_in_two_files", bars=int(repeated.sum()), symbols=sorted(set(bars.loc[repeated, "symbol"].dropna())))
    return bars[~repeated]
