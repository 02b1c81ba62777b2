"""Read a CSV or Parquet file to the rows that stand in it: the text of every field, with the number of its line.

Of a text file the encoding (UTF-8 with or without a mark, UTF-16, else Windows-1252), the separator (comma, semicolon, tab or
bar) and the header (the first line that names a date and a close; what stands above it is a comment) are found by looking.
"""

from __future__ import annotations

import csv
import gzip
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from core.errors import DataError
from ingestion.normalise import column_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TEXT: Final = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
PARQUET: Final = (".parquet", ".pq")
_SEPARATORS = ",;\t|"
_COMMENT_LINES = 50  # a header further down is not looked for
_SHOWN = 80  # characters of a file that a message quotes
_TOO_MANY = "(more fields than the header)"


@dataclass(frozen=True)
class FileTable:
    """The rows of one file, or of one ticker of a file that has a column for each ticker and field.

    Attributes
    ----------
    rows
        The fields as they were written (text of a CSV file, values of a Parquet file), columns named as in the file. The
        index is the line of a CSV file, counted from 1, or the number of the row of a Parquet file.
    unit
        `line` or `row`: what the index counts.
    ragged
        By line, what a row of more or fewer fields than the header held; its prices are missing in `rows`, since nobody
        knows which field is which.
    """

    file: str
    rows: pd.DataFrame
    unit: str
    ragged: dict[int, dict[str, str]]

    def text(self, line: int) -> dict[str, str]:
        """Return the text of every field of a row, by the name of its column."""
        if line in self.ragged:
            return self.ragged[line]
        columns = (self.rows.iloc[:, at] for at in range(self.rows.shape[1]))
        return {str(column.name): _original(column.loc[line]) for column in columns}


def _original(value: object) -> str:
    missing = value is None or value is pd.NA or (isinstance(value, float | pd.Timestamp | type(pd.NaT)) and value != value)  # noqa: PLR0124 - NaN
    return "" if missing else str(value)


def read_file(path: Path) -> list[FileTable]:
    """Return the tables of a file: one, or one for each ticker where the columns have levels.

    Raises
    ------
    DataError
        The file holds no rows of a date and a close.
    """
    if path.name.lower().endswith(PARQUET):
        return _read_parquet(path)
    content = path.read_bytes()
    text = _decoded(gzip.decompress(content) if path.name.lower().endswith(".gz") else content)
    if not text.strip():
        raise DataError("is empty")
    return _read_text(path.name, text)


