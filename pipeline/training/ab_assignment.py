"""Assign today's candidates to the arms of a running A/B test, and answer for the arm that decides.

`decided_by_arms` is called by the daily trade between prediction and order. It must never stop one: when challengers cannot be
scored, the champion decides and an alert says so.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pandas as pd
import structlog

from trading.strategies.vix_filter import rule_name

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from ml.ab_testing.ab_test import Terms
    from ml.entry_filter.predict import EntryFilter
    from pipeline.resources import Resources
    from storage.models.experiments import Experiment

log = structlog.get_logger()
ENTER, SKIP, CHALLENGER = "enter", "skip", "challenger"  # the API's words
SCORED = ("probability", "predicted_return")


def decided_by_arms(resources: Resources, day: dt.date, answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The champion's answers about the candidates of a session, those that a challenger decides replaced by its own.

    Every model scores every candidate; scores and arms are stored before anything is decided, and a second run reads them.
    """
    if not answers:
        return answers
    try:
        experiment = running(resources, day)
        if experiment is None:
            return answers
        rows = _scored(resources, experiment, day, answers)
        resources.experiments.assign(experiment.name, day, rows)
        stored = resources.experiments.assignments(experiment.name, session=day)
    except Exception as error:  # whatever it is, the champion decides
        log.exception("ab_assignment_failed", session=day.isoformat())
        resources.alerts.send(f"No A/B assignment for {day}", f"The champion decides alone. {type(error).__name__}: {error}")
        return answers
    arms = {(row["strategy"], row["symbol"]): (row["arm"], row["scores"][row["arm"]]) for row in stored.to_dict("records")}
    keys = [(answer["strategy"], answer["symbol"]) for answer in answers]
    return [_as_decided(answer, *arms[key]) if key in arms else answer for key, answer in zip(keys, answers, strict=True)]


def running(resources: Resources, day: dt.date) -> Experiment | None:
    """The experiment of a session: the one that goes on, else a new one of the challengers that wait; None without any."""
    from ml.ab_testing.ab_test import name_of
    from storage.models.experiments import Experiment

    aliases = resources.registry.aliases
    champion, challengers = aliases.champion(), aliases.challengers()
    if champion is None or not challengers:
        return None
    past = resources.experiments.of(resources.settings.model_name, champion)
    for experiment in past:
        if not experiment.decided and set(experiment.challengers) <= set(challengers):
            return experiment
    judged = {version for experiment in past for version in experiment.challengers if experiment.decided}
    fresh = tuple(version for version in challengers if version not in judged)
    if not fresh:
        return None
    name = name_of(resources.settings.model_name, champion, fresh, day)
    return resources.experiments.begin(
        Experiment(name, resources.settings.model_name, champion, fresh, asdict(terms_of(resources)), day)
    )


def terms_of(resources: Resources) -> Terms:
    """The terms of a new experiment, from the settings."""
    from ml.ab_testing.ab_test import Terms

    settings = resources.settings
    return Terms(
        share=settings.ab_share,
        sessions=settings.ab_sessions,
        most_sessions=settings.ab_most_sessions,
        least_pairs=settings.ab_least_pairs,
        least_blocks=settings.ab_least_blocks,
        block_sessions=settings.ab_block_sessions,
        seed=settings.seed,
    )


def _scored(
    resources: Resources, experiment: Experiment, day: dt.date, answers: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Arm and scores of every candidate that the experiment's champion has answered on."""
    from core.frames import FEATURES
    from ml.ab_testing.ab_test import arm_of
    from ml.entry_filter.scorer import Scorer

    asked = [answer for answer in answers if answer["model_version"] == experiment.champion]
    if len(asked) < len(answers):
        log.warning("ab_other_champion", expected=experiment.champion, candidates=len(answers) - len(asked))
    models = {version: resources.registry.load(version) for version in experiment.challengers if asked}
    asked = _known_to_all(asked, models)
    features = resources.features.online([answer["symbol"] for answer in asked]) if asked else pd.DataFrame()
    scorers = {version: Scorer(model) for version, model in models.items()}  # row by row, as the API does: the same bits
    rows = []
    for place, answer in enumerate(asked):
        if features["event_timestamp"].iloc[place] != pd.Timestamp(answer["feature_timestamp"]):
            log.warning("ab_other_features", symbol=answer["symbol"])  # materialised anew since the API was asked
            continue
        scores = {experiment.champion: {**{name: answer[name] for name in SCORED}, "accept": answer["signal"] == ENTER}}
        values = features[list(FEATURES)].iloc[place].tolist()
        for version, scorer in scorers.items():
            said = scorer.judge(values, rule_name(answer["strategy"]))
            scores[version] = {name: getattr(said, name) for name in (*SCORED, "accept")}
        arm = arm_of(
            experiment.name,
            answer["symbol"],
            day,
            champion=experiment.champion,
            challengers=experiment.challengers,
            share=experiment.terms["share"],
        )
        rows.append({"strategy": answer["strategy"], "symbol": answer["symbol"], "arm": arm, "scores": scores})
    return rows


def _known_to_all(answers: Sequence[Mapping[str, Any]], models: Mapping[str, EntryFilter]) -> list[Mapping[str, Any]]:
    """Candidates of strategies that every challenger was trained on; of the others the champion decides alone."""
    known = [
        answer for answer in answers if all(rule_name(answer["strategy"]) in model.strategies for model in models.values())
    ]
    if len(known) < len(answers):
        log.warning("ab_unknown_strategy", candidates=len(answers) - len(known))
    return known


def _as_decided(answer: dict[str, Any], arm: str, score: Mapping[str, Any]) -> dict[str, Any]:
    """The answer as the deciding version gave it, under the arm that its order will bear; the champion's own says the same."""
    answer = answer | {"ab_arm": f"ab-{arm}"}
    if arm == answer["model_version"]:
        return answer
    changed = {name: score[name] for name in SCORED} | {"confidence": abs(2 * score["probability"] - 1)}
    return answer | changed | {"arm": CHALLENGER, "model_version": arm, "signal": ENTER if score["accept"] else SKIP}
