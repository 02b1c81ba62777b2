"""Judge the running A/B test of models once a day by the outcomes known, and carry out a promotion.

`ml.ab_testing.ab_test` compares; `pipeline.training.ab_assignment` assigns candidates to arms.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import structlog

from core.sessions import calendar_name, next_session, open_of, sessions_between
from pipeline.bars import bars_by_symbol
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ml.ab_testing.ab_test import Decision
    from storage.models.experiments import Experiment
    from trading.strategies.base import Strategy

log = structlog.get_logger()
AUTHOR = "model_ab_judge"


def judge(session: str, *, resources: Resources | None = None) -> dict[str, Any]:
    """Settle what is known at a session's close and judge the running experiment; the record is stored, nothing is promoted.

    Returns
    -------
    dict
        decision (promote, keep, extend, or none without an experiment), reason, experiment, challenger, champion, decision_id,
        approval (whether a person must agree first).
    """
    resources = resources or live()
    day = dt.date.fromisoformat(session)
    experiment = _open_at(resources, day)
    if experiment is None:
        return _as_judged_before(resources, day)
    decision, settled = _judged(resources, experiment, day)
    blocked = _blocked(resources, decision)
    kind = "keep" if blocked else str(decision.kind)
    reason = f"{decision.reason} Promotion is blocked: {'; '.join(blocked)}." if blocked else decision.reason
    challenger = decision.challenger if kind == "promote" else None
    report = {**_report(decision), **settled, "blocked": blocked}
    number = resources.experiments.record(experiment.name, day, kind=kind, challenger=challenger, reason=reason, report=report)
    _close(resources, experiment, kind, challenger, reason)
    log.info("ab_judged", experiment=experiment.name, decision=kind, reason=reason)
    return {
        "session": session,
        "experiment": experiment.name,
        "decision": kind,
        "reason": reason,
        "champion": experiment.champion,
        "challenger": challenger,
        "decision_id": number,
        "approval": resources.settings.ab_approval,
    }


def promote(judgement: Mapping[str, Any], *, resources: Resources | None = None) -> dict[str, Any]:
    """Carry out a judgement of `judge` that says promote; run again it does nothing."""
    from pipeline.training import promotion

    resources = resources or live()
    version = str(judgement["challenger"])
    if resources.registry.aliases.champion() == version:
        return {"to": version, "reason": "It is champion already."}
    return promotion.promote(
        version,
        reason=str(judgement["reason"]),
        author=AUTHOR,
        decision_id=int(judgement["decision_id"]),
        expected_champion=str(judgement["champion"]),
        resources=resources,
    )


def _open_at(resources: Resources, day: dt.date) -> Experiment | None:
    """The undecided experiment of the present champion, if it had begun."""
    champion = resources.registry.aliases.champion()
    past = [] if champion is None else resources.experiments.of(resources.settings.model_name, champion)
    return next((each for each in past if not each.decided and each.first_session <= day), None)


def _as_judged_before(resources: Resources, day: dt.date) -> dict[str, Any]:
    """The session's judgement when it said promote and that has not been done: a step that is run again goes on from there."""
    name, nothing = resources.settings.model_name, {"session": day.isoformat(), "decision": "none", "approval": False}
    last = next(iter(resources.experiments.decisions(model_name=name, limit=1)), None)
    if last is None or last.session != day or last.challenger not in resources.registry.aliases.challengers():
        return nothing | {"reason": "No challenger is being compared."}
    experiment = resources.experiments.get(last.experiment)
    return nothing | {
        "experiment": last.experiment,
        "decision": last.kind,
        "reason": last.reason,
        "champion": experiment.champion if experiment else None,
        "challenger": last.challenger,
        "decision_id": last.id,
        "approval": resources.settings.ab_approval,
    }


def _judged(resources: Resources, experiment: Experiment, day: dt.date) -> tuple[Decision, dict[str, Any]]:
    from ml.ab_testing.ab_test import Terms, judge

    candidates, left_out = _settled(resources, experiment, day)
    sessions = sessions_between(experiment.first_session, day)
    sessions = sessions.union(pd.DatetimeIndex(candidates["session"].unique()))
    decision = judge(candidates, sessions, experiment.champion, experiment.challengers, Terms(**experiment.terms))
    return decision, {**left_out, "bars_as_of": resources.clock().isoformat()}


def _settled(resources: Resources, experiment: Experiment, day: dt.date) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Assigned candidates with their outcomes, NaN while a trade is open; how many were left out, and why.

    Late ones were written when their open had passed. Void ones are entries no longer: the parameters have changed since.
    """
    assigned = resources.experiments.assignments(experiment.name, until=day)
    bars = bars_by_symbol(resources.bars, day.isoformat(), resources.universe())
    symbols = sorted(set(assigned["symbol"]) & set(bars))
    outcomes = [_outcomes(resources, rule, bars[symbol]) for rule in resources.strategies for symbol in symbols]
    known = pd.concat(outcomes) if outcomes else pd.DataFrame(columns=["strategy", "symbol", "session", "net_return"])
    frame = assigned.merge(known, on=["strategy", "symbol", "session"], how="left", indicator=True)
    void = frame["_merge"] == "left_only"
    late = np.zeros(len(frame), dtype=np.bool_) if resources.historical else _late(frame)
    frame = frame.assign(net_return=frame["net_return"].astype("float64"))
    for version in (experiment.champion, *experiment.challengers):
        frame[f"accept_{version}"] = [bool(scores[version]["accept"]) for scores in frame["scores"]]
    return frame[~void & ~late].reset_index(drop=True), {"void": int(void.sum()), "late": int((late & ~void).sum())}


def _late(frame: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether an assignment was written when the open that it was for had come."""
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


def _outcomes(resources: Resources, rule: Strategy, bars: pd.DataFrame) -> pd.DataFrame:
    """Every entry of a strategy in a symbol with its net return, NaN where the trade has not ended."""
    from backtest.engine import label_candidates

    key = ["strategy", "symbol", "session"]
    signals = rule.signals(bars)
    entries = signals.loc[signals["entry"] != 0, ["session"]].assign(symbol=str(bars["symbol"].iloc[0]), strategy=rule.name)
    return entries.merge(label_candidates(bars, rule, resources.costs)[[*key, "net_return"]], on=key, how="left")


def _blocked(resources: Resources, decision: Decision) -> list[str]:
    from pipeline.training.promotion import objections_to

    return [] if decision.challenger is None else objections_to(decision.challenger, resources=resources)


def _close(resources: Resources, experiment: Experiment, kind: str, challenger: str | None, reason: str) -> None:
    """After a final decision the losing challengers wait no longer; people are told."""
    if kind == "extend":
        return
    for version in experiment.challengers:
        if version != challenger:
            resources.registry.aliases.withdraw(version)
    if kind == "keep":
        resources.alerts.send(f"{experiment.model_name}: the champion stays", f"{experiment.name}: {reason}", "info")


def _report(decision: Decision) -> dict[str, Any]:
    """The decision's evidence as JSON."""
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
