"""Models that come and go while requests are answered."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from core.frames import FEATURES
from ml.tracking.registry import Registry as MlflowRegistry
from tests.standins.api_desk import ask, client_of, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from fastapi.testclient import TestClient

    from tests.standins.api_desk import Desk

pytestmark = pytest.mark.integration


def test_champion_and_challengers_answer_side_by_side(api: TestClient, desk: Desk) -> None:
    assert ask(api, symbol="^GSPC", arm="challenger").status_code == 404

    desk.registry.versions.update({"challenger": "2", "challenger-2": "3", "keep-me": "9"})
    wait_for(lambda: len(api.get("/models").json()["models"]) == 3)

    models = {row["arm"]: row["version"] for row in api.get("/models").json()["models"]}
    assert models == {"champion": "1", "challenger": "2", "challenger-2": "3"}
    answers = [ask(api, symbol="^GSPC", **({"arm": arm} if arm else {})).json() for arm in (None, "challenger", "challenger-2")]
    assert [answer["probability"] for answer in answers] == [0.6, 0.7, 0.8]
    assert [answer["arm"] for answer in answers] == ["champion", "challenger", "challenger-2"]

    del desk.registry.versions["challenger"]
    wait_for(lambda: ask(api, symbol="^GSPC", arm="challenger").status_code == 404)
    assert desk.alerts.sent == [], "a challenger that is withdrawn is no trouble"


def test_no_request_is_dropped_while_the_alias_moves(api: TestClient, desk: Desk) -> None:
    statuses: list[int] = []
    versions: list[str] = []
    stop = threading.Event()

    def keep_asking() -> None:
        while not stop.is_set():
            answer = ask(api, symbol="^GSPC")
            statuses.append(answer.status_code)
            versions.append(answer.json()["model_version"])

    threads = [threading.Thread(target=keep_asking) for _ in range(4)]
    for thread in threads:
        thread.start()
    for version in ("2", "3", "4"):
        desk.registry.versions["champion"] = version
        wait_for(lambda version=version: versions[-1:] == [version])  # type: ignore[misc]
    stop.set()
    for thread in threads:
        thread.join()

    assert set(statuses) == {200}
    assert list(dict.fromkeys(versions)) == ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda registry: registry.probability.update({"2": float("nan")}), "expected probabilities"),
        (lambda registry: registry.features.update({"2": (*FEATURES[1:], "moon")}), "another feature set"),
        (lambda registry: registry.features.update({"2": FEATURES[1:]}), "another feature set"),
    ],
)
def test_a_broken_model_leaves_the_old_one_serving_and_is_alerted_once(
    api: TestClient, desk: Desk, break_it: object, words: str
) -> None:
    break_it(desk.registry)  # type: ignore[operator]
    desk.registry.versions["champion"] = "2"

    wait_for(lambda: desk.alerts.sent)

    assert ask(api, symbol="^GSPC").json()["model_version"] == "1"
    ready = api.get("/readyz")
    assert (ready.status_code, ready.json()["state"]) == (200, "amber")
    assert words in ready.json()["trouble"][0]
    loads = [line for line in api.get("/metrics").text.splitlines() if line.startswith("desk_model_loads_total{")]
    assert 'desk_model_loads_total{arm="champion",kind="entry",outcome="refused"} 1.0' in loads
    assert len(desk.alerts.sent) == 1
    assert words in desk.alerts.sent[0][1]
    assert "version 1 goes on serving" in desk.alerts.sent[0][1]

    desk.registry.versions["champion"] = "3"
    wait_for(lambda: ask(api, symbol="^GSPC").json()["model_version"] == "3")
    assert api.get("/readyz").json()["state"] == "green"


def test_an_alias_that_points_nowhere_leaves_the_old_champion_serving(api: TestClient, desk: Desk) -> None:
    desk.registry.versions.clear()

    wait_for(lambda: desk.alerts.sent)

    assert "points nowhere" in desk.alerts.sent[0][1]
    assert ask(api, symbol="^GSPC").status_code == 200
    assert api.get("/readyz").json()["state"] == "amber"


def test_a_registry_that_is_down_changes_nothing_and_is_noticed_when_it_is_back(api: TestClient, desk: Desk) -> None:
    desk.registry.broken = True
    wait_for(lambda: api.get("/readyz").json()["state"] == "amber")
    assert ask(api, symbol="^GSPC").status_code == 200
    assert api.get("/models").json()["trouble"] == ["entry registry: does not answer: ConnectionError"]

    desk.registry.versions["champion"] = "2"
    desk.registry.broken = False
    wait_for(lambda: ask(api, symbol="^GSPC").json()["model_version"] == "2")
    assert api.get("/readyz").json()["state"] == "green"


def test_a_registry_that_is_down_at_the_start_is_asked_again(desk: Desk) -> None:
    desk.registry.broken = True
    with client_of(desk) as api:
        assert ask(api, symbol="^GSPC").status_code == 503
        desk.registry.broken = False
        wait_for(lambda: ask(api, symbol="^GSPC").status_code == 200)


def test_an_mlflow_server_that_is_gone_is_noticed_within_seconds(api: TestClient, desk: Desk, tmp_path: Path) -> None:
    assert ask(api, symbol="^GSPC").status_code == 200

    desk.registry = MlflowRegistry("http://127.0.0.1:9", tmp_path, "entry-filter")  # type: ignore[assignment]
    wait_for(lambda: api.get("/readyz").json()["state"] == "amber", seconds=30)

    assert ask(api, symbol="^GSPC").status_code == 200
    assert api.get("/readyz").json()["trouble"] == ["entry registry: does not answer: MlflowException"]
