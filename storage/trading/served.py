"""Every prediction that the API served, with the features it was computed from.

A row of `trading.predictions` is an input of the daily decision, one a strategy, symbol and session. A row here is one answer
of the API, exactly as it was served, so that its features can be recomputed and its model evaluated.

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
from storage.features.tables import feature_sets
from storage.trading.tables import served_predictions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

ENTRY, NEXT_DAY = "entry", "next_day"
HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
TRAILER = struct.pack(">h", -1)
EPOCH = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
NULL = struct.pack(">i", -1)
FLOAT8 = 701  # type oid
COUNT = len(FEATURES)
ARRAY_HEAD = struct.pack(">iiiiii", 20 + COUNT * 12, 1, 0, FLOAT8, COUNT, 1)  # bytes, dimensions, no NULLs, type, length, base
ELEMENTS = np.array([(8, 0.0)] * COUNT, dtype=[("bytes", ">i4"), ("value", ">f8")])
NUMBER, TEXT = struct.Struct(">id"), struct.Struct(">i")
MICROSECOND = dt.timedelta(microseconds=1)
CHUNK_BYTES = 1 << 20  # psycopg2 takes 8 kB at a time, and the interpreter's lock for each


class Served(NamedTuple):
    """One served prediction. Features are in the order of `core.frames.FEATURES`, NaN where unknown.

    Attributes
    ----------
    kind, strategy
        `ENTRY` with the strategy of the request, or `NEXT_DAY` with none.
    probability, low, high
        Probability that an entry wins; bounds of the next return. None for the other kind.
    """

    served_at: dt.datetime
    kind: str
    strategy: str
    symbol: str
    session: dt.date
    for_session: dt.date
    arm: str
    model_name: str
    model_version: str
    probability: float | None
    predicted_return: float
    low: float | None
    high: float | None
    confidence: float | None
    signal: str
    source: str
    feature_timestamp: dt.datetime | None
    feature_hash: str
    features: Sequence[float]
    latency_us: int


# What changes from answer to answer stands first, what many have in common after it, so that that is encoded once for all.
SHARED = (
    "kind", "strategy", "symbol", "session", "for_session", "arm", "model_name", "model_version", "signal", "source",
    "feature_timestamp",
)  # fmt: skip
OWN = ("served_at", "latency_us", "predicted_return", "confidence", "probability", "low", "high", "feature_hash")
COLUMNS = (*OWN, *SHARED, "feature_set", "features")
HEAD = struct.Struct(">hiqiiid")  # the number of columns, and the first three of `OWN`
# A file that an earlier version left has the columns of that version; their number tells.
BEFORE = (
    "served_at", "symbol", "session", "for_session", "arm", "model_name", "model_version", "probability", "predicted_return",
    "signal", "source", "feature_timestamp", "feature_hash", "latency_us", "feature_set", "features",
)  # fmt: skip
FORMATS = {len(columns): columns for columns in (COLUMNS, BEFORE)}


class ServedPredictions:
    """Rows of `trading.served_predictions`; they are only added."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def name_features(self) -> None:
        """Store the names of a vector's features, once for each feature set."""
        row = {"digest": feature_set(FEATURES), "names": list(FEATURES)}
        with self._engine.begin() as connection:
            connection.execute(insert(feature_sets).values(row).on_conflict_do_nothing())

    def append(self, rows: Sequence[bytes]) -> None:
        """Add rows made by `encode`, all or none."""
        self._copy(io.BytesIO(framed(rows)), COLUMNS)

    def append_file(self, path: Path) -> None:
        """Add the rows of a file made by `framed`, of this version or the one before."""
        with path.open("rb") as file:
            start = file.read(len(HEADER) + 2)
            columns = FORMATS[int.from_bytes(start[-2:], "big")]
            file.seek(0)
            self._copy(file, columns)

    def read(self, since: dt.datetime, symbols: Iterable[str] | None = None) -> list[Served]:
        """Return the predictions served at or after a moment, oldest first; rows of another feature set are left out."""
        columns = served_predictions.c
        query = (
            sa.select(*(columns[name] for name in Served._fields))
            .where(columns.served_at >= since, columns.feature_set == feature_set_here())
            .order_by(columns.id)
        )
        if symbols is not None:
            query = query.where(columns.symbol.in_(list(symbols)))
        with self._engine.connect() as connection:
            return [Served(*row) for row in connection.execute(query)]

    def latency_count(self, since: dt.datetime) -> int:
        """Return the number of predictions served at or after a moment."""
        query = sa.select(sa.func.count()).select_from(served_predictions).where(served_predictions.c.served_at >= since)
        with self._engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def latency_us(self, shares: Sequence[float], since: dt.datetime) -> list[int]:
        """Return the latency at each share of the ordered predictions, in microseconds; nothing without predictions."""
        columns = served_predictions.c
        query = sa.select(
            *(
                sa.func.percentile_disc(share).within_group(columns.latency_us).label(f"at_{i}")
                for i, share in enumerate(shares)
            )
        ).where(columns.served_at >= since)
        with self._engine.connect() as connection:
            row = connection.execute(query).one()
        return [] if row[0] is None else [int(value) for value in row]

    def _copy(self, source: io.BufferedIOBase, columns: Sequence[str]) -> None:
        copy = f"COPY {served_predictions.fullname} ({', '.join(columns)}) FROM STDIN WITH (FORMAT binary)"
        with self._engine.begin() as connection:
            connection.connection.cursor().copy_expert(copy, source, CHUNK_BYTES)


