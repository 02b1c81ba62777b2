"""MLflow: trainings with their lineage and outcome, the registered models and their aliases.

Models are stored in formats that hold no code: LightGBM's text, scikit-learn's estimators as skops. Loading reads these two
files and nothing else: MLflow's own loaders let the stored model say whether it is a pickle and which types to trust.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from core.errors import ConfigError, NoChampion, RetryLater
from ml.entry_filter.predict import EntryFilter, Payoff
from ml.estimators.models import LIGHTGBM, LOGISTIC
from ml.estimators.stored_form import read_estimator
from ml.tracking.aliases import CHAMPION, Aliases
from ml.tracking.lineage import Lineage, read_lineage
from ml.tracking.training_log import INPUTS, KIND, PAYOFFS, THROUGH, TRUSTED_TYPES, log_training
from ml.tracking.version_list import list_versions, out_of_sample

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    import pandas as pd
    from mlflow import MlflowClient
    from numpy.typing import NDArray

    from ml.entry_filter.train import TrainResult
    from ml.tracking.version_list import ListedVersion

log = structlog.get_logger()
ALIAS = CHAMPION
ANSWERS_WITHIN_SECONDS = 5.0
MODEL_FILES = {LIGHTGBM: "model.lgb", LOGISTIC: "model.skops"}
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


class Registry:
    """Runs and models of one registered name.

    Parameters
    ----------
    tracking_uri
        A database URL or the address of an MLflow server.
    artifact_dir
        Where the experiment keeps its files.
    model_name
        Registered name, and name of the experiment.
    """

    def __init__(self, tracking_uri: str, artifact_dir: Path, model_name: str) -> None:
        self._uri = tracking_uri
        self._artifact_dir = artifact_dir
        self.model_name = model_name

    def register(
        self,
        result: TrainResult,
        dataset: pd.DataFrame,
        *,
        tags: Mapping[str, str],
        metrics: Mapping[str, float],
        tables: Mapping[str, pd.DataFrame] | None = None,
        objections: Sequence[str] = (),
    ) -> str:
        """Log a training and both its models, and register the chosen one; returns the version.

        The first version becomes champion, and so does one that finds a champion which cannot be loaded; a later one becomes
        challenger, unless something is held against it.

        Parameters
        ----------
        dataset
            What `result` was trained on; its fingerprint, size and span are the run's lineage.
        tags, metrics, tables
            Of the training as a whole: strategy, universe, backtests; tables by the name of their CSV file.
        objections
            See `ml.entry_filter.gates.objections`.
        """
        experiment = self._experiment()
        models = log_training(
            self._mlflow, experiment, result, dataset, tags=tags, metrics=metrics, tables=tables or {}, objections=objections
        )
        return self._enter(models[result.chosen], objections, unusable=self._unusable_champion(self.load))

    def latest_training(self) -> dict[str, Any]:
        """Return the last finished training: session, candidates, chosen, trained_through, AUCs with their intervals.

        Raises
        ------
        NoChampion
            When nothing has been trained.
        """
        wanted, order = "tags.chosen != '' and attributes.status = 'FINISHED'", ["attributes.start_time DESC"]
        found = self._client.search_runs([self._experiment()], wanted, max_results=1, order_by=order)
        if not found:
            raise NoChampion(
                f"No training of {self.model_name!r} is on record. Train first: `desk train`, or run model_training."
            )
        parent = found[0]
        children = self._client.search_runs([self._experiment()], f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
        return {
            "candidates": int(parent.data.params["candidates"]),
            "session": parent.data.tags["session"],
            "chosen": parent.data.tags["chosen"],
            "trained_through": parent.data.tags["trained_through"],
            "models": {
                str(child.info.run_name): {name: child.data.metrics[name] for name in ("auc", "auc_low", "auc_high")}
                for child in sorted(children, key=lambda child: str(child.info.run_name), reverse=True)
                if child.info.run_name in MODEL_FILES
            },
        }

    def enter(
        self,
        write: Callable[[Any, str], str],
        load: Callable[[str], object],
        objections: Sequence[str] = (),
    ) -> str:
        """Register what `write` logs, with aliases as `register` gives them; returns the version.

        Parameters
        ----------
        write
            Takes the MLflow module and the id of the experiment, returns the id of the logged model.
        load
            Loads a version; a champion at which it raises ConfigError is none.
        """
        return self._enter(write(self._mlflow, self._experiment()), objections, unusable=self._unusable_champion(load))

    def download(self, version: str, folder: Path) -> tuple[Path, dict[str, Any]]:
        """Files of a version, copied into `folder`, and what was stored about it."""
        found = self._mlflow.artifacts.download_artifacts(f"models:/{self.model_name}/{version}", dst_path=str(folder))
        return Path(found), self._mlflow.models.Model.load(found).metadata or {}

    def check(self) -> None:
        """Make sure that MLflow answers, within seconds.

        Raises
        ------
        RetryLater
            When it does not.
        """
        import httpx
        import sqlalchemy as sa

        try:
            if self._uri.startswith("http"):
                httpx.get(f"{self._uri.rstrip('/')}/health", timeout=ANSWERS_WITHIN_SECONDS).raise_for_status()
            elif self._uri.startswith("postgresql"):  # MLflow itself would try for minutes
                wait = {"connect_timeout": int(ANSWERS_WITHIN_SECONDS)}
                sa.create_engine(self._uri, poolclass=sa.NullPool, connect_args=wait).connect().close()
            self._experiment()
        except Exception as error:  # whatever the store throws, the remedy is the same
            where = httpx.URL(self._uri).netloc.decode() if self._uri.startswith("http") else "its database"  # no password
            raise RetryLater(
                f"MLflow does not answer at {where} ({type(error).__name__}), and nothing can be registered. "
                "Start it (`make up`) or look at TRACKING__URI, then train again."
            ) from error

    def lineage(self, run_id: str) -> Lineage:
        """Return the lineage of a run's training; see `ml.tracking.lineage.read_lineage`."""
        return read_lineage(self._client, self._experiment(), run_id)

    def champion(self) -> EntryFilter:
        """Load the filter under the alias.

        Raises
        ------
        NoChampion
            When nothing is registered under it.
        ConfigError
            When what is registered was not made by `register`, or holds types that are not trusted.
        """
        version = self.champion_version()
        if version is None:
            raise NoChampion(f"No {ALIAS} of {self.model_name!r} is registered. Train one: `desk train` or model_training.")
        return self.load(version)

    def load(self, version: str) -> EntryFilter:
        """Load the filter of a version.

        Raises
        ------
        ConfigError
            When what is registered was not made by `register`, or holds types that are not trusted.
        """
        with tempfile.TemporaryDirectory() as folder:
            found = self._mlflow.artifacts.download_artifacts(f"models:/{self.model_name}/{version}", dst_path=folder)
            about = self._mlflow.models.Model.load(found).metadata or {}
            if about.get(KIND) not in MODEL_FILES or {PAYOFFS, THROUGH, INPUTS} - about.keys():
                raise ConfigError(
                    f"Version {version} of {self.model_name!r} is no model of this desk. Move its alias to another version, or "
                    "train anew: `desk train`."
                )
            score = load_scorer(about[KIND], Path(found) / MODEL_FILES[about[KIND]])
        return EntryFilter(
            name=self.model_name,
            version=version,
            score=score,
            payoffs={name: Payoff(*numbers) for name, numbers in about[PAYOFFS].items()},
            features=tuple(about[INPUTS]),
            trained_through=about[THROUGH],
        )

    def champion_version(self) -> str | None:
        """Version under the champion's alias now; None when there is none."""
        return self.version_of(ALIAS)

    def champion_registered_at(self) -> dt.datetime | None:
        """Moment (UTC) at which the champion's version was registered; None when there is none, or MLflow was never set up.

        Raises
        ------
        RetryLater
            When MLflow does not answer.
        """
        if not self._is_set_up():
            return None
        self.check()
        version = self.champion_version()
        return None if version is None else next(each.created_at for each in self.aliases.versions() if each.version == version)

    def listed_versions(self, limit: int) -> list[ListedVersion]:
        """Return the newest versions with the figures of their trainings; none where MLflow was never set up."""
        return list_versions(self._client, self.model_name, limit) if self._is_set_up() else []

    def out_of_sample(self, run_id: str) -> pd.DataFrame:
        """Return the out-of-sample predictions of a model's run; see `ml.tracking.version_list.out_of_sample`."""
        return out_of_sample(self._client, run_id)

    def version_of(self, alias: str) -> str | None:
        """Version under an alias now; None when there is none. One small query."""
        from mlflow.exceptions import MlflowException

        try:
            return str(self._client.get_model_version_by_alias(self.model_name, alias).version)
        except MlflowException as error:
            if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                return None
            raise

    @property
    def _mlflow(self) -> Any:  # noqa: ANN401  # a module imported on use
        """MLflow, pointed at this registry."""
        return mlflow_at(self._uri)

    @cached_property
    def aliases(self) -> Aliases:
        """Champion and challengers."""
        return Aliases(self._client, self.model_name)

    @cached_property
    def _client(self) -> MlflowClient:
        client: MlflowClient = self._mlflow.MlflowClient(self._uri, self._uri)
        return client

    def _is_set_up(self) -> bool:
        """Return False when the database has no tables of MLflow, which the first question to MLflow itself would make."""
        import sqlalchemy as sa

        if self._uri.startswith("http"):
            return True
        try:
            return sa.inspect(sa.create_engine(self._uri, poolclass=sa.NullPool)).has_table("registered_model_aliases")
        except sa.exc.OperationalError:
            return True  # `check` says what is wrong

    def _experiment(self) -> str:
        known = self._client.get_experiment_by_name(self.model_name)
        if known is not None:
            return str(known.experiment_id)
        self._artifact_dir.mkdir(parents=True, exist_ok=True)
        location = None if self._uri.startswith("http") else self._artifact_dir.absolute().as_uri()
        return str(self._client.create_experiment(self.model_name, artifact_location=location))

    def _unusable_champion(self, load: Callable[[str], object]) -> str | None:
        """The champion's version when it cannot be loaded, as one of an older code; None when it can, or there is none."""
        version = self.champion_version()
        if version is None:
            return None
        try:
            load(version)
        except ConfigError as error:
            log.warning("champion_unusable", version=version, reason=str(error))
            return version
        return None

    def _enter(self, model_id: str, objections: Sequence[str], *, unusable: str | None = None) -> str:
        """Make a logged model a version and give it its alias."""
        from mlflow.exceptions import MlflowException

        with contextlib.suppress(MlflowException):  # it exists; creating the version below fails if it does not
            self._client.create_registered_model(self.model_name)
        model = self._mlflow.get_logged_model(model_id)
        created = self._client.create_model_version(
            self.model_name, model.artifact_location, model.source_run_id, model_id=model_id
        )
        version = str(created.version)
        self.aliases.admit(version, objections, unusable=unusable)
        return version


