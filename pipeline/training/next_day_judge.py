"""Daily judgement of the next-day model's challengers on fresh sessions, and the promotion that may follow.

Nothing is assigned: a version's prediction of a session follows from the features known at its close, so that both versions
score the same rows.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import structlog

from core.errors import ConfigError
from core.frames import FEATURES
from core.sessions import next_session
from pipeline.bars import bars_by_symbol
from pipeline.resources import Resources, live
from pipeline.training import promotion

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from core.settings import Settings
    from ml.next_day.next_day_compare import NextDayDecision, NextDayTerms
    from ml.tracking.aliases import Aliases
    from ml.tracking.next_day_log import RegisteredNextDay
    from monitoring.alerts import Alerts
    from storage.features.feature_store import FeastStore
    from storage.models.experiments import Experiment, Experiments

log = structlog.get_logger()
AUTHOR: Final = "model_ab_judge"
PROMOTE, KEEP, WAIT = "promote", "keep", "wait"


@dataclass(frozen=True)
class ChallengerJudged:
    """The decision on one challenger: promote, keep, extend, or wait for a person."""

    challenger: str
    decision: str
    reason: str
    experiment: str | None


@dataclass(frozen=True)
class NextDayJudged:
    """The decisions of a session; `champion` is None without one.

    After a promotion the other challengers are compared with the new champion from the next day on.
    """

    session: str
    champion: str | None
    decisions: tuple[ChallengerJudged, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "decisions": [asdict(each) for each in self.decisions]}


@dataclass(frozen=True)
class _Judge:
    """The stores and settings that every comparison of a session uses.

    Attributes
    ----------
    promote
        Carries out a promotion: version, reason, decision id, expected champion.
    automatic
        False leaves a promotion to a person or to the next call.
    """

    experiments: Experiments
    aliases: Aliases
    alerts: Alerts
    features: FeastStore
    load: Callable[[str], RegisteredNextDay]
    read_bars: Callable[[], Mapping[str, pd.DataFrame]]
    terms: NextDayTerms
    now: dt.datetime
    promote: Callable[[str, str, int | None, str], object]
    automatic: bool

    def decide(self, day: dt.date, champion: str, challenger: str) -> ChallengerJudged:
        """Compare champion and challenger, store the decision and carry it out."""
        reigning = self.load(champion)
        try:
            contender = self.load(challenger)
        except ConfigError as error:  # as after an upgrade; it can challenge nobody
            self.aliases.withdraw(challenger)
            self.alerts.send(f"{reigning.name}: version {challenger} challenges no longer", str(error))
            return ChallengerJudged(challenger, KEEP, str(error), None)
        models = (reigning, contender)
        experiment = self._begin(*models)
        decision, reason, number = self._on_record(experiment)
        fresh = decision is None
        if decision is None:
            judged = self._compare(experiment, models)
            decision, reason = judged.kind.value, judged.reason
            number = self.experiments.record(
                experiment.name,
                day,
                kind=decision,
                challenger=challenger if decision == PROMOTE else None,
                reason=reason,
                report=judged.report(challenger) | {"bars_as_of": self.now.isoformat()},
            )
        done = self._carry_out(experiment, (decision, reason, number), notify=fresh)
        return ChallengerJudged(challenger, done, reason, experiment.name)

    def _begin(self, champion: RegisteredNextDay, challenger: RegisteredNextDay) -> Experiment:
        """Return the comparison of two versions from the first session that neither learnt from, on its agreed terms."""
        from ml.ab_testing.ab_test import name_of
        from storage.models.experiments import Experiment

        learnt = max(dt.date.fromisoformat(model.trained_through) for model in (champion, challenger))
        first = next_session(learnt)
        name = name_of(champion.name, champion.version, [challenger.version], first)
        terms = asdict(self.terms)
        return self.experiments.begin(Experiment(name, champion.name, champion.version, (challenger.version,), terms, first))

    def _on_record(self, experiment: Experiment) -> tuple[str | None, str, int | None]:
        """Return a final decision that was stored before, with its reason and id."""
        from storage.models.experiments import FINAL

        stored = self.experiments.decisions(experiment.name, kinds=FINAL, limit=1)
        return (stored[0].kind, stored[0].reason, stored[0].id) if stored else (None, "", None)

    def _compare(self, experiment: Experiment, models: tuple[RegisteredNextDay, ...]) -> NextDayDecision:
        """Compare on the fresh sessions whose next close is known."""
        from ml.next_day.next_day_compare import NextDayTerms, decide_next_day, squared_errors

        rows = fresh_rows(self.read_bars(), self.features, experiment.first_session)
        typical = models[0].model.typical_scale
        errors = (squared_errors(model.model, rows, typical) for model in models)
        compared = rows[["session"]].assign(**dict(zip(("champion", "challenger"), errors, strict=True)))
        return decide_next_day(compared, NextDayTerms(**experiment.terms))

    def _carry_out(self, experiment: Experiment, decided: tuple[str, str, int | None], *, notify: bool) -> str:
        """Carry out a decision and return what was done; people are notified of a decision once."""
        (decision, reason, number), name, (challenger,) = decided, experiment.model_name, experiment.challengers
        if decision == KEEP:
            self.aliases.withdraw(challenger)
            self.alerts.send(f"{name}: the champion stays", f"{experiment.name}: {reason}", "info")
        if decision != PROMOTE:
            return decision
        if not self.automatic:
            if notify:
                command = f"desk models promote {challenger} --model {name} --reason WHY"
                self.alerts.send(f"{name}: version {challenger} may be promoted", f"{experiment.name}: {reason}\nBy: {command}")
            return WAIT
        self.promote(challenger, reason, number, experiment.champion)
        return PROMOTE


def judge_next_day(session: str, *, promote: bool = True, resources: Resources | None = None) -> NextDayJudged:
    """Judge every challenger at a session's close, and carry out a promotion unless a person must agree (`AB_APPROVAL`).

    A comparison is decided once. A decision that was not carried out, because its step was killed, is carried out now.

    Parameters
    ----------
    promote
        False leaves a promotion to the next call.
    """
    resources = resources or live()
    settings, aliases, day = resources.settings, resources.next_day_registry.aliases, dt.date.fromisoformat(session)
    champion = aliases.champion()
    challengers = aliases.challengers() if champion is not None else []
    if champion is None or not challengers:
        return NextDayJudged(session, champion)

    def move(version: str, reason: str, decision_id: int | None, expected_champion: str) -> object:
        return promotion.promote(
            version,
            reason=reason,
            author=AUTHOR,
            decision_id=decision_id,
            expected_champion=expected_champion,
            model=settings.next_day_model_name,
            resources=resources,
        )

    judge = _Judge(
        experiments=resources.experiments,
        aliases=aliases,
        alerts=resources.alerts,
        features=resources.features,
        load=resources.next_day_model,
        read_bars=lambda: bars_by_symbol(resources.bars, session, resources.universe()),
        terms=terms_of(settings),
        now=resources.clock(),
        promote=move,
        automatic=promote and not settings.ab_approval,
    )
    decisions: list[ChallengerJudged] = []
    for challenger in challengers:
        decided = judge.decide(day, champion, challenger)
        log.info("next_day_judged", champion=champion, **asdict(decided))
        decisions.append(decided)
        if decided.decision == PROMOTE:
            break
    return NextDayJudged(session, champion, tuple(decisions))


def terms_of(settings: Settings) -> NextDayTerms:
    """Return the terms of a new comparison, from the settings."""
    from ml.next_day.next_day_compare import NextDayTerms

    return NextDayTerms(
        sessions=settings.next_day_judge_sessions, block_sessions=settings.ab_block_sessions, seed=settings.seed
    )


def fresh_rows(bars: Mapping[str, pd.DataFrame], features: FeastStore, first: dt.date) -> pd.DataFrame:
    """Return targets and FEATURES of the sessions from the first on whose next close is in the bars."""
    from ml.next_day.next_day import targets

    rows = pd.concat([targets(frame) for frame in bars.values()], ignore_index=True)
    rows = rows[rows["session"] >= pd.Timestamp(first)].sort_values(["event_timestamp", "symbol"], ignore_index=True)
    if rows.empty:
        return rows.reindex(columns=[*rows.columns, *FEATURES])
    key = ["symbol", "event_timestamp"]
    joined = rows.merge(features.training_frame(rows[key]), on=key, how="left", validate="one_to_one")
    return joined[joined[list(FEATURES)].notna().any(axis=1)].reset_index(drop=True)
