"""The DAGs as Airflow's own DagBag reads them."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jinja2
import pytest

from storage.trading.evening_steps import TIMEOUT
from tests.standins.evening import EVENING

ROOT = Path(__file__).resolve().parents[2]
DAGS = ROOT / "dags"
HEAVY = {"pandas", "numpy", "sklearn", "lightgbm", "mlflow", "feast", "great_expectations", "yfinance", "pipeline"}


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a fresh process, with an Airflow of its own, sees in the DAGs folder."""
    home = tmp_path_factory.mktemp("airflow")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "PYTHONPATH": str(ROOT),
    }
    answer = home / "facts.json"
    script = Path(__file__).with_name("read_dags.py")
    subprocess.run([sys.executable, script, DAGS, answer], env=environment, check=True)
    found: dict[str, Any] = json.loads(answer.read_text())
    return found


def every_task(facts: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(f"{name}.{task}", about) for name, dag in facts["dags"].items() for task, about in dag["tasks"].items()]


def test_the_dags_are_read_without_an_error_and_survive_serialisation(facts: dict[str, Any]) -> None:
    assert facts["errors"] == {}
    assert {name: dag["serialised"] for name, dag in facts["dags"].items()} == {
        "daily_market_data": "daily_market_data",
        "deploy_portfolio": "deploy_portfolio",
        "health_check": "health_check",
        "manage_deployment": "manage_deployment",
        "model_ab_judge": "model_ab_judge",
        "model_monitoring": "model_monitoring",
        "model_training": "model_training",
        "position_watch": "position_watch",
        "strategy_research": "strategy_research",
        "trading_execution": "trading_execution",
    }


def test_reading_a_dag_file_imports_nothing_heavy(facts: dict[str, Any]) -> None:
    assert set(facts["imported"]) & HEAVY == set()


def test_schedules_are_new_yorks_and_never_catch_up(facts: dict[str, Any]) -> None:
    dags = facts["dags"]
    assert (dags["daily_market_data"]["schedule"], dags["daily_market_data"]["timezone"]) == (
        "0 17 * * 1-5",
        "America/New_York",
    )
    assert (dags["model_training"]["schedule"], dags["model_training"]["timezone"]) == ("0 6 1 * *", "America/New_York")
    assert dags["model_training"]["assets"] == ["model_drift"], "drift starts a training too"
    assert dags["trading_execution"]["schedule"] == "AssetTriggeredTimetable"
    assert {(dag["catchup"], dag["max_active_runs"]) for dag in dags.values()} == {(False, 1)}


def test_the_daily_graph_is_load_count_build_materialise(facts: dict[str, Any]) -> None:
    tasks = facts["dags"]["daily_market_data"]["tasks"]
    assert {name: task["upstream"] for name, task in tasks.items()} == {
        "choose_session": [],
        "list_symbols": ["choose_session"],
        "load_vix": ["choose_session"],
        "load_bars": ["choose_session", "list_symbols"],
        "count_loaded": ["load_bars", "load_vix"],
        "build_features": ["choose_session", "count_loaded"],
        "materialise": ["build_features", "choose_session"],
    }
    assert [name for name, task in tasks.items() if task["mapped"]] == ["load_bars"]
    assert tasks["count_loaded"]["trigger_rule"] == "all_done_min_one_success"
    assert tasks["materialise"]["outlets"] == ["daily_features"]


def test_trading_runs_in_one_line_from_settling_to_recording(facts: dict[str, Any]) -> None:
    tasks = facts["dags"]["trading_execution"]["tasks"]
    line = [
        "settle", "reconcile_before", "renew_validation", "find_candidates", "predict", "place", "confirm", "reconcile_after",
        "record", "mail", "measure_gap",
    ]  # fmt: skip
    steps = [f"evening.{name}" for name in line]
    first = {"choose_session", "list_books"}
    assert [set(tasks[step]["upstream"]) - first for step in steps] == [set(), *({step} for step in steps[:-1])]
    assert first <= {upstream for step in steps for upstream in tasks[step]["upstream"]}, "mapped over the deployments"


