"""Champion and challengers of the next-day model on a real PostgreSQL and MLflow: extended, promoted, kept, taken back."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from core.errors import ConfigError
from core.frames import BARS, FEATURES
from core.sessions import sessions_between
from ml.next_day.next_day import NextDay, targets
from ml.tracking.aliases import Aliases
from ml.tracking.next_day_log import RegisteredNextDay
from ml.tracking.registry import Registry
from pipeline.resources import Resources
from pipeline.training import promotion
from pipeline.training.next_day_judge import NextDayJudged, judge_next_day
from storage.engine import cluster_url
from tests.standins.feed import walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.settings import Settings

pytestmark = pytest.mark.integration
FIRST, LAST = dt.date(2020, 1, 2), dt.date(2020, 6, 30)
SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
THROUGH = dt.date(2020, 1, 31)
FRESH = [stamp.date() for stamp in sessions_between(dt.date(2020, 2, 3), LAST)]
NOW = dt.datetime(2020, 7, 1, tzinfo=dt.UTC)


class Foresight:
    """Predicts a part of what `rsi_14` foretells, and a part of something else."""

    def __init__(self, sight: float) -> None:
        self.sight = sight

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return np.asarray(self.sight * X["rsi_14"] + (1 - self.sight) * X["vix"])


class Features:
    """Features as they were known: `rsi_14` is the return to come, `vix` noise of its size."""

    def __init__(self, bars: pd.DataFrame) -> None:
        known = pd.concat([targets(rows.reset_index(drop=True)) for _, rows in bars.groupby("symbol")])
        noise = np.random.default_rng(1).normal(0, known["target"].std(), len(known))
        self.table = known[["symbol", "event_timestamp"]].assign(rsi_14=known["target"], vix=noise)

    def training_frame(self, keys: pd.DataFrame) -> pd.DataFrame:
        found = keys.merge(self.table, on=["symbol", "event_timestamp"], how="left")
        rest = {name: 0.01 for name in FEATURES if name not in found}
        return found.assign(**rest)


@pytest.fixture(scope="module")
def client(module_settings: Settings) -> Aliases:
    registry = Registry(cluster_url(module_settings, module_settings.mlflow_database_name), module_settings.data_dir, "m")
    return registry.aliases


@pytest.fixture
def desk(module_settings: Settings, client: Aliases, request: pytest.FixtureRequest) -> Iterator[Resources]:
    """Bars, a champion that sees a tenth of the future and two challengers: of half of it, and of nothing."""
    name = request.node.name
    settings = module_settings.model_copy(
        update={"next_day_model_name": name, "universe": SYMBOLS, "next_day_judge_sessions": 40}
    )
    desk = Resources(settings, clock=lambda: NOW)
    bars = BARS.coerce(pd.concat([walk(symbol, FIRST, LAST) for symbol in SYMBOLS]))
    if "AAA" not in desk.bars.symbols():
        desk.bars.write(bars, source="walk", ingested_at=NOW, backfilled=True)
    client._client.create_registered_model(name)
    aliases = Aliases(client._client, name)
    for _ in range(3):
        aliases.admit(str(client._client.create_model_version(name, "file:///nowhere").version))
    sight = {"1": 0.1, "2": 0.5, "3": 0.0}

    def load(version: str) -> RegisteredNextDay:
        model = NextDay(Foresight(sight[version]), np.array([-1.0, 0.0, 1.0]), 0.01)
        return RegisteredNextDay(name, version, model, THROUGH.isoformat())

    sent: list[tuple[str, str]] = []
    desk.__dict__.update(
        features=Features(bars),
        next_day_registry=SimpleNamespace(aliases=aliases, model_name=name),
        next_day_model=load,
        alerts=SimpleNamespace(send=lambda subject, body, *_: sent.append((subject, body))),
        sent=sent,
    )
    yield desk
    desk.engine.dispose()


def decisions(outcome: NextDayJudged) -> list[tuple[str, str]]:
    return [(row.challenger, row.decision) for row in outcome.decisions]


def test_it_goes_on_until_the_agreed_sessions_are_known_then_the_better_one_is_promoted_and_can_be_taken_back(
    desk: Resources,
) -> None:
    name, aliases = desk.settings.next_day_model_name, desk.next_day_registry.aliases
    early = judge_next_day(FRESH[39].isoformat(), resources=desk)  # the return of this session is not known yet
    assert decisions(early) == [("2", "extend"), ("3", "extend")]
    assert early.decisions[0].reason == "It is decided after 40 fresh sessions; 39 are known."

    due = judge_next_day(FRESH[40].isoformat(), resources=desk)

    assert (due.champion, decisions(due)) == ("1", [("2", "promote")])
    assert aliases.all() == {"champion": "2", "challenger": "3"}
    stored = desk.experiments.decisions(model_name=name, kinds=["promote"])[0]
    assert (stored.experiment, stored.challenger) == (f"{name}:1-vs-2@2020-02-03", "2")
    paired = stored.report["comparisons"][0]["paired"]
    assert 0 < paired["low"] < paired["value"] < paired["high"] < 1
    move = desk.promotions.history(name)[0]
    assert (move.kind, move.from_version, move.to_version, move.author) == ("promote", "1", "2", "model_ab_judge")
    assert (move.decision_id, move.reason) == (stored.id, stored.reason)

    after = judge_next_day(FRESH[41].isoformat(), resources=desk)
    assert decisions(after) == [("3", "keep")], "the next one is compared with the new champion"
    assert after.decisions[0].reason.startswith("The champion is better")
    assert aliases.all() == {"champion": "2"}
    assert judge_next_day(FRESH[42].isoformat(), resources=desk).decisions == ()

    promotion.rollback(reason="it was a fluke", author="me", model=name, resources=desk)
    assert aliases.champion() == "1"
    assert [subject for subject, _ in desk.sent] == [  # type: ignore[attr-defined]
        f"{name}: version 2 is champion (promote)",
        f"{name}: the champion stays",
        f"{name}: version 1 is champion (rollback)",
    ]
    assert f"--model {name}" in desk.sent[-1][1]  # type: ignore[attr-defined]


def test_a_promotion_that_a_person_must_agree_to_is_mailed_once_and_waits(desk: Resources) -> None:
    desk.settings = desk.settings.model_copy(update={"ab_approval": True})
    name, aliases = desk.settings.next_day_model_name, desk.next_day_registry.aliases

    first = judge_next_day(FRESH[45].isoformat(), resources=desk)
    again = judge_next_day(FRESH[46].isoformat(), resources=desk)

    assert decisions(first) == [("2", "wait"), ("3", "keep")]
    assert decisions(again) == [("2", "wait")]
    assert aliases.all() == {"champion": "1", "challenger": "2"}
    told = [body for subject, body in desk.sent if subject.endswith("version 2 may be promoted")]  # type: ignore[attr-defined]
    assert len(told) == 1
    assert f"desk models promote 2 --model {name} --reason WHY" in told[0]
    promotion.promote("2", reason="agreed", author="ann", model=name, resources=desk)
    assert aliases.champion() == "2"


def test_what_was_decided_before_a_step_was_killed_is_carried_out_by_the_next(
    desk: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = desk.settings.next_day_model_name
    with monkeypatch.context() as patch:
        patch.setattr(promotion, "promote", lambda *_, **__: (_ for _ in ()).throw(ConnectionError("MLflow is gone")))
        with pytest.raises(ConnectionError):
            judge_next_day(FRESH[45].isoformat(), resources=desk)
    assert desk.next_day_registry.aliases.champion() == "1"

    done = judge_next_day(FRESH[45].isoformat(), resources=desk)

    assert decisions(done) == [("2", "promote")]
    assert desk.next_day_registry.aliases.champion() == "2"
    assert len(desk.experiments.decisions(model_name=name, kinds=["promote"])) == 1, "decided once"


def test_a_late_judgement_looks_at_the_same_sessions(desk: Resources) -> None:
    desk.settings = desk.settings.model_copy(update={"ab_approval": True})
    late = judge_next_day(FRESH[-1].isoformat(), resources=desk)

    stored = desk.experiments.decisions(str(late.decisions[0].experiment))[0]
    assert stored.report["sessions"] == 40
    assert stored.report["comparisons"][0]["pairs"] == 160


def test_a_challenger_that_cannot_be_loaded_challenges_no_longer(desk: Resources) -> None:
    load = desk.next_day_model

    def old(version: str) -> RegisteredNextDay:
        if version == "2":
            raise ConfigError("Version 2 is no next-day model. Train anew: `desk train-next-day`.")
        return load(version)

    desk.__dict__["next_day_model"] = old

    judged = judge_next_day(FRESH[10].isoformat(), resources=desk)

    assert decisions(judged) == [("2", "keep"), ("3", "extend")]
    assert desk.next_day_registry.aliases.all() == {"champion": "1", "challenger": "3"}
    assert "challenges no longer" in desk.sent[0][0]  # type: ignore[attr-defined]


def test_without_a_challenger_there_is_nothing_to_judge(desk: Resources) -> None:
    for version in ("2", "3"):
        desk.next_day_registry.aliases.withdraw(version)

    assert judge_next_day(FRESH[10].isoformat(), resources=desk).as_dict() == {
        "session": FRESH[10].isoformat(),
        "champion": "1",
        "decisions": [],
    }
