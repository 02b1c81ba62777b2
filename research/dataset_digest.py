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
    parts: dict[str, dict[str, tuple[int, str]]] = {}
    ordered = bars.sort_values(["symbol", "session"], kind="stable")
    months = ordered["session"].to_numpy().astype("datetime64[M]").astype(str)
    for (symbol, month), frame in ordered.groupby(["symbol", months]):
        parts.setdefault(str(symbol), {})[str(month)] = (len(frame), _digest_bars(frame))
    for symbol, frame in actions.groupby("symbol"):
        rows = sorted(_action_rows(frame))
        parts.setdefault(str(symbol), {})[ACTIONS_PART] = (len(rows), hashlib.sha256(json.dumps(rows).encode()).hexdigest())
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


def _digest_bars(frame: pd.DataFrame) -> str:
    """Hash sessions and values as little-endian bytes; a negative zero is zero."""
    made = hashlib.sha256(frame["session"].to_numpy().astype("datetime64[D]").astype("<i8").tobytes())
    for name in VALUES:
        made.update((frame[name].to_numpy(dtype=np.float64) + 0.0).astype("<f8").tobytes())
    return made.hexdigest()


def _action_rows(frame: pd.DataFrame) -> Iterator[tuple[str, str, str]]:
    for session, kind, value in zip(frame["session"], frame["kind"], frame["value"], strict=True):
        yield f"{session:%Y-%m-%d}", str(kind), float(value).hex()
