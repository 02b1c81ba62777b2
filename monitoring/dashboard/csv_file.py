"""Rows as a CSV file, for what the API answers as one object and exports no file of. Views are exported by the API itself."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run a text that begins so; an apostrophe makes it text


def of_rows(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the rows with a header; missing values are empty, lists and objects JSON.

    >>> of_rows([{"sleeve": "=1+1", "trades": 3, "live_sharpe": None}]).decode().splitlines()
    ['sleeve,trades,live_sharpe', "'=1+1,3,"]
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer.writerow(names)
    writer.writerows([_cell(row.get(name)) for name in names] for row in rows)
    return text.getvalue().encode()


def of_columns(columns: Mapping[str, Sequence[Any]]) -> bytes:
    """Return columns of equal length with a header.

    >>> of_columns({"session": ["2026-03-02"], "gap_usd": [-1.5]}).decode().splitlines()
    ['session,gap_usd', '2026-03-02,-1.5']
    """
    names = list(columns)
    return of_rows([dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)])


def _cell(value: Any) -> Any:  # noqa: ANN401  # whatever JSON holds
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA) else value
    return json.dumps(value) if isinstance(value, list | dict) else value
