"""The API over a real PostgreSQL, with stand-ins of the model registry and the online store."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from core.feature_hash import feature_hash
from core.frames import FEATURES
from core.settings import Settings
from ml.predict import EntryFilter, Payoff
from serving.app import create_app
from storage.engine import open_engine
from storage.strategy_params import StrategyParams

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

pytestmark = pytest.mark.integration
FRIDAY_CLOSE = pd.Timestamp("2018-12-28 21:00", tz="UTC")


class Registry:
    """Versions under aliases, in memory; the higher the version, the surer the filter."""

    def __init__(self) -> None:
        self.versions = {"champion": "1"}
        self.loads: list[str] = []
        self.broken = False
        self.features: dict[str, tuple[str, ...]] = {}
        self.probability: dict[str, float] = {}

    @property
    def aliases(self) -> Registry:
        return self

    def all(self) -> dict[str, str]:
        if self.broken:
            raise ConnectionError("no route")
        return dict(self.versions)

    def load(self, version: str) -> EntryFilter:
        self.loads.append(version)
        sure = self.probability.get(version, 0.5 + 0.1 * int(version))
        features = self.features.get(version, FEATURES)
        return EntryFilter(
            "entry-filter", version, lambda X: np.full(len(X), sure), Payoff(0.02, -0.01), features, "2018-12-28"
        )


class FeatureStore:
    """Newest features by symbol; `put` is a materialisation."""

    def __init__(self) -> None:
        self.seen = {"^GSPC": FRIDAY_CLOSE, "OLD": FRIDAY_CLOSE - pd.Timedelta(days=7), "YOUNG": FRIDAY_CLOSE}
        self.values = {"^GSPC": 0.5, "OLD": 0.5, "YOUNG": np.nan}
        self.number = 1
        self.reads: list[list[str]] = []

    def materialisation(self) -> int:
        return self.number

    def put(self, symbol: str, close: pd.Timestamp, value: float) -> None:
        self.seen[symbol], self.values[symbol] = close, value
        self.number += 1

    def online(self, symbols: Sequence[str]) -> pd.DataFrame:
        self.reads.append(list(symbols))
        stamps = pd.to_datetime(pd.Series([self.seen.get(symbol, pd.NaT) for symbol in symbols]), utc=True)
        values = [self.values.get(symbol, np.nan) for symbol in symbols]
        return pd.DataFrame({"symbol": list(symbols), "event_timestamp": stamps, **dict.fromkeys(FEATURES, values)})


class Bars:
    """What is stored."""

    def symbols(self) -> list[str]:
        return ["OLD", "YOUNG", "^GSPC"]

    def last_sessions(self) -> dict[str, dt.date]:
        return {"^GSPC": dt.date(2018, 12, 28), "OLD": dt.date(2018, 12, 21)}


class Alerts:
    """Alerts that were sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    def send(self, subject: str, body: str) -> bool:
        self.sent.append((subject, body))
        return True


@dataclass
class Desk:
    """The resources that the API uses."""

    settings: Settings
    engine: sa.Engine
    data_dir: Path
    historical: bool = True
    now: dt.datetime = dt.datetime(2018, 12, 29, 12, tzinfo=dt.UTC)
    registry: Registry = field(default_factory=Registry)
    features: FeatureStore = field(default_factory=FeatureStore)
    bars: Bars = field(default_factory=Bars)
    alerts: Alerts = field(default_factory=Alerts)

    def clock(self) -> dt.datetime:
        return self.now

    @property
    def parameters(self) -> StrategyParams:
        return StrategyParams(self.engine)

    def universe(self) -> list[str]:
        return ["^GSPC"]


READ_KEY, CONTROL_KEY = "r" * 20, "c" * 20


@pytest.fixture(scope="module")
def engine(module_settings: Settings) -> Iterator[sa.Engine]:
    found = open_engine(module_settings)
    yield found
    found.dispose()


@pytest.fixture
def desk(engine: sa.Engine, tmp_path: Path) -> Desk:
    with engine.begin() as connection:
        for table in ("trading.served_predictions", "trading.strategy_params", "trading.halts"):
            connection.execute(sa.text(f"TRUNCATE {table}"))
    settings = Settings(_env_file=None, champion_poll_seconds=0.02, api_control_keys=CONTROL_KEY)
    return Desk(settings, engine, tmp_path)


def client_of(desk: Desk, host: str = "127.0.0.1") -> TestClient:
    return TestClient(create_app(desk), raise_server_exceptions=False, client=(host, 50_000))  # type: ignore[arg-type]


@pytest.fixture
def api(desk: Desk) -> Iterator[TestClient]:
    with client_of(desk) as client:
        yield client


def ask(api: TestClient, **body: object) -> Any:
    return api.post("/predict-next-day", json=body)


def test_a_symbol_gets_a_typed_prediction(api: TestClient) -> None:
    answer = ask(api, symbol="^GSPC")

    assert answer.status_code == 200
    assert answer.json() == {
        "timestamp": "2018-12-29T12:00:00Z",
        "symbol": "^GSPC",
        "session": "2018-12-28",
        "for_session": "2018-12-31",
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
    assert answer.json()["instance"] == "/predict-next-day"


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
            "model": "none: run `cli train`",
            "trouble": [],
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

    wait_for(lambda: 'desk_model_loads_total{arm="any",outcome="failed"}' in api.get("/metrics").text)

    assert ask(api, symbol="^GSPC").json()["model_version"] == "1"


def test_the_measures_count_requests_predictions_and_name_the_model(api: TestClient) -> None:
    ask(api, symbol="^GSPC")
    ask(api, symbol="nowhere")

    text = api.get("/metrics").text

    assert 'desk_requests_total{route="/predict-next-day",status="200"} 1.0' in text
    assert 'desk_requests_total{route="/predict-next-day",status="404"} 1.0' in text
    assert 'desk_predictions_total{arm="champion",signal="enter"} 1.0' in text
    assert 'desk_model_info{arm="champion",name="entry-filter",version="1"} 1.0' in text
    assert 'desk_request_seconds_count{route="/predict-next-day"} 2.0' in text
    labels = 'arm="champion",model="entry-filter",route="/predict-next-day",version="1"'
    assert f"desk_prediction_seconds_count{{{labels}}} 1.0" in text


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

    assert {"/predict-next-day", "/predict-batch", "/models", "/strategies", "/trading/halt", "/readyz"} <= set(paths)
    assert {"200", "404", "409", "422", "503"} <= set(paths["/predict-next-day"]["post"]["responses"])


def wait_for(condition: Any, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
