"""Each run of an evening's step on record: its start, its end, its outcome, also when it fails or is killed."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from core.errors import StopTrading
from pipeline.deployments.books import UnknownDeployment
from pipeline.execution.recorded_steps import run_step
from pipeline.execution.step_results import Placement, Settlement
from pipeline.resources import Resources
from storage.trading.evening_steps import TIMEOUT, EveningSteps, Outcome
from storage.trading.evening_tables import evening_steps
from tests.standins.evening import EVENING, run_task

if TYPE_CHECKING:
    from core.settings import Settings

pytestmark = pytest.mark.integration
SESSION = "2018-12-28"
DAY = dt.date.fromisoformat(SESSION)
START = dt.datetime(2018, 12, 28, 22, tzinfo=dt.UTC)


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now: dt.datetime = START

    def __call__(self) -> dt.datetime:
        return self.now

    def move(self, **by: float) -> None:
        self.now += dt.timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def desk(database_settings: Settings, clock: Clock) -> Resources:
    return Resources(database_settings.with_changes(universe=("AAA",)), clock=clock)


def rows(desk: Resources) -> list[dict[str, Any]]:
    with desk.engine.connect() as connection:
        return [dict(row) for row in connection.execute(sa.select(evening_steps).order_by(evening_steps.c.id)).mappings()]


def test_a_step_is_on_record_from_its_start_to_its_end(desk: Resources, clock: Clock) -> None:
    seen = []

    def settle(session: str, *, resources: Resources) -> Settlement:
        seen.extend(rows(resources))
        clock.move(seconds=12)
        return Settlement(session, fills=3)

    result = run_step("settle", settle, SESSION, "main", resources=desk)

    assert result.fills == 3
    assert [(row["outcome"], row["ended_at"]) for row in seen] == [("running", None)]
    [row] = rows(desk)
    assert {name: row[name] for name in ("book", "session", "step", "symbol", "attempt", "outcome", "detail", "dag_run")} == {
        "book": "main", "session": DAY, "step": "settle", "symbol": "", "attempt": 1, "outcome": "done",
        "detail": {"session": SESSION, "fills": 3}, "dag_run": None,
    }  # fmt: skip
    assert (row["started_at"], row["ended_at"]) == (START, START + dt.timedelta(seconds=12))
    assert row["code_commit"]


def test_in_airflow_the_run_is_named(desk: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CTX_DAG_ID", "trading_execution")
    monkeypatch.setenv("AIRFLOW_CTX_DAG_RUN_ID", "manual__1")

    run_step("settle", lambda session, **_: Settlement(session, 0), SESSION, "main", resources=desk)

    assert rows(desk)[0]["dag_run"] == "trading_execution/manual__1"


@pytest.mark.parametrize("error", [StopTrading("halted by ana"), KeyboardInterrupt("end of the task's time")])
def test_a_step_that_fails_is_on_record_and_its_error_goes_on(desk: Resources, error: BaseException) -> None:
    def place(_: str, **__: object) -> Placement:
        raise error

    with pytest.raises(type(error)):
        run_step("place", place, SESSION, "main", resources=desk)

    [row] = rows(desk)
    assert (row["outcome"], row["ended_at"]) == ("failed", START)
    assert row["detail"] == {"error": type(error).__name__, "message": str(error)}


def test_a_step_of_an_unknown_deployment_has_failed(desk: Resources) -> None:
    with pytest.raises(UnknownDeployment):
        run_step("settle", lambda session, **_: Settlement(session, 0), SESSION, "mian", resources=desk)

    assert [(row["book"], row["outcome"], row["detail"]["error"]) for row in rows(desk)] == [
        ("mian", "failed", "UnknownDeployment")
    ]


def test_a_step_that_leaves_its_work_undone_has_refused_and_says_why(desk: Resources) -> None:
    past = Placement(SESSION, "2018-12-31", reason="a later session is on record")

    run_step("place", lambda _, **__: past, SESSION, "main", resources=desk)

    assert [(row["outcome"], row["detail"]["reason"]) for row in rows(desk)] == [("refused", "a later session is on record")]


def test_a_re_run_is_a_row_of_its_own(desk: Resources) -> None:
    for _ in range(3):
        run_step("settle", lambda session, **_: Settlement(session, 0), SESSION, "main", resources=desk)
    run_step("settle", lambda session, **_: Settlement(session, 0), "2018-12-27", "main", resources=desk)

    assert [(row["session"].day, row["attempt"]) for row in rows(desk)] == [(28, 1), (28, 2), (28, 3), (27, 1)]


def test_a_result_that_json_cannot_hold_is_stored_all_the_same(desk: Resources) -> None:
    @dataclass(frozen=True)
    class Odd:
        def as_dict(self) -> dict[str, Any]:
            return {
                "usd": float("nan"),
                "text": "a\x00b\ud800",
                "day": DAY,
                "rows": ({"x": float("inf")},),
                "long": "z" * 9_000,
            }

    run_step("record", lambda *_, **__: Odd(), SESSION, "main", resources=desk)

    [row] = rows(desk)
    assert len(row["detail"].pop("long")) < 9_000
    assert row["detail"] == {"usd": None, "text": "ab?", "day": SESSION, "rows": [{"x": None}]}


@pytest.mark.parametrize("broken", ["before", "during"])
def test_a_record_that_cannot_be_written_stops_no_step(desk: Resources, broken: str) -> None:
    def drop() -> None:
        with desk.engine.begin() as connection:
            connection.execute(sa.text("DROP TABLE trading.evening_steps"))

    def settle(session: str, **_: object) -> Settlement:
        if broken == "during":
            drop()
        return Settlement(session, fills=1)

    if broken == "before":
        drop()

    assert run_step("settle", settle, SESSION, "main", resources=desk).fills == 1


def test_a_killed_step_has_ended_without_a_word_once_it_runs_again_or_is_too_old(desk: Resources, clock: Clock) -> None:
    steps = desk.evening_steps
    steps.start(book="main", session=DAY, step="predict", at=clock())

    def outcomes() -> list[tuple[str, str]]:
        return [(run.step, run.outcome) for each in steps.evenings(now=clock()) for run in each.steps]

    assert outcomes() == [("predict", "running")]
    steps.start(book="main", session=DAY, step="place", at=clock())
    steps.start(book="main", session=DAY, step="load_bars", symbol="AAA", at=clock())
    steps.start(book="main", session=DAY, step="load_bars", symbol="BBB", at=clock())
    steps.start(book="other", session=DAY, step="predict", at=clock())
    assert {outcome for _, outcome in outcomes()} == {"running"}, "neither another step, symbol nor book has anything to say"

    again = steps.start(book="main", session=DAY, step="predict", at=clock())
    steps.end(again, Outcome.DONE, {}, at=clock())

    assert outcomes()[:3] == [("predict", "ended without a word"), ("place", "running"), ("load_bars", "running")]
    assert outcomes()[4] == ("predict", "done")
    clock.move(seconds=TIMEOUT.total_seconds() + 1)
    assert {outcome for _, outcome in outcomes()} == {"ended without a word", "done"}


def test_a_row_is_completed_once(desk: Resources, clock: Clock) -> None:
    row = desk.evening_steps.start(book="main", session=DAY, step="predict", at=clock())
    desk.evening_steps.end(row, Outcome.FAILED, {"error": "X"}, at=clock())
    clock.move(hours=1)

    desk.evening_steps.end(row, Outcome.DONE, {}, at=clock())

    assert [(each["outcome"], each["ended_at"]) for each in rows(desk)] == [("failed", START)]


def test_evenings_come_newest_first_each_with_its_steps_in_order_and_an_outcome(desk: Resources, clock: Clock) -> None:
    steps = desk.evening_steps
    for day, book, ends in (
        (27, "main", [("settle", Outcome.DONE), ("mail", Outcome.REFUSED)]),
        (28, "main", [("settle", Outcome.FAILED), ("settle", Outcome.DONE), ("place", Outcome.FAILED)]),
        (28, "", [("load_vix", Outcome.DONE)]),
        (28, "trio", [("settle", Outcome.DONE), ("place", Outcome.RUNNING)]),
    ):
        for name, outcome in ends:
            row = steps.start(book=book, session=dt.date(2018, 12, day), step=name, at=clock())
            clock.move(seconds=10)
            if outcome is not Outcome.RUNNING:
                steps.end(row, outcome, {}, at=clock())

    evenings = steps.evenings(now=clock())

    assert [(each.session.day, each.book, each.outcome) for each in evenings] == [
        (28, "", "done"), (28, "main", "failed"), (28, "trio", "running"), (27, "main", "done"),
    ]  # fmt: skip
    main = evenings[1]
    assert [(run.step, run.attempt, run.outcome, run.seconds) for run in main.steps] == [
        ("settle", 1, "failed", 10.0), ("settle", 2, "done", 10.0), ("place", 1, "failed", 10.0),
    ]  # fmt: skip
    assert (main.ended_at or START) - main.started_at == dt.timedelta(seconds=30)
    assert evenings[2].ended_at is None
    assert [each.book for each in steps.evenings(now=clock(), first=DAY, last=DAY, book="main")] == ["main"]
    assert [each.session.day for each in steps.evenings(now=clock(), last=dt.date(2018, 12, 27))] == [27]
    assert steps.evenings(now=clock(), first=dt.date(2019, 1, 1)) == []


def test_the_steps_of_an_evening_are_on_record_under_the_names_of_the_dag(desk: Resources) -> None:
    quiet = [name for name in EVENING if name not in {"find_candidates", "measure_gap"}]  # those need bars
    for name in quiet:
        run_task(name, DAY, desk)

    [evening] = EveningSteps(desk.engine).evenings(now=START)
    assert [run.step for run in evening.steps] == quiet
    assert evening.book == "main"
