"""Research datasets: freeze symbols, a period and a moment under a name, check them, and read research's bars through one."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import pandas as pd
import structlog

from core.errors import ConfigError, DataError, UnknownSymbol
from pipeline.bars import VIX, bars_by_symbol
from pipeline.resources import Resources, live
from research.dataset_digest import differences, digest_of, digest_parts
from storage.research.datasets import Dataset, name_taken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.bars import ReadableBars
    from storage.market.bars import BarStore

log = structlog.get_logger()
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
SHOWN: Final = 5
DIGEST: Final = 16  # characters stored of a part's digest; `sha256` is whole


@dataclass(frozen=True)
class PinnedBars:
    """The bars of a period that were known at a moment, read as a `BarStore` is."""

    store: BarStore
    first: dt.date | None
    last: dt.date
    as_of: dt.datetime
    stored_by: dt.datetime | None

    @classmethod
    def of(cls, store: BarStore, dataset: Dataset) -> PinnedBars:
        """Return the bars of a dataset."""
        return cls(store, dataset.first_session, dataset.last_session, dataset.as_of, dataset.frozen_at)

    def read(
        self, symbols: Sequence[str] | None = None, start: dt.date | None = None, end: dt.date | None = None
    ) -> pd.DataFrame:
        """Return BARS and known_at within the period; see `BarStore.read`."""
        first = max((day for day in (start, self.first) if day is not None), default=None)
        last = self.last if end is None else min(end, self.last)
        return self.store.read(symbols, first, last, self.as_of, stored_by=self.stored_by)

    def actions(self, symbols: Sequence[str] | None = None) -> pd.DataFrame:
        """Return ACTIONS recorded by the moment, up to the end of the period."""
        recorded = self.store.actions(symbols, self.as_of)
        return recorded.loc[recorded["session"] <= pd.Timestamp(self.last)].reset_index(drop=True)


@dataclass(frozen=True)
class LoadedBars:
    """Bars in memory, read as a `BarStore` is."""

    frame: pd.DataFrame

    def read(
        self, symbols: Sequence[str] | None = None, start: dt.date | None = None, end: dt.date | None = None
    ) -> pd.DataFrame:
        """Return the bars of some symbols and sessions, both dates included."""
        sessions = self.frame["session"]
        wanted = pd.Series(True, index=self.frame.index)  # a mask
        if symbols is not None:
            wanted &= self.frame["symbol"].isin(list(symbols))
        if start is not None:
            wanted &= sessions >= pd.Timestamp(start)
        if end is not None:
            wanted &= sessions <= pd.Timestamp(end)
        return self.frame[wanted].reset_index(drop=True)


@dataclass(frozen=True)
class ResearchData:
    """The bars that a research step reads: live ones of the universe, or those of a dataset.

    Attributes
    ----------
    dataset
        None: the live bars.
    """

    bars: BarStore | PinnedBars
    symbols: tuple[str, ...]
    dataset: Dataset | None = None

    @classmethod
    def of(cls, resources: Resources, name: str | None = None) -> ResearchData:
        """Return the data of a dataset's name; the live data when None.

        Raises
        ------
        ConfigError
            When no dataset has the name.
        """
        if name is None:
            return cls(resources.bars, tuple(resources.universe()))
        dataset = resources.datasets.get(name)
        return cls(PinnedBars.of(resources.bars, dataset), dataset.symbols, dataset)

    @property
    def reference(self) -> str | None:
        """NAME@SHA256 of the dataset, for what is recorded; None for the live bars."""
        return None if self.dataset is None else self.dataset.reference

    @property
    def moment(self) -> dt.datetime | None:
        """The dataset's moment; None for the live bars."""
        return None if self.dataset is None else self.dataset.as_of

    @property
    def tag(self) -> dict[str, str]:
        """The tag `dataset` of an MLflow run; nothing for the live bars."""
        return {} if self.dataset is None else {"dataset": self.dataset.reference}

    def by_symbol(self, session: str) -> dict[str, pd.DataFrame]:
        """Return the bars of each symbol up to `session`, with the VIX known at each close.

        Raises
        ------
        ConfigError
            When the session lies outside the dataset's period.
        DataError
            When the stored bars are no longer those of the dataset's hash.
        """
        dataset = self.dataset
        if dataset and not dataset.first_session <= dt.date.fromisoformat(session) <= dataset.last_session:
            raise ConfigError(
                f"Session {session}: expected one of the dataset {dataset.name!r}, {dataset.first_session} to"
                f" {dataset.last_session}. Choose another with --session, or freeze another dataset."
            )
        return bars_by_symbol(self._readable, session, self.symbols)

    @cached_property
    def _readable(self) -> ReadableBars:
        """The live bars; of a dataset its bars, read once and compared with its hash."""
        if self.dataset is None or not isinstance(self.bars, PinnedBars):
            return self.bars
        return _unchanged(self.dataset, self.bars)


