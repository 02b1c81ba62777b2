"""The log of a training in MLflow: a run, a run in it for each model, and one in that for each fold.

The run of the training holds what went in (tags, parameters, data), a model's run what came out (figures, pictures, tables and
the model), a fold's run one row of the fold table, so that MLflow's comparison view can be asked for any of them. A metric's
name up to its `/` is the section that its chart stands in; those that models are sorted by have none.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from core.frames import FEATURES
from ml.entry_filter.evaluate import feature_statistics, fold_table, strategy_table, thresholds_of
from ml.entry_filter.importance import importances
from ml.estimators.models import CONSTANT, LIGHTGBM, chosen_settings, model_digest
from ml.estimators.stored_form import SklearnFlavour, pinned
from ml.samples.dataset import fingerprint, inputs, marked, strategies_of
from ml.tracking.aliases import GATES, PASSED
from ml.tracking.notes import ENTRY_FILTER, NOTE, describe, training_note
from ml.tracking.plots import plots_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml.entry_filter.fit import Fit
    from ml.entry_filter.train import TrainResult

KIND, PAYOFFS, THROUGH, INPUTS = "kind", "payoffs", "trained_through", "inputs"
TRUSTED_TYPES: Final = ["numpy.dtype"]  # beyond those that skops itself knows to be harmless
LONGEST_TAG: Final = 5000


def log_training(
    mlflow: Any,  # noqa: ANN401  # the module, pointed at a store
    experiment: str,
    result: TrainResult,
    dataset: pd.DataFrame,
    *,
    tags: Mapping[str, str],
    metrics: Mapping[str, float],
    tables: Mapping[str, pd.DataFrame],
    objections: Sequence[str] = (),
) -> dict[str, str]:
    """Log a training; returns the id of each logged model by its name.

    Parameters
    ----------
    dataset
        What `result` was trained on.
    tags, metrics, tables
        Of the training as a whole; the tags stand on every run of it, for that is what the comparison view filters by.
    objections
        What stands against the chosen model, for the description.
    """
    describe(mlflow, experiment, ENTRY_FILTER)
    sha256 = fingerprint(dataset)
    shared = {**tags, "dataset_sha256": sha256, "trained_through": result.trained_through}
    shared["period"] = f"{dataset['session'].min().date()} to {dataset['session'].max().date()}"
    shared = _cut(shared)
    note = training_note(result, metrics, objections, f"{len(dataset)} candidates, {shared['period']}")
    own = {"level": "training", "chosen": result.chosen, NOTE: note, GATES: "; ".join(objections) or PASSED}
    with mlflow.start_run(experiment_id=experiment, run_name=f"training {result.trained_through}"):
        mlflow.set_tags({**shared, **_cut(own)})
        mlflow.log_params({**result.settings, **_size(dataset)})
        mlflow.log_metrics({**_summary(result), **metrics})  # MLflow draws the first when it compares
        shown = dataset.astype({"win": "float64"})  # MLflow warns about integers, which could not hold a missing value
        source = mlflow.data.from_pandas(shown, name="candidates", targets="win", digest=sha256[:12])
        mlflow.log_input(source, context="training")
        for file, table in {"feature_statistics.csv": feature_statistics(dataset), **tables}.items():
            mlflow.log_text(table.to_csv(index=False), file)
        fits = [*result.models.values(), *([result.baseline] if result.baseline else [])]
        written = _Writer(mlflow, experiment, result, marked(dataset, strategies_of(dataset)), source, shared)
        models = {fit.name: written.fit(fit) for fit in fits}
    return {name: model for name, model in models.items() if model is not None}


def figures_of(fit: Fit, baseline: Fit | None) -> dict[str, float]:
    """The figures of a model's out-of-sample predictions; `skill` is the part of the constant rate's log loss that it saves."""
    accepted = fit.out_of_sample.loc[fit.out_of_sample["accept"], "net_return"]
    figures = {
        "auc": fit.auc,
        "auc_low": fit.auc_low,
        "auc_high": fit.auc_high,
        "log_loss": fit.log_loss,
        "calibration_error": fit.calibration_error,
        "accepted": float(len(accepted)),
        "tested": float(len(fit.out_of_sample)),
        "mean_net_return": float(fit.out_of_sample["net_return"].mean()),
    }
    if len(accepted):
        figures["accepted_mean_net_return"] = float(accepted.mean())
    if baseline is not None:
        figures["skill"] = 1 - fit.log_loss / baseline.log_loss
    return figures


def _summary(result: TrainResult) -> dict[str, float]:
    """The chosen model's figures, on the run that the comparison view shows first."""
    return figures_of(result.models[result.chosen], result.baseline)


