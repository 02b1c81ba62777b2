"""Experiments, decisions, promotions and drift on a real PostgreSQL."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from core.errors import RetryLater
from storage.models.drift import DriftLog
from storage.models.experiments import Experiment, Experiments
from storage.models.promotions import Promotion, Promotions

if TYPE_CHECKING:
    from sqlalchemy import Engine

pytestmark = pytest.mark.integration
DAY = dt.date(2020, 3, 4)
ONE = Experiment("entry-filter:1-vs-2", "entry-filter", "1", ("2",), {"sessions": 5}, DAY)
SCORES = {"1": {"probability": 0.4, "accept": False}, "2": {"probability": 0.6, "accept": True}}


@pytest.fixture
def store(database: Engine) -> Experiments:
    return Experiments(database)


def test_the_terms_of_an_experiment_are_those_it_began_with(store: Experiments) -> None:
    assert store.get(ONE.name) is None
    assert store.begin(ONE) == ONE

    later = Experiment(ONE.name, "entry-filter", "1", ("2",), {"sessions": 1}, dt.date(2020, 4, 1))

    assert store.begin(later) == ONE


def test_a_candidate_is_assigned_once(store: Experiments) -> None:
    store.begin(ONE)
    store.assign(ONE.name, DAY, [{"strategy": "bollinger", "symbol": "SPY", "arm": "2", "scores": SCORES}])
    store.assign(ONE.name, DAY, [{"strategy": "bollinger", "symbol": "SPY", "arm": "1", "scores": {}}])

    found = store.assignments(ONE.name)

    assert found[["symbol", "arm"]].values.tolist() == [["SPY", "2"]]
    assert found["scores"][0] == SCORES
    assert store.assignments(ONE.name, session=dt.date(2020, 3, 5)).empty


@pytest.mark.parametrize(
    "change", ["UPDATE ml.ab_assignments SET arm = '1'", "DELETE FROM ml.ab_assignments", "TRUNCATE ml.promotions"]
)
def test_evidence_cannot_be_changed(store: Experiments, database: Engine, change: str) -> None:
    store.begin(ONE)
    store.assign(ONE.name, DAY, [{"strategy": "bollinger", "symbol": "SPY", "arm": "2", "scores": SCORES}])

    with pytest.raises(sa.exc.DBAPIError, match="evidence"), database.begin() as connection:
        connection.execute(sa.text(change))

    assert store.assignments(ONE.name)["arm"].tolist() == ["2"]


def test_decisions_are_read_newest_first(store: Experiments) -> None:
    store.begin(ONE)
    first = store.record(ONE.name, DAY, kind="extend", challenger=None, reason="too few", report={"pairs": 3})
    second = store.record(ONE.name, DAY, kind="keep", challenger=None, reason="inconclusive", report={"pairs": 30})

    assert [each.id for each in store.decisions(ONE.name)] == [second, first]
    assert [each.reason for each in store.decisions(kinds=["keep", "promote"])] == ["inconclusive"]


def test_two_promotions_at_once_do_not_mix(database: Engine) -> None:
    store = Promotions(database)
    move = Promotion("entry-filter", "promote", "1", "2", "better", "judge")

    with store.one_at_a_time("entry-filter") as connection:
        store.add(connection, move)
        with pytest.raises(RetryLater, match="under way"), store.one_at_a_time("entry-filter"):
            pass
        with store.one_at_a_time("another-model"):
            pass

    found = store.history("entry-filter")
    assert [(each.kind, each.from_version, each.to_version) for each in found] == [("promote", "1", "2")]


def test_a_promotion_that_fails_leaves_no_row(database: Engine) -> None:
    store = Promotions(database)

    def fail() -> None:
        with store.one_at_a_time("entry-filter") as connection:
            store.add(connection, Promotion("entry-filter", "promote", "1", "2", "better", "judge"))
            raise OSError("MLflow is gone")

    with pytest.raises(OSError, match="gone"):
        fail()
    assert store.history("entry-filter") == []


def test_drift_of_a_session_is_stored_once(database: Engine) -> None:
    store = DriftLog(database)
    row = {
        "family": "feature", "name": "vix", "psi": 0.1, "statistic": 0.2, "p_value": None, "reference_mean": 1.0,
        "recent_mean": 2.0, "reference_count": 10, "recent_count": 5, "alert": False, "detail": "",
    }  # fmt: skip
    store.save(DAY, [row])
    store.save(DAY, [{**row, "psi": 0.3, "alert": True}])

    found = store.read(DAY)
    assert found[["psi", "alert"]].values.tolist() == [[0.3, True]]
    assert store.read(dt.date(2020, 3, 5)).empty
