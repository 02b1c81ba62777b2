"""The port to every data source: the `Provider` protocol and the contract of a download."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import pandas as pd

from core.frames import ACTIONS

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

VIX = "^VIX"


@dataclass(frozen=True)
class Origin:
    """The place that a bar was read from.

    Attributes
    ----------
    line
        Number of the line (of a text file) or of the row (of a table), counted from 1; `unit` says which.
    text
        Every field as it stood there, by the name of its column.
    """

    file: str
    line: int
    unit: str
    text: Mapping[str, str]


class Origins(Protocol):
    """Source of each bar of a download: its table and line."""

    def of(self, row: int) -> Origin:
        """Return the place of the bar at that position of `Download.bars`."""


@dataclass(frozen=True)
class Download:
    """A source's delivery.

    Attributes
    ----------
    bars
        Columns, dtypes and sort order of `core.frames.BARS`, not validated yet: missing prices and duplicate rows are still
        there, so that validation can quarantine them with a reason.
    actions
        Splits and dividends, a valid `core.frames.ACTIONS` frame.
    failed
        For each symbol that brought no bar, why.
    origins
        Where each bar was read from, for sources that know: the quarantine keeps it.
    instruments
        By symbol, the fields of the table of instruments (`core.instruments.FIELDS`) of which the source speaks.
    """

    bars: pd.DataFrame
    actions: pd.DataFrame = field(default_factory=ACTIONS.empty)
    failed: dict[str, str] = field(default_factory=dict)
    origins: Origins | None = None
    instruments: dict[str, dict[str, str]] = field(default_factory=dict)

    def without(self, refused: Mapping[str, str]) -> Download:
        """Return the download without some symbols, which have failed for the reasons given."""
        rows = ~self.bars["symbol"].isin(list(refused)).to_numpy()
        places = None if self.origins is None else _Subset(self.origins, rows.nonzero()[0].tolist())
        return replace(self, bars=self.bars[rows].reset_index(drop=True), failed={**self.failed, **refused}, origins=places)


@dataclass(frozen=True)
class _Subset:
    """The origins of some of the bars of a download."""

    whole: Origins
    rows: list[int]

    def of(self, row: int) -> Origin:
        """See `Origins.of`."""
        return self.whole.of(self.rows[row])


@runtime_checkable
class Provider(Protocol):
    """A source of daily bars."""

    @property
    def name(self) -> str:
        """Short name, stored beside every bar as its source."""

    @property
    def default_universe(self) -> tuple[str, ...]:
        """Symbols to load when the user names none; never includes `^VIX`."""

    def fetch(self, symbols: Sequence[str], start: dt.date, end: dt.date) -> Download:
        """Bring the daily bars of `symbols` from `start` to `end`, both sessions included.

        A symbol without bars is named in `failed` and does not disturb the others; `^VIX` is fetched like any symbol.

        Raises
        ------
        core.errors.RetryLater
            The source could not be reached at all.
        core.errors.ConfigError
            The source is set up wrongly (a folder that does not exist).
        """


def select(table: pd.DataFrame, symbols: Sequence[str], start: dt.date, end: dt.date, *, where: str) -> Download:
    """Cut a download out of a whole table of bars.

    Rows without a readable session belong to no range, and rows without a symbol to nobody: both are kept, so that validation
    can refuse them. `where` names the source in the reasons of `failed`.
    """
    listed = set(table["symbol"].dropna())
    inside = table["session"].between(pd.Timestamp(start), pd.Timestamp(end)) | table["session"].isna()
    wanted = table["symbol"].isin(symbols)
    delivered = set(table.loc[wanted & inside, "symbol"])
    bars = table[inside & (wanted | (table["symbol"].isna() & bool(delivered)))].reset_index(drop=True)
    failed = {
        symbol: f"no bar between {start} and {end} in {where}" if symbol in listed else f"unknown to {where}"
        for symbol in symbols
        if symbol not in delivered
    }
    return Download(bars=bars, failed=failed)
