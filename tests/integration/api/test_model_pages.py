"""Pages of models over the API: versions, calibration, A/B tests, drift, promotions; MLflow away, an empty desk, wrong ids."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from ml.tracking.version_list import ListedVersion
from storage.models.drift import DriftLog
from storage.models.experiments import Experiment, Experiments
from storage.models.promotions import Promotion, Promotions
from tests.standins.api_desk import client_of

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

    from tests.standins.api_desk import Desk

pytestmark = pytest.mark.integration
DAY = dt.date(2018, 12, 28)
NAME = "entry-filter"
HTML = "<b>why</b>"
TERMS = {"share": 0.5, "sessions": 5, "least_pairs": 12, "level": 0.95}
ROUTES = ("versions", "calibration", "ab-tests", "drift", "promotions")


@pytest.fixture(autouse=True)
def fresh(engine: sa.Engine) -> None:
    """No row of the life of models, and no trade."""
    with engine.begin() as connection:
        connection.execute(sa.text("SET LOCAL session_replication_role = replica"))  # evidence refuses to be removed
        connection.execute(sa.text("TRUNCATE ml.experiments, ml.promotions, ml.drift, trading.predictions CASCADE"))
        connection.execute(sa.text("TRUNCATE trading.trades"))


def listed(version: str, *aliases: str, run: str = "r", objections: tuple[str, ...] | None = ()) -> ListedVersion:
    made = dt.datetime(2018, 12, 1, 12, tzinfo=dt.UTC)
    metrics, lift = {"auc": 0.56, "log_loss": 0.68}, {"lift/difference": 1.5}
    return ListedVersion(NAME, version, aliases, made, "2018-11-30", objections, metrics, lift, f"{run}{version}", "p1", "7")


def begun(desk: Desk, champion: str = "1", challengers: tuple[str, ...] = ("2",), first: dt.date = DAY) -> str:
    name = f"{NAME}:{champion}-vs-{'+'.join(challengers)}@{first}"
    Experiments(desk.engine).begin(Experiment(name, NAME, champion, challengers, TERMS, first))
    return name


def judged(desk: Desk, name: str, kind: str, challenger: str | None = None, reason: str = HTML, **report: Any) -> None:
    paired = {"value": 0.0012, "low": None, "high": None}
    compared = {
        "challenger": "2",
        "candidates": 40,
        "pairs": 9,
        "blocks": 4,
        "p_value": 0.2,
        "paired": paired,
        "assigned": None,
    }
    whole = {"sessions": 6, "spa": None, "comparisons": [compared], "void": 1, "late": 0, "blocked": [], **report}
    Experiments(desk.engine).record(name, DAY, kind=kind, challenger=challenger, reason=reason, report=whole)


def moved(desk: Desk, before: str | None, after: str, kind: str = "promote", author: str = "ann") -> None:
    log = Promotions(desk.engine)
    with log.one_at_a_time(NAME) as connection:
        log.add(connection, Promotion(NAME, kind, before, after, HTML, author))


def answers_of(desk: Desk, probabilities: np.ndarray, wins: np.ndarray, version: str = "1") -> None:
    """Answers of a version about entries that were traded, one symbol a row, and one that nobody traded."""
    days = {"session": DAY, "version": version, "name": NAME}
    with desk.engine.begin() as connection:
        rows = [
            {**days, "symbol": f"S{number}", "probability": float(probability), "net": 0.01 if win else -0.01}
            for number, (probability, win) in enumerate(zip(probabilities, wins, strict=True))
        ]
        connection.execute(sa.text(ANSWER), [*rows, {**days, "symbol": "NONE", "probability": 0.99, "net": 0.0}])
        for book in ("a", "b"):  # of two books that traded it, one counts
            connection.execute(sa.text(TRADE), [{**row, "book": book} for row in rows])


ANSWER = """
INSERT INTO trading.predictions (strategy, symbol, session, model_version, model_name, probability, predicted_return, signal)
VALUES ('bollinger', :symbol, :session, :version, :name, :probability, 0, 'enter')
"""
TRADE = """
INSERT INTO trading.trades (portfolio, symbol, strategy, side, decision_session, entry_session, exit_session, entry_price,
                            exit_price, quantity, gross_return, net_return, pnl_usd, cost_usd, holding_sessions, reason)
