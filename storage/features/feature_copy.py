"""Encode `FEATURE_FRAME` in PostgreSQL's binary COPY format.

As text the database formats and parses thirty numbers a row, which takes longer than storing them. In binary a row is the
number of its fields and, for each, its size and its bytes, big-endian; a NULL is the size -1 alone
(https://www.postgresql.org/docs/current/sql-copy.html). Rows are laid out side by side at one width, and the bytes that they
do not need are left out: the rest of a short symbol, the value of a NULL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from core.frames import FEATURE_FRAME, FEATURES

if TYPE_CHECKING:
    import pandas as pd

HEADER, TRAILER = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
EPOCH = np.datetime64("2000-01-01", "D")  # days and microseconds count from here
SIZE_BYTES, NUMBER_BYTES, NULL = 4, 8, -1


def binary_sheet(frame: pd.DataFrame) -> bytes:
    """Encode the columns in their order: text, date, two instants to the microsecond, and floats with every bit.

    Parameters
    ----------
    frame
        `FEATURE_FRAME`; NaN becomes NULL.
    """
    symbols = np.char.encode(frame["symbol"].to_numpy(dtype=np.str_), "utf-8")
    lengths = np.char.str_len(symbols)
    values = frame[list(FEATURES)].to_numpy()
    present = ~np.isnan(values)
    rows = np.zeros(len(frame), dtype=_layout(symbols.dtype))
    rows["fields"] = len(FEATURE_FRAME.columns)
    _fill(rows["symbol"], lengths, symbols)
    _fill(rows["session"], SIZE_BYTES, (frame["session"].to_numpy("datetime64[D]") - EPOCH).astype(np.int64))
    for name in ("event_timestamp", "created_timestamp"):
        _fill(rows[name], NUMBER_BYTES, (frame[name].to_numpy("datetime64[us]") - EPOCH).astype(np.int64))
    _fill(rows["features"], np.where(present, NUMBER_BYTES, NULL), values)
    return HEADER + _needed(rows, lengths, present) + TRAILER


def _layout(text: np.dtype[Any]) -> np.dtype[Any]:
    """Return the layout of a row whose symbol and values all take their full width."""
    kinds = {"symbol": text, "session": ">i4", "event_timestamp": ">i8", "created_timestamp": ">i8"}
    fields = [(name, [("size", ">i4"), ("value", kind)]) for name, kind in kinds.items()]
    return np.dtype([("fields", ">i2"), *fields, ("features", [("size", ">i4"), ("value", ">f8")], len(FEATURES))])


def _fill(field: np.ndarray[Any, Any], size: Any, value: np.ndarray[Any, Any]) -> None:  # noqa: ANN401  # one or many
    field["size"], field["value"] = size, value


def _needed(rows: np.ndarray[Any, Any], lengths: np.ndarray[Any, Any], present: np.ndarray[Any, Any]) -> bytes:
    """Return the bytes of all rows without the rest of short symbols and the values of NULLs."""
    width = rows.dtype["symbol"]["value"].itemsize
    symbol = rows.dtype.fields["symbol"][1] + SIZE_BYTES
    features = rows.dtype.fields["features"][1]
    needed = np.ones((len(rows), rows.dtype.itemsize), dtype=np.bool_)
    needed[:, symbol : symbol + width] = np.arange(width) < lengths[:, None]
    needed[:, features:].reshape(*present.shape, SIZE_BYTES + NUMBER_BYTES)[:, :, SIZE_BYTES:] = present[:, :, None]
    return rows.view(np.uint8)[needed.ravel()].tobytes()
