"""Feast on a real PostgreSQL: what was known when, offline and online."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from core.errors import ConfigError, DataError
from core.frames import FEATURE_FRAME, FEATURES
from core.sessions import close_of, next_session, open_of
from storage.features.feature_store import FeastStore, feast_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.settings import Settings

pytestmark = pytest.mark.integration
THURSDAY, FRIDAY, MONDAY = dt.date(2018, 12, 13), dt.date(2018, 12, 14), dt.date(2018, 12, 17)
LAG = dt.timedelta(minutes=30)


def rows(symbol: str, days: list[dt.date], value: float, created: dt.datetime | None = None) -> pd.DataFrame:
    """Feature rows that hold `value` everywhere but in vix, which is unknown."""
    closes = [close_of(day) for day in days]
    frame = pd.DataFrame(
        {
            "symbol": symbol,
            "session": pd.to_datetime(days),
            "event_timestamp": closes,
            "created_timestamp": [created or close + LAG for close in closes],
            **dict.fromkeys(FEATURES, value),
        }
    )
    return FEATURE_FRAME.coerce(frame.assign(vix=np.nan))


def asked(symbol: str, *days: dt.date) -> pd.DataFrame:
    return pd.DataFrame({"symbol": symbol, "event_timestamp": pd.to_datetime([close_of(day) for day in days], utc=True)})


@pytest.fixture
def now() -> list[dt.datetime]:
    """A clock that a test may set."""
    return [close_of(MONDAY) + dt.timedelta(days=1)]


@pytest.fixture
def store(database_settings: Settings, now: list[dt.datetime]) -> Iterator[FeastStore]:
    made = FeastStore(database_settings, clock=lambda: now[0])
    made.apply()
    yield made
    made.close()


def test_rows_are_written_once_and_changed_ones_added(store: FeastStore) -> None:
    frame = rows("AAA", [THURSDAY, FRIDAY], 0.5)

    assert store.write_offline(frame) == 2
    assert store.write_offline(frame) == 0
    assert store.write_offline(frame.assign(rsi_14=0.5 + 1e-13)) == 0, "arithmetic of another machine is no news"
    assert store.write_offline(frame.assign(rsi_14=[0.5, 0.6])) == 1
    assert store.last_event() == close_of(FRIDAY)


def test_a_value_that_appears_disappears_or_stops_being_infinite_is_a_change(store: FeastStore) -> None:
    frame = rows("AAA", [FRIDAY], 0.5).assign(rsi_14=np.inf)

    assert store.write_offline(frame) == 1
    assert store.write_offline(frame) == 0
    assert store.write_offline(frame.assign(vix=20.0)) == 1
    assert store.write_offline(frame) == 1
    assert store.write_offline(frame.assign(rsi_14=0.5)) == 1


def test_a_row_is_stored_with_every_bit(store: FeastStore) -> None:
    rng = np.random.default_rng(5)
    symbols = ["A", "ABCDEFGHIJ", "Å-O'B,\"\\N", "深圳"]
    frame = pd.concat([rows(symbol, [dt.date(1999, 12, 31), FRIDAY], 0.0) for symbol in symbols], ignore_index=True)
    values = rng.normal(size=(len(frame), len(FEATURES))) * 10.0 ** rng.integers(-300, 300, size=(len(frame), len(FEATURES)))
    values[rng.random(values.shape) < 0.3] = np.nan
    values[:, 0], values[0] = -0.0, np.nan
    frame[list(FEATURES)] = values
    frame = FEATURE_FRAME.coerce(frame.assign(created_timestamp=frame["created_timestamp"] + pd.Timedelta(microseconds=1)))

    assert store.write_offline(frame) == 8

    with store._engine.connect() as connection:
        stored = pd.read_sql(sa.text("SELECT * FROM features.market_features"), connection)
    stored = FEATURE_FRAME.coerce(stored.assign(session=pd.to_datetime(stored["session"])))
    pd.testing.assert_frame_equal(stored, frame, check_exact=True)
    assert np.signbit(stored["rsi_14"].dropna()).all(), "a negative zero stays one"


def test_a_frame_of_another_form_is_refused(store: FeastStore) -> None:
    with pytest.raises(DataError, match=r"features\.rsi_14: expected float64"):
        store.write_offline(rows("AAA", [FRIDAY], 0.5).astype({"rsi_14": "float32"}))


def test_training_sees_what_was_known_when_the_order_had_to_go(store: FeastStore, now: list[dt.datetime]) -> None:
    store.write_offline(rows("AAA", [FRIDAY], 0.5))
    now[0] = open_of(MONDAY) - dt.timedelta(minutes=1)
    store.write_offline(rows("AAA", [FRIDAY], 0.6))
    now[0] = open_of(MONDAY) + dt.timedelta(minutes=1)
    store.write_offline(rows("AAA", [FRIDAY], 0.7))

    seen = store.training_frame(asked("AAA", FRIDAY))

    assert seen["rsi_14"].tolist() == [0.6], "corrected in time: yes; after the open: no"
    assert seen["vix"].isna().all()
    earlier = asked("AAA", FRIDAY).assign(known_by=pd.Timestamp(close_of(FRIDAY) + LAG))
    assert store.training_frame(earlier)["rsi_14"].tolist() == [0.5]


def test_an_older_row_never_stands_in_for_a_missing_or_late_one(store: FeastStore) -> None:
    store.write_offline(rows("AAA", [THURSDAY], 0.5))
    store.write_offline(rows("AAA", [FRIDAY], 0.6, created=open_of(MONDAY) + dt.timedelta(hours=1)))

    seen = store.training_frame(asked("AAA", THURSDAY, FRIDAY, MONDAY))

    assert seen["rsi_14"].fillna(-1).tolist() == [0.5, -1, -1]
    assert list(seen.columns) == ["symbol", "event_timestamp", *FEATURES]


def test_rows_come_back_in_the_order_asked(store: FeastStore) -> None:
    store.write_offline(rows("AAA", [THURSDAY, FRIDAY], 0.5))
    store.write_offline(rows("BBB", [THURSDAY, FRIDAY], 0.7))
    wanted = pd.concat([asked("BBB", FRIDAY), asked("AAA", FRIDAY, THURSDAY), asked("BBB", THURSDAY)], ignore_index=True)

    seen = store.training_frame(wanted)

    pd.testing.assert_frame_equal(seen[["symbol", "event_timestamp"]], wanted, check_dtype=False)
    assert seen["rsi_14"].tolist() == [0.7, 0.5, 0.5, 0.7]
    assert store.training_frame(wanted.head(0)).empty


def test_a_decision_after_the_end_of_the_calendar_is_refused(store: FeastStore) -> None:
    late = pd.DataFrame({"symbol": ["AAA"], "event_timestamp": [pd.Timestamp("2090-01-03 21:00", tz="UTC")]})

    with pytest.raises(DataError, match="calendar ends"):
        store.training_frame(late)


def test_the_online_store_shows_the_newest_row_up_to_the_session(store: FeastStore) -> None:
    store.write_offline(rows("AAA", [THURSDAY], 0.5))
    store.write_offline(rows("AAA", [FRIDAY], 0.6))

    store.materialise(FRIDAY)
    shown = store.online(["NOWHERE", "AAA"])

    assert shown["symbol"].tolist() == ["NOWHERE", "AAA"]
    assert shown["event_timestamp"].isna().tolist() == [True, False]
    assert shown["event_timestamp"][1] == close_of(FRIDAY)
    assert shown["rsi_14"][1] == 0.6
    assert np.isnan(shown["vix"][1])

    store.materialise(THURSDAY)
    assert store.online(["AAA"])["rsi_14"].tolist() == [0.5], "a replay goes back"


def test_a_correction_reaches_the_online_store_with_the_next_copy(store: FeastStore) -> None:
    store.write_offline(rows("AAA", [FRIDAY], 0.5))
    store.materialise(FRIDAY)
    store.write_offline(rows("AAA", [FRIDAY], 0.6))

    store.materialise(FRIDAY)

    assert store.online(["AAA"])["rsi_14"].tolist() == [0.6]


def test_every_materialisation_has_a_higher_number(store: FeastStore) -> None:
    store.write_offline(rows("AAA", [THURSDAY, FRIDAY], 0.5))
    assert store.materialisation() == 0

    store.materialise(FRIDAY)
    first = store.materialisation()
    store.materialise(THURSDAY)

    assert 0 < first < store.materialisation()


def test_reading_goes_on_after_the_database_dropped_its_connections(store: FeastStore, database_settings: Settings) -> None:
    store.write_offline(rows("AAA", [FRIDAY], 0.5))
    store.materialise(FRIDAY)
    store.online(["AAA"])
    admin = sa.create_engine(str(database_settings.database.url.get_secret_value()), poolclass=sa.NullPool)  # type: ignore[union-attr]
    with admin.connect() as connection:
        connection.execute(
            sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
            {"name": database_settings.database.feast_name},
        )

    assert store.online(["AAA"])["rsi_14"].tolist() == [0.5]


def test_a_registry_that_is_missing_is_named_and_made_again(store: FeastStore, database_settings: Settings) -> None:
    store.write_offline(rows("AAA", [FRIDAY], 0.5))
    store.materialise(FRIDAY)
    store.close()
    _drop_registry(database_settings)
    fresh = FeastStore(database_settings)

    read, serve = (lambda: fresh.training_frame(asked("AAA", FRIDAY))), (lambda: fresh.online(["AAA"]))
    for question in (read, serve, lambda: fresh.materialise(FRIDAY)):
        with pytest.raises(ConfigError, match=r"registry does not know the desk's features .*Register them: `desk featurize`"):
            question()

    fresh.apply()
    assert fresh.training_frame(asked("AAA", FRIDAY))["rsi_14"].tolist() == [0.5], "no row was lost with it"
    fresh.close()


def _drop_registry(settings: Settings) -> None:
    """What Feast knows of the project, as after its database was lost; rows and the online table stay."""
    url = feast_environment(settings)["FEAST_REGISTRY_URL"]
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        found = sa.MetaData()
        found.reflect(connection)
        for table in found.sorted_tables:
            if not table.name.startswith("desk_"):  # the online table
                connection.execute(sa.delete(table))
    engine.dispose()


def test_two_that_apply_at_once_do_not_disturb_each_other(database_settings: Settings) -> None:
    stores = [FeastStore(database_settings) for _ in range(2)]

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(FeastStore.apply, stores))

    assert stores[0].write_offline(rows("AAA", [FRIDAY], 0.5)) == 1
    for store in stores:
        store.close()


def test_the_feast_command_line_gets_the_same_two_databases(database_settings: Settings) -> None:
    variables = feast_environment(database_settings)

    assert variables["FEAST_OFFLINE_DATABASE"] == database_settings.database.name
    assert variables["FEAST_ONLINE_DATABASE"] == database_settings.database.feast_name
    assert variables["FEAST_HOST"].startswith("/"), "the folder of a socket"


def test_the_deadline_of_a_friday_is_mondays_open() -> None:
    assert open_of(next_session(FRIDAY)) == dt.datetime(2018, 12, 17, 14, 30, tzinfo=dt.UTC)
