"""Limits with their use and distance, and the frequency of trades against what was expected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from monitoring.dashboard import figures, table
from monitoring.dashboard.table import Column, Tone

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PERCENT: Final = 100.0
STATES: Final[dict[str, Tone]] = {"ok": "good", "warning": "caution", "breach": "bad"}
BOUNDS: Final[dict[str, str]] = {
    "trade_frequency": "expected",
    "trade_frequency_most": "at most",
    "trade_frequency_least": "at least",
    "no_trade": "without an entry, at most",
}
FREQUENCY: Final = frozenset({"trade_frequency", "trade_frequency_most", "trade_frequency_least", "no_trade"})


def tone(row: Mapping[str, Any]) -> Tone:
    """Return how a limit's state is to be taken."""
    return STATES.get(str(row["state"]), "")


def bar(row: Mapping[str, Any]) -> float | None:
    """Return how much of a limit is used, in %: 100 at the limit and beyond, also where the limit is a least value.

    >>> bar({"distance_pct": 25.0, "distance": 1.0}), bar({"distance_pct": -3.0, "distance": -1.0})
    (75.0, 100.0)
    >>> bar({"distance_pct": None, "distance": 0.0}), bar({"distance_pct": None, "distance": None})
    (0.0, None)
    """
    distance, share = row["distance"], row["distance_pct"]
    if share is not None:
        return min(PERCENT, max(0.0, PERCENT - float(share)))
    return None if distance is None else PERCENT if distance < 0 else 0.0  # a limit of 0 is kept or broken


COLUMNS: Final = (
    Column("limit", "Limit", text=lambda row: str(row["limit"]).replace("_", " ")),
    Column("state", "State", tone=tone),
    Column("used", "Used", kind="number", bar=bar),
    Column("limit_value", "Limit", kind="number"),
    Column("distance", "Distance", kind="number"),
    Column("distance_pct", "Distance", "% of it", kind="number", decimals=1),
    Column("unit", "Unit", wraps=True),
    Column("subject", "Of"),
    Column("note", "Note", wraps=True),
    Column("setting", "Setting"),
)
EXPECTED: Final = (
    Column("subject", "Sleeve", text=lambda row: str(row["subject"] or "all of the book")),
    Column("limit", "Bound", text=lambda row: BOUNDS.get(str(row["limit"]), str(row["limit"]))),
    Column("state", "State", tone=tone),
    Column("used", "Measured", kind="number", decimals=3),
    Column("limit_value", "Bound", kind="number", decimals=3),
    Column("distance", "Distance", kind="number", decimals=3),
    Column("unit", "Unit"),
    Column("note", "Note", wraps=True),
)


def draw(rows: Sequence[Mapping[str, Any]] | None) -> None:
    """Draw every limit but those of the trades' frequency."""
    others = None if rows is None else [row for row in rows if row["limit"] not in FREQUENCY]
    table.draw(COLUMNS, others, caption="Limits: the bar is full at the limit", empty="No limit is on: `desk risk --off`.")


def draw_frequency(rows: Sequence[Mapping[str, Any]] | None) -> None:
    """Draw the frequency of trades against what the backtest lets expect."""
    chosen = None if rows is None else [row for row in rows if row["limit"] in FREQUENCY]
    table.draw(
        EXPECTED,
        chosen,
        caption="Frequency of trades against the expected one",
        empty="Nothing to compare: no backtest of the book's sleeves promises a frequency yet.",
    )


def card(label: str, row: Mapping[str, Any] | None, words: str) -> tuple[str, str, str] | None:
    """Return a limit as a card: the figure, and below it the distance and the state; None without the limit."""
    if row is None:
        return None
    used = figures.number(row["used"], 2)
    figure = f"{table.SIGNS[tone(row)]}{used} {row['unit']}"
    room, limit = figures.number(row["distance"], 2), figures.number(row["limit_value"], 2)
    about = f"{row['state']}: {room} {words} {limit}"
    return label, figure, about if row["used"] is not None else f"{row['state']}: {row['note'] or 'not measured'}"