def framed(rows: Iterable[bytes]) -> bytes:
    """Return encoded rows as one message in the binary format of COPY."""
    return b"".join((HEADER, *rows, TRAILER))


def encode(row: Served, vector: bytes | None = None) -> bytes:
    """Encode a row for COPY, each value led by its length in bytes.

    Parameters
    ----------
    vector
        `vector_of` the features, where it is computed already.
    """
    (
        served_at, kind, strategy, symbol, session, for_session, arm, name, version, probability, expected, low, high,
        confidence, signal, source, seen, digest, features, latency_us,
    ) = row  # fmt: skip
    return b"".join(
        (
            HEAD.pack(len(COLUMNS), 8, (served_at - EPOCH) // MICROSECOND, 4, latency_us, 8, expected),
            NULL if confidence is None else NUMBER.pack(8, confidence),
            NULL if probability is None else NUMBER.pack(8, probability),
            NULL if low is None else NUMBER.pack(8, low),
            NULL if high is None else NUMBER.pack(8, high),
            TEXT.pack(len(digest)),
            digest.encode(),
            _shared(kind, strategy, symbol, session, for_session, arm, name, version, signal, source, seen),
            vector_of(features) if vector is None else vector,
        )
    )


def vector_of(values: Sequence[float]) -> bytes:
    """Encode a vector's numbers, each led by its length."""
    elements = ELEMENTS.copy()
    elements["value"] = values
    return elements.tobytes()


@lru_cache(maxsize=4096)
def _shared(*values: str | dt.date | dt.datetime | None) -> bytes:
    """Encode the values of `SHARED` and the head of the vector."""
    return b"".join((*map(_value, values), _value(feature_set_here()), ARRAY_HEAD))


def _value(value: str | dt.date | dt.datetime | None) -> bytes:
    if value is None:
        return NULL
    if isinstance(value, dt.datetime):
        return struct.pack(">iq", 8, (value - EPOCH) // MICROSECOND)
    if isinstance(value, dt.date):
        return struct.pack(">ii", 4, (value - EPOCH.date()).days)
    encoded = value.encode()
    return TEXT.pack(len(encoded)) + encoded


@lru_cache(maxsize=1)
def feature_set_here() -> str:
    """Return the digest of the features that this process serves."""
    return feature_set(FEATURES)
