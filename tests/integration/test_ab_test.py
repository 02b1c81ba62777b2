"""Three months of an A/B test on a real PostgreSQL and MLflow: assignment, judgement, promotion, the way back."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from core.errors import ConfigError, RetryLater
from core.frames import BARS, FEATURES, SIGNALS
from core.sessions import close_of, sessions_between
from ml.entry_filter.predict import EntryFilter, Payoff
from ml.tracking.aliases import Aliases
from ml.tracking.registry import Registry
from pipeline.resources import Resources
from pipeline.training import ab_test, promotion
from pipeline.training.ab_assignment import ArmAssignment
from storage.engine import cluster_url
from tests.standins.feed import walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.settings import Settings

pytestmark = pytest.mark.integration
FIRST, LAST = dt.date(2020, 1, 2), dt.date(2020, 6, 30)
SYMBOLS = ["AAA", "BBB", "CCC", "DDD"]
BEGIN = dt.date(2020, 2, 3)
DAYS = [stamp.date() for stamp in sessions_between(BEGIN, LAST)]


class EveryThird:
    """Enters every third session and leaves a session later."""

    name = "every_third"
    entry = "next_open"
    exit = "next_open"
    max_sessions = 1

    def signals(self, bars: pd.DataFrame) -> pd.DataFrame:
        rows = len(bars)
        offset = ord(bars["symbol"].iloc[0][0]) % 3
        return SIGNALS.check(
            pd.DataFrame(
                {
                    "session": bars["session"],
                    "entry": ((np.arange(rows) + offset) % 3 == 0).astype("int8"),
                    "exit_long": False,
                    "exit_short": False,
                    "stop_pct": np.nan,
                    "target_pct": np.nan,
                    "strength": 1.0,
                }
            )
        )

    def describe(self) -> dict[str, Any]:
        return {}


class Features:
    """Online features, in which `rsi_14` foretells the return to come."""

    def __init__(self, bars: pd.DataFrame) -> None:
        follows = bars.groupby("symbol")["open"].shift(-2) / bars.groupby("symbol")["open"].shift(-1) - 1
        self.table = bars[["symbol", "session"]].assign(rsi_14=follows.to_numpy())
        self.day = BEGIN

    def online(self, symbols: list[str]) -> pd.DataFrame:
        now = self.table[self.table["session"] == pd.Timestamp(self.day)].set_index("symbol").loc[symbols]
        frame = pd.DataFrame(0.5, index=range(len(symbols)), columns=list(FEATURES))
        frame["rsi_14"] = now["rsi_14"].to_numpy()
        return frame.assign(symbol=symbols, event_timestamp=pd.Timestamp(close_of(self.day)))


@pytest.fixture(scope="module")
def client(module_settings: Settings) -> Aliases:
    registry = Registry(cluster_url(module_settings, module_settings.mlflow_database_name), module_settings.data_dir, "m")
    return registry.aliases


@pytest.fixture
def desk(module_settings: Settings, client: Aliases, request: pytest.FixtureRequest) -> Iterator[Resources]:
    """A desk with bars, a champion that takes nothing and a challenger that sees the future."""
    name = request.node.name
    settings = module_settings.model_copy(
        update={
            "model_name": name,
            "universe": tuple(SYMBOLS),
            "promote_least_deflated_sharpe": 0.0,
            "promote_most_overfitting": 1.0,
        }
    )
    desk = Resources(settings, clock=lambda: dt.datetime(2020, 7, 1, tzinfo=dt.UTC))
    bars = BARS.coerce(pd.concat([walk(symbol, FIRST, LAST) for symbol in SYMBOLS]))
    if "AAA" not in desk.bars.symbols():
        desk.bars.write(bars, source="walk", ingested_at=dt.datetime(2020, 7, 1, tzinfo=dt.UTC), backfilled=True)
    client._client.create_registered_model(name)
    aliases = Aliases(client._client, name)
    for _ in range(2):
        aliases.admit(str(client._client.create_model_version(name, "file:///nowhere").version))
    sent: list[tuple[str, str]] = []
    desk.__dict__.update(
        strategies=(EveryThird(),),
        candidate_strategies=(EveryThird(),),
        features=Features(bars),
        registry=SimpleNamespace(aliases=aliases, load=load),
        alerts=SimpleNamespace(send=lambda subject, body, *_: sent.append((subject, body))),
        sent=sent,
    )
    yield desk
    desk.engine.dispose()


def load(version: str) -> EntryFilter:
    """The challenger accepts what will rise."""
    return EntryFilter(
        "m",
        version,
        lambda X: (X["rsi_14"] > 0.002).to_numpy(float),
        {EveryThird().name: Payoff(0.01, -0.01, 0.5)},
        FEATURES,
        "",
    )


def answers(desk: Resources, day: dt.date, version: str = "1") -> list[dict[str, Any]]:
    """What the API says of the day's candidates: the champion takes nothing."""
    desk.features.day = day  # type: ignore[attr-defined]
    bars = desk.bars.read(SYMBOLS, end=day)
    asked = [s for s, frame in bars.groupby("symbol") if EveryThird().signals(frame.reset_index(drop=True))["entry"].iloc[-1]]
    about = {"model_name": "m", "model_version": version, "feature_timestamp": close_of(day).isoformat()}
    return [
        {"strategy": EveryThird().name, "symbol": s, "probability": 0.1, "predicted_return": -0.008, "signal": "skip", **about}
        for s in asked
    ]


