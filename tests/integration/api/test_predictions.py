"""Predictions, one and many: what is answered, from what, and what is refused."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from core.feature_hash import feature_hash
from core.frames import FEATURES
from storage.trading.served import ServedPredictions
from tests.standins.api_desk import FRIDAY_CLOSE, ask, client_of, wait_for

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

    from tests.standins.api_desk import Desk

pytestmark = pytest.mark.integration


def test_a_symbol_gets_a_typed_prediction(api: TestClient) -> None:
    answer = ask(api, symbol="^GSPC")

    assert answer.status_code == 200
    assert answer.json() == {
        "timestamp": "2018-12-29T12:00:00Z",
        "symbol": "^GSPC",
        "session": "2018-12-28",
        "for_session": "2018-12-31",
        "strategy": "bollinger",
        "probability": 0.6,
        "predicted_return": pytest.approx(0.6 * 0.02 - 0.4 * 0.01),
        "signal": "enter",
        "confidence": pytest.approx(0.2),
        "arm": "champion",
        "model_name": "entry-filter",
        "model_version": "1",
        "feature_timestamp": "2018-12-28T21:00:00Z",
        "feature_hash": feature_hash([0.5] * len(FEATURES)),
    }


def test_features_can_be_given_and_null_is_unknown(api: TestClient) -> None:
    answer = ask(api, symbol="brk.b", features=dict.fromkeys(FEATURES, 0.1) | {"vix": None})

    assert answer.status_code == 200
    assert answer.json()["symbol"] == "BRK-B"
    assert answer.json()["feature_timestamp"] is None
    assert answer.json()["for_session"] == "2018-12-31"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"symbol": "^GSPX"}, 404, "Did you mean ^GSPC"),
        ({"symbol": "OLD"}, 409, "4 sessions before 2018-12-28"),
        ({"symbol": "YOUNG"}, 409, "warm-up"),
        ({}, 422, "symbol: Field required"),
        ({"symbol": ""}, 422, "at least 1 character"),
        ({"symbol": "^GSPC", "mood": "good"}, 422, "mood"),
        ({"symbol": "^GSPC", "features": {"rsi_14": 1.0}}, 422, "missing"),
        ({"symbol": "^GSPC", "features": {**dict.fromkeys(FEATURES, 0.1), "moon": 1.0}}, 422, "moon"),
    ],
)
def test_a_problem_says_what_is_wrong_and_what_to_do(api: TestClient, body: dict[str, Any], status: int, words: str) -> None:
    answer = ask(api, **body)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.json()["detail"]
    assert answer.json()["remedy"]
    assert answer.json()["status"] == status
    assert answer.json()["instance"] == "/predict-entry"


def test_live_features_are_measured_against_the_last_closed_session(desk: Desk) -> None:
    desk.historical = False
    desk.now = dt.datetime(2019, 1, 7, 22, tzinfo=dt.UTC)
    with client_of(desk) as api:
        answer = ask(api, symbol="^GSPC")

    assert answer.status_code == 409
    assert "5 sessions before 2019-01-07" in answer.json()["detail"]


def test_without_a_champion_the_answer_is_503_until_one_is_registered(desk: Desk) -> None:
    desk.registry.versions.clear()
    with client_of(desk) as api:
        answer = ask(api, symbol="^GSPC")
        assert answer.status_code == 503
        assert "model_training" in answer.json()["remedy"]
        assert api.get("/readyz").status_code == 503
        assert api.get("/readyz").json() == {
            "ready": False,
            "state": "red",
            "database": "answers",
            "entry": "none: run `desk train`",
            "next_day": "none: run `desk train-next-day`",
            "trouble": [],
            "entries_blocked": {},
        }

        desk.registry.versions["champion"] = "2"
        wait_for(lambda: ask(api, symbol="^GSPC").status_code == 200)
        assert api.get("/readyz").status_code == 200


def test_the_model_is_loaded_once_and_exchanged_when_the_alias_moves(api: TestClient, desk: Desk) -> None:
    for _ in range(3):
        assert ask(api, symbol="^GSPC").json()["model_version"] == "1"
    assert desk.registry.loads == ["1"]

    desk.registry.versions["champion"] = "2"

    wait_for(lambda: ask(api, symbol="^GSPC").json()["model_version"] == "2")
    assert desk.registry.loads == ["1", "2"]


def test_a_failed_reload_keeps_the_old_model_and_is_counted(api: TestClient, desk: Desk) -> None:
    desk.registry.broken = True

    wait_for(lambda: 'desk_model_loads_total{arm="any",kind="entry",outcome="failed"}' in api.get("/metrics").text)

    assert ask(api, symbol="^GSPC").json()["model_version"] == "1"


def test_the_measures_count_requests_predictions_and_name_the_model(api: TestClient) -> None:
    ask(api, symbol="^GSPC")
    ask(api, symbol="nowhere")

    text = api.get("/metrics").text

    assert 'desk_requests_total{route="/predict-entry",status="200"} 1.0' in text
    assert 'desk_requests_total{route="/predict-entry",status="404"} 1.0' in text
    assert 'desk_predictions_total{arm="champion",kind="entry",signal="enter"} 1.0' in text
    assert 'desk_model_info{arm="champion",kind="entry",name="entry-filter",version="1"} 1.0' in text
    assert 'desk_request_seconds_count{route="/predict-entry"} 2.0' in text
    labels = 'arm="champion",kind="entry",model="entry-filter",route="/predict-entry",version="1"'
    assert f"desk_prediction_seconds_count{{{labels}}} 1.0" in text


def test_the_scorecard_of_a_book_is_served_and_an_unknown_book_is_404(api: TestClient, desk: Desk) -> None:
    for session, worth in ((dt.date(2018, 12, 27), 1000.0), (dt.date(2018, 12, 28), 1001.0)):
        desk.ledger.save_equity(
            {
                "portfolio": "swing",
                "session": session,
                "cash_usd": worth,
                "equity_usd": worth,
                "exposure_usd": 0,
                "positions": 0,
            }
        )

    answer = api.get("/scorecard", params={"book": "swing"})
    unknown = api.get("/scorecard", params={"book": "swnig"})

    assert answer.status_code == 200
    card = answer.json()
    assert (card["source"], card["first"], card["last"]) == ("Book swing", "2018-12-27", "2018-12-28")
    assert {row["verdict"] for row in card["rows"]} == {"not enough", "not measured"}
    assert unknown.status_code == 404
    assert "Did you mean swing?" in unknown.json()["detail"]
    assert api.get("/scorecard").status_code == 422


def test_an_unreachable_database_is_503_and_tells_no_secret(api: TestClient, desk: Desk) -> None:
    desk.engine = sa.create_engine("postgresql+psycopg2://me:hush@127.0.0.1:9/desk")

    answer = api.get("/backtest-metrics")

    assert answer.status_code == 503
    assert "PostgreSQL" in answer.json()["remedy"]
    assert "hush" not in answer.text
    ready = api.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["database"] == "does not answer: OperationalError"
    assert api.get("/healthz").json() == {"status": "alive"}


def test_an_unexpected_failure_is_a_problem_too_and_shows_no_internals(api: TestClient, desk: Desk) -> None:
    desk.features.online = lambda symbols: 1 / 0  # type: ignore[assignment, return-value]  # noqa: ARG005

    answer = ask(api, symbol="^GSPC")

    assert answer.status_code == 500
    assert answer.json()["detail"] == "ZeroDivisionError"


def test_an_unknown_path_is_a_problem(api: TestClient) -> None:
    answer = api.get("/predict")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_documentation_has_every_route_with_its_problems(api: TestClient) -> None:
    paths = api.get("/openapi.json").json()["paths"]

    predicting = {"/predict-next-day", "/predict-next-day/batch", "/predict-entry", "/predict-entry/batch"}
    assert {*predicting, "/models", "/orders/{client_order_id}", "/strategies", "/trading/halt", "/readyz"} <= set(paths)
    for path in predicting:
        assert {"200", "404", "409", "422", "503"} <= set(paths[path]["post"]["responses"])
        assert paths[path]["post"]["requestBody"]["required"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("NaN", "rsi_14: Input should be a finite number"),
        ("Infinity", "rsi_14: Input should be a finite number"),
        ('"1.0"', "rsi_14"),
    ],
)
def test_a_feature_that_is_no_number_is_named(api: TestClient, value: str, words: str) -> None:
    rest = ", ".join(f'"{name}": 0.1' for name in FEATURES if name != "rsi_14")
    answer = api.post(
        "/predict-entry",
        content=f'{{"symbol": "SPY", "features": {{"rsi_14": {value}, {rest}}}}}',
        headers={"content-type": "application/json"},
    )

    assert answer.status_code == 422
    assert words in answer.json()["detail"]


def test_every_answer_is_stored_with_its_features(api: TestClient, desk: Desk) -> None:
    given = {name: place / 7 for place, name in enumerate(FEATURES)} | {"vix": None}
    online, explicit = ask(api, symbol="^GSPC").json(), ask(api, symbol="SPY", features=given).json()

    wait_for(lambda: len(ServedPredictions(desk.engine).read(desk.now)) == 2)

    first, second = ServedPredictions(desk.engine).read(desk.now)
    assert (first.kind, first.strategy, first.symbol) == ("entry", "bollinger", "^GSPC")
    assert (first.source, first.arm, first.model_version) == ("online", "champion", "1")
    assert first.feature_timestamp == FRIDAY_CLOSE
    assert first.features == [0.5] * len(FEATURES)
    assert (second.source, second.feature_timestamp) == ("given", None)
    np.testing.assert_array_equal(second.features, [np.nan if value is None else value for value in given.values()])
    assert [first.feature_hash, second.feature_hash] == [online["feature_hash"], explicit["feature_hash"]]
    assert feature_hash(second.features) == second.feature_hash
    assert [first.probability, first.signal] == [online["probability"], online["signal"]]
    assert (first.confidence, first.low, first.high) == (online["confidence"], None, None)
    assert 0 < first.latency_us < 5_000_000


def test_a_materialisation_is_seen_by_the_next_request(api: TestClient, desk: Desk) -> None:
    thursday = pd.Timestamp("2018-12-27 21:00", tz="UTC")
    assert ask(api, symbol="^GSPC").json()["session"] == "2018-12-28"

    desk.features.put("^GSPC", thursday, 0.6)
    wait_for(lambda: ask(api, symbol="^GSPC").json()["session"] == "2018-12-27", seconds=0.5)

    desk.features.put("^GSPC", FRIDAY_CLOSE, 0.4)
    wait_for(lambda: ask(api, symbol="^GSPC").json()["session"] == "2018-12-28", seconds=0.5)
    hashes = {row.feature_hash for row in ServedPredictions(desk.engine).read(desk.now)} | {
        ask(api, symbol="^GSPC").json()["feature_hash"]
    }
    assert feature_hash([0.4] * len(FEATURES)) in hashes


def test_rows_in_memory_are_read_once_a_materialisation(api: TestClient, desk: Desk) -> None:
    for _ in range(20):
        ask(api, symbol="^GSPC")

    assert desk.features.reads == [["OLD", "YOUNG", "^GSPC"]]


def test_a_symbol_that_appears_in_the_store_is_found(api: TestClient, desk: Desk) -> None:
    assert ask(api, symbol="NEW").status_code == 404

    desk.features.seen["NEW"], desk.features.values["NEW"] = FRIDAY_CLOSE, 0.5

    assert ask(api, symbol="NEW").status_code == 200


def test_live_rows_go_stale_while_they_stay_in_memory(desk: Desk) -> None:
    desk.historical = False
    with client_of(desk) as api:
        assert ask(api, symbol="^GSPC").status_code == 200

        desk.now = dt.datetime(2019, 1, 7, 22, tzinfo=dt.UTC)

        assert ask(api, symbol="^GSPC").status_code == 409


def test_a_batch_answers_in_order_and_one_bad_row_stops_no_other(api: TestClient, desk: Desk) -> None:
    rows = [{"symbol": "^GSPC"}, {"symbol": "nowhere"}, {"symbol": "SPY", "features": dict.fromkeys(FEATURES, 0.1)}]
    answer = api.post("/predict-entry/batch", json={"rows": rows})

    assert answer.status_code == 200
    first, second, third = answer.json()["items"]
    assert (first["prediction"]["symbol"], first["problem"]) == ("^GSPC", None)
    assert (second["prediction"], second["problem"]["status"]) == (None, 404)
    assert third["prediction"]["feature_timestamp"] is None
    wait_for(lambda: len(ServedPredictions(desk.engine).read(desk.now)) == 2)


def test_a_batch_holds_a_thousand_rows_and_no_more(api: TestClient, desk: Desk) -> None:
    features = dict.fromkeys(FEATURES, -0.12345678901234567)
    full = api.post("/predict-entry/batch", json={"rows": [{"symbol": "SPY", "features": features}] * 1000})
    assert full.status_code == 200
    assert len(full.json()["items"]) == 1000
    wait_for(lambda: len(ServedPredictions(desk.engine).read(desk.now)) == 1000)

    over = api.post("/predict-entry/batch", json={"rows": [{"symbol": "SPY"}] * 1001})
    assert over.status_code == 422
    assert "at most 1000 items" in over.json()["detail"]

    huge = api.post("/predict-entry/batch", json={"rows": [{"symbol": "SPY", "features": features}] * 10_000})
    assert huge.status_code == 413
    assert "2,000,000 bytes" in huge.json()["detail"]
    assert api.get("/healthz").status_code == 200


def test_a_body_that_does_not_say_its_size_is_cut_off(api: TestClient) -> None:
    answer = api.post(
        "/predict-entry/batch", content=(b" " * 100_000 for _ in range(30)), headers={"content-type": "application/json"}
    )

    assert answer.status_code == 413


@pytest.mark.parametrize("symbol", ["nul\x00", "a b", "'; DROP TABLE", "\ud800", "é", "../../etc", "A\n"])
def test_a_symbol_is_made_of_a_tickers_characters(api: TestClient, symbol: str) -> None:
    content = '{"symbol": ' + json.dumps(symbol) + "}"

    assert api.post("/predict-entry", content=content).status_code in {400, 422}
