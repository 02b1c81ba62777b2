"""The routes of the views over a record on a real PostgreSQL: pages, filters, ETag, exports."""

from __future__ import annotations

import csv
import datetime as dt
import io
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from pipeline.execution.evening_mails import EveningMails, StoredMail
from pipeline.views.catalogue import VIEWS
from storage.alerts.alert_log import NewAlert
from storage.trading.evening_steps import EveningSteps, Outcome
from tests.standins.long_record import write_long_record
from tests.standins.present_desk import write_present

if TYPE_CHECKING:
    import sqlalchemy as sa
    from fastapi.testclient import TestClient

    from tests.standins.api_desk import Desk

pytestmark = pytest.mark.integration
NOW = dt.datetime(2024, 7, 1, tzinfo=dt.UTC)
FIRST, LAST = dt.date(2024, 1, 2), dt.date(2024, 6, 28)
NAMES = [view.name for view in VIEWS]
OF_THE_PRESENT = {"pnl", "positions", "exposure", "risk", "correlation", "heartbeats"}  # a few rows each


@pytest.fixture(scope="module", autouse=True)
def record(engine: sa.Engine) -> list[dt.date]:
    """Half a year of two books with five symbols each: a trade a session."""
    days = write_long_record(engine, FIRST, LAST, books=("main", "trio"), width=5)
    write_present(engine, FIRST, LAST, ["^GSPC"])
    steps = EveningSteps(engine)
    for day in days:
        for book in ("main", "trio"):
            for name in ("settle", "place"):
                at = dt.datetime.combine(day, dt.time(22), dt.UTC)
                row = steps.start(book=book, session=day, step=name, at=at)
                failed = day == days[-1] and name == "place"
                outcome, detail = (Outcome.FAILED, {"message": "no venue"}) if failed else (Outcome.DONE, {"orders": 1})
                steps.end(row, outcome, detail, at=at + dt.timedelta(seconds=3))
    return days


def rows_of(api: TestClient, path: str, **query: Any) -> list[dict[str, Any]]:
    answer = api.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["rows"])


@pytest.mark.parametrize("name", ["orders", "fills", "trades", "signals", "decisions", "sessions"])
def test_pages_follow_each_other_without_a_gap_or_a_row_twice(api: TestClient, name: str) -> None:
    whole = rows_of(api, f"/{name}", limit=500)
    paged, after = [], None
    while True:
        page = api.get(f"/{name}", params={"limit": 37} | ({"after": after} if after else {})).json()
        paged += page["rows"]
        after = page["next"]
        if after is None or len(paged) >= 500:
            break

    assert len(whole) > 37
    assert paged[: len(whole)] == whole


@pytest.mark.parametrize("name", NAMES)
def test_the_same_page_asked_again_has_not_changed(api: TestClient, name: str) -> None:
    first = api.get(f"/{name}")
    again = api.get(f"/{name}", headers={"If-None-Match": f'"other", W/{first.headers["etag"]}'})

    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    assert again.headers["etag"] == first.headers["etag"]


def test_filters_of_a_book_a_symbol_and_a_span_hold_together(api: TestClient) -> None:
    rows = rows_of(api, "/orders", book="trio", symbol="SYM2", first="2024-02-01", last="2024-02-29", leg="entry", limit=500)

    assert rows
    assert {(row["book"], row["symbol"], row["leg"]) for row in rows} == {("trio", "SYM2", "entry")}
    assert all("2024-02-01" <= row["session"] <= "2024-02-29" for row in rows)
    assert rows == sorted(rows, key=lambda row: row["session"], reverse=True)


def test_an_order_has_its_fills_and_its_times_in_utc_and_at_the_exchange(api: TestClient) -> None:
    row = rows_of(api, "/orders", book="main", leg="entry", limit=1)[0]

    assert (row["state"], row["reason"], row["filled_quantity"]) == ("filled", "at the open", 10.0)
    assert row["average_price"] == pytest.approx(100.05)
    assert row["slippage_usd"] == pytest.approx(0.5)
    assert row["commission_usd"] == 0.5
    utc, exchange = (dt.datetime.fromisoformat(row[name]) for name in ("created_at", "created_at_exchange"))
    assert utc == exchange
    assert (utc.utcoffset(), exchange.utcoffset()) == (dt.timedelta(0), dt.timedelta(hours=-4))


def test_a_trade_names_the_order_that_made_it(api: TestClient) -> None:
    trade = rows_of(api, "/trades", book="main", limit=1)[0]
    orders = rows_of(api, "/orders", symbol=trade["symbol"], book="main", leg="entry", limit=500)

    made_by = next(row for row in orders if row["client_order_id"] == trade["entry_order_id"])
    assert made_by["decision_session"] == trade["decision_session"]
    assert trade["net_return_pct"] == pytest.approx(trade["gross_return_pct"] - 0.1)