def test_what_has_newly_drifted_asks_for_a_training(facts: dict[str, Any]) -> None:
    tasks = facts["dags"]["model_monitoring"]["tasks"]
    assert tasks["ask_for_training"]["upstream"] == ["look_for_drift"]
    assert [name for name, task in tasks.items() if task["outlets"]] == ["ask_for_training"]
    assert tasks["ask_for_training"]["outlets"] == ["model_drift"]


def test_both_models_are_trained_side_by_side(facts: dict[str, Any]) -> None:
    tasks = facts["dags"]["model_training"]["tasks"]
    assert {name: task["upstream"] for name, task in tasks.items()} == {
        "choose_session": [],
        "train": ["choose_session"],
        "train_next_day": ["choose_session"],
    }
    assert {tasks[name]["trigger_rule"] for name in ("train", "train_next_day")} == {"all_success"}


def test_a_promotion_follows_a_judgement_and_waits_for_a_person_where_one_is_asked(facts: dict[str, Any]) -> None:
    dag = facts["dags"]["model_ab_judge"]
    assert {name: task["upstream"] for name, task in dag["tasks"].items()} == {
        "choose_session": [],
        "judge": ["choose_session"],
        "judge_next_day": ["choose_session"],
        "route": ["judge"],
        "approve": ["route"],
        "promote": ["approve", "judge", "route"],
    }
    assert dag["tasks"]["promote"]["trigger_rule"] == "none_failed_min_one_success", "nothing to approve is no failure"
    assert (dag["schedule"], dag["timezone"]) == ("0 20 * * 1-5", "America/New_York")


def test_research_runs_in_one_line_with_a_mapped_sweep_in_front(facts: dict[str, Any]) -> None:
    dag = facts["dags"]["strategy_research"]
    tasks = dag["tasks"]
    line = ["sweep", "rank", "correlate", "allocate", "validate_risk", "report", "confirm"]
    assert [name for name, task in tasks.items() if task["mapped"]] == ["sweep"]
    assert [set(tasks[step]["upstream"]) - {"make_plan", "list_strategies"} for step in line] == [
        set(),
        *({step} for step in line[:-1]),
    ]
    assert tasks["rank"]["trigger_rule"] == "all_done_min_one_success", "one failed strategy does not stop the others"
    assert dag["params"]["dataset"] is None, "the live bars unless a person names a dataset"
    assert dag["schedule"] == "NullTimetable", "a person starts this"


def test_a_portfolio_is_deployed_after_a_person_agreed_and_never_without(facts: dict[str, Any]) -> None:
    dag = facts["dags"]["deploy_portfolio"]
    assert {name: task["upstream"] for name, task in dag["tasks"].items()} == {
        "plan": [],
        "approve": ["plan"],
        "deploy": ["approve"],
    }
    assert {task["trigger_rule"] for task in dag["tasks"].values()} == {"all_success"}, "a rejected question skips `deploy`"
    assert dag["schedule"] == "NullTimetable", "a person starts this"
    assert dag["params"] == {
        "session": None, "portfolio": 1, "name": None, "stage": "paper", "capital": None, "profile": None, "filter": False,
        "reason": None, "author": None,
    }  # fmt: skip


def test_the_question_of_a_deployment_shows_what_the_plan_found() -> None:
    texts = {
        node.targets[0].id: ast.literal_eval(node.value)  # type: ignore[attr-defined]
        for node in ast.parse((DAGS / "deploy_portfolio.py").read_text()).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
    }
    planned = {
        "portfolio": 7, "deployment": "trio", "stage": "paper", "capital_usd": 1000.0, "sleeves": ["trio/rsi@IBM"],
        "profile": "director", "notes": ["Validation: PASS.", "3 IBM."], "author": "ann", "reason": "validated",
    }  # fmt: skip

    class Instance:
        def xcom_pull(self, task_ids: str) -> dict[str, Any]:
            return {"plan": planned}[task_ids]

    question, evidence = (jinja2.Template(texts[name]).render(ti=Instance()) for name in ("QUESTION", "EVIDENCE"))
    assert question == "Deploy portfolio 7 as trio (paper)?"
    assert evidence.splitlines() == [
        "ann: validated", "", "1,000.00 USD, risk profile director: trio/rsi@IBM", "", "* Validation: PASS.", "* 3 IBM.",
    ]  # fmt: skip


