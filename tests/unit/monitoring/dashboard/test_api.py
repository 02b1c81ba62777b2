"""The client against a stand-in of the API: what is asked once, what is kept, what is told when the API is away."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pydantic import SecretStr

from monitoring.dashboard import api as module
from monitoring.dashboard.api import Api
from monitoring.dashboard.environment import Environment
from monitoring.dashboard.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = SecretStr("control-key-0123456789")


class Desk:
    """A transport that answers with pages of `rows`, tags them, and can fail."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = [{"id": each} for each in range(5)]
        self.requests: list[httpx.Request] = []
        self.fails: Exception | httpx.Response | None = None
        self.now = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)
        self.api = Api(
            Environment(read_key=SecretStr("read-key-0123456789")), httpx.MockTransport(self.answer), lambda: self.now
        )

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if isinstance(self.fails, Exception):
            raise self.fails
        if self.fails is not None:
            return self.fails
        first = int(request.url.params.get("after", 0))
        limit = int(request.url.params.get("limit", 100))
        page = self.rows[first : first + limit]
        tag = f'"{hash(str(page))}"'
        if request.headers.get("if-none-match") == tag:
            return httpx.Response(304, headers={"etag": tag})
        following = str(first + limit) if first + limit < len(self.rows) else None
        return httpx.Response(200, json={"rows": page, "next": following}, headers={"etag": tag})


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(module, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.0)
    return Desk()


def problem(status: int, **fields: object) -> httpx.Response:
    return httpx.Response(status, json={"status": status, **fields}, headers={"content-type": "application/problem+json"})


def test_every_page_of_a_view_is_read_in_order(desk: Desk) -> None:
    answer = desk.api.read_all("/trades", limit=2, book="main", sleeve=None)

    assert [row["id"] for row in answer.rows] == [0, 1, 2, 3, 4]
    assert [str(request.url.query, "ascii") for request in desk.requests] == [
        "limit=2&book=main",
        "limit=2&book=main&after=2",
        "limit=2&book=main&after=4",
    ]
    assert {request.headers["x-api-key"] for request in desk.requests} == {"read-key-0123456789"}


def test_a_view_that_is_cut_says_that_there_is_more(desk: Desk) -> None:
    answer = desk.api.read_all("/trades", limit=2, most=3)
    assert ([row["id"] for row in answer.rows], answer.next) == ([0, 1, 2], "4")


def test_a_list_without_a_page_around_it_is_rows_too(desk: Desk) -> None:
    desk.fails = httpx.Response(200, json=[{"id": 1}])
    assert desk.api.read("/deployments").rows == [{"id": 1}]
    assert desk.api.read("/deployments").next is None


def test_an_unchanged_answer_is_confirmed_by_its_tag_and_young_again(desk: Desk) -> None:
    first = desk.api.read("/equity")
    desk.now += dt.timedelta(seconds=30)
    second = desk.api.read("/equity")

    assert "if-none-match" not in desk.requests[0].headers
    assert "if-none-match" in desk.requests[1].headers
    assert second.rows == first.rows
    assert second.age_seconds(desk.now) == 0


def test_a_changed_answer_replaces_the_old_one(desk: Desk) -> None:
    desk.api.read("/equity")
    desk.rows = [{"id": 9}]
    assert desk.api.read("/equity").rows == [{"id": 9}]


def test_a_page_asks_once_for_what_two_of_its_parts_show(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FRESH_SECONDS", 60.0)
    desk.api.read("/equity", book="main")
    desk.api.read("/equity", book="main")
    desk.api.read("/equity", book="trio")
    assert len(desk.requests) == 2


@pytest.mark.parametrize(
    "fails",
    [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), problem(503, detail="The database does not answer"),
     problem(429, detail="At most 5 requests a second"), httpx.Response(200, text="<html>")],
    ids=["away", "slow", "database", "limit", "no JSON"],
)  # fmt: skip
def test_the_last_good_figures_stay_with_their_age_and_the_reason(desk: Desk, fails: Exception | httpx.Response) -> None:
    desk.api.read("/equity")
    desk.fails, desk.now = fails, desk.now + dt.timedelta(minutes=3)
    answer = desk.api.read("/equity")

    assert [row["id"] for row in answer.rows] == [0, 1, 2, 3, 4]
    assert answer.age_seconds(desk.now) == 180
    assert isinstance(answer.error, ApiError)

    desk.fails = None
    assert desk.api.read("/equity").error is None, "the next good answer ends it"