def run(desk: Resources, days: list[dt.date]) -> list[dict[str, Any]]:
    return [answer for day in days for answer in ArmAssignment.of(desk).decide(day, answers(desk, day))]


def test_half_of_the_candidates_are_decided_by_the_challenger_and_again_the_same(desk: Resources) -> None:
    decided = run(desk, DAYS[:40])

    by_challenger = [answer for answer in decided if answer["model_version"] == "2"]
    assert len(decided) == pytest.approx(40 * 4 / 3, abs=3)
    assert 0.3 < len(by_challenger) / len(decided) < 0.7
    assert {answer["signal"] for answer in decided if answer["model_version"] == "1"} == {"skip"}
    assert {answer["signal"] for answer in by_challenger} == {"enter", "skip"}
    assert {(answer["model_version"], answer["ab_arm"]) for answer in decided} == {("1", "ab-1"), ("2", "ab-2")}
    assert run(desk, DAYS[:40]) == decided

    stored = desk.experiments.assignments(desk.experiments.of(desk.settings.model_name, "1")[0].name)
    assert all(set(scores) == {"1", "2"} for scores in stored["scores"]), "every model scored every candidate"


def test_a_better_challenger_is_promoted_and_can_be_taken_back(desk: Resources) -> None:
    run(desk, DAYS[:40])
    early = ab_test.judge_ab_test(DAYS[2].isoformat(), resources=desk)
    judged = ab_test.judge_ab_test(DAYS[39].isoformat(), resources=desk)

    assert (early.decision, early.reason.split(";")[0]) == ("extend", "It is decided after 5 sessions")
    assert (judged.decision, judged.challenger, judged.champion) == ("promote", "2", "1"), judged
    record = desk.experiments.decisions(judged.experiment)[0]
    paired = record.report["comparisons"][0]["paired"]
    assert 0 < paired["low"] < paired["value"] < paired["high"]
    assert record.report["void"] == record.report["late"] == 0

    assert ab_test.judge_ab_test(DAYS[39].isoformat(), resources=desk) == judged, "run again before it was carried out"

    moved = ab_test.promote_judged(judged, resources=desk)
    assert (moved.before, moved.to) == ("1", "2")
    assert desk.registry.aliases.all() == {"champion": "2"}
    assert ab_test.promote_judged(judged, resources=desk).reason == "It is champion already."

    promotion.rollback(reason="it was a fluke", author="me", resources=desk)
    assert desk.registry.aliases.champion() == "1"
    history = desk.promotions.history(desk.settings.model_name)
    assert [(move.kind, move.from_version, move.to_version, move.author) for move in history] == [
        ("rollback", "2", "1", "me"),
        ("promote", "1", "2", "model_ab_judge"),
    ]
    assert history[1].decision_id == judged.decision_id
    assert [subject.split(": ")[1] for subject, _ in desk.sent] == [  # type: ignore[attr-defined]
        "version 2 is champion (promote)",
        "version 1 is champion (rollback)",
    ]


