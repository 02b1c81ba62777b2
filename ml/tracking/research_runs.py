"""Log research to MLflow: nested runs with parameters, figures and files. Models go through `ml.tracking.registry`.

It calls MLflow's client and never its global run, so that nothing of one run can end in another.
"""

from __future__ import annotations

import contextlib
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ml.tracking.registry import quiet_mlflow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pandas as pd
    from mlflow import MlflowClient

PARENT = "mlflow.parentRunId"
LONGEST_PARAM = 500


class Tracking:
    """Experiments of one MLflow.

    Parameters
    ----------
    uri
        A database URL or the address of an MLflow server.
    artifact_dir
        Where experiments keep their files, unless a server keeps them.
    """

    def __init__(self, uri: str, artifact_dir: Path) -> None:
        self._uri = uri
        self._artifact_dir = artifact_dir

    @contextlib.contextmanager
    def run(self, experiment: str, name: str, params: Mapping[str, Any], parent: str | None = None) -> Iterator[str]:
        """Open a run, within `parent` if given; yields its id. It is marked failed when the block raises."""
        tags = {PARENT: parent} if parent else {}
        run_id = str(self._client.create_run(self._experiment(experiment), tags=tags, run_name=name).info.run_id)
        state = "FAILED"
        try:
            self._log(run_id, params={key: str(value)[:LONGEST_PARAM] for key, value in params.items()})
            yield run_id
            state = "FINISHED"
        finally:
            self._client.set_terminated(run_id, state)

    def figures(self, run_id: str, figures: Mapping[str, float | int | None]) -> None:
        """Log figures; those that are not defined are left out, for MLflow has no name for them."""
        self._log(run_id, figures={key: float(value) for key, value in figures.items() if value is not None})

    def tag(self, run_id: str, name: str, value: str) -> None:
        """Set a tag."""
        self._client.set_tag(run_id, name, value)

    def table(self, run_id: str, frame: pd.DataFrame, file: str) -> None:
        """Keep a frame as a CSV file of the run."""
        self._client.log_text(run_id, frame.to_csv(index=False), file)

    def file(self, run_id: str, path: Path) -> None:
        """Keep a copy of a file."""
        self._client.log_artifact(run_id, str(path))

    def _log(self, run_id: str, *, params: Mapping[str, str] | None = None, figures: Mapping[str, float] | None = None) -> None:
        from mlflow.entities import Metric, Param

        now = int(time.time() * 1000)
        self._client.log_batch(
            run_id,
            metrics=[Metric(key, value, now, 0) for key, value in (figures or {}).items()],
            params=[Param(key, value) for key, value in (params or {}).items()],
        )

    @cached_property
    def _client(self) -> MlflowClient:
        client: MlflowClient = quiet_mlflow().MlflowClient(self._uri, self._uri)
        return client

    def _experiment(self, name: str) -> str:
        known = self._client.get_experiment_by_name(name)
        if known is not None:
            return str(known.experiment_id)
        self._artifact_dir.mkdir(parents=True, exist_ok=True)
        location = None if self._uri.startswith("http") else self._artifact_dir.absolute().as_uri()
        return str(self._client.create_experiment(name, artifact_location=location))
