"""The one message of a page about what is missing or old."""

from __future__ import annotations

import datetime as dt

import httpx
import pytest

from monitoring.dashboard import api as module
from monitoring.dashboard.api import Api
from monitoring.dashboard.environment import Environment
from monitoring.dashboard.reading import Reader

NOW = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)
UNREACHED = "The API at http://127.0.0.1:8000 does not answer (ConnectError). Start it with `make up`, or see its log."


class Desk:
    """An API that answers until it is away."""

    def __init__(self) -> None:
        self.away, self.now = False, NOW
        self.api = Api(Environment(), httpx.MockTransport(self.answer), lambda: self.now)

    def answer(self, request: httpx.Request) -> httpx.Response:
        if self.away:
            raise httpx.ConnectError("refused")
        if request.url.path == "/none":
            return httpx.Response(404, json={"detail": "There is no such book", "remedy": "Name another"})
        return httpx.Response(200, json={"rows": [{"id": 1}], "next": None})


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(module, "FRESH_SECONDS", 0.0)
    return Desk()


def test_figures_of_this_moment_need_no_message(desk: Desk) -> None:
    reader = Reader(desk.api)
    assert reader.rows("/equity") == [{"id": 1}]
    assert reader.message(NOW) is None


def test_a_page_says_once_why_its_figures_are_old_and_how_old(desk: Desk) -> None:
    for path in ("/equity", "/orders"):
        desk.api.read(path)
    desk.away, desk.now = True, NOW + dt.timedelta(minutes=3)
    reader = Reader(desk.api)

    assert [reader.rows(path) for path in ("/equity", "/orders")] == [[{"id": 1}], [{"id": 1}]]
    assert reader.message(desk.now) == f"{UNREACHED} Figures are up to 3 min old."


def test_what_was_never_read_is_missing_beside_what_is_old(desk: Desk) -> None:
    desk.api.read("/equity")
    desk.away = True
    reader = Reader(desk.api)

    assert (reader.rows("/equity"), reader.rows("/orders")) == ([{"id": 1}], None)
    assert reader.message(NOW) == f"{UNREACHED} Figures are up to 0 s old. Some are missing."


def test_an_api_that_never_answered_leaves_nothing_to_show(desk: Desk) -> None:
    desk.away = True
    reader = Reader(desk.api)
    assert (reader.content("/readyz"), reader.all_rows("/equity")) == (None, None)
    assert reader.message(NOW) == f"{UNREACHED} Nothing can be shown."


def test_one_refused_read_leaves_the_others(desk: Desk) -> None:
    reader = Reader(desk.api)
    assert (reader.rows("/none"), reader.rows("/equity")) == (None, [{"id": 1}])
    assert reader.message(NOW) == "There is no such book. Name another. Some are missing."
