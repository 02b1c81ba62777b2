"""Rows of a view as CSV and as Parquet, written while they are read, so that any number of them fits."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import types
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from pipeline.views.view import Row, View

if TYPE_CHECKING:
    import pyarrow as pa

EXCHANGE = "_exchange"  # instants with an offset of their own, which Parquet cannot hold
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run a text that begins so; an apostrophe makes it text
MEDIA = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}


def csv_chunks(view: View[Any, Any], batches: Iterable[Sequence[Row]]) -> Iterator[bytes]:
    """Return the rows as CSV with a header, a chunk a batch; missing values are empty, instants ISO 8601."""
    names = list(view.row.model_fields)
    for number, rows in enumerate(batches):
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if number == 0:
            writer.writerow(names)
        writer.writerows([_cell(getattr(row, name)) for name in names] for row in rows)
        yield text.getvalue().encode()


def parquet_chunks(view: View[Any, Any], batches: Iterable[Sequence[Row]]) -> Iterator[bytes]:
    """Return the rows as one Parquet file, a row group a batch."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, sink = arrow_schema(view.row), _Chunks()
    writer = pq.ParquetWriter(pa.PythonFile(sink, mode="w"), schema)
    for rows in batches:
        columns = {name: [_value(name, getattr(row, name)) for row in rows] for name in schema.names}
        writer.write_table(pa.table(columns, schema=schema))
        yield sink.taken()
    writer.close()
    yield sink.taken()


def arrow_schema(row: type[Row]) -> pa.Schema:
    """Return the Arrow schema of a row: fields in their order, instants in UTC, nested values as JSON text."""
    import pyarrow as pa

    kinds: dict[Any, Any] = {float: pa.float64(), int: pa.int64(), bool: pa.bool_(), dt.date: pa.date32()}
    kinds[dt.datetime] = pa.timestamp("us", tz="UTC")
    fields = []
    for name, field in row.model_fields.items():
        kind = _plain(field.annotation)
        fields.append(pa.field(name, pa.string() if name.endswith(EXCHANGE) else kinds.get(kind, pa.string())))
    return pa.schema(fields)


class _Chunks(io.RawIOBase):
    """A file of which what was written can be taken, chunk by chunk."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:  # noqa: ANN401  # any buffer
        part = bytes(data)
        self._parts.append(part)
        return len(part)

    def taken(self) -> bytes:
        """Return what was written since the last call."""
        whole = b"".join(self._parts)
        self._parts.clear()
        return whole


def _plain(annotation: Any) -> Any:  # noqa: ANN401  # a type
    """Return the type behind an optional one or a choice of texts."""
    if get_origin(annotation) in {Union, types.UnionType}:
        (first,) = [kind for kind in get_args(annotation) if kind is not type(None)][:1]
        return _plain(first)
    return str if get_origin(annotation) is Literal else annotation


def _cell(value: Any) -> Any:  # noqa: ANN401  # of a row
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(value, default=_plain_value)
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _plain_value(value: Any) -> Any:  # noqa: ANN401  # of a nested row, or a date
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)


def _value(name: str, value: Any) -> Any:  # noqa: ANN401
    nested = isinstance(value, (list, tuple, dict))
    return _cell(value) if nested or (name.endswith(EXCHANGE) and value is not None) else value
