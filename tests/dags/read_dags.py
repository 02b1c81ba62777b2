"""Reads the DAGs folder as Airflow does and writes what it found as JSON. Run in a process of its own: `FOLDER ANSWER`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from airflow.dag_processing.dagbag import BundleDagBag
from airflow.serialization.serialized_objects import DagSerialization


def as_list(value: Any) -> list[Any]:
    """A mapped task keeps its callback as given, a plain one in a list."""
    return list(value) if isinstance(value, (list, tuple)) else [value]


def task_facts(task: Any) -> dict[str, Any]:
    return {
        "upstream": sorted(task.upstream_task_ids),
        "mapped": task.is_mapped,
        "owner": task.owner,
        "retries": task.retries,
        "backoff": task.retry_exponential_backoff,
        "timeout": task.execution_timeout.total_seconds(),
        "trigger_rule": task.trigger_rule.value,
        "doc": task.doc_md,
        "callbacks": [callback.__name__ for callback in as_list(task.on_failure_callback)],
        "policy": type(task.retry_policy).__name__,
        "outlets": [asset.name for asset in task.outlets or []],
    }


def dag_facts(dag: Any) -> dict[str, Any]:
    clock = getattr(dag.timetable, "timetable", dag.timetable)  # beside assets there may be a clock
    condition = getattr(dag.timetable, "asset_condition", None)
    return {
        "tags": sorted(dag.tags),
        "doc": dag.doc_md,
        "params": dag.params.dump(),
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "timeout": dag.dagrun_timeout.total_seconds() if dag.dagrun_timeout else None,
        "schedule": getattr(clock, "expression", None) or type(dag.timetable).__name__,
        "timezone": str(getattr(clock, "timezone", None)),
        "assets": sorted(asset.name for asset in getattr(condition, "objects", [])),
        "serialised": DagSerialization.from_dict(DagSerialization.to_dict(dag)).dag_id,
        "tasks": {task.task_id: task_facts(task) for task in dag.tasks},
    }


def retry_decisions() -> dict[str, str]:
    """What the retry policy of every task says to each error of the desk."""
    from common import RETRY_POLICY

    from core import errors

    raised = [
        errors.RetryLater("x"),
        errors.BatchRejected("x"),
        errors.NoChampion("x"),
        errors.RiskLimitBreached("x"),
        OSError(),
    ]
    return {type(error).__name__: RETRY_POLICY.evaluate(error, 1, 3).action.value for error in raised}


def main(folder: Path, answer: Path) -> None:
    loaded = set(sys.modules)
    bag = BundleDagBag(dag_folder=folder, bundle_path=folder, bundle_name="desk")
    facts = {
        "errors": bag.import_errors,
        "retries": retry_decisions(),
        "imported": sorted({name.partition(".")[0] for name in set(sys.modules) - loaded}),
        "dags": {name: dag_facts(dag) for name, dag in bag.dags.items()},
    }
    answer.write_text(json.dumps(facts))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
