"""The next-day model in MLflow: what a training of it leaves there, and the way back. Owns both ends of that format."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from core.errors import ConfigError, NoChampion
from core.frames import FEATURES
from ml.dataset import inputs
from ml.next_day import LIGHTGBM, NextDay, NextDayFit
from ml.stored_form import SklearnFlavour

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from ml.registry import Registry

FILES: Final = {LIGHTGBM: "model.lgb"}
OTHER_FILE: Final = "model.skops"
TRUSTED_TYPES: Final = ["numpy.dtype", "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]


def log_next_day(
    mlflow: Any,  # noqa: ANN401  # the module, pointed at a store
    experiment: str,
    fits: Mapping[str, NextDayFit],
    dataset: pd.DataFrame,
    *,
    tags: Mapping[str, str],
    params: Mapping[str, Any],
) -> dict[str, str]:
    """Log a training: a run, and one in it for each model; returns the id of each logged model."""
    through = str(dataset["session"].max().date())
    shared = {**tags, "trained_through": through, "period": f"{dataset['session'].min().date()} to {through}"}
    models = {}
    with mlflow.start_run(experiment_id=experiment, run_name=f"training {through}"):
        mlflow.set_tags({**shared, "level": "training"})
        mlflow.log_params({**params, "rows": len(dataset)})
        for name, fit in fits.items():
            with mlflow.start_run(experiment_id=experiment, run_name=name, nested=True):
                mlflow.set_tags({**shared, "level": "model", "model": name})
                mlflow.log_params(dict(params))
                mlflow.log_metrics(fit.figures)
                for fold, figures in enumerate(fit.fold_figures, start=1):
                    mlflow.log_metrics({f"fold_{key}": value for key, value in figures.items()}, step=fold)
                models[name] = _log_model(mlflow, fit, through, inputs(dataset).tail(3))
    return models


def load_next_day(registry: Registry) -> tuple[NextDay, dict[str, Any]]:
    """The model under the champion's alias, and what was stored about it.

    Raises
    ------
    NoChampion
        When nothing is registered.
    ConfigError
        When what is registered is no next-day model.
    """
    version = registry.champion_version()
    if version is None:
        raise NoChampion(f"No champion of {registry.model_name!r} is registered. Train one: `cli train-next-day`.")
    with tempfile.TemporaryDirectory() as folder:
        found, about = registry.download(version, Path(folder))
        if "residuals" not in about:
            raise ConfigError(
                f"Version {version} of {registry.model_name!r} is no next-day model. Train one: `cli train-next-day`."
            )
        estimator = _read(about["kind"], found)
    return NextDay(estimator, np.array(about["residuals"]), float(about["typical_scale"])), {**about, "version": version}


def _read(kind: str, folder: Path) -> Any:  # noqa: ANN401  # either estimator
    if kind == LIGHTGBM:
        from lightgbm import Booster

        return Booster(model_str=(folder / FILES[LIGHTGBM]).read_text())
    from skops.io import load  # type: ignore[import-untyped]

    return load(folder / OTHER_FILE, trusted=TRUSTED_TYPES)


def _log_model(mlflow: Any, fit: NextDayFit, through: str, example: pd.DataFrame) -> str:  # noqa: ANN401
    estimator = fit.model.estimator
    about = {
        "name": fit.name,
        "metadata": {
            "kind": fit.name,
            "residuals": fit.model.residuals.tolist(),
            "typical_scale": fit.model.typical_scale,
            "trained_through": through,
            "inputs": list(FEATURES),
        },
        "input_example": example,
        "signature": mlflow.models.infer_signature(example, estimator.predict(example)),
    }
    with warnings.catch_warnings(action="ignore"):  # about versions in the environment, which the lock file fixes
        if fit.name == LIGHTGBM:
            return str(mlflow.lightgbm.log_model(estimator.booster_, **about).model_id)
        logged = mlflow.models.Model.log(
            artifact_path=None,
            flavor=SklearnFlavour,
            flavor_name="mlflow.sklearn",
            sk_model=estimator,
            skops_trusted_types=TRUSTED_TYPES,
            **about,
        )
    return str(logged.model_id)