def _decoded(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16")
    if b"\0" in content:
        raise DataError("is not text: it holds zero bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def _read_text(name: str, text: str) -> list[FileTable]:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    skip, separator, columns = _level_header(lines) or _header(lines)
    keys = [at for at, column in enumerate(columns) if _field(column) in {"session", "symbol"}]
    cells: list[list[str | None]] = []
    numbers: list[int] = []
    ragged: dict[int, dict[str, str]] = {}
    reader = csv.reader(io.StringIO("\n".join(lines[skip:])), delimiter=separator)
    line = skip + 1  # a quoted field may hold several lines: a row has the number of its first
    for fields in reader:
        first, line = line, skip + 1 + reader.line_num
        if len(fields) == len(columns) and fields[0].strip():
            numbers.append(first)
            cells.append(list(fields))
            continue
        if not any(map(str.strip, fields)):
            continue
        row: list[str | None] = list(fields) if any(map(str.strip, fields[len(columns) :])) else list(fields[: len(columns)])
        if len(row) != len(columns):
            ragged[first] = _ragged(columns, fields)
            row = [fields[at] if at in keys and at < len(fields) else None for at in range(len(columns))]
        numbers.append(first)
        cells.append(row)
    if not cells:
        raise DataError("holds a header and no rows")
    frame = pd.DataFrame(cells, index=pd.Index(numbers, name="line"), columns=range(len(columns)), dtype=object)
    return _tables(name, frame.set_axis(_index(columns), axis=1), "line", ragged)


def _ragged(columns: Sequence[str | tuple[str, str]], fields: Sequence[str]) -> dict[str, str]:
    names = [column if isinstance(column, str) else " ".join(column) for column in columns]
    text = dict(zip(names, fields, strict=False))
    more = fields[len(names) :]
    return text | ({_TOO_MANY: ", ".join(more)} if more else {})


def _header(lines: Sequence[str]) -> tuple[int, str, list[str | tuple[str, str]]]:
    """Return the number of lines down to the header, the separator and the names in it."""
    nearest: list[str] = []
    for at, line in enumerate(lines[:_COMMENT_LINES]):
        for separator in _SEPARATORS:
            names = [name.strip() for name in _split(line, separator)]
            fields = {column_name(name) for name in names}
            if not names[0] and "close" in fields and "session" not in fields:
                names[0] = "date"  # an index without a name
                fields.add("session")
            if {"session", "close"} <= fields:
                return at + 1, separator, list(names)
            if fields & {"session", "close"} and len(names) > len(nearest):
                nearest = names
    if nearest:
        missing = "close" if "close" not in {column_name(name) for name in nearest} else "date"
        raise DataError(f"no {missing} column: found the columns {', '.join(nearest)}"[:400])
    first = next(line for line in lines if line.strip())
    raise DataError(f"no header line with a date and a close column; it begins with {first[:_SHOWN]!r}")


def _level_header(lines: Sequence[str]) -> tuple[int, str, list[str | tuple[str, str]]] | None:
    """Return the header of a table with a column for each field and ticker, as yfinance's downloads are saved, else None."""
    if len(lines) < 3:  # noqa: PLR2004 - the fields, the tickers and the name of the index
        return None
    first, second, third = ([field.strip() for field in _split(line, ",")] for line in lines[:3])
    if {first[0].lower(), second[0].lower()} != {"price", "ticker"} or not len(first) == len(second) == len(third):
        return None
    fields, tickers = (first, second) if first[0].lower() == "price" else (second, first)
    return 3, ",", [("date", ""), *zip(fields[1:], tickers[1:], strict=True)]


def _split(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator), [""]) or [""]


def _field(column: str | tuple[str, str]) -> str:
    return column_name(column if isinstance(column, str) else column[0])


def _index(columns: Sequence[str | tuple[str, str]]) -> pd.Index:
    if isinstance(columns[0], tuple):
        return pd.MultiIndex.from_tuples([column for column in columns if isinstance(column, tuple)])
    return pd.Index(columns)


def _read_parquet(path: Path) -> list[FileTable]:
    frame = pd.read_parquet(path)
    if not (isinstance(frame.index, pd.RangeIndex) and frame.index.name is None):
        frame = _index_as_columns(frame)
    if frame.empty:
        raise DataError("holds no rows")
    frame.index = pd.RangeIndex(1, len(frame) + 1, name="row")
    return _tables(path.name, frame, "row", {})


def _index_as_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with its index as its first columns; an unnamed index of dates is called `date`."""
    index = frame.index.to_frame(index=False)
    names = [_index_name(name, index.iloc[:, at], at) for at, name in enumerate(frame.index.names)]
    whole = pd.concat([index.set_axis(range(len(names)), axis=1), frame.reset_index(drop=True)], axis=1)
    if isinstance(frame.columns, pd.MultiIndex):
        rest = ("",) * (frame.columns.nlevels - 1)
        return whole.set_axis(pd.MultiIndex.from_tuples([*((name, *rest) for name in names), *frame.columns]), axis=1)
    return whole.set_axis([*names, *frame.columns], axis=1)


def _index_name(name: object, level: pd.Series, at: int) -> object:
    if name is not None:
        return name
    return "date" if pd.api.types.is_datetime64_any_dtype(level.dtype) else f"index_{at}"


def _tables(name: str, frame: pd.DataFrame, unit: str, ragged: dict[int, dict[str, str]]) -> list[FileTable]:
    """Return one table, or one for each ticker where the columns have two levels."""
    if not isinstance(frame.columns, pd.MultiIndex):
        return [FileTable(name, frame, unit, ragged)]
    if frame.columns.nlevels != 2:  # noqa: PLR2004 - a field and a ticker
        raise DataError(f"its columns have {frame.columns.nlevels} levels; expected one, or a field and a ticker")
    levels = [[str(each) for each in frame.columns.get_level_values(level)] for level in (0, 1)]
    fields, tickers = levels if any(column_name(each) == "close" for each in levels[0]) else levels[::-1]
    if not any(column_name(each) == "close" for each in fields):
        raise DataError(f"no close column: found {', '.join(sorted(set(fields)))}"[:400])
    shared = np.array([not ticker or column_name(other) == "session" for ticker, other in zip(tickers, fields, strict=True)])
    shared |= np.array([column_name(ticker) == "session" and not field for ticker, field in zip(tickers, fields, strict=True)])
    names = np.array([field or ticker for field, ticker in zip(fields, tickers, strict=True)], dtype=object)
    wanted = sorted({ticker for ticker, common in zip(tickers, shared, strict=True) if not common})
    tables = []
    for ticker in wanted or [""]:
        own = np.array([each == ticker for each in tickers]) & ~shared
        rows = frame.loc[:, own | shared].set_axis(names[own | shared], axis=1)
        if len(wanted) > 1:  # lines on which only other tickers have a bar
            rows = rows[(frame.loc[:, own].notna() & frame.loc[:, own].ne("")).any(axis=1) | rows.index.isin(list(ragged))]
        tables.append(FileTable(name, rows.assign(symbol=ticker) if ticker else rows, unit, ragged))
    return tables
