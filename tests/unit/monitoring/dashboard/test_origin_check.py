"""Requests that another site makes a browser send: refused on every path and on the websocket of Streamlit's application."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from monitoring.dashboard import server
from monitoring.dashboard.origin_check import OriginCheck

HERE = "127.0.0.1:8501"
PATHS = ["/", "/healthz", "/_stcore/health", "/_stcore/host-config", "/static/js/x.js", "/media/x", "/_stcore/metrics", "/risk"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
def test_a_foreign_host_is_refused_on_every_path(client: TestClient, path: str, method: str) -> None:
    assert client.request(method, path, headers={"host": "evil.example"}).status_code == 421


@pytest.mark.parametrize(
    "host", ["", "evil.example:8501", "127.0.0.1.evil.example", "x@127.0.0.1", "127.0.0.1:99999", "127.0.0.1/x", "[::1"]
)
def test_no_spelling_of_a_foreign_host_passes(client: TestClient, host: str) -> None:
    assert client.get("/healthz", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8501", "LOCALHOST", "[::1]:8501", "desk.lan", "127.0.0.1."])
def test_our_own_names_pass(client: TestClient, host: str) -> None:
    assert client.get("/healthz", headers={"host": host}).json() == {"status": "alive"}


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:8000", "http://localhost:8501", "file://"])
def test_a_page_of_another_origin_reads_nothing(client: TestClient, origin: str) -> None:
    for path in PATHS:
        assert client.get(path, headers={"host": HERE, "origin": origin}).status_code == 403


def test_what_another_site_embeds_is_refused_and_a_link_from_there_is_not(client: TestClient) -> None:
    embedded = {"host": HERE, "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    assert client.get("/_stcore/health", headers=embedded).status_code == 403
    assert client.get("/healthz", headers=embedded | {"sec-fetch-mode": "navigate"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"host": HERE, "origin": "http://evil.example"},
        {"host": HERE, "origin": "null"},
        {"host": HERE},
        {"host": "evil.example", "origin": "http://evil.example"},
    ],
    ids=["another origin", "no origin of its own", "none given", "a name let to point here"],
)
def test_the_websocket_takes_its_own_page_alone(client: TestClient, headers: dict[str, str]) -> None:
    with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect("/_stcore/stream", headers=headers):
        pass
    assert refused.value.code == 1008


def test_the_websocket_of_its_own_page_reaches_the_application() -> None:
    reached = []

    async def application(scope: object, _: object, send: object) -> None:
        reached.append(scope)
        await send({"type": "websocket.close", "code": 4000})  # type: ignore[operator]

    client = TestClient(OriginCheck(application), base_url=f"http://{HERE}")  # type: ignore[arg-type]
    with (
        pytest.raises(WebSocketDisconnect) as closed,
        client.websocket_connect("/_stcore/stream", headers={"host": HERE, "origin": f"http://{HERE}"}),
    ):
        pass
    assert closed.value.code == 4000
    assert len(reached) == 1


def test_a_page_may_not_be_framed_and_loads_nothing_from_elsewhere(client: TestClient) -> None:
    headers = client.get("/").headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert not any("http" in sources or "*" in sources for sources in policy.values())
    assert headers["x-frame-options"] == "DENY"


def test_nothing_is_sent_about_the_use_of_the_dashboard(client: TestClient) -> None:
    from streamlit import config

    assert client.get("/healthz").is_success
    assert {name: config.get_option(name) for name in server.OPTIONS} == server.OPTIONS
    assert config.get_option("server.allowedHosts") == ["127.0.0.1", "localhost", "::1", "desk.lan"]
