"""Served predictions and the halt switch in a real PostgreSQL."""

from __future__ import annotations

import datetime as dt
import math
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import psycopg2
import pytest
import sqlalchemy as sa

from core.errors import ConfigError
from core.feature_hash import feature_hash, feature_set
from core.frames import FEATURES
from storage.trading.halts import Halts
from storage.trading.served import BEFORE, ENTRY, NEXT_DAY, Served, ServedPredictions, encode, framed

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

pytestmark = pytest.mark.integration
NOW = dt.datetime(2026, 11, 20, 21, 30, 0, 123456, tzinfo=dt.UTC)


def served(symbol: str = "SPY", **changes: object) -> Served:
    values = [0.1, float("nan"), -1e-300, *np.random.default_rng(5).normal(size=len(FEATURES) - 3).tolist()]
    row = Served(
        served_at=NOW,
        kind=ENTRY,
        strategy="bollinger",
        symbol=symbol,
        session=dt.date(2026, 11, 20),
        for_session=dt.date(2026, 11, 23),
        arm="champion",
        model_name="entry-filter",
        model_version="3",
        probability=0.1 + 0.2,
        predicted_return=-0.001,
        low=None,
        high=None,
        confidence=0.4,
        signal="skip",
        source="online",
        feature_timestamp=dt.datetime(2026, 11, 20, 21, tzinfo=dt.UTC),
        feature_hash=feature_hash(values),
        features=values,
        latency_us=321,
    )
    return row._replace(**changes)


def tomorrow(symbol: str = "SPY") -> Served:
    """An answer about the next day."""
    return served(symbol, kind=NEXT_DAY, strategy="", probability=None, low=-0.02, high=0.03, signal="HOLD")


def test_a_served_prediction_comes_back_to_the_last_bit(database: Engine) -> None:
    rows = [served(), served("BRK-B", feature_timestamp=None, source="given"), served("Ünï'\t\\N"), tomorrow()]
    ServedPredictions(database).append([encode(row) for row in rows])

    found = ServedPredictions(database).read(NOW)

    assert [row._replace(features=[]) for row in found] == [row._replace(features=[]) for row in rows]
    for row, expected in zip(found, rows, strict=True):
        np.testing.assert_array_equal(row.features, expected.features)
        assert feature_hash(row.features) == row.feature_hash
    assert math.isnan(found[0].features[1])
    assert [row.kind for row in ServedPredictions(database).read(NOW, ["SPY"])] == ["entry", "next_day"]
    assert ServedPredictions(database).read(NOW + dt.timedelta(seconds=1)) == []


def test_rows_of_one_append_are_stored_all_or_none(database: Engine) -> None:
    store = ServedPredictions(database)

    with pytest.raises(psycopg2.DataError, match="0x00"):
        store.append([encode(served()), encode(served(symbol="nul\0"))])

    assert ServedPredictions(database).read(NOW) == []


def test_rows_kept_in_a_file_are_stored_from_it(database: Engine, tmp_path: Path) -> None:
    path = tmp_path / "left"
    path.write_bytes(framed([encode(served()), encode(tomorrow("QQQ"))]))

    ServedPredictions(database).append_file(path)

    assert [row.symbol for row in ServedPredictions(database).read(NOW)] == ["SPY", "QQQ"]


def test_a_file_that_the_version_before_left_is_stored_as_entries(database: Engine, tmp_path: Path) -> None:
    store, path = ServedPredictions(database), tmp_path / "left"
    store.append([encode(served())])
    with database.connect() as connection, path.open("wb") as file:  # PostgreSQL itself writes those columns
        query = f"COPY (SELECT {', '.join(BEFORE)} FROM trading.served_predictions) TO STDOUT WITH (FORMAT binary)"  # noqa: S608
        connection.connection.cursor().copy_expert(query, file)

    store.append_file(path)

    kept, row = ServedPredictions(database).read(NOW)
    assert (row.kind, row.strategy, row.confidence) == (ENTRY, "", None)
    assert row._replace(strategy="bollinger", confidence=0.4, features=[]) == kept._replace(features=[])
    np.testing.assert_array_equal(row.features, kept.features)


def test_a_row_is_of_one_kind_or_the_other(database: Engine) -> None:
    with pytest.raises(psycopg2.IntegrityError, match="ck_served_predictions_kind"):
        ServedPredictions(database).append([encode(served(probability=None))])


def test_the_names_of_the_features_are_stored_once(database: Engine) -> None:
    for _ in range(2):
        ServedPredictions(database).name_features()

    with database.connect() as connection:
        rows = connection.execute(sa.text("SELECT digest, names FROM features.feature_sets")).all()
    assert rows == [(feature_set(FEATURES), list(FEATURES))]


def test_a_portfolio_trades_until_it_is_halted_and_again_after_it_is_resumed(database: Engine) -> None:
    assert Halts(database).current("main") is None

    stopped = Halts(database).halt("main", reason=" prices look wrong ", author="ann")
    assert Halts(database).current("main") == stopped
    assert (stopped.halted, stopped.reason, stopped.author) == (True, "prices look wrong", "ann")
    assert Halts(database).current("other") is None

    resumed = Halts(database).resume("main", reason="provider answered", author="bob")
    assert not resumed.halted
    assert Halts(database).current("main") == resumed
    with database.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM trading.halts")).scalar_one() == 2


def test_a_halt_without_a_reason_or_an_author_is_refused(database: Engine) -> None:
    with pytest.raises(ConfigError, match="expected reason"):
        Halts(database).halt("main", reason=" ", author="ann")
    with pytest.raises(ConfigError, match="expected author"):
        Halts(database).resume("main", reason="because", author="")


def test_of_many_at_once_the_one_with_the_highest_id_counts(database: Engine) -> None:
    with ThreadPoolExecutor(8) as pool:
        turned = list(pool.map(lambda n: Halts(database).halt("main", reason=f"r{n}", author="a"), range(16)))

    assert Halts(database).current("main") == max(turned, key=lambda turn: turn.id)
    assert sorted(turned, key=lambda turn: turn.id) == sorted(turned, key=lambda turn: turn.created_at)
