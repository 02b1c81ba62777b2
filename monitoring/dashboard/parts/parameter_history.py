"""Every version of a strategy's parameters, each with what it changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from monitoring.dashboard import table
from monitoring.dashboard.reading import reading
from monitoring.dashboard.table import Column

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST: Final = 100
COLUMNS: Final = (
    Column("created_at", "Stored", kind="instant"),
    Column("symbol", "Symbol", text=lambda row: row["symbol"] or "all symbols"),
    Column("version", "Version", kind="number", decimals=0),
    Column(
        "enabled",
        "Entries",
        tone=lambda row: "good" if row["enabled"] else "caution",
        text=lambda row: "on" if row["enabled"] else "off",
    ),
    Column("difference", "Changed", wraps=True),
    Column("preset", "Preset"),
    Column("author", "By"),
    Column("reason", "Reason", wraps=True),
)


def draw(strategy: str, symbol: str | None) -> None:
    """Draw the newest versions; without a symbol those of every symbol."""
    with reading() as reader:
        rows = reader.rows(f"/strategies/{strategy}/history", symbol=symbol, limit=MOST + 1)
        table.draw(
            COLUMNS,
            None if rows is None else with_differences(rows),
            caption=f"Versions of {strategy}, newest first",
            empty="No version is stored: the defaults count.",
            most=MOST,
        )


def with_differences(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the versions, newest first, each with the sentence about what it changed."""
    by_version = {(row["symbol"], row["version"]): row for row in rows}
    return [{**row, "difference": difference(row, by_version.get((row["symbol"], row["version"] - 1)))} for row in rows]


def difference(row: Mapping[str, Any], before: Mapping[str, Any] | None) -> str:
    """Return what a version changed; where the version before is not at hand, what it set.

    >>> old = {"version": 1, "params": {"stop_pct": 1.0}, "changed": ["stop_pct"], "enabled": True}
    >>> difference({"version": 2, "params": {"stop_pct": None}, "changed": ["stop_pct"], "enabled": False}, old)
    'switched off; stop_pct 1.0 → none'
    >>> difference({"version": 3, "params": {}, "changed": ["stop_pct"], "enabled": True}, old)
    'reset'
    """
    parts = []
    if before is not None and row["enabled"] != before["enabled"]:
        parts.append("switched on" if row["enabled"] else "switched off")
    if not row["params"]:
        parts += ["reset"] if row["changed"] else [] if parts else ["no parameters of its own"]
        return "; ".join(parts)
    earlier = before["params"] if before else {}
    for name in row["changed"]:
        after = _word(row["params"].get(name))
        parts.append(f"{name} {_word(earlier[name])} → {after}" if name in earlier else f"{name} {after}")
    return "; ".join(parts) or "nothing"


def _word(value: object) -> str:
    return "none" if value is None else str(value)