def session_of_dataset(name: str | None, *, resources: Resources | None = None) -> str | None:
    """Return the last session of a dataset; None without one."""
    return None if name is None else (resources or live()).datasets.get(name).last_session.isoformat()


def freeze_dataset(
    name: str,
    symbols: Sequence[str] = (),
    *,
    first: dt.date | None = None,
    last: dt.date | None = None,
    as_of: dt.datetime | None = None,
    resources: Resources | None = None,
) -> Dataset:
    """Store a dataset: the bars of the symbols in a period as known at a moment, with their hash.

    Parameters
    ----------
    symbols
        Those of the universe that have bars in the period unless given. The VIX is always beside them.
    first, last
        The period; the whole stored history unless given.
    as_of
        Aware; now unless given.

    Raises
    ------
    ConfigError
        When the name is taken or unfit, the moment is ahead, or the period ends before it begins.
    DataError
        When a symbol given, or the whole dataset, has no bars.
    """
    resources = resources or live()
    now = resources.clock()
    moment = as_of or now
    _check_request(name, first, last, moment, now)
    if name in resources.datasets.names():
        raise ConfigError(name_taken(name))
    for symbol in set(symbols) - set(known := resources.bars.symbols()):
        raise UnknownSymbol(symbol, known)
    wanted = sorted(set(symbols or resources.universe()) - {VIX})
    frame = resources.bars.read([*wanted, VIX], first, last, moment, stored_by=now)
    traded = frame[frame["symbol"] != VIX]
    missing = sorted(set(wanted) - set(traded["symbol"]))
    if traded.empty or (symbols and missing):
        raise DataError(
            f"Dataset {name!r}: expected bars of {_listed(wanted)} {_period(first, last)} known at {moment:%Y-%m-%d %H:%M} UTC,"
            f" found none of {_listed(missing)}. Load them (`desk ingest`), or choose other symbols, dates or a later --as-of."
        )
    start = first or traded["session"].min().date()
    end = last or traded["session"].max().date()
    kept = tuple(sorted(set(traded["symbol"])))
    pinned = PinnedBars(resources.bars, start, end, moment, now)
    inside = LoadedBars(frame).read([*kept, VIX], start, end)
    parts, sha256 = _contents(inside, pinned.actions(kept))
    dataset = Dataset(name, sha256, moment, now, start, end, kept, len(inside), parts)
    resources.datasets.add(dataset)
    log.info("dataset_frozen", dataset=dataset.reference, symbols=len(kept), bars=len(inside))
    return dataset


def check_dataset(name: str, *, resources: Resources | None = None) -> Dataset:
    """Compare the stored bars with a dataset's hash, and return the dataset.

    Raises
    ------
    DataError
        When they differ; the message names symbols and months.
    """
    resources = resources or live()
    dataset = resources.datasets.get(name)
    _unchanged(dataset, PinnedBars.of(resources.bars, dataset))
    return dataset


def _unchanged(dataset: Dataset, bars: PinnedBars) -> LoadedBars:
    """Return the bars of a dataset; refuse others than those of its hash."""
    frame = bars.read([*dataset.symbols, VIX])
    parts, sha256 = _contents(frame, bars.actions(dataset.symbols))
    if sha256 == dataset.sha256:
        return LoadedBars(frame)
    phrases = differences(dataset.parts, parts)
    raise DataError(
        f"Dataset {dataset.name!r}: expected the bars of {dataset.sha256[:12]}, found {sha256[:12]}: {_listed(phrases)}."
        " Stored versions of bars were removed or added since. Restore them from a backup, or freeze another dataset."
    )


def _check_request(name: str, first: dt.date | None, last: dt.date | None, moment: dt.datetime, now: dt.datetime) -> None:
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"Dataset {name!r}: expected a name of letters, digits, '.', '_' and '-', at most 64. Choose another."
        )
    if moment > now:
        raise ConfigError(
            f"Dataset {name!r}: expected --as-of up to now, {now:%Y-%m-%d %H:%M} UTC, found {moment.isoformat()}."
            " What will be known then, nobody knows. Choose an earlier moment."
        )
    if first and last and first > last:
        raise ConfigError(f"Dataset {name!r}: expected --first up to --last, found {first} after {last}. Exchange them.")


def _contents(bars: pd.DataFrame, actions: pd.DataFrame) -> tuple[dict[str, dict[str, tuple[int, str]]], str]:
    """Return the parts of bars and actions, digests shortened, and the hash over the whole digests."""
    parts = digest_parts(bars, actions)
    short = {symbol: {part: (count, digest[:DIGEST]) for part, (count, digest) in of.items()} for symbol, of in parts.items()}
    return short, digest_of(parts)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _period(first: dt.date | None, last: dt.date | None) -> str:
    return f"from {first or 'the first'} to {last or 'the last'}"
