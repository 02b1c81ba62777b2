"""The view of A/B tests: the arms, the effect with its interval, the samples so far, and what stands against a decision."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.resources import Resources, live
from pipeline.views.view import MOST_ROWS, After, Filter, Row, View

State = Literal["running", "promoted", "kept", "superseded"]
ENDED: dict[str, State] = {"promote": "promoted", "keep": "kept"}
NOT_JUDGED = "It has not been judged yet: model_ab_judge does so after each close."


class AbTestFilter(Filter):
    """A/B tests of one model."""

    model: Annotated[str | None, Field(max_length=100, pattern=r"^[^\x00]+$", description="Registered name.")] = None


class AbComparison(Row):
    """One challenger against the champion, by the newest judgement."""

    challenger: str
    effect: Annotated[float | None, Field(description="What the challenger gains on the champion, in `unit`.")]
    low: Annotated[float | None, Field(description="Low end of the interval; null: too few sessions.")]
    high: float | None
    unit: Literal["bps a candidate", "% of the champion's squared error"]
    candidates: Annotated[int | None, Field(description="Settled candidates; null where every row is compared.")]
    pairs: Annotated[int, Field(description="Those on which the two disagreed.")]
    blocks: Annotated[int | None, Field(description="Blocks of sessions that hold one of these.")]
    p_value: Annotated[float, Field(description="One-sided, of the sign-flip test.")]


class AbTestRow(Row):
    """An A/B test and its newest judgement."""

    name: str
    model: Annotated[str, Field(description="Registered name.")]
    champion: Annotated[str, Field(description="Version of the champion when it began.")]
    challengers: list[str]
    state: Annotated[State, Field(description="superseded: another version became champion before a decision.")]
    created_at: dt.datetime
    first_session: dt.date
    session: Annotated[dt.date | None, Field(description="Of the newest judgement; null before the first.")]
    decided_at: dt.datetime | None
    promoted: Annotated[str | None, Field(description="The challenger that won.")]
    reason: Annotated[str, Field(description="Of the newest judgement.")]
    settled_sessions: Annotated[int | None, Field(description="Sessions whose outcomes are all known.")]
    comparisons: list[AbComparison]
    spa_p_value: Annotated[float | None, Field(description="Hansen's test, where there are several challengers.")]
    assigned: Annotated[dict[str, int], Field(description="Candidates that each version decides.")]
    last_assigned: dt.date | None
    void: Annotated[int | None, Field(description="Assignments left out: the entry is none any longer.")]
    late: Annotated[int | None, Field(description="Assignments left out: written after the open that they were for.")]
    terms: Annotated[
        dict[str, Any], Field(description="Agreed before the first outcome: share, sessions, least samples, level.")
    ]
    blocking: Annotated[list[str], Field(description="What stands against a decision, or against the promotion.")]


def read_ab_tests(
    wanted: AbTestFilter, after: After = None, limit: int = MOST_ROWS, *, resources: Resources | None = None
) -> Sequence[AbTestRow]:
    """Return A/B tests, newest first."""
    resources = resources or live()
    return [_ab_test(row) for row in resources.model_pages.ab_tests(wanted.model, after, limit)]


def _ab_test(row: Mapping[str, Any]) -> AbTestRow:
    report: Mapping[str, Any] = row["decision_report"] or {}
    kind: str | None = row["decision_kind"]
    state = ENDED.get(kind or "", "superseded" if row["champion_moved"] else "running")
    return AbTestRow(
        name=row["name"],
        model=row["model_name"],
        champion=row["champion"],
        challengers=row["challengers"],
        state=state,
        created_at=row["created_at"],
        first_session=row["first_session"],
        session=row["decision_session"],
        decided_at=row["decided_at"],
        promoted=row["decision_challenger"],
        reason=row["decision_reason"] or "",
        settled_sessions=report.get("sessions"),
        comparisons=[_comparison(each, "unit" in report) for each in report.get("comparisons", ())],
        spa_p_value=report.get("spa"),
        assigned=row["assigned"] or {},
        last_assigned=row["last_assigned"],
        void=report.get("void"),
        late=report.get("late"),
        terms=row["terms"],
        blocking=_blocking(row, state, report),
    )


def _comparison(stored: Mapping[str, Any], is_next_day: bool) -> AbComparison:
    paired, factor = stored["paired"], 100.0 if is_next_day else 1e4
    effect, low, high = (None if paired[name] is None else factor * paired[name] for name in ("value", "low", "high"))
    return AbComparison(
        challenger=stored["challenger"],
        effect=effect,
        low=low,
        high=high,
        unit="% of the champion's squared error" if is_next_day else "bps a candidate",
        candidates=stored.get("candidates"),
        pairs=stored["pairs"],
        blocks=stored.get("blocks"),
        p_value=stored["p_value"],
    )


def _blocking(row: Mapping[str, Any], state: State, report: Mapping[str, Any]) -> list[str]:
    objections = [str(each) for each in report.get("blocked", ())]
    if state != "running":
        return objections
    return [*objections, row["decision_reason"] or NOT_JUDGED]


AB_TESTS = View(
    name="ab-tests",
    summary="A/B tests of challengers against the champion, newest first.",
    filter=AbTestFilter,
    row=AbTestRow,
    read=read_ab_tests,
    key=("created_at", "name"),
    shown=("name", "state", "champion", "challengers", "first_session", "session", "settled_sessions", "reason"),
)
