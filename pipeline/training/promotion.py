"""Moves of the champion's alias: promotion, rollback, and the objections to one. Logged, mailed, one at a time.

The evidence for a version of the entry filter is the filtered backtest that its training stored right before registering it.
The next-day model trades nothing: its training gates are the only objections.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import structlog

from core.errors import ConfigError, NoChampion
from pipeline.resources import Resources, live
from pipeline.signals import joint_name

if TYPE_CHECKING:
    from core.settings import Settings
    from ml.tracking.aliases import Aliases, Version
    from monitoring.alerts import Alerts
    from storage.models.experiments import Judgement
    from storage.models.promotions import Promotion, Promotions
    from storage.research.runs import Run, Runs
    from storage.research.trials import Trials

log = structlog.get_logger()
FILTERED, UNFILTERED = "filtered", "unfiltered"
REGISTERED_WITHIN: Final = dt.timedelta(hours=2)  # of the backtest that its training stored
COMPARED: Final = 30  # newest filtered backtests among which a choice could have been made
BLOCKS: Final = 16


@dataclass(frozen=True)
class AliasMove:
    """A move of the champion's alias, `kind` promote or rollback; the version `to` alone when there was nothing to do."""

    to: str
    reason: str
    model: str | None = None
    kind: str | None = None
    before: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return model, kind, from, to and reason; to and reason alone when there was nothing to do."""
        if self.model is None:
            return {"to": self.to, "reason": self.reason}
        return {"model": self.model, "kind": self.kind, "from": self.before, "to": self.to, "reason": self.reason}


@dataclass(frozen=True)
class VersionEvidence:
    """Out-of-sample evidence for a version's filtered strategy; None where not defined.

    Attributes
    ----------
    run_id
        The filtered backtest of its training.
    trials
        Backtests of the strategy in the trial ledger, and every model registered.
    overfitting
        Probability of overfitting of the choice among the filtered strategies of all trainings and the unfiltered one.
    """

    run_id: str | None = None
    trials: int | None = None
    sharpe: float | None = None
    deflated_sharpe: float | None = None
    overfitting: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


@dataclass(frozen=True)
class VersionRecord:
    """Everything on record about a version: facts, objections to its promotion, decisions, moves of the alias."""

    facts: dict[str, Any]
    against: list[str]
    decisions: list[Judgement]
    moves: list[Promotion]


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
) -> AliasMove:
    """Make a version champion.

    Parameters
    ----------
    expected_champion
        The champion that it was compared with: the move is refused when another has it by now. None skips this check.
    force
        Promote despite objections.
    model
        Registered name; the entry filter's unless given.

    Raises
    ------
    ConfigError
        When there is no such version, it is champion already, the champion has changed, or there is an objection.
    RetryLater
        When another promotion is under way.
    """
    resources = resources or live()
    if not reason.strip():
        raise ConfigError("Promotion: expected a reason, found none. Give one for the history: `--reason WHY`.")
    against = [] if force else objections_to(version, model=model, resources=resources)
    if against:
        raise ConfigError(f"Version {version} is not promoted: {'; '.join(against)}.")
    mover = _Mover.of(resources, _name(resources.settings, model))
    return mover.move(version, "promote", reason, author, decision_id=decision_id, expected=expected_champion)


def rollback(*, reason: str, author: str, model: str | None = None, resources: Resources | None = None) -> AliasMove:
    """Give the alias back to the version that was champion before the last move.

    Raises
    ------
    ConfigError
        When there was no move, or the champion is not the one that the last move made.
    """
    resources = resources or live()
    name = _name(resources.settings, model)
    history = resources.promotions.history(name, limit=1)
    if not history or history[0].from_version is None:
        raise ConfigError("Rollback: expected an earlier promotion, found none. `desk models list` shows the versions.")
    last = history[0]
    return _Mover.of(resources, name).move(str(last.from_version), "rollback", reason, author, expected=last.to_version)


def objections_to(version: str, *, model: str | None = None, resources: Resources | None = None) -> list[str]:
    """Return the objections to promoting a version: its training gates, and for an entry filter the luck of many trials."""
    from ml.entry_filter.gates import blocks
    from ml.tracking.aliases import PASSED

    resources = resources or live()
    name = _name(resources.settings, model)
    row = _version(_aliases(resources, name), version)
    failed = [] if row.gates in {PASSED, ""} else [row.gates]
    if name != resources.settings.training.model_name:
        return failed
    evidence = evidence_of(row, resources=resources)
    return failed + blocks(
        evidence.deflated_sharpe,
        evidence.overfitting,
        least_deflated_sharpe=resources.settings.promotion.least_deflated_sharpe,
        most_overfitting=resources.settings.promotion.most_overfitting,
    )


def evidence_of(version: Version, *, resources: Resources | None = None) -> VersionEvidence:
    """Return the evidence for a version of the entry filter, from the backtest of its training."""
    resources = resources or live()
    run = _run_of(resources.runs, version)
    if run is None:
        return VersionEvidence()
    strategies = {rule.name for rule in (*resources.strategies, *resources.candidate_strategies)}
    strategies.add(joint_name(resources.candidate_strategies))
    registered = len(resources.registry.aliases.versions())
    return _evidence(run, resources.runs, resources.trials, strategies, registered, resources.settings.initial_cash_usd)


def _evidence(  # noqa: PLR0917  # a run, and what it is deflated by
    run: Run, runs: Runs, trials: Trials, strategies: set[str], registered: int, initial_cash_usd: float
) -> VersionEvidence:
    """Deflate a run by the trials of its strategies and the registered models."""
    from research.statistics import deflated_sharpe, moments, sharpe_ratio

    count = trials.count(*strategies) + registered
    variance = 0.0 if count == 1 else trials.sharpe_variance(*strategies)
    returns = np.asarray(_returns(runs, run, initial_cash_usd), dtype=np.float64)
    measured = moments(returns)
    deflated = None if measured is None or variance is None else deflated_sharpe(measured, count, variance)
    return VersionEvidence(run.run_id, count, sharpe_ratio(returns), deflated, _overfitting(runs, run, initial_cash_usd))


def list_versions(*, model: str | None = None, resources: Resources | None = None) -> list[Version]:
    """Return every registered version, the newest first."""
    resources = resources or live()
    return _aliases(resources, _name(resources.settings, model)).versions()


def is_next_day(model: str | None, *, resources: Resources | None = None) -> bool:
    """Return True when a registered name is the next-day model's; refuse a name that the desk does not have."""
    resources = resources or live()
    return _name(resources.settings, model) == resources.settings.next_day.model_name


