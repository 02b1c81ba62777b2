"""Health lights: the API's readiness and every check, those that fail first with what they found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from monitoring.dashboard import figures, table
from monitoring.dashboard.table import Tone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitoring.dashboard.reading import Reader

Light = tuple[str, Tone, str]
STATES: Final[dict[str, Tone]] = {"green": "good", "amber": "caution", "red": "bad"}
SEVERITIES: Final[dict[str, Tone]] = {"critical": "bad", "warning": "caution"}


def draw(reader: Reader) -> None:
    """Draw the lights of the API, its database and every check."""
    ready: Mapping[str, Any] = reader.content("/readyz", (503,)) or {}
    report: Mapping[str, Any] = reader.content("/health") or {}
    table.lights([*readiness(ready), *checks(report)], caption=caption(report))


def caption(report: Mapping[str, Any]) -> str:
    """Return the line above the lights: how many checks pass, and when they ran."""
    results = report.get("checks", [])
    if not results:
        return "Health: the checks are not available."
    passed = sum(each["healthy"] for each in results)
    return f"Health: {passed} of {len(results)} checks pass, {figures.instant(report['at'])}"


def readiness(ready: Mapping[str, Any]) -> list[Light]:
    """Return the lights of predictions and of the database."""
    state, database = str(ready.get("state", "unknown")), str(ready.get("database", "unknown"))
    trouble = "; ".join(str(each) for each in ready.get("trouble", []))
    return [
        ("API", STATES.get(state, "bad"), f"{state}: {trouble}" if trouble else state),
        ("database", "good" if database == "answers" else "bad", database),
    ]


def checks(report: Mapping[str, Any]) -> list[Light]:
    """Return a light for each check, failures first."""
    results = sorted(report.get("checks", []), key=lambda each: bool(each["healthy"]))
    return [
        (str(each["name"]), "good", "ok")
        if each["healthy"]
        else (str(each["name"]), SEVERITIES.get(each["severity"], "caution"), str(each["detail"]))
        for each in results
    ]
