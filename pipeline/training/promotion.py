"""Moves of the champion's alias: promotion, rollback, and what stands in the way of one. Logged, mailed, one at a time.

The backtest that speaks for a version of the entry filter is the filtered one that its training stored right before registering
it. The next-day model trades nothing: its gates alone stand in the way.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import structlog

from core.errors import ConfigError, NoChampion
from pipeline.resources import Resources, live
from pipeline.signals import joint_name

if TYPE_CHECKING:
    from ml.tracking.aliases import Aliases, Version
    from storage.research.runs import Run

log = structlog.get_logger()
FILTERED, UNFILTERED = "filtered", "unfiltered"
REGISTERED_WITHIN: Final = dt.timedelta(hours=2)  # of the backtest that its training stored
COMPARED: Final = 30  # newest filtered backtests among which a choice could have been made
BLOCKS: Final = 16


def promote(
    version: str,
    *,
    reason: str,
    author: str,
    decision_id: int | None = None,
    expected_champion: str | None = None,
    force: bool = False,
    model: str | None = None,
    resources: Resources | None = None,
) -> dict[str, Any]:
    """Make a version champion.

    Parameters
    ----------
    expected_champion
        The champion that it was compared with; another one by now refuses the move. None does not ask.
    force
        Promote although something stands against it; the log says so.
    model
        Registered name; the entry filter's unless given.

    Raises
    ------
    ConfigError
        When there is no such version, it is champion already, the champion has changed, or something stands against it.
    RetryLater
        When another promotion is under way.
    """
    resources = resources or live()
    if not reason.strip():
        raise ConfigError("Promotion: expected a reason, found none. Say why, for whoever reads the history.")
    against = [] if force else objections_to(version, model=model, resources=resources)
    if against:
        raise ConfigError(f"Version {version} is not promoted: {'; '.join(against)}.")
    move = ("promote", reason, author)
    return _move(resources, _name(resources, model), version, move, decision_id=decision_id, expected=expected_champion)


def rollback(*, reason: str, author: str, model: str | None = None, resources: Resources | None = None) -> dict[str, Any]:
    """Give the alias back to the version that was champion before the last move.

    Raises
    ------
    ConfigError
        When there was no move, or the champion is not the one that the last move made.
    """
    resources = resources or live()
    name = _name(resources, model)
    history = resources.promotions.history(name, limit=1)
    if not history or history[0].from_version is None:
        raise ConfigError("Rollback: expected an earlier promotion, found none. `desk models list` shows the versions.")
    last = history[0]
    return _move(resources, name, str(last.from_version), ("rollback", reason, author), expected=last.to_version)


def objections_to(version: str, *, model: str | None = None, resources: Resources | None = None) -> list[str]:
    """What stands against promoting a version: its training's gates, and of an entry filter the luck of many trials."""
    from ml.entry_filter.gates import blocks
    from ml.tracking.aliases import PASSED

    resources = resources or live()
    name = _name(resources, model)
    row = _version(_aliases(resources, name), version)
    held = [] if row.gates in {PASSED, ""} else [row.gates]
    if name != resources.settings.model_name:
        return held
    evidence = evidence_of(row, resources=resources)
    return held + blocks(
        evidence["deflated_sharpe"],
        evidence["overfitting"],
        least_deflated_sharpe=resources.settings.promote_least_deflated_sharpe,
        most_overfitting=resources.settings.promote_most_overfitting,
    )


def evidence_of(version: Version, *, resources: Resources | None = None) -> dict[str, Any]:
    """Deflated Sharpe ratio and probability of overfitting of a version's filtered strategy out of sample.

    Trials are those of the ledger for the strategy, and every model registered. The overfitting is that of choosing among the
    filtered strategies of all trainings and the unfiltered one.

    Returns
    -------
    dict
        run_id, trials, sharpe, deflated_sharpe, overfitting; None where not defined.
    """
    from research.statistics import deflated_sharpe, moments, sharpe_ratio

    resources = resources or live()
    run = _run_of(resources, version)
    if run is None:
        return {"run_id": None, "trials": None, "sharpe": None, "deflated_sharpe": None, "overfitting": None}
    strategies = {rule.name for rule in (*resources.strategies, *resources.candidate_strategies)}
    strategies.add(joint_name(resources.candidate_strategies))
    trials = resources.trials.count(*strategies) + len(resources.registry.aliases.versions())
    variance = 0.0 if trials == 1 else resources.trials.sharpe_variance(*strategies)
    returns = np.asarray(_returns(resources, run), dtype=np.float64)
    known = moments(returns)
    deflated = None if known is None or variance is None else deflated_sharpe(known, trials, variance)
    return {
        "run_id": run.run_id,
        "trials": trials,
        "sharpe": sharpe_ratio(returns),
        "deflated_sharpe": deflated,
        "overfitting": _overfitting(resources, run),
    }


def listed(*, model: str | None = None, resources: Resources | None = None) -> list[Version]:
    """Every registered version, the newest first."""
    resources = resources or live()
    return _aliases(resources, _name(resources, model)).versions()


