"""Tables of the page of models: their columns, and the rows of A/B tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitoring.dashboard import figures
from monitoring.dashboard.table import Column, Tone

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

STATES: dict[str, Tone] = {"running": "caution", "promoted": "good"}
ARMS: dict[str, Tone] = {"champion": "good"}
GATES: dict[bool | None, tuple[str, Tone]] = {
    True: ("passed", "good"),
    False: ("held back", "bad"),
    None: ("not on record", ""),
}


def comparisons(tests: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return one row for each challenger of each test, by the newest judgement; a test without one has its challengers."""
    return [
        {**test, **compared}
        for test in tests
        for compared in (test["comparisons"] or [{"challenger": each} for each in test["challengers"]])
    ]


def _interval(row: Mapping[str, Any]) -> str:
    if row.get("low") is None or row.get("high") is None:
        return "too few sessions" if row.get("pairs") is not None else "not judged yet"
    return f"{figures.signed(row['low'], 1)} to {figures.signed(row['high'], 1)}"


def _assigned(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{version}: {many:,}" for version, many in row["assigned"].items()) or "none"


def _versions(*metrics: Column) -> tuple[Column, ...]:
    """Return the columns of a kind of model, with the figures that it has."""
    return (
        Column("version", "Version", link=lambda row: row["version_url"]),
        Column(
            "aliases",
            "Alias",
            text=lambda row: ", ".join(row["aliases"]) or "none",
            tone=lambda row: "good" if "champion" in row["aliases"] else "",
        ),
        Column("age_days", "Age", "days", kind="number", decimals=0),
        Column("trained_through", "Trained through"),
        Column("passed", "Gates", text=lambda row: GATES[row["passed"]][0], tone=lambda row: GATES[row["passed"]][1]),
        *metrics,
        Column("run_url", "Run", text=lambda row: "in MLflow" if row["run_url"] else "gone", link=lambda row: row["run_url"]),
        Column(
            "training_url",
            "Training",
            text=lambda row: "in MLflow" if row["training_url"] else "none",
            link=lambda row: row["training_url"],
        ),
        Column("registered_at", "Registered", kind="instant"),
        Column("objections", "Held against it", text=lambda row: "; ".join(row["objections"]) or "nothing", wraps=True),
    )


def _metric(name: str, label: str, unit: str = "", *, group: str = "metrics", decimals: int = 3) -> Column:
    """Return the column of a figure that stands in a group of a version."""
    return Column(
        name, label, unit, kind="number", text=lambda row: figures.number(row[group].get(name), decimals)
    )  # a number on the right


VERSIONS: dict[str, Sequence[Column]] = {
    "entry": _versions(
        _metric("auc", "AUC"),
        _metric("log_loss", "Log loss"),
        _metric("calibration_error", "Calibration error"),
        _metric("lift/difference", "Lift", "points a year", group="training_metrics", decimals=2),
    ),
    "next_day": _versions(
        _metric("rmse", "RMSE", decimals=5),
        _metric("r2_against_mean", "R² against the mean", decimals=4),
        _metric("rank_ic", "Rank IC"),
        _metric("coverage", "Coverage"),
    ),
}
SERVING = (
    Column("kind", "Model", text=lambda row: "entry filter" if row["kind"] == "entry" else "next day"),
    Column("arm", "Role", tone=lambda row: ARMS.get(row["arm"], "")),
    Column("name", "Name"),
    Column("version", "Version"),
    Column("trained_through", "Trained through"),
    Column("strategies", "Strategies", text=lambda row: ", ".join(row["strategies"]) or "every bar"),
    Column("loaded_at", "Loaded", kind="instant"),
)
AB_TESTS = (
    Column("name", "Test"),
    Column("state", "State", tone=lambda row: STATES.get(row["state"], "")),
    Column("champion", "Champion"),
    Column("challenger", "Challenger"),
    Column("effect", "Effect", kind="signed", decimals=1),
    Column("low", "Interval", text=_interval),
    Column("unit", "Unit"),
    Column("p_value", "p", kind="number", decimals=3),
    Column("pairs", "Disagreements", kind="number", decimals=0),
    Column("candidates", "Candidates", kind="number", decimals=0),
    Column("settled_sessions", "Sessions settled", kind="number", decimals=0),
    Column("assigned", "Assigned", text=_assigned),
    Column("first_session", "From"),
    Column("session", "Judged through"),
    Column("reason", "Newest judgement", text=lambda row: row["reason"] or "none yet", wraps=True),
)
DRIFT = (
    Column("family", "Family"),
    Column("name", "Name"),
    Column(
        "alert",
        "State",
        text=lambda row: "alert" if row["alert"] else "calm",
        tone=lambda row: "bad" if row["alert"] else "good",
    ),
    Column("psi", "Stability index", kind="number", decimals=3),
    Column("statistic", "Distance", kind="number", decimals=3),
    Column("p_value", "p", kind="number", decimals=3),
    Column("reference_mean", "Mean of the training", kind="number", decimals=4),
    Column("recent_mean", "Recent mean", kind="number", decimals=4),
    Column("recent_count", "Recent rows", kind="number", decimals=0),
    Column("session", "Session"),
    Column("detail", "Detail", text=lambda row: row["detail"], wraps=True),
)
PROMOTIONS = (
    Column("created_at", "At", kind="instant"),
    Column("model", "Model"),
    Column("kind", "Kind"),
    Column("from_version", "From", text=lambda row: row["from_version"] or "none"),
    Column("to_version", "To"),
    Column("author", "By"),
    Column("reason", "Reason", wraps=True),
)
