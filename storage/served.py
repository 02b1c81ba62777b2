"""Every prediction that the API gave, with the features it was made from. Owns its way into the table; it computes nothing.

A row of `trading.predictions` is what the daily path decided by, one a strategy, symbol and session. Here is what was served:
each answer to whoever asked, exactly as it was given, so that its features can be recomputed and its model judged.

Thousands of rows a second come through COPY in PostgreSQL's binary format (documentation of COPY, "Binary Format"; arrays as
in `array_recv`): a tenth of the work of writing 29 numbers as text and reading them back.
"""

from __future__ import annotations

import datetime as dt
import io
import struct
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from core.feature_hash import feature_set
from core.frames import FEATURES
from storage.tables import feature_sets, served_predictions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
TRAILER = struct.pack(">h", -1)
EPOCH = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
NULL = struct.pack(">i", -1)
FLOAT8 = 701  # type oid
COUNT = len(FEATURES)
ARRAY_HEAD = struct.pack(">iiiiii", 20 + COUNT * 12, 1, 0, FLOAT8, COUNT, 1)  # bytes, dimensions, no NULLs, type, length, base
ELEMENT = np.dtype([("bytes", ">i4"), ("value", ">f8")])
MICROSECOND = dt.timedelta(microseconds=1)


class Served(NamedTuple):
    """One answer. Features are in the order of `core.frames.FEATURES`, NaN where unknown."""

    served_at: dt.datetime
    symbol: str
    session: dt.date
    for_session: dt.date
    arm: str
    model_name: str
    model_version: str
    probability: float
    predicted_return: float
    signal: str
    source: str
    feature_timestamp: dt.datetime | None
    feature_hash: str
    features: Sequence[float]
    latency_us: int


COLUMNS = (*(name for name in Served._fields if name != "features"), "feature_set", "features")
COPY = f"COPY {served_predictions.fullname} ({', '.join(COLUMNS)}) FROM STDIN WITH (FORMAT binary)"


class ServedPredictions:
    """Rows of `trading.served_predictions`; they are only added."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def name_features(self) -> None:
        """Store what the numbers of a vector are called, once for each set of features."""
        row = {"digest": feature_set(FEATURES), "names": list(FEATURES)}
        with self._engine.begin() as connection:
            connection.execute(insert(feature_sets).values(row).on_conflict_do_nothing())

    def append(self, rows: Sequence[Served]) -> None:
        """Add rows, all or none."""
        self._copy(io.BytesIO(encode(rows)))

    def append_file(self, path: Path) -> None:
        """Add the rows of a file that holds what `encode` made."""
        with path.open("rb") as file:
            self._copy(file)

    def _copy(self, source: io.BufferedIOBase) -> None:
        with self._engine.begin() as connection:
            connection.connection.cursor().copy_expert(COPY, source)


def encode(rows: Sequence[Served]) -> bytes:
    """Rows in the binary format of COPY."""
    cells = np.empty((len(rows), COUNT), dtype=ELEMENT)
    cells["bytes"] = 8
    cells["value"] = [row.features for row in rows]
    width = cells.itemsize * COUNT
    vectors = cells.tobytes()
    heads = (_head(row) for row in rows)
    body = (head + vectors[place * width : (place + 1) * width] for place, head in enumerate(heads))
    return b"".join((HEADER, *body, TRAILER))


def _head(row: Served) -> bytes:
    """Everything before the vector's numbers, each value led by its length in bytes."""
    return b"".join(
        (
            struct.pack(">h", len(COLUMNS)),
            _instant(row.served_at),
            _text(row.symbol),
            _date(row.session),
            _date(row.for_session),
            *map(_text, (row.arm, row.model_name, row.model_version)),
            struct.pack(">idid", 8, row.probability, 8, row.predicted_return),
            *map(_text, (row.signal, row.source)),
            NULL if row.feature_timestamp is None else _instant(row.feature_timestamp),
            _text(row.feature_hash),
            struct.pack(">ii", 4, row.latency_us),
            _text(feature_set_here()),
            ARRAY_HEAD,
        )
    )


def _instant(moment: dt.datetime) -> bytes:
    return struct.pack(">iq", 8, (moment - EPOCH) // MICROSECOND)


@lru_cache(maxsize=1024)
def _date(day: dt.date) -> bytes:
    return struct.pack(">ii", 4, (day - EPOCH.date()).days)


@lru_cache(maxsize=4096)
def _text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack(">i", len(encoded)) + encoded


@lru_cache(maxsize=1)
def feature_set_here() -> str:
    """Digest of the features that this process serves."""
    return feature_set(FEATURES)


def read(engine: sa.Engine, since: dt.datetime, symbols: Iterable[str] | None = None) -> list[Served]:
    """Answers served at or after a moment, oldest first; features of another set than this process's are left out."""
    columns = served_predictions.c
    query = (
        sa.select(*(columns[name] for name in Served._fields))
        .where(columns.served_at >= since, columns.feature_set == feature_set_here())
        .order_by(columns.id)
    )
    if symbols is not None:
        query = query.where(columns.symbol.in_(list(symbols)))
    with engine.connect() as connection:
        return [Served(*row) for row in connection.execute(query)]