def is_next_day(model: str | None, *, resources: Resources | None = None) -> bool:
    """Whether a registered name is the next-day model's; refuses a name that the desk does not have."""
    resources = resources or live()
    return _name(resources, model) == resources.settings.next_day_model_name


def about(version: str, *, model: str | None = None, resources: Resources | None = None) -> dict[str, Any]:
    """Everything on record about a version: facts, what stands against its promotion, decisions, moves of the alias."""
    resources = resources or live()
    name = _name(resources, model)
    row = _version(_aliases(resources, name), version)
    decisions = [each for each in resources.experiments.decisions(model_name=name) if version in each.versions]
    moves = [each for each in resources.promotions.history(name) if version in {each.from_version, each.to_version}]
    facts = {"aliases": ", ".join(row.aliases), "registered": row.created_at, "run": row.run_id, "gates": row.gates}
    return {
        "facts": facts | (evidence_of(row, resources=resources) if name == resources.settings.model_name else {}),
        "against": objections_to(version, model=model, resources=resources),
        "decisions": decisions,
        "moves": moves,
    }


def _name(resources: Resources, model: str | None) -> str:
    """The registered name of a model of the desk; the entry filter's for None."""
    known = (resources.settings.model_name, resources.settings.next_day_model_name)
    if model is not None and model not in known:
        raise ConfigError(f"Model {model!r}: expected {' or '.join(map(repr, known))}.")
    return model or known[0]


def _aliases(resources: Resources, name: str) -> Aliases:
    """The aliases of a model by its registered name."""
    return (resources.registry if name == resources.settings.model_name else resources.next_day_registry).aliases


def _move(
    resources: Resources,
    name: str,
    version: str,
    said: tuple[str, str, str],
    *,
    decision_id: int | None = None,
    expected: str | None = None,
) -> dict[str, Any]:
    """Log and move in one transaction; the alias goes back when the log cannot be written. `said`: kind, reason, author."""
    from storage.models.promotions import Promotion

    (kind, reason, author), aliases = said, _aliases(resources, name)
    with resources.promotions.one_at_a_time(name) as connection:
        before = aliases.champion()
        if before is None:
            raise NoChampion(f"No champion of {name!r} is registered. Train one: `desk train`, or run model_training.")
        if expected is not None and before != expected:
            raise ConfigError(f"Expected champion {expected}, found {before}: somebody moved it. Look at `desk models list`.")
        if before == version:
            raise ConfigError(f"Version {version} is champion already.")
        resources.promotions.add(connection, Promotion(name, kind, before, version, reason.strip(), author, decision_id))
        aliases.crown(version)
        try:
            connection.commit()
        except Exception:
            aliases.crown(before)
            raise
    log.info("promotion", kind=kind, model=name, before=before, after=version, author=author, reason=reason)
    resources.alerts.send(
        f"{name}: version {version} is champion ({kind})",
        f"Before: version {before}. By: {author}. Reason: {reason}\n\nBack with one command: desk models rollback --reason WHY"
        + ("" if name == resources.settings.model_name else f" --model {name}"),
        "info",
    )
    return {"model": name, "kind": kind, "from": before, "to": version, "reason": reason}


def _version(aliases: Aliases, version: str) -> Version:
    rows = {row.version: row for row in aliases.versions()}
    if version not in rows:
        raise ConfigError(f"Expected a version of {', '.join(rows) or 'none'}, found {version!r}. See `desk models list`.")
    return rows[version]


def _run_of(resources: Resources, version: Version) -> Run | None:
    """The newest filtered backtest stored before the version was registered, if it is of the same training."""
    before = [run for run in resources.runs.recent(FILTERED, limit=1000) if run.created_at <= version.created_at]
    return before[0] if before and version.created_at - before[0].created_at <= REGISTERED_WITHIN else None


def _returns(resources: Resources, run: Run) -> pd.Series[float]:
    """Return of each session of a stored curve."""
    _, equity = resources.runs.frames(run.run_id)
    start = float(run.meta.get("initial_cash_usd", resources.settings.initial_cash_usd))
    value = np.concatenate([[start], equity["equity_usd"].to_numpy(dtype=np.float64)])
    return pd.Series(np.diff(value) / value[:-1], index=pd.DatetimeIndex(equity["session"]))


def _overfitting(resources: Resources, run: Run) -> float | None:
    """Of the filtered strategies on record that cover the same sessions, and the unfiltered one (CSCV)."""
    from research.statistics import overfitting

    runs = [run, *resources.runs.recent(FILTERED, limit=COMPARED), *resources.runs.recent(UNFILTERED, limit=1)]
    curves = {each.run_id: _returns(resources, each) for each in runs}
    together = pd.concat(curves, axis=1, join="inner").to_numpy(dtype=np.float64)
    judged = overfitting(together, BLOCKS) if len(together) else None
    return None if judged is None else judged.probability
