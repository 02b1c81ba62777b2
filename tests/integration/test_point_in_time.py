"""The point-in-time join against a plain loop in pandas and against Feast's own join, in random worlds, to the last bit."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from core.frames import FEATURES
from core.sessions import calendar, calendar_name, close_of, closes_of, sessions_between
from storage.engine import copy_in, open_engine
from storage.features import point_in_time
from storage.features.feature_store import SERVICE, VIEW, FeastStore
from storage.features.tables import market_features
from tests.standins.feasts_own import FeastsOwn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.settings import Settings

pytestmark = pytest.mark.integration
WORLDS = range(8)
PAIRS = ("BTC-USD", "ETH-USD", "SOL-USD", "LTC-USD", "BCH-USD", "DOGE-USD", "XRP-USD", "ADA-USD")
TTL = pd.Timedelta(days=14)
MICROSECOND = pd.Timedelta(microseconds=1)
# When a version became known, after its close. The next open of a weekday is 17.5 hours away, of a half day 20.5.
DELAYS = [pd.Timedelta(text) for text in ("0s", "15min", "30min", "30min1us", "17h30min", "17h30min1us", "2d", "6d", "20d")]
ODD_VALUES = [np.nan, np.inf, -np.inf, -0.0, 0.1 + 0.2, 5e-324, 1.7976931348623157e308, 1 / 3]


@pytest.fixture(scope="module")
def store(module_settings: Settings) -> Iterator[FeastStore]:
    made = FeastStore(module_settings)
    made.apply()
    yield made
    made.close()


@pytest.fixture(scope="module")
def feasts_own(module_settings: Settings, store: FeastStore) -> Iterator[FeastStore]:
    """The same repository with the offline store that Feast brings along."""
    assert store.materialisation() == 0, "registered"
    made = FeastsOwn(module_settings)
    yield made
    made.close()


def stored_rows(seed: int, settings: Settings) -> pd.DataFrame:
    """Rows of one world, stored: sessions missing, versions late, values of every kind; two shares, an odd name, a coin."""
    rng = np.random.default_rng(seed)
    start = pd.Timestamp("2015-10-15") + pd.Timedelta(days=int(rng.integers(0, 800)))
    keys = set()
    for symbol in (f"A{seed}", f"B{seed}", f'O\'Neil "{seed}", {{%s}}\\N', PAIRS[seed]):
        name = calendar_name(symbol)
        for day in sessions_between(start, start + pd.Timedelta(days=60), name):
            close = closes_of(pd.DatetimeIndex([day]), name)[0]
            for _ in range(rng.choice(4, p=[0.15, 0.5, 0.2, 0.15])):
                keys.add((symbol, day, close, close + DELAYS[rng.integers(len(DELAYS))]))
    rows = pd.DataFrame(sorted(keys), columns=["symbol", "session", "event_timestamp", "created_timestamp"])
    values = rng.normal(size=(len(rows), len(FEATURES)))
    odd = rng.random(values.shape) < 0.2
    values[odd] = rng.choice(ODD_VALUES, size=odd.sum())
    rows[list(FEATURES)] = values
    engine = open_engine(settings)
    with engine.begin() as connection:
        connection.execute(sa.delete(market_features).where(market_features.c.symbol.in_(rows["symbol"].unique())))
        copy_in(connection, rows.sample(frac=1, random_state=seed), market_features.fullname, tuple(rows.columns))
    engine.dispose()
    return rows


def decisions(seed: int, rows: pd.DataFrame) -> pd.DataFrame:
    """Entities in no order: every close, some twice, some a little beside it, and a symbol that nobody stored."""
    rng = np.random.default_rng([seed, 1])
    closes = rows[["symbol", "event_timestamp"]].drop_duplicates()
    twice, beside = closes.sample(20, random_state=seed), closes.sample(20, random_state=seed + 1)
    beside = beside.assign(event_timestamp=beside["event_timestamp"] + drawn([-MICROSECOND, MICROSECOND], rng, len(beside)))
    nobody = closes.head(3).assign(symbol="NOBODY")
    return pd.concat([closes, twice, beside, nobody]).sample(frac=1, random_state=seed, ignore_index=True)


def deadlines(seed: int, entities: pd.DataFrame) -> pd.Series:
    """Moments around those at which versions became known and rows grew too old."""
    rng = np.random.default_rng([seed, 2])
    after = [delay + step for delay in (*DELAYS, TTL) for step in (-MICROSECOND, pd.Timedelta(0), MICROSECOND)]
    return entities["event_timestamp"] + drawn(after, rng, len(entities))


def drawn(lengths: list[pd.Timedelta], rng: np.random.Generator, count: int) -> pd.TimedeltaIndex:
    return pd.TimedeltaIndex(lengths).take(rng.integers(len(lengths), size=count))


def next_open(symbol: str, close: pd.Timestamp) -> pd.Timestamp:
    """The first open at or after a close, half an hour after it at the earliest."""
    opens = calendar(calendar_name(symbol)).opens
    return max(min(opens[opens >= close]), close + pd.Timedelta(minutes=30))


def plain_join(rows: pd.DataFrame, symbol: str, known_by: pd.Timestamp) -> pd.Series | None:
    """The newest row known by a moment, and of its session the newest version."""
    mine = rows[(rows["symbol"] == symbol) & (rows["created_timestamp"] <= known_by)]
    mine = mine[(mine["event_timestamp"] <= known_by) & (mine["event_timestamp"] >= known_by - TTL)]
    return None if mine.empty else mine.sort_values(["event_timestamp", "created_timestamp"]).iloc[-1]


def expected(rows: pd.DataFrame, entities: pd.DataFrame, known_by: list[pd.Timestamp]) -> np.ndarray:
    """Features, (entities, features): those of the very session asked for, else NaN."""
    table = np.full((len(entities), len(FEATURES)), np.nan)
    for n, (symbol, close, moment) in enumerate(zip(entities["symbol"], entities["event_timestamp"], known_by, strict=True)):
        found = plain_join(rows, symbol, moment)
        if found is not None and found["event_timestamp"] == close:
            table[n] = found[list(FEATURES)].astype("float64")
    return table


def bits(table: np.ndarray) -> np.ndarray:
    """Floats as integers, so that 0 and -0 differ; every NaN the same."""
    return np.where(np.isnan(table), np.nan, table).view(np.int64)


@pytest.mark.parametrize("seed", WORLDS)
def test_every_decision_gets_what_a_plain_loop_finds(
    seed: int, store: FeastStore, module_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = stored_rows(seed, module_settings)
    entities = decisions(seed, rows)
    given = deadlines(seed, entities)
    wanted = expected(rows, entities, [next_open(*pair) for pair in entities.itertuples(index=False)])
    if seed % 2:
        monkeypatch.setattr(point_in_time, "ROWS_A_STATEMENT", 37)  # many statements, the last one short

    seen = store.training_frame(entities)
    seen_by = store.training_frame(entities.assign(known_by=given))

    pd.testing.assert_frame_equal(seen[["symbol", "event_timestamp"]], entities)
    np.testing.assert_array_equal(bits(seen[list(FEATURES)].to_numpy()), bits(wanted))
    np.testing.assert_array_equal(bits(seen_by[list(FEATURES)].to_numpy()), bits(expected(rows, entities, list(given))))
    assert 0.2 < np.isnan(wanted).all(axis=1).mean() < 0.8, "a world of both kinds"


@pytest.mark.parametrize("known_only", [True, False])
@pytest.mark.parametrize("seed", WORLDS)
def test_feasts_own_join_finds_the_same(
    seed: int, known_only: bool, store: FeastStore, feasts_own: FeastStore, module_settings: Settings
) -> None:
    rows = stored_rows(seed, module_settings)
    entities = decisions(seed, rows)
    asked = entities.assign(event_timestamp=deadlines(seed, entities), position=np.arange(len(entities)))
    service = store._feast.get_feature_service(SERVICE)

    theirs, ours = (
        each._feast.get_historical_features(asked, service, filter_by_created_timestamp=known_only).to_df()
        for each in (feasts_own, store)
    )

    theirs = theirs.sort_values("position", ignore_index=True)
    assert list(ours.columns) == list(theirs.columns)
    assert ours["feature_timestamp"].notna().sum() > 100
    pd.testing.assert_frame_equal(ours.drop(columns=list(FEATURES)), theirs.drop(columns=list(FEATURES)), check_dtype=False)
    np.testing.assert_array_equal(bits(ours[list(FEATURES)].to_numpy()), bits(theirs[list(FEATURES)].to_numpy(dtype="float64")))


def test_a_question_of_another_form_is_left_to_feasts_join(store: FeastStore, module_settings: Settings) -> None:
    rows = stored_rows(0, module_settings)
    asked = decisions(0, rows).head(50).assign(position=np.arange(50))
    service = store._feast.get_feature_service(SERVICE)

    plain = store._feast.get_historical_features(asked, service).to_df()
    prefixed = store._feast.get_historical_features(asked, service, full_feature_names=True).to_df()

    prefixed = prefixed.sort_values("position", ignore_index=True).rename(columns=lambda name: name.removeprefix(f"{VIEW}__"))
    assert plain["rsi_14"].notna().any()
    pd.testing.assert_frame_equal(plain, prefixed, check_dtype=False)


def test_a_read_leaves_no_table_behind_and_asks_the_primary_key(store: FeastStore, module_settings: Settings) -> None:
    rows = stored_rows(0, module_settings)
    engine = open_engine(module_settings)
    before = sa.inspect(engine).get_table_names("features")

    job = store._feast.get_historical_features(decisions(0, rows), store._feast.get_feature_service(SERVICE))

    assert len(job.to_df()) > 100
    assert sa.inspect(engine).get_table_names("features") == before
    question = job.to_sql().removeprefix("\nCOPY (").removesuffix(") TO STDOUT (FORMAT csv)\n")
    with engine.connect() as connection:
        connection.execute(sa.text("SET enable_seqscan = off"))  # some hundred rows fit on a page or two
        values = (["A0"], [dt.datetime(2016, 1, 4, 21, tzinfo=dt.UTC)], [0])
        plan = "\n".join(connection.exec_driver_sql(f"EXPLAIN {question}", values).scalars())
    engine.dispose()
    assert "Index Scan Backward using market_features_pkey" in plan
    assert "Sort" not in plan


def test_a_server_in_another_time_zone_gives_the_same_instants(store: FeastStore, module_settings: Settings) -> None:
    entities = decisions(0, stored_rows(0, module_settings))
    seen = store.training_frame(entities)
    engine = open_engine(module_settings)
    with engine.begin() as connection:
        connection.execute(sa.text(f"ALTER DATABASE {module_settings.database.name} SET timezone = 'Asia/Kolkata'"))

    elsewhere = store.training_frame(entities)

    with engine.begin() as connection:
        connection.execute(sa.text(f"ALTER DATABASE {module_settings.database.name} RESET timezone"))
    engine.dispose()
    assert seen["rsi_14"].notna().any()
    pd.testing.assert_frame_equal(elsewhere, seen)


def test_half_days_and_midnights_are_among_the_worlds() -> None:
    assert close_of(dt.date(2015, 11, 27)).hour == 18
    assert next_open("BTC-USD", pd.Timestamp("2016-01-02", tz="UTC")) == pd.Timestamp("2016-01-02 00:30", tz="UTC")
