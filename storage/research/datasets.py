"""Frozen research datasets: symbols, a period and a moment, with a hash of the bars known then. A row is never changed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from core.errors import ConfigError
from storage.research.tables import datasets

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping


@dataclass(frozen=True)
class Dataset:
    """A frozen dataset.

    Attributes
    ----------
    as_of
        Bars count when they were known by then (aware).
    frozen_at
        Versions of bars written later are left out (aware).
    first_session, last_session
        The period, both included.
    bars
        Number of bars, those of the VIX included.
    parts
        By symbol and month (``2018-03``): number of bars and digest; ``actions`` for the symbol's corporate actions.
    """

    name: str
    sha256: str
    as_of: dt.datetime
    frozen_at: dt.datetime
    first_session: dt.date
    last_session: dt.date
    symbols: tuple[str, ...]
    bars: int
    parts: dict[str, dict[str, tuple[int, str]]]

    @property
    def reference(self) -> str:
        """Its name with its hash, as what is made from it records it: NAME@SHA256."""
        return f"{self.name}@{self.sha256}"

    @property
    def short(self) -> str:
        """Its name with the beginning of its hash, for people."""
        return f"{self.name}@{self.sha256[:12]}"


class Datasets:
    """Rows of `research.datasets`."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, dataset: Dataset) -> None:
        """Add a dataset.

        Raises
        ------
        ConfigError
            When the name is taken.
        """
        query = insert(datasets).values(asdict(dataset)).on_conflict_do_nothing().returning(datasets.c.name)
        with self._engine.begin() as connection:
            if connection.execute(query).first() is None:
                raise ConfigError(name_taken(dataset.name))

    def get(self, name: str) -> Dataset:
        """Return the dataset of a name.

        Raises
        ------
        ConfigError
            When there is none.
        """
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(datasets).where(datasets.c.name == name)).mappings().first()
        if row is None:
            near = get_close_matches(name, self.names(), n=1)
            hint = f"Did you mean {near[0]}?" if near else "List them: `desk dataset list`."
            raise ConfigError(f"Dataset {name!r}: expected the name of a frozen dataset, found none of that name. {hint}")
        return _dataset({str(column): value for column, value in row.items()})

    def all(self) -> list[Dataset]:
        """Return every dataset, the newest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(datasets).order_by(datasets.c.frozen_at.desc(), datasets.c.name)).mappings()
            return [_dataset({str(column): value for column, value in row.items()}) for row in rows]

    def names(self) -> list[str]:
        """Return the names in use, sorted."""
        with self._engine.connect() as connection:
            return sorted(connection.execute(sa.select(datasets.c.name)).scalars())


def name_taken(name: str) -> str:
    """Return the sentence that refuses a name for the second time."""
    return f"Dataset {name!r}: expected an unused name, found a dataset frozen under it. A name is used once: choose another."


def _dataset(row: Mapping[str, Any]) -> Dataset:
    parts = {
        symbol: {month: (int(count), str(digest)) for month, (count, digest) in months.items()}
        for symbol, months in row["parts"].items()
    }
    return Dataset(**{**row, "symbols": tuple(row["symbols"]), "parts": parts})