@dataclass(frozen=True)
class BoosterScore:
    """Probability of a win by a LightGBM model; serving reads the model itself, to ask it row by row."""

    estimator: Any

    def __call__(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """One element a row."""
        probability: NDArray[np.float64] = self.estimator.predict(X, num_threads=1)
        return probability


@dataclass(frozen=True)
class EstimatorScore:
    """Probability of a win by a scikit-learn classifier."""

    estimator: Any

    def __call__(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """One element a row."""
        probability: NDArray[np.float64] = self.estimator.predict_proba(X)[:, 1]
        return probability


def load_scorer(kind: str, path: Path) -> Callable[[pd.DataFrame], NDArray[np.float64]]:
    """Read a stored model and return what computes its probability of a win.

    Raises
    ------
    ConfigError
        When the file is not of its format, or names types that are not trusted.
    """
    estimator = read_estimator(path, TRUSTED_TYPES, "Train anew: `desk train`.")
    return BoosterScore(estimator) if kind == LIGHTGBM else EstimatorScore(estimator)


def mlflow_at(uri: str) -> Any:  # noqa: ANN401  # a module imported on use
    """Return MLflow pointed at a registry; restore the environment, into which MLflow writes the address, password and all."""
    mlflow = quiet_mlflow()
    before = dict(os.environ)
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        os.environ.pop(name, None)
        os.environ.update({name: before[name]} if name in before else {})
    return mlflow


@cache
def quiet_mlflow() -> Any:  # noqa: ANN401  # a module imported on use
    """MLflow, told to send no usage data and to keep off the terminal."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import mlflow

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return mlflow