def test_a_promotion_is_blocked_while_luck_explains_the_filter(desk: Resources) -> None:
    desk.settings = desk.settings.model_copy(update={"promote_least_deflated_sharpe": 0.95})
    run(desk, DAYS[:40])

    judged = ab_test.judge_ab_test(DAYS[39].isoformat(), resources=desk)

    assert judged.decision == "keep"
    assert "Promotion is blocked: deflated Sharpe ratio of the filtered strategy undefined" in judged.reason
    assert desk.registry.aliases.all() == {"champion": "1"}
    with pytest.raises(ConfigError, match="not promoted: deflated Sharpe"):
        promotion.promote("2", reason="I want it", author="me", resources=desk)
    promotion.promote("2", reason="I want it", author="me", force=True, resources=desk)
    assert desk.registry.aliases.champion() == "2"


def test_outcomes_that_are_open_do_not_count_yet(desk: Resources) -> None:
    run(desk, DAYS[:10])

    ab_test.judge_ab_test(DAYS[9].isoformat(), resources=desk)

    report = desk.experiments.decisions(desk.experiments.of(desk.settings.model_name, "1")[0].name)[0].report
    assert report["sessions"] == 8, "what is decided on the last two closes has not been left"


def test_after_a_decision_the_same_pair_is_not_compared_again(desk: Resources) -> None:
    run(desk, DAYS[:40])
    ab_test.judge_ab_test(DAYS[39].isoformat(), resources=desk)

    assert ArmAssignment.of(desk).decide(DAYS[40], answers(desk, DAYS[40])) == answers(desk, DAYS[40])
    assert ab_test.judge_ab_test(DAYS[40].isoformat(), resources=desk).decision == "none"


def test_challengers_that_cannot_be_scored_leave_the_champion_to_decide(desk: Resources) -> None:
    def broken(version: str) -> EntryFilter:
        raise OSError(f"no file of version {version}")

    desk.registry.load = broken  # type: ignore[method-assign]

    assert ArmAssignment.of(desk).decide(BEGIN, answers(desk, BEGIN)) == answers(desk, BEGIN)
    assert desk.sent[0][0] == "No A/B assignment for 2020-02-03"  # type: ignore[attr-defined]


def test_answers_of_another_champion_are_not_compared(desk: Resources) -> None:
    assert ArmAssignment.of(desk).decide(BEGIN, answers(desk, BEGIN, "7")) == answers(desk, BEGIN, "7")


def test_two_promotions_at_once_the_second_is_told(desk: Resources) -> None:
    with desk.promotions.one_at_a_time(desk.settings.model_name), pytest.raises(RetryLater, match="under way"):
        promotion.promote("2", reason="at once", author="me", resources=desk)

    assert desk.registry.aliases.champion() == "1"


def test_a_promotion_of_a_comparison_with_another_champion_is_refused(desk: Resources) -> None:
    with pytest.raises(ConfigError, match="Expected champion 9, found 1"):
        promotion.promote("2", reason="late", author="me", expected_champion="9", resources=desk)
    with pytest.raises(ConfigError, match="expected an earlier promotion, found none"):
        promotion.rollback(reason="nothing", author="me", resources=desk)
    assert desk.promotions.history(desk.settings.model_name) == []


def test_everything_on_record_about_a_version_is_shown(desk: Resources) -> None:
    run(desk, DAYS[:40])
    ab_test.judge_ab_test(DAYS[39].isoformat(), resources=desk)

    about = promotion.record_of("2", resources=desk)

    assert about.facts["gates"] == "passed"
    assert [each.kind for each in about.decisions] == ["promote"]
