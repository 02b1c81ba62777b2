"""Daily judgement of the running A/B test by the settled outcomes, and the promotion that may follow.

`ml.ab_testing.ab_test` compares; `pipeline.training.ab_assignment` assigns candidates to arms.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import structlog

from core.errors import ConfigError
from core.sessions import calendar_name, next_session, open_of, sessions_between
from pipeline.bars import bars_by_symbol
from pipeline.resources import Resources, live
from pipeline.training import promotion
from pipeline.training.promotion import AliasMove

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ml.ab_testing.ab_test import Decision
    from ml.tracking.aliases import Aliases
    from monitoring.alerts import Alerts
    from storage.models.experiments import Experiment, Experiments
    from trading.costs import Costs
    from trading.strategies.base import Strategy

log = structlog.get_logger()
AUTHOR = "model_ab_judge"
NO_EXPERIMENT = ("session", "decision", "approval", "reason")


@dataclass(frozen=True)
class AbJudgement:
    """The judgement of a session.

    Attributes
    ----------
    decision
        promote, keep, extend, or none without an experiment.
    approval
        True when a person must agree before a promotion.
    """

    session: str
    decision: str
    approval: bool
    reason: str
    experiment: str | None = None
    champion: str | None = None
    challenger: str | None = None
    decision_id: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values; those of an experiment only where there is one."""
        values = asdict(self)
        return values if self.experiment is not None else {name: values[name] for name in NO_EXPERIMENT}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> AbJudgement:
        """Return the judgement of `as_dict`."""
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})


@dataclass(frozen=True)
class SettledCandidates:
    """Assigned candidates with their outcomes, NaN while a trade is open, and the numbers left out.

    Attributes
    ----------
    void
        Entries that are none any longer, because the parameters have changed since.
    late
        Assignments that were written after the open that they were for.
    """

    frame: pd.DataFrame
    void: int
    late: int


def judge_ab_test(session: str, *, resources: Resources | None = None) -> AbJudgement:
    """Settle the outcomes at a session's close, judge the running experiment, and store the decision; promote nothing."""
    resources = resources or live()
    day, settings, experiments = dt.date.fromisoformat(session), resources.settings, resources.experiments
    aliases = resources.registry.aliases
    experiment = _open_experiment(experiments, aliases, settings.model_name, day)
    if experiment is None:
        return _judged_before(experiments, aliases, settings.model_name, day, approval=settings.ab_approval)
    settled = _settle(
        experiments.assignments(experiment.name, until=day),
        experiment,
        bars=bars_by_symbol(resources.bars, session, resources.universe()),
        strategies=resources.strategies,
        costs=resources.costs,
        historical=resources.historical,
    )
    decision = _decide(experiment, settled.frame, day)
    challenger = decision.challenger
    blocked = [] if challenger is None else promotion.objections_to(challenger, resources=resources)
    kind = "keep" if blocked else str(decision.kind)
    reason = f"{decision.reason} Promotion is blocked: {'; '.join(blocked)}." if blocked else decision.reason
    promoted = challenger if kind == "promote" else None
    counts = {"void": settled.void, "late": settled.late, "bars_as_of": resources.clock().isoformat()}
    report = {**_report(decision), **counts, "blocked": blocked}
    number = experiments.record(experiment.name, day, kind=kind, challenger=promoted, reason=reason, report=report)
    _close(experiment, kind, promoted, reason, aliases=aliases, alerts=resources.alerts)
    log.info("ab_judged", experiment=experiment.name, decision=kind, reason=reason)
    return AbJudgement(session, kind, settings.ab_approval, reason, experiment.name, experiment.champion, promoted, number)


def promote_judged(judgement: AbJudgement, *, resources: Resources | None = None) -> AliasMove:
    """Carry out a judgement to promote; a second call does nothing.

    Raises
    ------
    ConfigError
        When the judgement is not to promote.
    """
    resources = resources or live()
    version = judgement.challenger
    if version is None:
        raise ConfigError(f"Promotion: expected a judgement to promote, found {judgement.decision!r}. See `desk models list`.")
    if resources.registry.aliases.champion() == version:
        return AliasMove(to=version, reason="It is champion already.")
    return promotion.promote(
        version,
        reason=judgement.reason,
        author=AUTHOR,
        decision_id=judgement.decision_id,
        expected_champion=judgement.champion,
        resources=resources,
    )


def _open_experiment(experiments: Experiments, aliases: Aliases, model_name: str, day: dt.date) -> Experiment | None:
    """Return the undecided experiment of the present champion, if it had begun."""
    champion = aliases.champion()
    past = [] if champion is None else experiments.of(model_name, champion)
    return next((each for each in past if not each.decided and each.first_session <= day), None)