def record_of(version: str, *, model: str | None = None, resources: Resources | None = None) -> VersionRecord:
    """Return everything on record about a version."""
    resources = resources or live()
    name = _name(resources.settings, model)
    row = _version(_aliases(resources, name), version)
    decisions = [each for each in resources.experiments.decisions(model_name=name) if version in each.versions]
    moves = [each for each in resources.promotions.history(name) if version in {each.from_version, each.to_version}]
    facts = {"aliases": ", ".join(row.aliases), "registered": row.created_at, "run": row.run_id, "gates": row.gates}
    evidence = evidence_of(row, resources=resources).as_dict() if name == resources.settings.training.model_name else {}
    return VersionRecord(facts | evidence, objections_to(version, model=model, resources=resources), decisions, moves)


def _name(settings: Settings, model: str | None) -> str:
    """Return the registered name of a model of the desk; the entry filter's for None."""
    names = (settings.training.model_name, settings.next_day.model_name)
    if model is not None and model not in names:
        raise ConfigError(f"Model {model!r}: expected {' or '.join(map(repr, names))}. See `desk models list`.")
    return model or names[0]


def _aliases(resources: Resources, name: str) -> Aliases:
    """Return the aliases of a model by its registered name."""
    return (resources.registry if name == resources.settings.training.model_name else resources.next_day_registry).aliases


