"""Views of signals and of candidates: the filter's answer, the refusals and the order of each, newest first."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.resources import Resources, live
from pipeline.views.exchange_time import at_exchange
from pipeline.views.trades import SIDES, Side
from pipeline.views.view import MOST_ROWS, After, Row, SessionFilter, View

Entry = Literal["long", "short", "none"]
ENTRIES: dict[int, Entry] = {**SIDES, 0: "none"}
Outcome = Literal["ordered", "skipped", "refused", "unanswered", "undecided"]


class SignalFilter(SessionFilter):
    """Signals of a sleeve, a symbol or a span of sessions."""

    entries: Annotated[bool, Field(description="Entries alone.")] = True


class SignalRow(Row):
    """A signal of a sleeve's rule for a symbol at a close."""

    sleeve: str
    symbol: str
    session: dt.date
    entry: Entry
    exit_long: bool
    exit_short: bool
    stop_pct: Annotated[float | None, Field(description="Distance of the stop from the raw entry price, in %.")]
    target_pct: float | None
    strength: Annotated[float | None, Field(description="Rank among the candidates of its session; higher is first.")]
    close: float
    mean_price: Annotated[float | None, Field(description="Average at the close; null: a strategy without a band.")]
    band_price: Annotated[float | None, Field(description="Band at the close, beyond which the rule enters.")]
    filtered: Annotated[bool, Field(description="An entry needs the entry filter's answer.")]
    created_at: dt.datetime
    created_at_exchange: dt.datetime


class DecisionFilter(SessionFilter):
    """Candidates of a sleeve, a symbol or a span of sessions."""


class DecisionRow(Row):
    """A candidate, the entry filter's answer and what became of it."""

    sleeve: str
    symbol: str
    session: Annotated[dt.date, Field(description="At whose close it was a candidate.")]
    book: Annotated[str | None, Field(description="Book that ordered or refused it; null: neither.")]
    side: Side
    strength: float | None
    close: float
    filtered: Annotated[bool, Field(description="It needs the entry filter's answer.")]
    model_name: str | None
    model_version: str | None
    arm: Annotated[str | None, Field(description="Model that decided during an A/B test; empty without one.")]
    probability: Annotated[float | None, Field(description="That the entry wins, net of costs.")]
    predicted_return_pct: float | None
    answer: Annotated[Literal["enter", "skip"] | None, Field(description="null: the filter gave none.")]
    outcome: Annotated[
        Outcome,
        Field(
            description="ordered; skipped by the filter; refused by a limit or check; unanswered: the filter gave no answer; "
            "undecided: nothing is on record."
        ),
    ]
    refusals: Annotated[list[str], Field(description="Reasons on record, sorted.")]
    client_order_id: str | None
    order_state: str | None
    created_at: dt.datetime
    created_at_exchange: dt.datetime


def read_signals(
    wanted: SignalFilter, after: After = None, limit: int = MOST_ROWS, *, resources: Resources | None = None
) -> Sequence[SignalRow]:
    """Return signals, the newest session first."""
    resources = resources or live()
    rows = resources.record_pages.signals(wanted.span(after, limit), entries=wanted.entries)
    return SIGNALS.rows([{**row, "entry": ENTRIES[row["entry"]], "created_at_exchange": _local(row)} for row in rows])


def read_decisions(
    wanted: DecisionFilter, after: After = None, limit: int = MOST_ROWS, *, resources: Resources | None = None
) -> Sequence[DecisionRow]:
    """Return candidates, the newest session first."""
    resources = resources or live()
    return DECISIONS.rows([_decision(dict(row)) for row in resources.record_pages.decisions(wanted.span(after, limit))])


def outcome_of(*, ordered: bool, answer: str | None, refused: bool, filtered: bool) -> Outcome:
    """Return what became of a candidate."""
    if ordered:
        return "ordered"
    if answer == "skip":
        return "skipped"
    if refused:
        return "refused"
    return "unanswered" if filtered and answer is None else "undecided"


def _decision(row: dict[str, Any]) -> dict[str, Any]:
    answer, predicted = row.pop("signal"), row.pop("predicted_return")
    ordered_by, refused_by, refusals = row.pop("ordered_by"), row.pop("refused_by"), sorted(row.pop("refusals") or ())
    ordered = row["client_order_id"] is not None
    side, arm = SIDES[row.pop("entry")], row.pop("ab_arm")
    return {
        **row,
        "side": side,
        "book": ordered_by or refused_by,
        "arm": arm,
        "predicted_return_pct": None if predicted is None else 100 * predicted,
        "answer": answer,
        "refusals": refusals,
        "outcome": outcome_of(ordered=ordered, answer=answer, refused=bool(refusals), filtered=row["filtered"]),
        "created_at_exchange": _local(row),
    }


def _local(row: Any) -> dt.datetime:  # noqa: ANN401  # a row of the database
    return at_exchange(row["created_at"], row["symbol"])


SIGNALS = View(
    name="signals",
    summary="Signals of every sleeve at the close of each session, newest first.",
    filter=SignalFilter,
    row=SignalRow,
    read=read_signals,
    key=("session", "sleeve", "symbol"),
    shown=("session", "sleeve", "symbol", "entry", "exit_long", "exit_short", "stop_pct", "target_pct", "strength", "close"),
)
DECISIONS = View(
    name="decisions",
    summary="Candidates with the entry filter's answer, the refusals and the order of each, newest first.",
    filter=DecisionFilter,
    row=DecisionRow,
    read=read_decisions,
    key=("session", "sleeve", "symbol"),
    shown=(
        "session",
        "sleeve",
        "symbol",
        "side",
        "probability",
        "answer",
        "outcome",
        "refusals",
        "order_state",
        "model_version",
        "client_order_id",
    ),
)
