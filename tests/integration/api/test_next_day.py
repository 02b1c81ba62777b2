"""The next-day model beside the entry filter: what each answers, which serves, what is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from core.feature_hash import feature_hash
from core.frames import FEATURES
from storage.trading.served import ServedPredictions
from tests.standins.api_desk import ask, ask_next_day, client_of, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi.testclient import TestClient

    from tests.standins.api_desk import Desk

pytestmark = pytest.mark.integration


@pytest.fixture
def both(desk: Desk) -> Iterator[TestClient]:
    """A desk that has a model of each kind."""
    desk.next_day_registry.versions["champion"] = "3"
    with client_of(desk) as client:
        yield client


def test_a_symbol_gets_its_next_return_with_an_interval(both: TestClient) -> None:
    answer = ask_next_day(both, symbol="^GSPC")

    assert answer.status_code == 200
    assert answer.json() == {
        "timestamp": "2018-12-29T12:00:00Z",
        "symbol": "^GSPC",
        "session": "2018-12-28",
        "for_session": "2018-12-31",
        "predicted_return": 0.02,
        "low": pytest.approx(0.02 - 0.5 * 1.8),
        "high": pytest.approx(0.02 + 0.5 * 1.8),
        "signal": "BUY",
        "confidence": pytest.approx(1 - 98 / 201, abs=0.01),
        "arm": "champion",
        "model_name": "next-day-return",
        "model_version": "3",
        "feature_timestamp": "2018-12-28T21:00:00Z",
        "feature_hash": feature_hash([0.5] * len(FEATURES)),
    }


def test_the_settings_say_from_which_return_it_is_buy(desk: Desk) -> None:
    desk.next_day_registry.versions["champion"] = "3"
    desk.settings = desk.settings.with_changes(next_day__buy_above_pct=3.0)
    with client_of(desk) as api:
        assert ask_next_day(api, symbol="^GSPC").json()["signal"] == "HOLD"
        desk.next_day_registry.versions["champion"] = "1"
        wait_for(lambda: ask_next_day(api, symbol="^GSPC").json()["signal"] == "SELL")


def test_without_a_next_day_model_entries_are_served_and_readiness_says_so(api: TestClient, desk: Desk) -> None:
    answer = ask_next_day(api, symbol="^GSPC")

    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:desk:NoNextDayModel"
    assert "desk train-next-day" in answer.json()["remedy"]
    assert ask(api, symbol="^GSPC").status_code == 200
    ready = api.get("/readyz").json()
    assert (ready["state"], ready["entry"]) == ("green", "version 1")
    assert ready["next_day"] == "none: run `desk train-next-day`"

    desk.next_day_registry.versions["champion"] = "1"
    wait_for(lambda: ask_next_day(api, symbol="^GSPC").status_code == 200)
    assert api.get("/readyz").json()["next_day"] == "version 1"


def test_a_broken_version_leaves_the_old_one_serving_and_is_alerted_once(both: TestClient, desk: Desk) -> None:
    desk.next_day_registry.returns["4"] = float("nan")
    desk.next_day_registry.versions["champion"] = "4"

    wait_for(lambda: desk.alerts.sent)

    assert ask_next_day(both, symbol="^GSPC").json()["model_version"] == "3"
    ready = both.get("/readyz").json()
    assert ready["state"] == "amber"
    assert ready["trouble"][0].startswith("next_day champion: version 4 was refused")
    assert len(desk.alerts.sent) == 1
    assert "The champion of 'next-day-return' was not loaded" in desk.alerts.sent[0][0]
    assert "desk train-next-day" in desk.alerts.sent[0][1]
    assert ask(both, symbol="^GSPC").status_code == 200


def test_both_kinds_are_listed_with_their_arms(both: TestClient, desk: Desk) -> None:
    desk.next_day_registry.versions["challenger"] = "1"
    wait_for(lambda: len(both.get("/models").json()["models"]) == 3)

    models = both.get("/models").json()["models"]

    assert [(row["kind"], row["arm"], row["version"], row["strategies"]) for row in models] == [
        ("entry", "champion", "1", ["bollinger"]),
        ("next_day", "challenger", "1", []),
        ("next_day", "champion", "3", []),
    ]
    answers = {arm: ask_next_day(both, symbol="^GSPC", arm=arm).json() for arm in ("champion", "challenger")}
    assert {arm: answer["signal"] for arm, answer in answers.items()} == {"champion": "BUY", "challenger": "SELL"}


def test_every_answer_of_both_kinds_is_stored(both: TestClient, desk: Desk) -> None:
    given = {name: place / 7 for place, name in enumerate(FEATURES)} | {"vix": None}
    entry, tomorrow = ask(both, symbol="^GSPC").json(), ask_next_day(both, symbol="SPY", features=given).json()

    wait_for(lambda: len(ServedPredictions(desk.engine).read(desk.now)) == 2)

    first, second = ServedPredictions(desk.engine).read(desk.now)
    assert [(row.kind, row.strategy, row.symbol) for row in (first, second)] == [
        ("entry", "bollinger", "^GSPC"),
        ("next_day", "", "SPY"),
    ]
    assert (first.probability, first.low, first.high) == (entry["probability"], None, None)
    assert second.probability is None
    stored = (second.predicted_return, second.low, second.high, second.confidence, second.signal)
    assert stored == tuple(tomorrow[name] for name in ("predicted_return", "low", "high", "confidence", "signal"))
    np.testing.assert_array_equal(second.features, [np.nan if value is None else value for value in given.values()])
    assert (second.source, second.feature_hash) == ("given", tomorrow["feature_hash"])
    text = both.get("/metrics").text
    assert 'desk_predictions_total{arm="champion",kind="next_day",signal="BUY"} 1.0' in text


def test_a_batch_answers_in_order_and_one_bad_row_stops_no_other(both: TestClient, desk: Desk) -> None:
    rows = [{"symbol": "^GSPC"}, {"symbol": "nowhere"}, {"symbol": "SPY", "features": dict.fromkeys(FEATURES, 0.1)}]

    answer = both.post("/predict-next-day/batch", json={"rows": rows})

    assert answer.status_code == 200
    first, second, third = answer.json()["items"]
    assert (first["prediction"]["signal"], first["problem"]) == ("BUY", None)
    assert (second["prediction"], second["problem"]["status"]) == (None, 404)
    assert second["problem"]["instance"] == "/predict-next-day/batch"
    assert third["prediction"]["feature_timestamp"] is None
    wait_for(lambda: len(ServedPredictions(desk.engine).read(desk.now)) == 2)


def test_features_without_a_finite_answer_are_the_askers_fault_and_not_stored(both: TestClient, desk: Desk) -> None:
    answer = ask_next_day(both, symbol="SPY", features=dict.fromkeys(FEATURES, 1.7e308))

    assert answer.status_code == 422
    assert "far too large" in answer.json()["detail"]
    assert answer.json()["type"] == "urn:desk:Unanswerable"
    assert ask_next_day(both, symbol="^GSPC").status_code == 200
    wait_for(lambda: len(ServedPredictions(desk.engine).read(desk.now)) == 1)


@pytest.mark.parametrize(
    ("known", "asked", "status", "words"),
    [
        (("bollinger",), None, 200, "bollinger"),
        (("bollinger", "rsi"), "rsi", 200, "rsi"),
        (("bollinger", "rsi"), None, 422, "knows bollinger, rsi: expected one of them"),
        (("bollinger", "rsi"), "gap", 409, "trained on candidates of bollinger, rsi, not of gap"),
        (("bollinger",), "bolinger", 422, "Did you mean 'bollinger'?"),
        (("bollinger",), "", 422, "Unknown strategy"),
    ],
)
def test_an_entry_is_a_candidate_of_a_strategy_that_the_model_knows(
    desk: Desk, known: tuple[str, ...], asked: str | None, status: int, words: str
) -> None:
    desk.registry.strategies["1"] = known
    with client_of(desk) as api:
        body: dict[str, Any] = {"symbol": "^GSPC"} | ({"strategy": asked} if asked is not None else {})
        answer = ask(api, **body)
        batch = api.post("/predict-entry/batch", json={"rows": [body]})

    assert answer.status_code == status
    if status == 200:
        assert answer.json()["strategy"] == words
    else:
        assert words in answer.json()["detail"]
        assert answer.json()["remedy"]
    if status == 409:
        assert "desk train" in answer.json()["remedy"]
        assert batch.json()["items"][0]["problem"]["status"] == 409