@dataclass(frozen=True)
class _Mover:
    """The alias of one model, with the log and the mail of its moves."""

    name: str
    aliases: Aliases
    promotions: Promotions
    alerts: Alerts
    option: str  # of the command, for a model that is not the default one

    @classmethod
    def of(cls, resources: Resources, name: str) -> _Mover:
        option = "" if name == resources.settings.training.model_name else f" --model {name}"
        return cls(name, _aliases(resources, name), resources.promotions, resources.alerts, option)

    def move(
        self,
        version: str,
        kind: str,
        reason: str,
        author: str,
        *,
        decision_id: int | None = None,
        expected: str | None = None,
    ) -> AliasMove:
        """Log and move in one transaction; the alias goes back when the log cannot be written."""
        from storage.models.promotions import Promotion

        name, aliases = self.name, self.aliases
        with self.promotions.one_at_a_time(name) as connection:
            before = aliases.champion()
            if before is None:
                raise NoChampion(f"No champion of {name!r} is registered. Train one: `desk train`, or run model_training.")
            if expected is not None and before != expected:
                raise ConfigError(f"Expected champion {expected}, found {before}: it was moved. See `desk models list`.")
            if before == version:
                raise ConfigError(f"Version {version} is champion already.")
            self.promotions.add(connection, Promotion(name, kind, before, version, reason.strip(), author, decision_id))
            aliases.crown(version)
            try:
                connection.commit()
            except Exception:
                aliases.crown(before)
                raise
        log.info("promotion", kind=kind, model=name, before=before, after=version, author=author, reason=reason)
        self.alerts.send(
            f"{name}: version {version} is champion ({kind})",
            f"Before: version {before}. By: {author}. Reason: {reason}\n\n"
            f"Back with one command: desk models rollback --reason WHY{self.option}",
            "info",
        )
        return AliasMove(version, reason, name, kind, before)


def _version(aliases: Aliases, version: str) -> Version:
    rows = {row.version: row for row in aliases.versions()}
    if version not in rows:
        raise ConfigError(f"Expected a version of {', '.join(rows) or 'none'}, found {version!r}. See `desk models list`.")
    return rows[version]


def _run_of(runs: Runs, version: Version) -> Run | None:
    """Return the newest filtered backtest stored before the version was registered, if it is of the same training."""
    before = [run for run in runs.recent(FILTERED, limit=1000) if run.created_at <= version.created_at]
    return before[0] if before and version.created_at - before[0].created_at <= REGISTERED_WITHIN else None


def _returns(runs: Runs, run: Run, initial_cash_usd: float) -> pd.Series[float]:
    """Return the return of each session of a stored curve; `initial_cash_usd` where the run does not name its own."""
    _, equity = runs.frames(run.run_id)
    start = float(run.meta.get("initial_cash_usd", initial_cash_usd))
    value = np.concatenate([[start], equity["equity_usd"].to_numpy(dtype=np.float64)])
    return pd.Series(np.diff(value) / value[:-1], index=pd.DatetimeIndex(equity["session"]))


def _overfitting(runs: Runs, run: Run, initial_cash_usd: float) -> float | None:
    """Return the probability of overfitting (CSCV) among the filtered runs of the same sessions and the unfiltered one."""
    from research.statistics import overfitting

    choices = [run, *runs.recent(FILTERED, limit=COMPARED), *runs.recent(UNFILTERED, limit=1)]
    curves = {each.run_id: _returns(runs, each, initial_cash_usd) for each in choices}
    together = pd.concat(curves, axis=1, join="inner").to_numpy(dtype=np.float64)
    estimate = overfitting(together, BLOCKS) if len(together) else None
    return None if estimate is None else estimate.probability
