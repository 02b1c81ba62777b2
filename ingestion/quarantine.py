"""Build the quarantine of a batch, with the original text of each refused row, and count what is new in it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from core.frames import BARS, QUARANTINE
from ingestion.normalise import column_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ingestion.providers.base import Origin

PLACE = ("file", "line", "row")  # keys of a payload that say where its row stood, not what it said


class Reason(NamedTuple):
    """A row of a batch, the expectation that it breaks, and the sentence for it."""

    row: int
    name: str
    detail: str


@dataclass(frozen=True)
class NewBars:
    """Part of a batch that was not judged before.

    Attributes
    ----------
    bars, bad
        Bars that are neither stored nor quarantined already, and the refused ones among them.
    judged_over
        Bars that the bad ones are compared with: the new ones, but not fewer than would let one bad bar reject a batch.
    """

    bars: int
    bad: int
    judged_over: int

    @property
    def bad_fraction(self) -> float:
        """Bad bars by the bars that they are compared with."""
        return self.bad / self.judged_over if self.judged_over else 0.0


def describe(values: Mapping[str, Any], columns: Sequence[str], origin: Origin | None) -> str:
    """Return what stood in the columns of a refused row: the original text where the source has it, with file and line."""
    written = {column_name(column): text for column, text in (origin.text if origin else {}).items()}
    parts = [f"{name}={written[name]!r}" if name in written else f"{name}={values[name]}" for name in columns]
    where = f" in {origin.file}, {origin.unit} {origin.line}" if origin else ""
    return ", ".join(parts) + where


def quarantine_rows(rows: pd.DataFrame, reasons: Sequence[Reason], origins: Mapping[int, Origin]) -> pd.DataFrame:
    """Return one row per symbol, session and reason; the payload of duplicates is the list of their rows.

    Parameters
    ----------
    rows
        The batch, columns of `core.frames.BARS`.
    origins
        Where refused rows were read from, by row: the payload gets the file, the line and the text of every field.
    """
    if not reasons:
        return QUARANTINE.empty()
    refused = pd.DataFrame(reasons, columns=["row", "reason", "detail"])
    table = rows.loc[refused["row"]].reset_index(drop=True).assign(reason=refused["reason"], detail=refused["detail"])
    read = table[list(BARS.columns)].to_json(orient="records", lines=True, date_format="iso").splitlines()
    table["payload"] = [_with_origin(text, origins.get(row)) for text, row in zip(read, refused["row"], strict=True)]
    table["symbol"] = table["symbol"].fillna("").astype(object)
    # Rows without a session are not rows of one bar: each stays by itself.
    table["apart"] = refused["row"].where(table["session"].isna(), -1)
    groups = table.groupby(["symbol", "session", "reason", "apart"], dropna=False, sort=False)
    merged = groups.agg({"detail": "first", "payload": _one_payload})
    return QUARANTINE.coerce(merged.reset_index())


def count_new(
    good: pd.DataFrame, refused: pd.DataFrame, stored: pd.DataFrame | None, known_bad: pd.DataFrame | None, *, most: float
) -> NewBars:
    """Count the bars of a batch that are new, and the bad ones among them.

    A bar counts once, however often it comes, and is bad when no row of it is good. A good bar is new until it is stored. A bad
    one is new until it was quarantined before, for a symbol that has stored bars. Rows without a symbol are nobody's.

    Parameters
    ----------
    good, refused
        BARS and QUARANTINE of the batch.
    stored
        `symbol` and `session` of the bars in the store.
    known_bad
        QUARANTINE, as quarantined before.
    most
        The fraction that may be bad. One bad bar alone never exceeds it, unless it is 0: few bars prove nothing.
    """
    have = set() if stored is None else _keys(stored)
    fine = _keys(good)
    bad = _keys(refused) - fine
    with_history = {symbol for symbol, _, _ in have}
    known = set() if known_bad is None else {key for key in _keys(known_bad) if key[0] in with_history}
    new_good, new_bad = len(fine - have), len(bad - known)
    enough = math.ceil(1 / most) if most > 0 else 1
    in_batch = len(fine) + new_bad
    symbols = len({symbol for symbol, _, _ in fine | bad})
    return NewBars(new_good + new_bad, new_bad, max(new_good + new_bad, min(in_batch, enough * symbols), enough))


def _keys(frame: pd.DataFrame) -> set[tuple[str, pd.Timestamp | None, str]]:
    """Return what names each bar: symbol and session, or the text of a row whose session is unreadable."""
    dated = frame[frame["session"].notna() & (frame["symbol"] != "")]
    undated = frame[frame["session"].isna() & (frame["symbol"] != "")]
    keys: set[tuple[str, pd.Timestamp | None, str]] = {
        (symbol, session, "") for symbol, session in zip(dated["symbol"], dated["session"], strict=True)
    }
    return keys | {(row["symbol"], None, _said(row["payload"])) for row in undated.to_dict("records")}


def _said(payload: str) -> str:
    """Return what a refused row said, in one spelling, without where it stood: lines move."""
    row = json.loads(payload)
    return json.dumps({name: value for name, value in row.items() if name not in PLACE}, sort_keys=True)


def _with_origin(read: str, origin: Origin | None) -> str:
    if origin is None:
        return read
    return json.dumps({**json.loads(read), "file": origin.file, origin.unit: origin.line, "text": dict(origin.text)})


def _one_payload(texts: pd.Series) -> str:
    return str(texts.iloc[0]) if len(texts) == 1 else f"[{','.join(texts)}]"
