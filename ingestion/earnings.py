"""Read announcement dates of results from a file and refuse bad rows.

The file is a CSV with the columns `symbol` and `announced`, one announcement a row; other columns are left alone.
"""

from __future__ import annotations

import csv
import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pandas as pd

from core.errors import BatchRejected, DataError
from core.frames import EARNINGS
from ingestion.normalise import symbol_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

COLUMNS = ("symbol", "announced")
EXCHANGE = ZoneInfo("America/New_York")
FIRST = dt.date(1990, 1, 1)  # as far back as the desk's calendar of sessions goes
AHEAD_DAYS = 731  # nobody announces later than in two years: such a date is a slip of the pen
SHOWN = 20


@dataclass(frozen=True)
class Announcements:
    """A source's delivery: `dates` (EARNINGS), `refused` rows with their place and reason, and symbols that `failed`."""

    dates: pd.DataFrame
    refused: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)

    def require(self, max_bad_fraction: float) -> None:
        """Raise `BatchRejected` when more than the fraction (0 to 1) of the rows were refused."""
        rows = len(self.dates) + len(self.refused)
        if rows and len(self.refused) > max_bad_fraction * rows:
            shown = "; ".join(self.refused[:SHOWN])
            more = f"; and {len(self.refused) - SHOWN} more" if len(self.refused) > SHOWN else ""
            raise BatchRejected(
                f"Earnings: expected at most {max_bad_fraction:.0%} of {rows} rows refused, found {len(self.refused)}: "
                f"{shown}{more}. Nothing was stored; correct them and load again."
            )


def read_csv(path: Path, *, today: dt.date) -> Announcements:
    """Read a CSV of announcement dates.

    A row is refused, by the number of its line, when its symbol is empty or its date is not an ISO date (2024-05-02) between
    1990 and two years after `today`. A time is allowed after the date; with an offset, the date is the one at the exchange. The
    same announcement on several lines counts once.

    Raises
    ------
    DataError
        When the file is absent, is no UTF-8 text, lacks a column or has no row.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines)
            return _read(path, ((reader.line_num, cells) for cells in reader), today)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: expected a CSV file with the columns {', '.join(COLUMNS)}, found none ({error}).") from error


def announced_on(moment: dt.date, *, today: dt.date) -> dt.date:
    """The date at the exchange of a date or time; `ValueError` says why it cannot be one."""
    if isinstance(moment, dt.datetime):
        moment = (moment if moment.tzinfo is None else moment.astimezone(EXCHANGE)).date()
    last = today + dt.timedelta(days=AHEAD_DAYS)
    if not FIRST <= moment <= last:
        raise ValueError(f"expected a date from {FIRST} to {last}, found {moment}")
    return moment


def to_frame(dates: Iterable[tuple[str, dt.date]]) -> pd.DataFrame:
    """EARNINGS of pairs (symbol, date) in any order; the same pair twice is one row."""
    rows = sorted(set(dates))
    frame = pd.DataFrame(rows, columns=list(COLUMNS)) if rows else EARNINGS.empty()
    return EARNINGS.coerce(frame)


def _read(path: Path, lines: Iterator[tuple[int, list[str]]], today: dt.date) -> Announcements:
    """The announcements of numbered lines of cells, the header first."""
    header = [name.strip().lower() for name in next(lines, (0, []))[1]]
    if absent := [name for name in COLUMNS if name not in header]:
        raise DataError(f"{path}: expected the columns {', '.join(COLUMNS)}, found {header}: no {', '.join(absent)}.")
    at = [header.index(name) for name in COLUMNS]
    dates, refused = [], []
    for number, cells in lines:
        if not any(cell.strip() for cell in cells):
            continue
        symbol, text = (cells[column].strip() if column < len(cells) else "" for column in at)
        try:
            dates.append(_row(symbol, text, today))
        except ValueError as error:
            refused.append(f"line {number}: {error}")
    if not dates and not refused:
        raise DataError(f"{path}: expected one announcement a line, found none under the header.")
    return Announcements(to_frame(dates), tuple(refused))


def _row(symbol: str, text: str, today: dt.date) -> tuple[str, dt.date]:
    if not symbol:
        raise ValueError(f"expected a symbol, found none beside {text!r}")
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{symbol}: expected a date YYYY-MM-DD, found {text!r}") from error
    return symbol_name(symbol), announced_on(moment, today=today)
