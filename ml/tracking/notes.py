"""The notes of a training in MLflow, on its run and its experiment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml.entry_filter.train import TrainResult
    from ml.next_day.next_day import NextDayFit

NOTE: Final = "mlflow.note.content"  # shown as the description
LIFT: Final = ("lift/difference", "lift/low", "lift/high")

ENTRY_FILTER: Final = """\
Trainings of the **entry filter**: the probability that an entry signal, taken on its own, wins net of costs.

Choose *Model training* at the top left. A run `training DATE` holds a run for each model, and those a run for each fold. Filter
the runs by level:

- `tags.level = "training"`: trainings side by side. `filtered/`, `unfiltered/` and `buy_and_hold/` are backtests over the same
  sessions out of sample, `lift/` is filtered less unfiltered in percentage points a year, with a 95 % interval.
- `tags.level = "model"`: models. Sort by `log_loss`; `skill` is the share of the constant rate's log loss that a model saves.
- `tags.level = "fold"`: test blocks, oldest first.

`auc`, `log_loss` and `calibration_error` are walk-forward. `fresh_window/` has champion and fresh model on what came after the
champion's training."""

NEXT_DAY: Final = """\
Trainings of the **next-day model**: the return from one close to the next, of every symbol and session.

Choose *Model training* at the top left. A run `training DATE` holds a run for each model. Filter the runs by level:
`tags.level = "training"` compares trainings, `tags.level = "model"` models. Sort by `rmse`; a model is worth something when
`r2_against_mean` is above zero. All figures are walk-forward. `fresh_window/` has champion and fresh model on what came after
the champion's training."""


def describe(mlflow: Any, experiment: str, text: str) -> None:  # noqa: ANN401  # the module, pointed at a store
    """Say of an experiment what it is, unless somebody has said it: a description written in the browser stays."""
    client = mlflow.MlflowClient()
    if NOTE not in client.get_experiment(experiment).tags:
        client.set_experiment_tag(experiment, NOTE, text)


def training_note(result: TrainResult, metrics: Mapping[str, float], objections: Sequence[str], learnt: str) -> str:
    """A training of the entry filter, verdict first.

    Parameters
    ----------
    metrics
        Of the training as a whole; those of `LIFT` where the lift has an interval.
    learnt
        What was learnt from: how many candidates of which period.
    """
    fit, baseline = result.models[result.chosen], result.baseline
    tested = fit.out_of_sample["session"]
    lines = [
        f"AUC {fit.auc:.3f}, 95 % interval {fit.auc_low:.3f} to {fit.auc_high:.3f}; a constant rate has 0.5",
        _lift(metrics),
        f"Log loss {fit.log_loss:.4f}" + (f"; the constant rate has {baseline.log_loss:.4f}" if baseline else ""),
        f"Calibration error {fit.calibration_error:.3f}",
        f"Learnt from {learnt}, tested on {len(tested)} of them, {tested.min().date()} to {tested.max().date()}",
    ]
    return _note(result.chosen, lines, objections)


def next_day_note(fit: NextDayFit, objections: Sequence[str], learnt: str) -> str:
    """A training of the next-day model, verdict first; what is not defined is left out."""
    shown = {
        "rmse": "Root mean squared error {:.5f}",
        "r2_against_mean": "R² against the mean return of the past {:+.5f}",
        "rank_ic": "Rank correlation across symbols {:+.3f}",
        "coverage": "Its 90 % interval held in {:.1%} of cases",
    }
    lines = [text.format(fit.figures[name]) for name, text in shown.items() if name in fit.figures]
    return _note(fit.name, [*lines, f"Learnt from {learnt}"], objections)


def _note(chosen: str, lines: Sequence[str], objections: Sequence[str]) -> str:
    count = f"{len(objections)} objection{'s' if len(objections) > 1 else ''}"
    against = f"**{count}** to `{chosen}`, the better model: it does not challenge a champion that can be loaded."
    verdict = against if objections else f"**Gates passed**: `{chosen}`, the better model, may challenge."
    return "\n".join([verdict, "", *(f"- Objection: {text}" for text in objections), *(f"- {text}" for text in lines if text)])


def _lift(metrics: Mapping[str, float]) -> str:
    """The lift in a line; nothing where it was not measured."""
    if any(name not in metrics for name in LIFT):
        return ""
    mean, low, high = (metrics[name] for name in LIFT)
    found = "Lift" if low > 0 else "Loss" if high < 0 else "No lift"
    return (
        f"{found}: {mean:+.2f} points a year against no filter, 95 % interval {low:+.2f} to {high:+.2f}; flattered, for the "
        "better of two models was chosen on the same predictions (`desk lift` chooses on the past)"
    )
