"""Who may do what: keys, scopes, limits; parameters, switches and the halt of trading."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr, ValidationError

from core.settings import Settings
from serving.access import Keys, Limit, TooManyRequests
from storage.trading.halts import Halts
from tests.standins.api_desk import CONTROL_KEY, READ_KEY, ask, client_of

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

    from tests.standins.api_desk import Desk

pytestmark = pytest.mark.integration
KEY = {"X-API-Key": CONTROL_KEY}
WHY = {"reason": "wider stop", "author": "ann"}


def change(api: TestClient, version: int, **body: object) -> Any:
    return api.put("/strategies/bollinger/parameters", json={"expected_version": version, **WHY, **body}, headers=KEY)


def test_without_read_keys_this_machine_alone_reads(desk: Desk) -> None:
    with client_of(desk, host="192.168.1.5") as api:
        assert ask(api, symbol="^GSPC").status_code == 401
        assert api.get("/models").status_code == 401
        assert api.get("/healthz").status_code == api.get("/metrics").status_code == 200
    with client_of(desk, host="::1") as api:
        assert ask(api, symbol="^GSPC").status_code == 200


def test_with_read_keys_every_reader_shows_one(desk: Desk) -> None:
    desk.settings = desk.settings.with_changes(api__read_keys=(SecretStr("o" * 20), SecretStr(READ_KEY)))
    with client_of(desk) as api:
        missing = api.get("/models")
        assert missing.status_code == 401
        assert missing.headers["www-authenticate"] == "Bearer"
        assert api.get("/models", headers={"X-API-Key": READ_KEY[:-1]}).status_code == 401
        for headers in ({"X-API-Key": READ_KEY}, {"Authorization": f"Bearer {READ_KEY}"}, KEY):
            assert api.get("/models", headers=headers).status_code == 200
        refused = api.post("/trading/halt", json=WHY, headers={"X-API-Key": READ_KEY})
        assert refused.status_code == 403
        assert READ_KEY not in refused.text


def test_without_control_keys_nothing_is_controlled(desk: Desk) -> None:
    desk.settings = desk.settings.with_changes(api__control_keys=())
    with client_of(desk) as api:
        answer = api.post("/trading/halt", json=WHY, headers=KEY)

    assert answer.status_code == 403
    assert "API__CONTROL_KEYS" in answer.json()["remedy"]
    assert Halts(desk.engine).current("main") is None


def test_a_wrong_key_halts_nothing(api: TestClient, desk: Desk) -> None:
    assert api.post("/trading/halt", json=WHY).status_code == 401
    assert api.post("/trading/halt", json=WHY, headers={"X-API-Key": "é".encode() * 20}).status_code == 401
    assert Halts(desk.engine).current("main") is None


def test_whoever_tries_keys_is_slowed_down(desk: Desk) -> None:
    desk.settings = desk.settings.with_changes(api__controls_per_minute=60)
    with client_of(desk) as api:
        tried = [api.post("/trading/halt", json=WHY, headers={"X-API-Key": f"{n:020}"}) for n in range(30)]
        assert api.post("/trading/halt", json=WHY, headers=KEY).status_code == 200, "who may halt is never told to wait"

    assert {answer.status_code for answer in tried} == {401, 429}
    limited = next(answer for answer in tried if answer.status_code == 429)
    assert 1 <= int(limited.headers["retry-after"]) <= 2


def test_readers_are_limited_where_a_limit_is_set(desk: Desk) -> None:
    desk.settings = desk.settings.with_changes(api__reads_per_second=2.0)
    with client_of(desk) as api:
        statuses = [api.get("/models").status_code for _ in range(20)]

    assert statuses[:4] == [200] * 4
    assert statuses.count(429) >= 10


def test_a_bucket_fills_again_and_callers_do_not_share_one(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("serving.access.time.monotonic", lambda: now)
    limit = Limit(per_second=1, burst=2)
    limit.take("a")
    limit.take("a")
    with pytest.raises(TooManyRequests) as refused:
        limit.take("a")
    limit.take("b")

    assert refused.value.retry_after_seconds == pytest.approx(1.0)
    now += 1.0
    limit.take("a")


def test_keys_are_compared_whole() -> None:
    keys = Keys([SecretStr("a" * 20), SecretStr("b" * 20)])

    assert keys.holds("b" * 20)
    assert not keys.holds("b" * 19)
    assert not keys.holds("")
    assert not Keys([])


def test_a_short_key_is_refused_and_keys_are_not_shown() -> None:
    with pytest.raises(ValidationError, match="20 characters"):
        Settings.of(api__read_keys="short")
    settings = Settings.of(api__read_keys=f"{READ_KEY},{CONTROL_KEY}")
    assert len(settings.api.read_keys) == 2
    assert READ_KEY not in repr(settings)


def test_strategies_are_listed_with_the_parameters_in_force(api: TestClient) -> None:
    listed = api.get("/strategies").json()
    one = api.get("/strategies/bollinger", params={"symbol": "^GSPC"}).json()

    assert {row["strategy"] for row in listed} >= {"bollinger", "rsi"}
    assert [(row["symbol"], row["version"], row["enabled"]) for row in one] == [("^GSPC", 0, True)]
    assert "stop_pct" in one[0]["params"]


def test_parameters_change_once_from_the_version_that_was_seen(api: TestClient, desk: Desk) -> None:
    first = change(api, 0, values={"stop_pct": 1.0})
    assert first.status_code == 200
    assert (first.json()["version"], first.json()["params"]["stop_pct"], first.json()["author"]) == (1, 1.0, "ann")

    late = change(api, 0, values={"stop_pct": 3.0})
    assert late.status_code == 409
    assert late.json()["type"] == "urn:desk:VersionConflict"
    assert "expected version 0, found 1" in late.json()["detail"]

    own = change(api, 0, values={"stop_pct": 1.2}, symbol="^gspc")
    assert (own.json()["symbol"], own.json()["row_symbol"]) == ("^GSPC", "^GSPC")
    reset = change(api, 1, reset=True)
    assert reset.json()["version"] == 2
    assert len(desk.parameters.history("bollinger")) == 3


@pytest.mark.parametrize(
    ("name", "body", "status", "words"),
    [
        ("bollinger", {"values": {"stop_pct": -1}}, 422, "stop_pct"),
        ("bollinger", {"values": {"moon": 1}}, 422, "moon"),
        ("bollinger", {}, 422, "Expected parameters"),
        ("bollinger", {"values": {"stop_pct": 1.0}, "reason": " "}, 422, "reason"),
        ("bollinger", {"values": {"stop_pct": 1.0}, "reason": "\x00"}, 422, "reason"),
        ("bollinger", {"values": {"stop_pct": 1.0}, "author": "a\x00"}, 422, "author"),
        ("bollinger", {"values": {"stop_pct": 1.0}, "symbol": "NOWHERE"}, 404, "NOWHERE"),
        ("bolinger", {"values": {"stop_pct": 1.0}}, 404, "bollinger"),
    ],
)
def test_a_change_that_cannot_be_is_refused(
    api: TestClient, desk: Desk, name: str, body: dict[str, Any], status: int, words: str
) -> None:
    answer = api.put(f"/strategies/{name}/parameters", json={"expected_version": 0, **WHY, **body}, headers=KEY)

    assert answer.status_code == status
    assert words in answer.json()["detail"]
    assert desk.parameters.history("bollinger").empty


def test_a_path_to_a_file_is_no_strategy(api: TestClient) -> None:
    for name in ("evil.py:Strategy", "..%2Fevil.py:Strategy", "bollinger:preset"):
        answer = api.put(f"/strategies/{name}/parameters", json={"expected_version": 0, **WHY, "reset": True}, headers=KEY)
        assert answer.status_code in {404, 422}


def test_a_strategy_is_switched_off_and_on(api: TestClient) -> None:
    off = api.post("/strategies/bollinger/disable", json=WHY, headers=KEY).json()
    assert (off["enabled"], off["version"]) == (False, 1)
    assert not api.get("/strategies/bollinger").json()[0]["enabled"]

    on = api.post("/strategies/bollinger/enable", json=WHY, headers=KEY).json()
    assert (on["enabled"], on["version"]) == (True, 2)


def test_trading_is_halted_and_resumed(api: TestClient, desk: Desk) -> None:
    assert api.get("/trading/halt").json() == {
        "portfolio": "main",
        "halted": False,
        "reason": None,
        "author": None,
        "created_at": None,
        "entries_blocked": [],
    }

    halted = api.post("/trading/halt", json=WHY, headers=KEY)
    assert halted.status_code == 200
    assert api.get("/trading/halt").json() == halted.json()
    assert Halts(desk.engine).current("main").halted  # type: ignore[union-attr]

    api.post("/trading/resume", json=WHY | {"reason": "prices are right"}, headers=KEY)
    assert not Halts(desk.engine).current("main").halted  # type: ignore[union-attr]
    other = api.post("/trading/halt", json=WHY | {"portfolio": "second"}, headers=KEY)
    assert other.json()["portfolio"] == "second"
    assert not api.get("/trading/halt").json()["halted"]


def test_a_file_that_halts_the_desk_is_told_and_removed_by_a_person_alone(api: TestClient, desk: Desk) -> None:
    file = desk.data_dir / "HALT"
    file.write_text("by hand")

    told = api.get("/trading/halt").json()
    refused = api.post("/trading/resume", json={**WHY, "author": "risk-worker"}, headers=KEY)

    assert told["halted"]
    assert "by hand" in told["reason"]
    assert (refused.status_code, file.exists()) == (422, True)
    assert api.post("/trading/resume", json=WHY, headers=KEY).status_code == 200
    assert not file.exists()
