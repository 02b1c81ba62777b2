"""Things that need a person: open alerts, deployments that may open nothing, failed steps of the newest evening."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from monitoring.dashboard import figures, table
from monitoring.dashboard.table import Column, Tone

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TONES: Final[dict[str, Tone]] = {"critical": "bad", "warning": "caution", "failed": "bad", "blocked": "caution"}
COLUMNS: Final = (
    Column("severity", "Severity", tone=lambda row: TONES.get(row["severity"], "")),
    Column("source", "From"),
    Column("book", "Book"),
    Column("subject", "What", wraps=True),
    Column("since", "Since"),
    Column("state", "State"),
)


def draw(
    alerts: Sequence[Mapping[str, Any]] | None,
    deployments: Sequence[Mapping[str, Any]] | None,
    evenings: Sequence[Mapping[str, Any]] | None,
) -> None:
    """Draw the table of what needs a person; None: the API did not say."""
    rows = (
        None if alerts is None and deployments is None and evenings is None else attention_rows(alerts, deployments, evenings)
    )
    missing = alerts is None or deployments is None or evenings is None
    empty = table.MISSING if missing else "Nothing: no open alert, no blocked entries, no failed step."
    table.draw(COLUMNS, rows, caption="Needs a person", empty=empty, most=50, rest="The page Alerts has all alerts.")


def attention_rows(
    alerts: Sequence[Mapping[str, Any]] | None,
    deployments: Sequence[Mapping[str, Any]] | None,
    evenings: Sequence[Mapping[str, Any]] | None,
) -> list[dict[str, Any]]:
    """Return the rows, failed steps and critical alerts first."""
    rows = [*_failures(evenings or []), *map(_alert, alerts or []), *_blocks(deployments or [])]
    return sorted(rows, key=lambda row: {"bad": 0, "caution": 1}.get(TONES.get(row["severity"], ""), 2))


def _alert(row: Mapping[str, Any]) -> dict[str, Any]:
    taken = f"acknowledged by {row['acknowledged_by']}" if row["state"] == "acknowledged" else "open"
    return {
        "severity": row["severity"],
        "source": "alert",
        "book": row["book"] or "the desk",
        "subject": row["subject"],
        "since": figures.instant(row["raised_at"]),
        "state": taken,
    }


def _blocks(deployments: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "severity": "blocked",
            "source": "deployment",
            "book": row["name"],
            "subject": reason,
            "since": None,
            "state": "opens nothing",
        }
        for row in deployments
        if row["state"] != "retired"
        for reason in row["entries_blocked"]
    ]


def _failures(evenings: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the failures of the newest evening; older ones are on the page Evening."""
    newest = max((row["session"] for row in evenings), default=None)
    return [
        {
            "severity": "failed",
            "source": f"evening of {newest}",
            "book": row["book"] or "the desk",
            "subject": row["problem"],
            "since": figures.instant(row["ended_at"] or row["started_at"]),
            "state": row["outcome"],
        }
        for row in evenings
        if row["session"] == newest and row["problem"]
    ]