@dataclass(frozen=True)
class _Writer:
    """The runs within a training's run.

    `dataset` is marked by strategy, `source` is MLflow's view of it, `tags` stand on each run.
    """

    mlflow: Any
    experiment: str
    result: TrainResult
    dataset: pd.DataFrame
    source: Any
    tags: Mapping[str, str]

    def fit(self, fit: Fit) -> str | None:
        """One model as a nested run, its folds within it; returns the model's id, None for the yardstick, which is not kept."""
        mlflow = self.mlflow
        with mlflow.start_run(experiment_id=self.experiment, run_name=fit.name, nested=True) as run:
            about = {"model": fit.name, "level": "model", "model_sha256": model_digest(fit.estimator)}
            mlflow.set_tags({**self.tags, **about})
            mlflow.log_params({**self.result.settings, **chosen_settings(fit.estimator)})
            mlflow.log_metrics({**figures_of(fit, self.result.baseline), **_learnt(fit)})
            for fold, figures in enumerate(fit.fold_figures, start=1):
                mlflow.log_metrics({f"fold/{name}": value for name, value in figures.items()}, step=fold)
            mlflow.log_input(self.source, context="training")
            mlflow.log_text(fold_table(fit).to_csv(index=False), "folds.csv")
            mlflow.log_text(strategy_table(fit).to_csv(index=False), "strategies.csv")
            mlflow.log_text(fit.out_of_sample.to_csv(index=False), "out_of_sample.csv")
            self.folds(fit, run.info.run_id)
            if fit.name == CONSTANT:
                return None
            self.pictures(fit)
            return log_model(mlflow, fit, self.result.trained_through, inputs(self.dataset).head(3))

    def pictures(self, fit: Fit) -> None:
        """Importances, the curve that the threshold was chosen on, and every picture."""
        important = importances(fit, self.dataset, int(self.result.settings["seed"]))
        self.mlflow.log_text(important.to_csv(index=False), "importances.csv")
        self.mlflow.log_text(fit.window.curve.to_csv(index=False), "threshold_growth.csv")
        for file, figure in plots_of(fit, important).items():
            self.mlflow.log_figure(figure, file)

    def folds(self, fit: Fit, parent: str) -> None:
        """A run for each fold, in few calls: there are many."""
        from mlflow.entities import Metric, Param

        client, now = self.mlflow.MlflowClient(), int(time.time() * 1000)
        for row in fold_table(fit).to_dict("records"):
            period, fold = f"{row.pop('from')} to {row.pop('to')}", row.pop("fold")
            about = {**self.tags, "model": fit.name, "level": "fold", "test_period": period, "mlflow.parentRunId": parent}
            run_id = client.create_run(self.experiment, tags=about, run_name=f"{fit.name}, fold {fold}").info.run_id
            figures = [Metric(str(name), float(value), now, 0) for name, value in row.items() if pd.notna(value)]
            client.log_batch(run_id, metrics=figures, params=[Param("fold", str(fold))])
            client.set_terminated(run_id)


def log_model(mlflow: Any, fit: Fit, trained_through: str, example: pd.DataFrame) -> str:  # noqa: ANN401
    """Log a fitted model in a form that holds no code and is the same bytes for the same model; returns its id."""
    about = {
        "name": fit.name,
        "metadata": {
            KIND: fit.name,
            PAYOFFS: {name: list(astuple(payoff)) for name, payoff in fit.payoffs.items()},
            THROUGH: trained_through,
            INPUTS: list(FEATURES),
        },
        "input_example": example,
    }
    judged = fit.estimator.predict_proba(example)
    with warnings.catch_warnings(action="ignore"):  # about versions in the environment, which the lock file fixes
        if fit.name == LIGHTGBM:
            logged = mlflow.lightgbm.log_model(
                fit.estimator.booster_,
                signature=mlflow.models.infer_signature(example, judged[:, 1]),
                pip_requirements=pinned("lightgbm"),
                **about,
            )
        else:
            logged = mlflow.models.Model.log(
                artifact_path=None,
                flavor=SklearnFlavour,
                flavor_name="mlflow.sklearn",
                sk_model=fit.estimator,
                skops_trusted_types=TRUSTED_TYPES,
                pyfunc_predict_fn="predict_proba",
                signature=mlflow.models.infer_signature(example, judged),
                pip_requirements=pinned("scikit-learn", "skops"),
                **about,
            )
    return str(logged.model_id)


def _size(dataset: pd.DataFrame) -> dict[str, object]:
    """Return the size of the dataset, in which compared trainings may differ."""
    about = {"candidates": len(dataset), "symbols": dataset["symbol"].nunique(), "features": len(FEATURES)}
    return {**about, "strategies": ",".join(strategies_of(dataset))}


def _learnt(fit: Fit) -> dict[str, float]:
    """Return what was learnt beside the estimator: calibration and thresholds."""
    calibration = fit.window.calibration
    found = {**thresholds_of(fit.payoffs), "slope": calibration.slope, "intercept": calibration.intercept}
    return {f"learnt/{name}": float(value) for name, value in found.items() if value is not None}


def _cut(tags: Mapping[str, str]) -> dict[str, str]:
    return {name: value[:LONGEST_TAG] for name, value in tags.items()}
