"""A month replayed: what is served online, what training sees and what the raw bars give are the same numbers."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from core.feature_hash import feature_hash
from core.frames import BARS, FEATURES
from core.sessions import close_of, next_session, sessions_between
from features.build import build_features
from ml.entry_filter.predict import EntryFilter, Payoff
from pipeline.bars import VIX
from pipeline.data import build_features as feature_step
from pipeline.resources import Resources
from pipeline.training import drift
from storage.trading.served import Served, encode
from tests.standins.feed import walk

if TYPE_CHECKING:
    from core.settings import Settings

pytestmark = pytest.mark.integration
FIRST, LAST = dt.date(2018, 1, 2), dt.date(2020, 3, 31)
MONTH = [stamp.date() for stamp in sessions_between(dt.date(2020, 3, 2), LAST)]
SYMBOLS = ("AAA", "BBB", "CCC")
NOW = dt.datetime(2020, 4, 1, 12, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def desk(module_settings: Settings) -> Resources:
    """Bars, VIX and features of two years, known when they were."""
    desk = Resources(module_settings.model_copy(update={"universe": SYMBOLS, "drift_sessions": 20}), clock=lambda: NOW)
    bars = pd.concat([walk(symbol, FIRST, LAST) for symbol in (*SYMBOLS, VIX)])
    calm = bars["symbol"] == VIX
    bars.loc[calm, ["open", "high", "low", "close", "adj_close"]] /= 5
    desk.bars.write(BARS.coerce(bars), source="walk", ingested_at=NOW, backfilled=True)
    feature_step.write_features(LAST.isoformat(), resources=desk)
    desk.__dict__["sent"] = sent = []
    desk.__dict__["alerts"] = SimpleNamespace(send=lambda subject, body, *_: sent.append((subject, body)))
    return desk


@pytest.fixture(scope="module")
def served(desk: Resources) -> dict[dt.date, pd.DataFrame]:
    """The online store of each evening, stored as the API stores what it serves."""
    evenings = {}
    for day in MONTH:
        feature_step.materialise(day.isoformat(), resources=desk)
        evenings[day] = desk.features.online(list(SYMBOLS))
    store = desk.served
    store.name_features()
    store.append([encode(answer(day, row)) for day, frame in evenings.items() for row in frame.to_dict("records")])
    return evenings


def answer(day: dt.date, row: dict[str, object], **changes: object) -> Served:
    features = [float(str(row[name])) for name in FEATURES]
    values = {
        "served_at": close_of(day) + dt.timedelta(hours=1), "symbol": row["symbol"], "session": day,
        "for_session": next_session(day), "arm": "champion", "model_name": "m", "model_version": "1", "probability": 0.5,
        "kind": "entry", "strategy": "bollinger", "low": None, "high": None, "confidence": 0.0, "predicted_return": 0.0,
        "signal": "skip", "source": "online", "feature_timestamp": close_of(day),
        "feature_hash": feature_hash(features), "features": features, "latency_us": 300,
    }  # fmt: skip
    return Served(**{**values, **changes})


def test_online_training_and_recomputed_features_are_equal_for_every_symbol_session_and_column(
    desk: Resources, served: dict[dt.date, pd.DataFrame]
) -> None:
    online = pd.concat(served.values(), ignore_index=True)
    trained = desk.features.training_frame(online[["symbol", "event_timestamp"]])
    parts = []
    for day in MONTH:  # from the raw bars of that day and before, and nothing later
        bars, vix = desk.bars.read(SYMBOLS, end=day), desk.bars.read([VIX], end=day)
        frame = build_features(bars, vix)
        parts.append(frame[frame["session"] == pd.Timestamp(day)].set_index("symbol").loc[list(SYMBOLS)])
    recomputed = pd.concat(parts)

    assert len(online) == len(MONTH) * len(SYMBOLS) == 66
    for name in FEATURES:
        assert online[name].notna().all(), name
        np.testing.assert_array_equal(online[name], trained[name], err_msg=name)
        np.testing.assert_array_equal(online[name], recomputed[name], err_msg=name)


@pytest.mark.usefixtures("served")
def test_a_month_of_served_predictions_has_no_mismatch(desk: Resources) -> None:
    found = [drift.check_skew(day.isoformat(), resources=desk) for day in MONTH]

    assert [(each.served, each.mismatches, each.broken) for each in found] == [(3, 0, 0)] * len(MONTH)
    assert len(desk.drift.read(MONTH[0], "skew")) == len(MONTH)
    assert desk.__dict__["sent"] == []


def test_a_vector_that_the_bars_do_not_give_is_counted_named_and_alerted(
    desk: Resources, served: dict[dt.date, pd.DataFrame]
) -> None:
    day = MONTH[3]
    row = {**served[day].iloc[1].to_dict(), "rsi_14": 99.0}
    tomorrow = {"kind": "next_day", "strategy": "", "probability": None, "low": -0.02, "high": 0.02, "signal": "HOLD"}
    rows = [answer(day, row, **tomorrow), answer(day, served[day].iloc[0].to_dict(), feature_hash="0" * 16)]
    desk.served.append([encode(each) for each in rows])

    found = drift.check_skew(day.isoformat(), resources=desk)

    assert (found.served, found.mismatches, found.broken) == (5, 1, 1), "of entries and of the next day alike"
    stored = desk.drift.read(day, "skew").iloc[0]
    assert (stored["statistic"], stored["alert"], stored["detail"]) == (2.0, True, "BBB: rsi_14")
    assert desk.__dict__["sent"].pop()[0].startswith(f"Skew on {day}: 1 of 5 served vectors differ")


@pytest.mark.usefixtures("served")
def test_a_bar_corrected_after_it_was_served_is_no_skew(desk: Resources) -> None:
    day = MONTH[-1]
    bars = desk.bars.read(["AAA"], start=day, end=day)[list(BARS.columns)]
    desk.bars.write(bars.assign(close=bars["close"] * 1.003), source="correction", ingested_at=NOW + dt.timedelta(hours=1))

    found = drift.check_skew(day.isoformat(), resources=desk)

    assert (found.served, found.mismatches) == (3, 0)


def test_a_session_without_predictions_has_nothing_to_compare(desk: Resources) -> None:
    assert drift.check_skew("2020-02-03", resources=desk).served == 0


def test_drift_is_stored_for_every_feature_the_score_and_the_win_rate_and_mailed_once(desk: Resources) -> None:
    champion = EntryFilter(
        "m", "1", lambda X: (X["rsi_14"] / 100).to_numpy(), {"bollinger": Payoff(0.01, -0.01)}, FEATURES, "2020-02-28"
    )
    desk.__dict__["registry"] = SimpleNamespace(champion=lambda: champion)
    desk.__dict__["sent"].clear()
    loud = desk.bars.read(["AAA"], start=MONTH[0], end=LAST)[list(BARS.columns)]
    desk.bars.write(loud.assign(volume=loud["volume"] * 1.5), source="loud", ingested_at=NOW + dt.timedelta(hours=2))

    first = drift.measure_drift(MONTH[-2].isoformat(), resources=desk)
    second = drift.measure_drift(MONTH[-1].isoformat(), resources=desk)

    stored = desk.drift.read(MONTH[-1])
    stored = stored[stored["family"] != "skew"]
    assert stored["family"].value_counts().to_dict() == {"feature": len(FEATURES), "score": 1, "outcome": 1}
    assert (stored["psi"].dropna() >= 0).all()
    assert first.measured == second.measured == len(FEATURES) + 2
    told = set(first.new) & set(second.new)
    assert told == set(), "what had drifted yesterday is not mailed again"
    assert len(desk.__dict__["sent"]) == bool(first.new) + bool(second.new)


@pytest.mark.parametrize(
    ("fresh", "trained", "gap", "due", "why"),
    [
        (["feature vix"], "2020-02-03", 20, True, "feature vix drifted, and the last training is of 2020-02-03"),
        (["feature vix"], "2020-03-06", 20, False, "15 sessions old, of 2020-03-06; drift starts another from 20 on"),
        ([], "2019-01-02", 20, False, "Nothing has newly drifted"),
        (["feature vix"], "2019-01-02", None, False, "DRIFT_TRAINING_GAP_SESSIONS is empty"),
    ],
)
def test_new_drift_asks_for_a_training_unless_the_last_one_is_young(
    desk: Resources, fresh: list[str], trained: str, gap: int | None, due: bool, why: str
) -> None:
    settings = desk.settings.model_copy(update={"drift_training_gap_sessions": gap})
    registry = SimpleNamespace(latest_training=lambda: {"session": trained})
    asked = SimpleNamespace(settings=settings, registry=registry)

    answer = drift.training_due(drift.DriftMeasured("2020-03-27", 1, fresh, fresh), resources=asked)  # type: ignore[arg-type]

    assert answer.due is due
    assert why in answer.reason