def test_a_candidate_that_was_ordered_says_so(api: TestClient) -> None:
    rows = rows_of(api, "/decisions", sleeve="main/bollinger", limit=500)

    assert {(row["outcome"], row["book"], row["order_state"]) for row in rows[10:]} == {("ordered", "main", "filled")}


def test_equity_is_thinned_to_weeks_and_keeps_the_deepest_drawdown(api: TestClient, record: list[dt.date]) -> None:
    daily, weekly = (rows_of(api, "/equity", book="main", resolution=each, limit=500) for each in ("session", "week"))

    assert [row["session"] for row in daily] == [day.isoformat() for day in record]
    assert len(weekly) == len({day.isocalendar()[:2] for day in record})
    assert max(row["drawdown_pct"] for row in weekly) == max(row["drawdown_pct"] for row in daily) > 0
    assert weekly[-1]["equity_usd"] == daily[-1]["equity_usd"]


@pytest.mark.parametrize("name", NAMES)
def test_exports_have_every_row_and_field(api: TestClient, name: str) -> None:
    query = {"book": "main"} if name == "equity" else {}
    text = api.get(f"/{name}", params={**query, "format": "csv"})
    table = pq.read_table(io.BytesIO(api.get(f"/{name}", params={**query, "format": "parquet"}).content))
    rows = list(csv.DictReader(io.StringIO(text.text)))

    view = next(view for view in VIEWS if view.name == name)
    assert text.headers["content-disposition"] == f'attachment; filename="{name}.csv"'
    assert [*rows[0]] == table.column_names == [*view.row.model_fields]
    assert len(rows) == table.num_rows > (0 if name in OF_THE_PRESENT else 100)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"after": "bm9uc2Vuc2U"}, 422),
        ({"after": "%%"}, 422),
        ({"limit": 501}, 422),
        ({"first": "2024-02-30"}, 422),
        ({"format": "xml"}, 422),
        ({"colour": "red"}, 422),
        ({"book": "nobody"}, 200),
    ],
)
def test_wrong_queries_are_problems(api: TestClient, query: dict[str, Any], status: int) -> None:
    answer = api.get("/orders", params=query)

    assert answer.status_code == status, answer.text
    if status != 200:
        assert answer.headers["content-type"] == "application/problem+json"
    else:
        assert answer.json() == {"rows": [], "next": None}


def test_a_cursor_of_another_view_is_refused(api: TestClient) -> None:
    cursor = api.get("/equity", params={"book": "main", "limit": 5}).json()["next"]

    assert api.get("/orders", params={"after": cursor}).status_code == 422


@pytest.mark.parametrize("path", ["/alerts", "/deployments", "/portfolios", "/strategies", "/trading/halt"])
def test_states_have_a_tag_too(api: TestClient, path: str) -> None:
    tag = api.get(path).headers["etag"]

    assert api.get(path, headers={"If-None-Match": tag}).status_code == 304
    assert api.get(path, headers={"If-None-Match": '"another"'}).status_code == 200


def test_an_evening_has_its_steps_their_times_and_its_problem(api: TestClient, record: list[dt.date]) -> None:
    last, before = (
        rows_of(api, "/sessions", book="main", first=str(day), last=str(day))[0] for day in (record[-1], record[-2])
    )

    assert [(step["step"], step["outcome"], step["seconds"]) for step in last["steps"]] == [
        ("settle", "done", 3.0),
        ("place", "failed", 3.0),
    ]
    assert (last["outcome"], last["problem"]) == ("failed", "place: no venue")
    assert (before["outcome"], before["problem"], before["step_count"]) == ("done", None, 2)


def test_the_mail_of_an_evening_is_returned_as_sent(api: TestClient, desk: Desk) -> None:
    mail = StoredMail("Evening", "text", "<b>HTML</b>", "2024-06-28T22:00:00+00:00", "essentials")
    EveningMails(desk.data_dir).save("trio", LAST, mail)

    answer = api.get(f"/sessions/{LAST}/mail", params={"book": "trio"}).json()
    assert answer == {
        "book": "trio", "session": str(LAST), "subject": "Evening", "text": "text", "html": "<b>HTML</b>",
        "sent_at": "2024-06-28T22:00:00Z",
    }  # fmt: skip
    assert api.get(f"/sessions/{LAST}/mail").status_code == 404
    assert api.get(f"/sessions/{LAST}/mail", params={"book": "../trio"}).status_code == 422


@pytest.mark.parametrize("path", ["/alerts", "/deployments"])
def test_states_are_exported_too(api: TestClient, desk: Desk, path: str) -> None:
    desk.alert_log.raise_alert(NewAlert("disk", "health", "", "warning", "Disk is full", "=cmd()", {}), NOW)
    row = api.get(path).json()[0]
    text = api.get(path, params={"format": "csv"}).text
    table = pq.read_table(io.BytesIO(api.get(path, params={"format": "parquet"}).content))

    assert text.splitlines()[0].split(",") == table.column_names == [*row]
    assert len(text.splitlines()) == 2
    assert "=cmd()" not in text or "'=cmd()" in text