def test_the_age_of_a_view_is_that_of_its_oldest_page(desk: Desk) -> None:
    desk.api.read_all("/trades", limit=2)
    desk.now += dt.timedelta(minutes=1)
    desk.fails = httpx.ConnectError("refused")
    answer = desk.api.read_all("/trades", limit=2)
    assert (len(answer.rows), answer.age_seconds(desk.now)) == (5, 60)
    assert answer.error is not None


@pytest.mark.parametrize("status", [401, 404, 422])
def test_a_request_that_is_itself_wrong_gets_no_old_answer(desk: Desk, status: int) -> None:
    desk.api.read("/equity")
    desk.fails = problem(status, detail="Expected a read key in X-API-Key, found another", remedy="Send one of API__READ_KEYS.")
    with pytest.raises(ApiError) as raised:
        desk.api.read("/equity")
    assert str(raised.value) == "Expected a read key in X-API-Key, found another. Send one of API__READ_KEYS."
    assert (raised.value.status, raised.value.is_missing) == (status, status == 404)


def test_without_an_earlier_answer_the_reason_is_all_there_is(desk: Desk) -> None:
    desk.fails = httpx.ConnectError("refused")
    with pytest.raises(ApiError, match=r"does not answer \(ConnectError\)\. Start it with `make up`") as raised:
        desk.api.read("/equity")
    assert "read-key" not in str(raised.value)


def test_ten_tables_wait_for_one_timeout(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 60.0)
    desk.fails = httpx.ReadTimeout("slow")
    for path in ("/equity", "/pnl", "/positions"):
        with pytest.raises(ApiError, match="does not answer"):
            desk.api.read(path)
    assert len(desk.requests) == 1


def test_a_status_that_is_an_answer_is_one(desk: Desk) -> None:
    desk.fails = httpx.Response(503, json={"state": "red"})
    assert desk.api.read("/readyz", (503,)).content == {"state": "red"}


def test_a_change_carries_the_control_key_and_everything_is_read_anew(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FRESH_SECONDS", 60.0)
    desk.api.read("/equity")
    desk.api.control("POST", "/trading/halt", {"reason": "drill", "author": "ann"}, KEY)
    desk.api.read("/equity")

    keys = [request.headers.get("x-api-key") for request in desk.requests]
    assert keys == ["read-key-0123456789", KEY.get_secret_value(), "read-key-0123456789"]
    assert KEY.get_secret_value() not in str(vars(desk.api))


def test_a_conflict_is_told_apart(desk: Desk) -> None:
    desk.fails = problem(409, detail="Version 3 is the newest, found 2.", type="urn:desk:VersionConflict")
    with pytest.raises(ApiError) as raised:
        desk.api.control("PUT", "/strategies/bollinger/parameters", {}, KEY)
    assert (raised.value.is_conflict, raised.value.kind) == (True, "urn:desk:VersionConflict")


def test_a_change_is_tried_even_while_reads_pause(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 60.0)
    desk.fails = httpx.ReadTimeout("slow")
    with pytest.raises(ApiError):
        desk.api.read("/equity")
    desk.fails = httpx.Response(200, json={"halted": True})
    assert desk.api.control("POST", "/trading/halt", {}, KEY) == {"halted": True}


def test_an_export_is_the_file_that_the_api_wrote(desk: Desk) -> None:
    desk.fails = httpx.Response(200, content=b"id\r\n1\r\n")
    assert desk.api.export("/trades", book="main") == b"id\r\n1\r\n"
    assert desk.requests[0].url.params["format"] == "csv"


@pytest.mark.parametrize("limit", ["MOST_ANSWERS", "MOST_BYTES"])
def test_what_was_used_longest_ago_is_forgotten_first(desk: Desk, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(module, limit, 2 if limit == "MOST_ANSWERS" else 150)
    for path in ("/a", "/b", "/a", "/c"):
        desk.api.read(path)
    desk.fails = httpx.ConnectError("refused")
    assert [still_there(lambda path=path: desk.api.read(path)) for path in ("/a", "/b", "/c")] == [True, False, True]  # type: ignore[misc]


def still_there(read: Callable[[], object]) -> bool:
    try:
        read()
    except ApiError:
        return False
    return True
