"""Training on a real PostgreSQL and MLflow: two at once, the same bytes again, and what stops it before work is lost."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from core.errors import ConfigError, DataError, RetryLater
from core.sessions import sessions_between
from ml.next_day.next_day import Signals
from pipeline.bars import VIX
from pipeline.data import build_features
from pipeline.research.datasets import freeze_dataset
from pipeline.resources import Resources
from pipeline.training import filter_lift, train_entry_filter, train_next_day
from serving.next_day_scorer import NextDayScorer
from storage.turns import in_turn
from tests.standins.feed import walk

if TYPE_CHECKING:
    from pathlib import Path

    from core.settings import Settings

pytestmark = pytest.mark.integration
START, END, LAST = dt.date(2012, 1, 3), dt.date(2016, 12, 30), "2016-12-30"
NOW = dt.datetime(2017, 1, 2, tzinfo=dt.UTC)
SYMBOLS = ("AAA", "BBB", "CCC", "DDD", "EEE", "FFF")
TRAINING = """
import datetime as dt, json, sys
from core.settings import Settings
from pipeline.training import train_entry_filter
from pipeline.resources import Resources
desk = Resources(Settings.of(**json.loads(sys.argv[1])), clock=lambda: dt.datetime(2017, 1, 2, tzinfo=dt.UTC))
print("version", train_entry_filter.train_entry_filter("2016-12-30", resources=desk).model_version)
"""


@pytest.fixture(scope="module")
def desk(module_settings: Settings) -> Resources:
    """Six random walks with their features, for a desk of two strategies."""
    update = {"universe": SYMBOLS, "training__folds": 2, "strategies": ("bollinger", "rsi")}
    made = Resources(module_settings.with_changes(**update), clock=lambda: NOW)
    bars = [walk(name, START, END, seed=3) for name in (*SYMBOLS, VIX)]
    made.bars.write(
        pd.concat(bars, ignore_index=True).sort_values(["symbol", "session"], ignore_index=True),
        source="test",
        ingested_at=NOW,
        backfilled=True,
    )
    build_features.write_features(LAST, resources=made)
    return made


def arguments(desk: Resources) -> str:
    wanted = ("database__name", "database__feast_name", "database__mlflow_name", "training__folds")
    values = {name: desk.settings.value_of(name) for name in wanted}
    values |= {"universe": ",".join(SYMBOLS), "strategies": ",".join(desk.settings.strategies), "data_dir": str(desk.data_dir)}
    assert desk.settings.database.url is not None
    return json.dumps(values | {"database__url": desk.settings.database.url.get_secret_value()})


def test_two_first_trainings_at_once_both_register_and_each_can_be_made_again(desk: Resources) -> None:
    command = [sys.executable, "-c", TRAINING, arguments(desk)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [process.communicate(timeout=600) for process in both]

    assert [process.returncode for process in both] == [0, 0], [errors[-2000:] for _, errors in answers]
    versions = {line for output, _ in answers for line in output.splitlines() if line.startswith("version")}
    assert versions == {"version 1", "version 2"}
    client = desk.registry._client
    experiment = client.get_experiment_by_name("entry-filter")
    first, second = client.search_runs([experiment.experiment_id], "tags.level = 'training'")
    tags, metrics = first.data.tags, first.data.metrics
    assert tags["mlflow.source.name"] == "desk train"
    curves = ("unfiltered", "filtered", "buy_and_hold")
    assert {metrics[f"{curve}/sessions"] for curve in curves} == {metrics["filtered/sessions"]}, "over the same sessions"
    assert metrics["lift/low"] <= metrics["lift/difference"] <= metrics["lift/high"]
    clear = metrics["lift/low"] > 0 or metrics["lift/high"] < 0
    assert ("No lift:" in tags["mlflow.note.content"]) is not clear
    assert first.data.tags["dataset_sha256"] == second.data.tags["dataset_sha256"]
    assert first.data.tags["strategy_set"] == "bollinger,rsi"
    assert desk.registry.champion().strategies == ("bollinger", "rsi")

    reproduced = train_entry_filter.reproduce_training(first.info.run_id, resources=desk)
    outcome = reproduced.as_dict()

    assert (outcome["logistic"], outcome["lightgbm"], outcome["same_code"]) == ("reproduced", "reproduced", True)
    assert reproduced.is_same
    lineage = desk.registry.lineage(first.info.run_id)
    assert lineage.digests == desk.registry.lineage(second.info.run_id).digests
    with pytest.raises(ConfigError, match="Copy the id of a run named `training"):
        train_entry_filter.reproduce_training("0" * 32, resources=desk)
    shown = next(
        each for each in desk.registry.aliases.versions() if each.version == "1"
    ).run_id  # as `desk explain-order` does
    assert shown not in {first.info.run_id, second.info.run_id}, "the run of a model is within that of its training"
    assert desk.registry.lineage(shown).run_id == desk.registry.lineage(shown[:10]).run_id == second.info.run_id
    assert desk.registry.lineage(first.info.run_id[:10].upper()).run_id == first.info.run_id


def test_trainings_on_a_dataset_are_made_again_after_the_bars_were_revised(desk: Resources) -> None:
    names = {"training__model_name": "frozen-filter", "next_day__model_name": "frozen-return"}
    frozen = Resources(desk.settings.with_changes(**names), clock=lambda: NOW)
    made = freeze_dataset("training", last=dt.date(2016, 3, 31), resources=frozen)
    later = Resources(frozen.settings, clock=lambda: NOW + dt.timedelta(days=1))
    revised = walk("AAA", START, END, seed=3).assign(close=lambda bars: bars[["high", "close"]].mean(axis=1))
    later.bars.write(revised, source="test", ingested_at=NOW + dt.timedelta(days=1))
    try:
        outcome = train_entry_filter.train_entry_filter("2016-03-31", dataset="training", resources=later)
        train_next_day.train_next_day("2016-03-31", dataset="training", resources=later)
        client = later.registry._client
        for model in names.values():
            run = client.search_runs([client.get_experiment_by_name(model).experiment_id], "tags.level = 'training'")[0]
            assert run.data.tags["dataset"] == made.reference
            assert run.data.tags["bar_as_of"] == NOW.isoformat()
        run = client.search_runs([client.get_experiment_by_name("frozen-filter").experiment_id], "tags.level = 'training'")[0]
        assert train_entry_filter.reproduce_training(run.info.run_id, resources=later).is_same
        assert outcome.candidates == int(run.data.params["candidates"])
    finally:
        with later.engine.begin() as connection:  # the module's other tests read the first bars
            connection.execute(sa.text("DELETE FROM market.raw_prices WHERE NOT backfilled"))


def test_the_filters_lift_is_judged_for_each_strategy_and_for_all_together(desk: Resources) -> None:
    lift = filter_lift.measure_filter_lift(LAST, ["bollinger", "rsi"], resources=desk)
    figures, differences = lift.figures, lift.differences

    judged = figures[figures["kind"] != "none"]
    assert set(judged["strategy"]) == {"bollinger", "rsi", filter_lift.TOGETHER}
    assert set(judged["kind"]) == {"filtered", "unfiltered", "buy and hold"}
    together = judged.set_index(["strategy", "kind"])
    counts = together["candidates"].xs("filtered", level="kind")
    assert counts[filter_lift.TOGETHER] == counts["bollinger"] + counts["rsi"]
    of_all = differences[(differences["strategy"] == filter_lift.TOGETHER) & (differences["regime"] == "all")]
    assert set(of_all["against"]) == {"unfiltered", "buy and hold"}
    assert (of_all["low"] <= of_all["difference"]).all()
    clear = (of_all["low"] > 0) | (of_all["high"] < 0)
    assert (of_all["lift"].notna() == clear).all(), "a lift is named where its interval excludes zero, and nowhere else"
    runs = desk.tracking._client.search_runs([desk.tracking._experiment(filter_lift.EXPERIMENT)])
    assert runs[0].info.status == "FINISHED"


def test_a_later_training_scores_champion_and_fresh_model_on_what_came_since(desk: Resources) -> None:
    names = {"training__model_name": "later-filter", "next_day__model_name": "later-return"}
    later = Resources(desk.settings.with_changes(**names), clock=lambda: NOW)
    first = (
        train_entry_filter.train_entry_filter("2016-03-31", resources=later),
        train_next_day.train_next_day("2016-03-31", resources=later),
    )

    second = train_entry_filter.train_entry_filter(LAST, resources=later), train_next_day.train_next_day(LAST, resources=later)

    assert [each.fresh_window for each in first] == [[], []], "there was no champion"
    for outcome, size in zip(second, ("candidates", "rows"), strict=True):
        champion, fresh = outcome.fresh_window
        assert (champion["model"], fresh["model"]) == ("champion", "fresh")
        assert champion[size] == fresh[size] > 20
    entry, tomorrow = second
    assert {"auc", "log_loss", "calibration_error", "growth"} <= set(entry.fresh_window[0])
    assert tomorrow.fresh_window[0]["rmse"] == pytest.approx(tomorrow.fresh_window[1]["rmse"], rel=0.1)
    sessions = {"rows": 6 * len(sessions_between(dt.date(2016, 3, 31), dt.date(2016, 12, 29)))}
    assert tomorrow.fresh_window[0]["rows"] == pytest.approx(sessions["rows"], abs=6)
    assert later.registry.aliases.all()["champion"] == later.next_day_registry.aliases.all()["champion"] == "1"
    client = later.registry._client
    for model, outcome, figure in (("later-filter", entry, "log_loss"), ("later-return", tomorrow, "rmse")):
        experiment = client.get_experiment_by_name(model)
        run = client.search_runs([experiment.experiment_id], "tags.level = 'training'", max_results=1)[0]
        assert run.data.metrics[f"fresh_window/champion_{figure}"] == pytest.approx(outcome.fresh_window[0][figure])
        assert run.data.metrics[f"fresh_window/fresh_{figure}"] == pytest.approx(outcome.fresh_window[1][figure])
        assert "fresh_window.csv" in {file.path for file in client.list_artifacts(run.info.run_id)}
    scorer = NextDayScorer(later.next_day_model("2"), Signals())
    assert scorer.fast, "what was registered takes the fast way"


def test_the_second_waits_until_the_first_has_had_its_turn(database: sa.Engine) -> None:
    started = time.monotonic()
    program = (
        "import sys, sqlalchemy as sa, storage.turns as t\nwith t.in_turn(sa.create_engine(sys.argv[1]), 5): print('mine')"
    )
    url = database.url.render_as_string(hide_password=False)
    with in_turn(database, 5):
        other = subprocess.Popen([sys.executable, "-c", program, url], stdout=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(timeout=6)

    assert other.communicate(timeout=60)[0].strip() == "mine"
    assert time.monotonic() - started >= 6


def test_no_candidates_are_said_with_a_remedy(desk: Resources) -> None:
    flat = walk("AAA", START, END).assign(open=100.0, high=100.0, low=100.0, close=100.0, adj_close=100.0, vix=np.nan)

    with pytest.raises(DataError, match=r"bars of 1 symbols, found none.*desk ingest --full-history"):
        train_entry_filter.build_dataset({"AAA": flat}, desk.candidate_strategies, costs=desk.costs, features=desk.features)


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "postgresql+psycopg2://nobody@127.0.0.1:9/mlflow"])
def test_a_training_without_mlflow_fails_before_it_computes(
    desk: Resources, uri: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = desk.settings.with_changes(tracking__uri=uri, data_dir=tmp_path)
    cut_off = Resources(settings, clock=lambda: NOW)
    monkeypatch.setattr("pipeline.training.train_entry_filter.bars_by_symbol", lambda *_: pytest.fail("it began to work"))

    with pytest.raises(RetryLater, match="MLflow does not answer") as found:
        train_entry_filter.train_entry_filter(LAST, resources=cut_off)

    assert "train again" in str(found.value)