VALUES (:book, :symbol, 'bollinger', 1, :session, :session, :session, 1, 1, 1, :net, :net, 0, 0, 1, 'time')
"""


def read(api: TestClient, page: str, **query: Any) -> dict[str, Any]:
    answer = api.get(f"/models/{page}", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_versions_have_figures_gates_age_and_pages_in_mlflow(api: TestClient, desk: Desk) -> None:
    desk.registry.listed = [listed("12", objections=("AUC 0.51", HTML)), listed("3", "champion"), listed("2", objections=None)]
    found = read(api, "versions")
    newest, champion, old = found["versions"]

    assert (found["kind"], found["model"]) == ("entry", NAME)
    assert (newest["passed"], newest["objections"]) == (False, ["AUC 0.51", HTML])
    assert (champion["aliases"], champion["passed"], champion["age_days"]) == (["champion"], True, 28.0)
    assert (champion["metrics"]["auc"], champion["training_metrics"]) == (0.56, {"lift/difference": 1.5})
    assert champion["trained_through"] == "2018-11-30"
    assert old["passed"] is None
    assert champion["version_url"] == "http://127.0.0.1:5000/#/models/entry-filter/versions/3"
    assert champion["run_url"] == "http://127.0.0.1:5000/#/experiments/7/runs/r3"
    assert champion["training_url"] == "http://127.0.0.1:5000/#/experiments/7/runs/p1"


def test_links_lead_to_the_server_that_is_set(desk: Desk) -> None:
    desk.settings = desk.settings.with_changes(tracking__uri="https://mlflow.desk.test/")
    desk.registry.listed = [listed("1")]
    with client_of(desk) as api:
        assert (
            read(api, "versions")["versions"][0]["version_url"] == "https://mlflow.desk.test/#/models/entry-filter/versions/1"
        )


def test_each_kind_has_its_own_versions(api: TestClient, desk: Desk) -> None:
    desk.next_day_registry.listed = [listed("5")]

    found = read(api, "versions", kind="next_day")
    assert (found["kind"], found["model"], [row["version"] for row in found["versions"]]) == (
        "next_day",
        "next-day-return",
        ["5"],
    )
    assert read(api, "versions")["versions"] == []
    assert api.get("/models/versions", params={"kind": "other"}).status_code == 422


def test_without_mlflow_versions_are_a_problem_and_the_other_pages_answer(desk: Desk) -> None:
    with client_of(desk) as api:
        desk.registry.broken = desk.next_day_registry.broken = True
        answers_of(desk, np.full(25, 0.6), np.ones(25))
        down = api.get("/models/versions")
        shown = read(api, "calibration")

        assert (down.status_code, down.json()["type"]) == (503, "urn:desk:MlflowDown")
        assert "MLflow does not answer" in down.json()["detail"]
        assert "make up" in down.json()["remedy"]
        assert (shown["version"], shown["settled"]["n"], shown["training"]["n"]) == ("1", 25, 0), "the version that serves"
        assert "MLflow does not answer" in shown["training"]["reason"]
        assert all(api.get(f"/models/{page}").status_code == 200 for page in ("ab-tests", "drift", "promotions"))


def test_calibration_shows_settled_answers_and_the_training_beside_each_other(api: TestClient, desk: Desk) -> None:
    desk.registry.listed = [listed("2", "challenger"), listed("1", "champion")]
    probability = np.repeat([0.3, 0.7], 200)
    desk.registry.predictions["r1"] = pd.DataFrame({"probability": probability, "win": np.tile([1, 0], 200)})
    answers_of(desk, np.repeat([0.4, 0.8], 20), np.array([1] * 8 + [0] * 12 + [1] * 20))
    found = read(api, "calibration")
    settled, training = found["settled"], found["training"]

    assert (found["model"], found["version"]) == (NAME, "1")
    assert [(each["n"], each["predicted"], each["realised"]) for each in settled["bins"]] == [
        (20, pytest.approx(0.4), pytest.approx(0.4)),
        (20, pytest.approx(0.8), 1.0),
    ]
    assert settled["bins"][0]["realised_low"] < 0.4 < settled["bins"][0]["realised_high"]
    assert settled["calibration_error"] == pytest.approx(0.1)
    assert settled["brier"] == pytest.approx((8 * 0.36 + 12 * 0.16 + 20 * 0.04) / 40)
    assert (training["n"], training["base_rate"], len(training["bins"])) == (400, 0.5, 10)
    assert training["brier"] == pytest.approx((0.3**2 + 0.7**2) / 2)


def test_calibration_of_another_version_and_of_none(api: TestClient, desk: Desk) -> None:
    desk.registry.listed = [listed("2", "challenger", run="gone"), listed("1", "champion")]
    desk.registry.predictions = {"gone2": pd.DataFrame({"probability": [], "win": []}, dtype="float64")}
    other = read(api, "calibration", version="2")

    assert (other["version"], other["settled"]["n"], other["settled"]["bins"]) == ("2", 0, [])
    assert "No entry" in other["settled"]["reason"]
    assert other["training"]["reason"] == "Its run has no predictions out of sample."
    missing = api.get("/models/calibration", params={"version": "99"})
    assert (missing.status_code, missing.json()["type"]) == (404, "urn:desk:UnknownVersion")
    assert api.get("/models/calibration", params={"version": "x"}).status_code == 422


def test_a_version_that_is_gone_from_mlflow_still_has_its_settled_answers(api: TestClient, desk: Desk) -> None:
    answers_of(desk, np.full(3, 0.6), np.ones(3), version="8")
    found = read(api, "calibration", version="8")

    assert (found["settled"]["n"], found["training"]["reason"]) == (3, "The version is registered no more.")
    assert (len(found["settled"]["bins"]), found["settled"]["bins"][0]["realised_low"]) == (1, None), "too few for an interval"


def test_an_empty_desk_has_empty_pages(desk: Desk) -> None:
    desk.registry.versions.clear()
    with client_of(desk) as api:
        assert read(api, "versions")["versions"] == []
        nothing = read(api, "calibration")
        assert (nothing["version"], nothing["settled"]["reason"]) == (None, "No champion is registered.")
        for page in ("ab-tests", "drift", "promotions"):
            assert read(api, page) == {"rows": [], "next": None}


def test_an_ab_test_shows_its_samples_and_what_stands_against_a_decision(api: TestClient, desk: Desk) -> None:
    name = begun(desk)
    (before,) = read(api, "ab-tests")["rows"]
    scores = {"1": {"accept": True}, "2": {"accept": False}}
    rows = [{"strategy": "rsi", "symbol": f"S{k}", "arm": "1" if k % 3 else "2", "scores": scores} for k in range(9)]
    Experiments(desk.engine).assign(name, DAY, rows)
    judged(desk, name, "extend", reason=f"Too few samples: {HTML}")
    (row,) = read(api, "ab-tests")["rows"]

    assert (before["state"], before["session"], before["comparisons"]) == ("running", None, [])
    assert before["blocking"] == ["It has not been judged yet: model_ab_judge does so after each close."]
    assert (row["state"], row["champion"], row["challengers"]) == ("running", "1", ["2"])
    assert (row["assigned"], row["last_assigned"]) == ({"1": 6, "2": 3}, DAY.isoformat())
    assert row["blocking"] == [f"Too few samples: {HTML}"]
    assert (row["settled_sessions"], row["void"], row["late"], row["terms"]) == (6, 1, 0, TERMS)
    (compared,) = row["comparisons"]
    assert (compared["effect"], compared["low"], compared["unit"]) == (pytest.approx(12.0), None, "bps a candidate")
    assert (compared["candidates"], compared["pairs"], compared["blocks"], compared["p_value"]) == (40, 9, 4, 0.2)


def test_the_state_of_an_ab_test_follows_its_decision_and_the_champion(api: TestClient, desk: Desk) -> None:
    names = [begun(desk, first=DAY + dt.timedelta(days=k)) for k in range(3)]
    judged(desk, names[0], "promote", "2", reason="clear")
    judged(desk, names[1], "keep", reason="kept", blocked=["deflated Sharpe ratio of the filtered strategy 0.1"])
    moved(desk, "1", "2")
    states = {row["name"]: (row["state"], row["promoted"]) for row in read(api, "ab-tests")["rows"]}

    assert [states[name] for name in names] == [("promoted", "2"), ("kept", None), ("superseded", None)]
    kept = next(row for row in read(api, "ab-tests")["rows"] if row["state"] == "kept")
    assert kept["blocking"] == ["deflated Sharpe ratio of the filtered strategy 0.1"]


def test_a_comparison_of_next_day_models_is_in_percent_of_the_error(api: TestClient, desk: Desk) -> None:
    name = begun(desk)
    compared = {"challenger": "2", "pairs": 600, "p_value": 0.01, "paired": {"value": 0.02, "low": 0.01, "high": 0.03}}
    report = {"sessions": 60, "unit": "% of the champion's squared error", "comparisons": [compared]}
    Experiments(desk.engine).record(name, DAY, kind="promote", challenger="2", reason="better", report=report)
    (row,) = read(api, "ab-tests")["rows"]

    assert row["comparisons"][0] == {
        "challenger": "2",
        "effect": 2.0,
        "low": 1.0,
        "high": 3.0,
        "unit": "% of the champion's squared error",
        "candidates": None,
        "pairs": 600,
        "blocks": None,
        "p_value": 0.01,
    }
    assert (row["spa_p_value"], row["void"], row["blocking"]) == (None, None, [])


def test_ab_tests_page_newest_first_and_by_model(api: TestClient, desk: Desk) -> None:
    names = [begun(desk, first=DAY + dt.timedelta(days=k)) for k in range(5)]
    first = read(api, "ab-tests", limit=2)
    second = read(api, "ab-tests", limit=3, after=first["next"])

    assert [row["name"] for row in (*first["rows"], *second["rows"])] == names[::-1]
    assert second["next"] is None
    assert read(api, "ab-tests", model="other")["rows"] == []


def test_drift_is_that_of_the_newest_session_of_each_family(api: TestClient, desk: Desk) -> None:
    log = DriftLog(desk.engine)
    counts = {"reference_count": 1000, "recent_count": 40}

    def row(family: str, name: str, **values: Any) -> dict[str, Any]:
        figures = dict.fromkeys(("psi", "statistic", "p_value", "reference_mean", "recent_mean"))
        return {"family": family, "name": name, **figures, **counts, "alert": False, "detail": "", **values}

    log.save(DAY - dt.timedelta(days=60), [row("outcome", "win_rate")])
    log.save(
        DAY - dt.timedelta(days=1), [row("feature", "rsi_14", psi=0.1), row("feature", "gone"), row("skew", "served_features")]
    )
    log.save(DAY, [row("feature", "rsi_14", psi=0.4, alert=True), row("feature", HTML)])
    rows = read(api, "drift")["rows"]

    assert [(each["family"], each["session"]) for each in rows] == [
        ("feature", DAY.isoformat()),
        ("feature", DAY.isoformat()),
        ("skew", (DAY - dt.timedelta(days=1)).isoformat()),
    ]
    assert {each["name"] for each in rows} == {"rsi_14", HTML, "served_features"}
    drifted = next(each for each in rows if each["name"] == "rsi_14")
    assert (drifted["psi"], drifted["alert"], drifted["p_value"]) == (0.4, True, None)
    assert [each["name"] for each in read(api, "drift", session="2018-12-27", family="skew")["rows"]] == ["served_features"]
    first = read(api, "drift", limit=1)
    assert [*first["rows"], *read(api, "drift", after=first["next"])["rows"]] == rows


def test_moves_of_the_champion_page_newest_first(api: TestClient, desk: Desk) -> None:
    for before, after in ((None, "1"), ("1", "2"), ("2", "1")):
        moved(desk, before, after, kind="rollback" if before == "2" else "promote", author="<i>ann</i>")
    first = read(api, "promotions", limit=2)
    second = read(api, "promotions", after=first["next"])

    assert [(row["kind"], row["from_version"], row["to_version"]) for row in (*first["rows"], *second["rows"])] == [
        ("rollback", "2", "1"),
        ("promote", "1", "2"),
        ("promote", None, "1"),
    ]
    assert (first["rows"][0]["reason"], first["rows"][0]["author"], first["rows"][0]["decision_id"]) == (
        HTML,
        "<i>ann</i>",
        None,
    )


@pytest.mark.parametrize("page", ["ab-tests", "drift", "promotions"])
def test_exports_of_an_empty_page_have_a_header(api: TestClient, page: str) -> None:
    text = api.get(f"/models/{page}", params={"format": "csv"})

    assert (text.status_code, text.headers["content-disposition"]) == (200, f'attachment; filename="{page}.csv"')
    assert len(text.text.splitlines()) == 1
    assert api.get(f"/models/{page}", params={"format": "parquet"}).status_code == 200


@pytest.mark.parametrize("page", ROUTES)
def test_pages_of_models_need_a_key_where_keys_are_set(desk: Desk, page: str) -> None:
    desk.settings = desk.settings.with_changes(api__read_keys="r" * 20)
    with client_of(desk) as api:
        assert api.get(f"/models/{page}").status_code == 401
        assert api.get(f"/models/{page}", headers={"X-API-Key": "r" * 20}).status_code == 200
