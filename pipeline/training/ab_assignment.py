"""Assignment of today's candidates to the arms of a running A/B test.

The daily trade calls it between prediction and order. It never stops a trade: when challengers cannot be scored, the champion
decides and an alert says so.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import structlog

from trading.strategies.vix_filter import rule_name

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping, Sequence

    from core.settings import Settings
    from ml.ab_testing.ab_test import AbTestTerms
    from ml.entry_filter.predict import EntryFilter
    from ml.tracking.registry import Registry
    from monitoring.alerts import Alerts
    from pipeline.resources import Resources
    from storage.features.feature_store import FeastStore
    from storage.models.experiments import Experiment, Experiments

log = structlog.get_logger()
ENTER, SKIP, CHALLENGER = "enter", "skip", "challenger"  # the API's words
SCORED = ("probability", "predicted_return")


@dataclass(frozen=True)
class ArmAssignment:
    """Assignment of candidates to the champion and the challengers of the entry filter.

    Attributes
    ----------
    registry, features
        Opened on use, so that a failure to open one leaves the champion to decide.
    model_name
        Registered name of the entry filter.
    terms
        Terms of an experiment that begins now.
    """

    registry: Callable[[], Registry]
    features: Callable[[], FeastStore]
    experiments: Experiments
    alerts: Alerts
    model_name: str
    terms: AbTestTerms

    @classmethod
    def of(cls, resources: Resources) -> ArmAssignment:
        """Return the desk's assignment."""
        return cls(
            registry=lambda: resources.registry,
            features=lambda: resources.features,
            experiments=resources.experiments,
            alerts=resources.alerts,
            model_name=resources.settings.model_name,
            terms=terms_of(resources.settings),
        )

    def decide(self, day: dt.date, answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the champion's answers about the candidates of a session, those of a challenger's arm replaced by its own.

        Every model scores every candidate. Scores and arms are stored before any decision, and a second run reads them.
        """
        if not answers:
            return answers
        try:
            experiment = self.running(day)
            if experiment is None:
                return answers
            rows = self._scores(experiment, day, answers)
            self.experiments.assign(experiment.name, day, rows)
            stored = self.experiments.assignments(experiment.name, session=day)
        except Exception as error:  # whatever it is, the champion decides
            log.exception("ab_assignment_failed", session=day.isoformat())
            self.alerts.send(f"No A/B assignment for {day}", f"The champion decides alone. {type(error).__name__}: {error}")
            return answers
        arms = {(row["strategy"], row["symbol"]): (row["arm"], row["scores"][row["arm"]]) for row in stored.to_dict("records")}
        keys = [(answer["strategy"], answer["symbol"]) for answer in answers]
        return [_as_decided(answer, *arms[key]) if key in arms else answer for key, answer in zip(keys, answers, strict=True)]

    def running(self, day: dt.date) -> Experiment | None:
        """Return a session's experiment: the undecided one, else a new one of the waiting challengers; None without any."""
        from ml.ab_testing.ab_test import name_of
        from storage.models.experiments import Experiment

        aliases = self.registry().aliases
        champion, challengers = aliases.champion(), aliases.challengers()
        if champion is None or not challengers:
            return None
        past = self.experiments.of(self.model_name, champion)
        for experiment in past:
            if not experiment.decided and set(experiment.challengers) <= set(challengers):
                return experiment
        judged = {version for experiment in past for version in experiment.challengers if experiment.decided}
        fresh = tuple(version for version in challengers if version not in judged)
        if not fresh:
            return None
        name = name_of(self.model_name, champion, fresh, day)
        return self.experiments.begin(Experiment(name, self.model_name, champion, fresh, asdict(self.terms), day))

    def _scores(self, experiment: Experiment, day: dt.date, answers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the arm and the scores of every candidate that the experiment's champion has answered."""
        from core.frames import FEATURES
        from ml.ab_testing.ab_test import arm_of
        from ml.entry_filter.scorer import Scorer

        answered = [answer for answer in answers if answer["model_version"] == experiment.champion]
        if len(answered) < len(answers):
            log.warning("ab_other_champion", expected=experiment.champion, candidates=len(answers) - len(answered))
        models = {version: self.registry().load(version) for version in experiment.challengers if answered}
        answered = _known_to_all(answered, models)
        features = self.features().online([answer["symbol"] for answer in answered]) if answered else pd.DataFrame()
        scorers = {version: Scorer(model) for version, model in models.items()}  # row by row, as the API does: the same bits
        rows = []
        for place, answer in enumerate(answered):
            if features["event_timestamp"].iloc[place] != pd.Timestamp(answer["feature_timestamp"]):
                log.warning("ab_other_features", symbol=answer["symbol"])  # materialised again since the API answered
                continue
            scores = {experiment.champion: {**{name: answer[name] for name in SCORED}, "accept": answer["signal"] == ENTER}}
            values = features[list(FEATURES)].iloc[place].tolist()
            for version, scorer in scorers.items():
                score = scorer.score(values, rule_name(answer["strategy"]))
                scores[version] = {name: getattr(score, name) for name in (*SCORED, "accept")}
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


def terms_of(settings: Settings) -> AbTestTerms:
    """Return the terms of a new experiment, from the settings."""
    from ml.ab_testing.ab_test import AbTestTerms

    return AbTestTerms(
        share=settings.ab_share,
        sessions=settings.ab_sessions,
        most_sessions=settings.ab_most_sessions,
        least_pairs=settings.ab_least_pairs,
        least_blocks=settings.ab_least_blocks,
        block_sessions=settings.ab_block_sessions,
        seed=settings.seed,
    )


def _known_to_all(answers: Sequence[Mapping[str, Any]], models: Mapping[str, EntryFilter]) -> list[Mapping[str, Any]]:
    """Return the candidates of strategies that every challenger was trained on; the champion alone decides the others."""
    known = [
        answer for answer in answers if all(rule_name(answer["strategy"]) in model.strategies for model in models.values())
    ]
    if len(known) < len(answers):
        log.warning("ab_unknown_strategy", candidates=len(answers) - len(known))
    return known


def _as_decided(answer: dict[str, Any], arm: str, score: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer of the deciding version, with the arm of its order; the champion's own answer stays."""
    answer = answer | {"ab_arm": f"ab-{arm}"}
    if arm == answer["model_version"]:
        return answer
    changed = {name: score[name] for name in SCORED} | {"confidence": abs(2 * score["probability"] - 1)}
    return answer | changed | {"arm": CHALLENGER, "model_version": arm, "signal": ENTER if score["accept"] else SKIP}
