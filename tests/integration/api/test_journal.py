"""Predictions on their way to the database: the bound, the wait, the drain, and what is left in files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg2
import pytest
import sqlalchemy as sa

from serving import journal as journal_module
from storage.trading.served import ServedPredictions
from tests.standins.api_desk import ask, client_of, wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.standins.api_desk import Desk

pytestmark = pytest.mark.integration
NOWHERE = sa.create_engine("postgresql+psycopg2://me:hush@127.0.0.1:9/desk")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry at once, as tests may."""
    monkeypatch.setattr(journal_module, "RETRY_SECONDS", 0.02)


def files(folder: Path, kind: str) -> list[Path]:
    return sorted((folder / "unstored-predictions").glob(f"{kind}-*.copy"))


def test_predictions_wait_while_the_database_is_away_and_none_is_lost(desk: Desk) -> None:
    there = desk.engine
    with client_of(desk) as api:
        assert ask(api, symbol="^GSPC").status_code == 200
        wait_for(lambda: len(ServedPredictions(there).read(desk.now)) == 1)
        desk.engine = NOWHERE
        for _ in range(5):
            assert ask(api, symbol="^GSPC").status_code == 200, "explicit and held rows are served without the database"
        wait_for(lambda: "desk_prediction_store_failures_total 0.0" not in api.get("/metrics").text)
        desk.engine = there
        wait_for(lambda: len(ServedPredictions(there).read(desk.now)) == 6)
        wait_for(lambda: api.get("/readyz").json()["state"] == "green")


def test_a_full_queue_answers_503_counts_and_recovers(desk: Desk) -> None:
    there = desk.engine
    desk.settings = desk.settings.with_changes(api__queue_rows=3)
    with client_of(desk) as api:
        desk.engine = NOWHERE
        answers = [ask(api, symbol="^GSPC") for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 503, 503]
        assert answers[3].json()["type"] == "urn:desk:QueueFull"
        assert "API__QUEUE_ROWS" in answers[3].json()["remedy"]
        assert api.post("/predict-entry/batch", json={"rows": [{"symbol": "^GSPC"}]}).status_code == 503
        assert "desk_predictions_refused_total 3.0" in api.get("/metrics").text
        desk.engine = there
        wait_for(lambda: ask(api, symbol="^GSPC").status_code == 200)
        wait_for(lambda: len(ServedPredictions(there).read(desk.now)) == 4)


def test_readiness_is_amber_while_predictions_wait(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise psycopg2.OperationalError("server closed the connection")

    with client_of(desk) as api:
        monkeypatch.setattr(ServedPredictions, "append", refuse)
        ask(api, symbol="^GSPC")
        wait_for(lambda: api.get("/readyz").json()["state"] == "amber")
        ready = api.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["trouble"] == ["1 of 50000 predictions wait: the database does not answer (OperationalError)"]
        monkeypatch.undo()
        wait_for(lambda: api.get("/readyz").json()["state"] == "green")


def test_shutdown_stores_what_waits(desk: Desk) -> None:
    with client_of(desk) as api:
        for _ in range(40):
            ask(api, symbol="^GSPC")

    assert len(ServedPredictions(desk.engine).read(desk.now)) == 40
    assert files(desk.data_dir, "left") == []


def test_what_a_lost_database_does_not_take_at_shutdown_is_stored_by_the_next_start(desk: Desk) -> None:
    there = desk.engine
    with client_of(desk) as api:
        desk.engine = NOWHERE
        for _ in range(3):
            ask(api, symbol="^GSPC")
    assert len(files(desk.data_dir, "left")) == 1

    desk.engine = there
    with client_of(desk):
        wait_for(lambda: len(ServedPredictions(there).read(desk.now)) == 3)
    assert files(desk.data_dir, "left") == []


def test_a_file_that_cannot_be_read_is_set_aside_and_stops_no_other_row(desk: Desk) -> None:
    folder = desk.data_dir / "unstored-predictions"
    folder.mkdir()
    (folder / "left-1-broken.copy").write_bytes(b"PGCOPY\n\xff\r\n\0" + b"\0" * 8 + b"half a row")
    with client_of(desk) as api:
        ask(api, symbol="^GSPC")
        wait_for(lambda: len(ServedPredictions(desk.engine).read(desk.now)) == 1)

    assert [path.name for path in files(desk.data_dir, "refused")] == ["refused-1-broken.copy"]
    assert files(desk.data_dir, "left") == []
    assert "refused-1-broken.copy" in desk.alerts.sent[0][1]


def test_rows_that_postgresql_refuses_are_set_aside_and_block_no_other(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    append = ServedPredictions.append

    def picky(self: ServedPredictions, rows: Sequence[bytes]) -> None:
        append(self, [row.replace(b"BAD", b"B\0D") for row in rows])

    monkeypatch.setattr(ServedPredictions, "append", picky)
    desk.features.seen["BAD"] = desk.features.seen["^GSPC"]
    desk.features.values["BAD"] = 0.5
    with client_of(desk) as api:
        assert ask(api, symbol="BAD").status_code == 200
        wait_for(lambda: files(desk.data_dir, "refused"))
        assert ask(api, symbol="^GSPC").status_code == 200
        wait_for(lambda: len(ServedPredictions(desk.engine).read(desk.now)) == 1)
        assert "desk_predictions_set_aside_total 1.0" in api.get("/metrics").text
    wait_for(lambda: desk.alerts.sent)
    assert str(files(desk.data_dir, "refused")[0]) in desk.alerts.sent[0][1]
