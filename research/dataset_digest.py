"""Content digests of bars and corporate actions: the same for any order of rows, on any machine."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final

import numpy as np

from core.frames import PRICES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd
    from numpy.typing import NDArray

    Parts = Mapping[str, Mapping[str, tuple[int, str]]]

VALUES: Final = (*PRICES, "adj_close", "volume")
ACTIONS_PART: Final = "actions"


def digest_parts(bars: pd.DataFrame, actions: pd.DataFrame) -> dict[str, dict[str, tuple[int, str]]]:
    """Return the number of rows and the SHA-256 of each symbol's bars by month (``2018-03``), and of its actions.

    Parameters
    ----------
    bars
        BARS, any order of rows; other columns are ignored.
    actions
        ACTIONS, any order of rows.
    """
    ordered = bars.sort_values(["symbol", "session"], kind="stable")
    symbols = ordered["symbol"].to_numpy(dtype=object)
    months = ordered["session"].to_numpy().astype("datetime64[M]")
    rows = _as_bytes(ordered)
    starts = np.flatnonzero(np.r_[True, (symbols[1:] != symbols[:-1]) | (months[1:] != months[:-1])][: len(ordered)])
    parts: dict[str, dict[str, tuple[int, str]]] = {}
    for start, end in zip(starts, [*starts[1:], len(ordered)], strict=True):
        digest = hashlib.sha256(rows[start:end].tobytes()).hexdigest()
        parts.setdefault(str(symbols[start]), {})[str(months[start])] = (int(end - start), digest)
    for symbol, frame in actions.groupby("symbol"):
        recorded = sorted(_action_rows(frame))
        digest = hashlib.sha256(json.dumps(recorded).encode()).hexdigest()
        parts.setdefault(str(symbol), {})[ACTIONS_PART] = (len(recorded), digest)
    return parts


def digest_of(parts: Parts) -> str:
    """Return the SHA-256 over all parts."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def differences(expected: Parts, found: Parts) -> list[str]:
    """Return a phrase for each part that is not the same: symbol, month, and the numbers of rows."""
    phrases = []
    for symbol in sorted({*expected, *found}):
        then, now = expected.get(symbol, {}), found.get(symbol, {})
        for part in sorted({*then, *now}):
            (had, old), (has, new) = then.get(part, (0, "")), now.get(part, (0, ""))
            if old == new:
                continue
            unit = "" if part == ACTIONS_PART else " bars"
            many = f"{had}{unit} frozen, {has} found" if had != has else f"{had}{unit}, other values"
            phrases.append(f"{symbol} {part} ({many})")
    return phrases


def _as_bytes(bars: pd.DataFrame) -> NDArray[np.int64]:
    """Return session and values as little-endian integers of 8 bytes, shape (bars, 7); a negative zero is zero."""
    days = bars["session"].to_numpy().astype("datetime64[D]").astype("<i8")
    values = (bars[name].to_numpy(dtype=np.float64) + 0.0 for name in VALUES)
    return np.column_stack([days, *(each.astype("<f8").view("<i8") for each in values)])


def _action_rows(frame: pd.DataFrame) -> Iterator[tuple[str, str, str]]:
    for session, kind, value in zip(frame["session"], frame["kind"], frame["value"], strict=True):
        yield f"{session:%Y-%m-%d}", str(kind), float(value).hex()