def _judged_before(experiments: Experiments, aliases: Aliases, model_name: str, day: dt.date, *, approval: bool) -> AbJudgement:
    """Return the session's judgement when it is a promotion not yet carried out: a step that runs again goes on from there."""
    session = day.isoformat()
    last = next(iter(experiments.decisions(model_name=model_name, limit=1)), None)
    if last is None or last.session != day or last.challenger not in aliases.challengers():
        return AbJudgement(session, "none", approval=False, reason="No challenger is being compared.")
    experiment = experiments.get(last.experiment)
    champion = experiment.champion if experiment else None
    return AbJudgement(session, last.kind, approval, last.reason, last.experiment, champion, last.challenger, last.id)


def _decide(experiment: Experiment, candidates: pd.DataFrame, day: dt.date) -> Decision:
    from ml.ab_testing.ab_test import AbTestTerms, decide_ab_test

    sessions = sessions_between(experiment.first_session, day)
    sessions = sessions.union(pd.DatetimeIndex(candidates["session"].unique()))
    terms = AbTestTerms(**experiment.terms)
    return decide_ab_test(candidates, sessions, experiment.champion, experiment.challengers, terms)


def _settle(
    assigned: pd.DataFrame,
    experiment: Experiment,
    *,
    bars: Mapping[str, pd.DataFrame],
    strategies: tuple[Strategy, ...],
    costs: Costs,
    historical: bool,
) -> SettledCandidates:
    """Join the assigned candidates with their outcomes, and leave out what must not count."""
    symbols = sorted(set(assigned["symbol"]) & set(bars))
    outcomes = [_outcomes(rule, bars[symbol], costs) for rule in strategies for symbol in symbols]
    settled = pd.concat(outcomes) if outcomes else pd.DataFrame(columns=["strategy", "symbol", "session", "net_return"])
    frame = assigned.merge(settled, on=["strategy", "symbol", "session"], how="left", indicator=True)
    void = frame["_merge"] == "left_only"
    late = np.zeros(len(frame), dtype=np.bool_) if historical else _late(frame)
    frame = frame.assign(net_return=frame["net_return"].astype("float64"))
    for version in (experiment.champion, *experiment.challengers):
        frame[f"accept_{version}"] = [bool(scores[version]["accept"]) for scores in frame["scores"]]
    counted = frame[~void & ~late].reset_index(drop=True)
    return SettledCandidates(counted, int(void.sum()), int((late & ~void).sum()))


def _late(frame: pd.DataFrame) -> NDArray[np.bool_]:
    """Return True for each assignment that was written at or after the open that it was for."""
    return np.array(
        [
            written >= _opens(symbol, session)
            for symbol, session, written in frame[["symbol", "session", "created_at"]].to_numpy()
        ],
        dtype=np.bool_,
    )


def _opens(symbol: str, session: pd.Timestamp) -> dt.datetime:
    calendar = calendar_name(symbol)
    return open_of(next_session(session.date(), calendar), calendar)


def _outcomes(rule: Strategy, bars: pd.DataFrame, costs: Costs) -> pd.DataFrame:
    """Return every entry of a strategy in a symbol with its net return, NaN where the trade has not ended."""
    from backtest.engine import label_candidates

    key = ["strategy", "symbol", "session"]
    signals = rule.signals(bars)
    entries = signals.loc[signals["entry"] != 0, ["session"]].assign(symbol=str(bars["symbol"].iloc[0]), strategy=rule.name)
    return entries.merge(label_candidates(bars, rule, costs)[[*key, "net_return"]], on=key, how="left")


def _close(experiment: Experiment, kind: str, challenger: str | None, reason: str, *, aliases: Aliases, alerts: Alerts) -> None:
    """Withdraw the losing challengers after a final decision, and mail a decision to keep the champion."""
    if kind == "extend":
        return
    for version in experiment.challengers:
        if version != challenger:
            aliases.withdraw(version)
    if kind == "keep":
        alerts.send(f"{experiment.model_name}: the champion stays", f"{experiment.name}: {reason}", "info")


def _report(decision: Decision) -> dict[str, Any]:
    """Return the decision's evidence as JSON values."""
    return {
        "sessions": decision.sessions,
        "spa": decision.spa,
        "comparisons": [
            {
                "challenger": each.challenger,
                "candidates": each.candidates,
                "pairs": each.pairs,
                "blocks": each.blocks,
                "p_value": each.p_value,
                "paired": each.paired._asdict(),
                "assigned": None if each.assigned is None else each.assigned._asdict(),
            }
            for each in decision.comparisons
        ],
    }