def test_a_deployment_is_paused_unpaused_and_retired_by_hand(facts: dict[str, Any]) -> None:
    dag = facts["dags"]["manage_deployment"]
    assert list(dag["tasks"]) == ["change"]
    assert dag["schedule"] == "NullTimetable"
    assert dag["params"] == {"session": None, "name": None, "action": "pause", "reason": None, "author": None}


def test_positions_are_watched_every_five_minutes_of_new_yorks_session_and_a_run_ends_before_it_is_stale(
    facts: dict[str, Any],
) -> None:
    dag = facts["dags"]["position_watch"]
    assert (dag["schedule"], dag["timezone"]) == ("*/5 9-16 * * 1-5", "America/New_York")
    assert {name: task["upstream"] for name, task in dag["tasks"].items()} == {
        "choose_session": [],
        "watch": ["choose_session"],
    }
    assert all(task["timeout"] < 300 for task in dag["tasks"].values())


def test_health_is_checked_every_quarter_of_an_hour_and_a_run_ends_before_the_next(facts: dict[str, Any]) -> None:
    dag = facts["dags"]["health_check"]
    assert (dag["schedule"], dag["timezone"]) == ("*/15 * * * *", "America/New_York")
    assert list(dag["tasks"]) == ["check"]
    assert 2 * dag["tasks"]["check"]["timeout"] < 15 * 60, "tried twice"


def test_every_dag_is_described_tagged_and_takes_a_session(facts: dict[str, Any]) -> None:
    for name, dag in facts["dags"].items():
        assert "Manual run" in dag["doc"]
        assert "desk" in dag["tags"]
        if name != "health_check":  # it looks at the present moment
            assert dag["params"]["session"] is None
    assert facts["dags"]["daily_market_data"]["params"]["full_history"] is False


def test_every_task_has_an_owner_retries_backoff_a_timeout_a_doc_and_a_failure_mail(facts: dict[str, Any]) -> None:
    for name, task in every_task(facts):
        assert task["owner"] == "desk", name
        assert task["retries"] >= 1, name
        assert task["backoff"] == 2, name
        assert 0 < task["timeout"] <= 4 * 3600, name
        assert task["callbacks"] == ["mail_failure"], name
        assert task["policy"] == "ExceptionRetryPolicy", name
        assert task["doc"], name


def test_only_what_may_pass_by_itself_is_tried_again(facts: dict[str, Any]) -> None:
    assert facts["retries"] == {
        "RetryLater": "default",
        "OSError": "default",
        "BatchRejected": "fail",
        "NoChampion": "fail",
        "RiskLimitBreached": "fail",
    }


def test_a_dag_file_names_no_module_of_the_desk_but_pipeline() -> None:
    desk = {"core", "storage", "ingestion", "features", "trading", "backtest", "ml", "monitoring", "serving"}
    for file in DAGS.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [str(node.module)]
            assert {name.partition(".")[0] for name in names} & (desk | HEAVY) <= {"pipeline"}, file.name


def test_every_step_of_an_evening_runs_on_record_under_the_name_of_its_task() -> None:
    for file, tasks in (
        ("trading_execution.py", set(EVENING)),
        ("daily_market_data.py", {"load_vix", "load_bars", "build_features", "materialise"}),
    ):
        recorded = {
            function.name: ast.literal_eval(call.args[0])
            for function in ast.walk(ast.parse((DAGS / file).read_text()))
            if isinstance(function, ast.FunctionDef) and function.name in tasks
            for call in ast.walk(function)
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "run_step"
        }
        assert recorded == {name: name for name in tasks}, file


def test_a_step_on_record_is_called_dead_when_its_run_would_have_timed_out(facts: dict[str, Any]) -> None:
    assert facts["dags"]["trading_execution"]["timeout"] == TIMEOUT.total_seconds()
