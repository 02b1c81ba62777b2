"""Studies in the desk's own PostgreSQL: shared by workers, finished once, and out of the way of the desk's tables."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import optuna
import pytest
import sqlalchemy as sa

from research.search import Best, Constraints, Task, optimise_window
from storage.engine import cluster_url, open_engine
from storage.research.studies import SCHEMA, Studies
from tests.standins.feed import walk
from trading.costs import Costs
from trading.risk import Limits

if TYPE_CHECKING:
    from core.settings import Settings

pytestmark = pytest.mark.integration

BARS = {"AAA": walk("AAA", dt.date(2016, 1, 4), dt.date(2018, 12, 31)).assign(vix=20.0)}
TASK = Task(
    "rsi", dt.date(2017, 1, 3), dt.date(2017, 12, 29), Costs(1.0, 2.0), Limits(), constraints=Constraints(None, None, None)
)

WORKER = """
import sys, datetime as dt
from research.search import Constraints, Task, optimise_window
from storage.research.studies import Studies
from tests.standins.feed import walk
from trading.costs import Costs
from trading.risk import Limits

bars = {"AAA": walk("AAA", dt.date(2016, 1, 4), dt.date(2018, 12, 31)).assign(vix=20.0)}
free = Constraints(None, None, None)
task = Task("rsi", dt.date(2017, 1, 3), dt.date(2017, 12, 29), Costs(1.0, 2.0), Limits(), constraints=free)
mine = []
optimise_window(
    bars, task, trials=12, seed=int(sys.argv[2]), storage=Studies(sys.argv[1]).storage, study_name="shared",
    on_trial=mine.append,
)
print(len(mine))
"""


STUCK = """
import sys, time
from research.search import Task

def hang(*_):
    print("in a trial", flush=True)
    time.sleep(600)

Task.evaluate = hang
"""


def url_of(settings: Settings) -> str:
    return cluster_url(settings, settings.database_name)


def test_two_workers_share_a_study_and_stop_together(database_settings: Settings) -> None:
    url = url_of(database_settings)
    started = [
        subprocess.Popen([sys.executable, "-c", WORKER, url, seed], stdout=subprocess.PIPE, text=True) for seed in ("1", "2")
    ]
    counts = [int(worker.communicate(timeout=120)[0]) for worker in started]

    storage = Studies(url).storage
    trials = optuna.load_study(study_name="shared", storage=storage).get_trials()
    assert 12 <= len(trials) <= 13, "each may be in its last trial when the other finishes the study"
    assert sum(counts) == len(trials)
    assert [trial.number for trial in trials] == list(range(len(trials)))
    assert all("metrics" in trial.user_attrs for trial in trials)


def test_a_study_is_found_again_with_its_best_and_nothing_is_run_twice(database_settings: Settings) -> None:
    storage = Studies(url_of(database_settings)).storage

    first = optimise_window(BARS, TASK, trials=5, seed=1, storage=storage, study_name="w")
    ran: list[object] = []
    again = optimise_window(BARS, TASK, trials=5, seed=1, storage=storage, study_name="w", on_trial=ran.append)

    assert isinstance(first, Best)
    assert again == first
    assert ran == []
    assert optimise_window(BARS, TASK, trials=5, seed=1) == first, "in the database as in memory"


def test_the_trial_of_a_dead_worker_is_tried_again_by_the_next(database_settings: Settings) -> None:
    url = url_of(database_settings)
    code = STUCK + WORKER.replace(
        "Studies(sys.argv[1]).storage", "Studies(sys.argv[1], heartbeat_seconds=1, grace_seconds=2).storage"
    )
    dying = subprocess.Popen([sys.executable, "-c", code, url, "1"], stdout=subprocess.PIPE, text=True)
    assert dying.stdout is not None
    assert dying.stdout.readline() == "in a trial\n"
    dying.kill()
    dying.communicate()
    time.sleep(3)

    storage = Studies(url, heartbeat_seconds=1, grace_seconds=2).storage
    found = optimise_window(BARS, TASK, trials=4, seed=2, storage=storage, study_name="shared")

    dead, again, *others = optuna.load_study(study_name="shared", storage=storage).get_trials()
    assert (dead.state.name, again.state.name) == ("FAIL", "COMPLETE")
    assert again.params == dead.params
    assert len(others) == 3
    assert isinstance(found, Best)
    assert found.trials == 4, "the dead one came to nothing and does not count"


def test_studies_keep_out_of_the_desks_own_schemas(database_settings: Settings) -> None:
    assert Studies(url_of(database_settings)).storage
    engine = open_engine(database_settings)

    found = sa.inspect(engine)
    assert "trials" in found.get_table_names(schema=SCHEMA)
    assert not any("study" in name for name in found.get_table_names(schema="public"))
    engine.dispose()
