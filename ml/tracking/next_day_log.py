"""The next-day model in MLflow: the log of a training, and the loading of a version."""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from core.errors import ConfigError
from ml.estimators.models import chosen_settings
from ml.estimators.stored_form import SklearnFlavour, pinned, read_estimator
from ml.next_day.next_day import BOOSTING, LIGHTGBM, NextDay, NextDayFit
from ml.samples.dataset import inputs
from ml.tracking.aliases import GATES, PASSED
from ml.tracking.notes import NEXT_DAY, NOTE, describe, next_day_note

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from ml.tracking.registry import Registry

KIND, RESIDUALS, SCALE, THROUGH, INPUTS = "kind", "residuals", "typical_scale", "trained_through", "inputs"
FILES: Final = {LIGHTGBM: "model.lgb", BOOSTING: "model.skops"}
TRUSTED_TYPES: Final = ["numpy.dtype", "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]
REMEDY: Final = "`desk train-next-day`"


@dataclass(frozen=True)
class RegisteredNextDay:
    """A next-day model under its registered name and version.

    Attributes
    ----------
    trained_through
        Last session whose return it learnt from (ISO).
    """

    name: str
    version: str
    model: NextDay
    trained_through: str

    @property
    def features(self) -> tuple[str, ...]:
        """Columns that it takes."""
        return self.model.features


def log_next_day(
    mlflow: Any,  # noqa: ANN401  # the module, pointed at a store
    experiment: str,
    fits: Mapping[str, NextDayFit],
    dataset: pd.DataFrame,
    *,
    chosen: str,
    tags: Mapping[str, str],
    params: Mapping[str, Any],
    objections: Sequence[str] = (),
    fresh: pd.DataFrame | None = None,
) -> dict[str, str]:
    """Log a training: a run, and one in it for each model; returns the id of each logged model.

    Parameters
    ----------
    chosen, objections
        Name of the better model, and what stands against it.
    fresh
        `ml.tracking.fresh_window.compare_next_days` of the champion and the chosen model, where there is a champion.
    """
    through = str(dataset["session"].max().date())
    shared = {**tags, "trained_through": through, "period": f"{dataset['session'].min().date()} to {through}"}
    note = next_day_note(fits[chosen], objections, f"{len(dataset)} rows, {shared['period']}")
    own = {"level": "training", "chosen": chosen, NOTE: note, GATES: "; ".join(objections) or PASSED}
    describe(mlflow, experiment, NEXT_DAY)
    models = {}
    with mlflow.start_run(experiment_id=experiment, run_name=f"training {through}"):
        mlflow.set_tags({**shared, **own})
        mlflow.log_params({**params, "rows": len(dataset)})
        mlflow.log_metrics(fits[chosen].figures)
        if fresh is not None and len(fresh):
            mlflow.log_metrics(metrics_of(fresh))
            mlflow.log_text(fresh.to_csv(index=False), "fresh_window.csv")
        for name, fit in fits.items():
            with mlflow.start_run(experiment_id=experiment, run_name=name, nested=True):
                mlflow.set_tags({**shared, "level": "model", "model": name})
                mlflow.log_params({**params, **chosen_settings(fit.model.estimator)})
                mlflow.log_metrics(fit.figures)
                for fold, figures in enumerate(fit.fold_figures, start=1):
                    mlflow.log_metrics({f"fold/{key}": value for key, value in figures.items()}, step=fold)
                models[name] = _log_model(mlflow, fit, through, inputs(dataset).tail(3))
    return models


def load_next_day(registry: Registry, version: str) -> RegisteredNextDay:
    """Load a version. Its two files are read and nothing else, as in `Registry.load`.

    Raises
    ------
    ConfigError
        When what is registered was not made by `log_next_day`, or holds types that are not trusted.
    """
    with tempfile.TemporaryDirectory() as folder:
        found, about = registry.download(version, Path(folder))
        if about.get(KIND) not in FILES or {RESIDUALS, SCALE, THROUGH, INPUTS} - about.keys():
            raise ConfigError(
                f"Version {version} of {registry.model_name!r} is no next-day model. Move its alias to another version, or "
                f"train anew: {REMEDY}."
            )
        estimator = read_estimator(found / FILES[about[KIND]], TRUSTED_TYPES, f"Train anew: {REMEDY}.")
    model = NextDay(estimator, np.array(about[RESIDUALS]), float(about[SCALE]), tuple(about[INPUTS]))
    return RegisteredNextDay(registry.model_name, version, model, about[THROUGH])


def metrics_of(table: pd.DataFrame) -> dict[str, float]:
    """The figures of `ml.tracking.fresh_window` under one level of names, undefined ones left out."""
    return {
        f"fresh_window/{row['model']}_{name}": float(value)
        for row in table.to_dict("records")
        for name, value in row.items()
        if name != "model" and np.isfinite(value)
    }


def _log_model(mlflow: Any, fit: NextDayFit, through: str, example: pd.DataFrame) -> str:  # noqa: ANN401
    estimator = fit.model.estimator
    about = {
        "name": fit.name,
        "metadata": {
            KIND: fit.name,
            RESIDUALS: fit.model.residuals.tolist(),
            SCALE: fit.model.typical_scale,
            THROUGH: through,
            INPUTS: list(fit.model.features),
        },
        "input_example": example,
        "signature": mlflow.models.infer_signature(example, estimator.predict(example)),
    }
    with warnings.catch_warnings(action="ignore"):  # about versions in the environment, which the lock file fixes
        if fit.name == LIGHTGBM:
            logged = mlflow.lightgbm.log_model(estimator.booster_, pip_requirements=pinned("lightgbm"), **about)
            return str(logged.model_id)
        logged = mlflow.models.Model.log(
            artifact_path=None,
            flavor=SklearnFlavour,
            flavor_name="mlflow.sklearn",
            sk_model=estimator,
            skops_trusted_types=TRUSTED_TYPES,
            pip_requirements=pinned("scikit-learn", "skops"),
            **about,
        )
    return str(logged.model_id)
