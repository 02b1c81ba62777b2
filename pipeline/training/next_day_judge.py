"""Champion against challengers of the next-day model, once a day: what is known by now, the verdict, and what follows from it.

Nothing is assigned: what a version says of a session follows from the features known at its close, so that both are asked again
on the same rows. Compares nothing itself.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import structlog

from core.errors import ConfigError
from core.frames import FEATURES
from core.sessions import next_session
from pipeline.bars import bars_by_symbol
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from ml.next_day.next_day_compare import Terms, Verdict
    from ml.tracking.next_day_log import RegisteredNextDay
    from storage.models.experiments import Experiment

log = structlog.get_logger()
AUTHOR: Final = "model_ab_judge"
PROMOTE, KEEP, WAIT = "promote", "keep", "wait"


def judge(session: str, *, promote: bool = True, resources: Resources | None = None) -> dict[str, Any]:
    """Judge every challenger at a session's close, and carry out a promotion unless a person must agree (`AB_APPROVAL`).

    A comparison is decided once. One that was decided but not carried out, by a step that was killed, is carried out now.

    Parameters
    ----------
    promote
        False leaves a promotion to the next call.

    Returns
    -------
    dict
        session, champion (None without one), and for each challenger in turn its decision with the reason: promote, keep,
        extend, or wait for a person. After a promotion the others are compared with the new champion from the next day on.
    """
    resources = resources or live()
    aliases = resources.next_day_registry.aliases
    champion = aliases.champion()
    outcome: dict[str, Any] = {"session": session, "champion": champion, "decisions": []}
    for challenger in aliases.challengers() if champion is not None else ():
        decided = _judge_one(resources, dt.date.fromisoformat(session), (str(champion), challenger), promote=promote)
        log.info("next_day_judged", champion=champion, **decided)
        outcome["decisions"].append(decided)
        if decided["decision"] == PROMOTE:
            break
    return outcome


def _judge_one(resources: Resources, day: dt.date, versions: tuple[str, str], *, promote: bool) -> dict[str, Any]:
    """Compare champion and challenger on what is known, store the decision and do what it says."""
    champion, challenger = versions
    reigning = resources.next_day_model(champion)
    try:
        contender = resources.next_day_model(challenger)
    except ConfigError as error:  # as after an upgrade; it can challenge nobody
        resources.next_day_registry.aliases.withdraw(challenger)
        resources.alerts.send(f"{reigning.name}: version {challenger} challenges no longer", str(error))
        return {"challenger": challenger, "decision": KEEP, "reason": str(error), "experiment": None}
    models = (reigning, contender)
    experiment = _begun(resources, *models)
    decision, reason, number = _on_record(resources, experiment)
    fresh = decision is None
    if decision is None:
        verdict = _verdict(resources, experiment, models, day)
        decision, reason = verdict.kind.value, verdict.reason
        number = resources.experiments.record(
            experiment.name,
            day,
            kind=decision,
            challenger=challenger if decision == PROMOTE else None,
            reason=reason,
            report=verdict.report(challenger) | {"bars_as_of": resources.clock().isoformat()},
        )
    followed = _follow(resources, experiment, (decision, reason, number), tell=fresh, promote=promote)
    return {"challenger": challenger, "decision": followed, "reason": reason, "experiment": experiment.name}


def _begun(resources: Resources, champion: RegisteredNextDay, challenger: RegisteredNextDay) -> Experiment:
    """The comparison of two versions from the first session that neither learnt from, on the terms agreed when it began."""
    from ml.ab_testing.ab_test import name_of
    from storage.models.experiments import Experiment

    learnt = max(dt.date.fromisoformat(model.trained_through) for model in (champion, challenger))
    first = next_session(learnt)
    name = name_of(champion.name, champion.version, [challenger.version], first)
    terms = asdict(terms_of(resources))
    return resources.experiments.begin(Experiment(name, champion.name, champion.version, (challenger.version,), terms, first))


def terms_of(resources: Resources) -> Terms:
    """The terms of a new comparison, from the settings."""
    from ml.next_day.next_day_compare import Terms

    settings = resources.settings
    return Terms(sessions=settings.next_day_judge_sessions, block_sessions=settings.ab_block_sessions, seed=settings.seed)


def _on_record(resources: Resources, experiment: Experiment) -> tuple[str | None, str, int | None]:
    """A final decision that was stored before, with its reason and number."""
    from storage.models.experiments import FINAL

    stored = resources.experiments.decisions(experiment.name, kinds=FINAL, limit=1)
    return (stored[0].kind, stored[0].reason, stored[0].id) if stored else (None, "", None)


def _verdict(resources: Resources, experiment: Experiment, models: tuple[RegisteredNextDay, ...], day: dt.date) -> Verdict:
    """The comparison on the fresh sessions whose next close is known."""
    from ml.next_day.next_day_compare import Terms, compare, squared_errors

    rows = fresh_rows(resources, experiment.first_session, day)
    typical = models[0].model.typical_scale
    errors = (squared_errors(model.model, rows, typical) for model in models)
    compared = rows[["session"]].assign(**dict(zip(("champion", "challenger"), errors, strict=True)))
    return compare(compared, Terms(**experiment.terms))


def fresh_rows(resources: Resources, first: dt.date, day: dt.date) -> pd.DataFrame:
    """Targets and FEATURES of the sessions from the first on whose next close is known at a day's close."""
    from ml.next_day.next_day import targets

    known = [targets(bars) for bars in bars_by_symbol(resources.bars, day.isoformat(), resources.universe()).values()]
    rows = pd.concat(known, ignore_index=True)
    rows = rows[rows["session"] >= pd.Timestamp(first)].sort_values(["event_timestamp", "symbol"], ignore_index=True)
    if rows.empty:
        return rows.reindex(columns=[*rows.columns, *FEATURES])
    key = ["symbol", "event_timestamp"]
    joined = rows.merge(resources.features.training_frame(rows[key]), on=key, how="left", validate="one_to_one")
    return joined[joined[list(FEATURES)].notna().any(axis=1)].reset_index(drop=True)


def _follow(
    resources: Resources, experiment: Experiment, decided: tuple[str, str, int | None], *, tell: bool, promote: bool
) -> str:
    """Do what was decided; returns what was done. People are told of a decision once."""
    from pipeline.training import promotion

    (decision, reason, number), name, (challenger,) = decided, experiment.model_name, experiment.challengers
    if decision == KEEP:
        resources.next_day_registry.aliases.withdraw(challenger)
        resources.alerts.send(f"{name}: the champion stays", f"{experiment.name}: {reason}", "info")
    if decision != PROMOTE:
        return decision
    if resources.settings.ab_approval or not promote:
        if tell:
            command = f"desk models promote {challenger} --model {name} --reason WHY"
            resources.alerts.send(
                f"{name}: version {challenger} may be promoted", f"{experiment.name}: {reason}\nBy: {command}"
            )
        return WAIT
    promotion.promote(
        challenger,
        reason=reason,
        author=AUTHOR,
        decision_id=number,
        expected_champion=experiment.champion,
        model=name,
        resources=resources,
    )
    return PROMOTE
