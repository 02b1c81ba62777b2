"""The bitemporal bar store on a real PostgreSQL."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from core.errors import DataError
from core.frames import ACTIONS, BARS, PRICES, QUARANTINE
from core.sessions import close_of, sessions_between
from storage.market.bars import BarStore, WriteResult

if TYPE_CHECKING:
    from sqlalchemy import Engine

pytestmark = pytest.mark.integration
MONDAY, FRIDAY = dt.date(2018, 12, 17), dt.date(2018, 12, 21)
SEEN = dt.datetime(2018, 12, 21, 22, 0, tzinfo=dt.UTC)
LATER = dt.datetime(2018, 12, 28, 22, 0, tzinfo=dt.UTC)


def make_bars(symbols: tuple[str, ...] = ("AAPL",), start: dt.date = MONDAY, end: dt.date = FRIDAY) -> pd.DataFrame:
    days = sessions_between(start, end)
    close = 100.0 + np.arange(len(days)) / 3
    frames = [
        pd.DataFrame(
            {
                "symbol": symbol,
                "session": days,
                "open": close - 1,
                "high": close + 2,
                "low": close - 2,
                "close": close,
                "adj_close": close * 0.97,
                "volume": 1e6,
            }
        )
        for symbol in symbols
    ]
    return BARS.coerce(pd.concat(frames))


def test_bars_come_back_bit_for_bit(database: Engine) -> None:
    bars = make_bars(("MSFT", "AAPL", "^VIX", "BRK-B"))

    BarStore(database).write(bars, source="test", ingested_at=SEEN)

    stored = BarStore(database).read()
    pd.testing.assert_frame_equal(stored[list(BARS.columns)], bars, check_exact=True)
    assert (stored["known_at"] == SEEN).all()


def test_writing_the_same_bars_again_writes_nothing(database: Engine) -> None:
    store, bars = BarStore(database), make_bars()

    assert store.write(bars, source="test", ingested_at=SEEN) == WriteResult(5, 0, 0)
    assert store.write(bars, source="test", ingested_at=LATER) == WriteResult(0, 0, 5)


def test_single_precision_noise_is_no_revision(database: Engine) -> None:
    store, bars = BarStore(database), make_bars()
    store.write(bars, source="test", ingested_at=SEEN)

    noisy = bars.assign(**{name: bars[name].astype("float32").astype("float64") for name in PRICES})

    assert store.write(noisy, source="test", ingested_at=LATER) == WriteResult(0, 0, 5)


def test_a_revised_bar_is_a_second_row_and_the_first_stays_readable(database: Engine) -> None:
    store, bars = BarStore(database), make_bars()
    store.write(bars, source="test", ingested_at=SEEN, backfilled=True)
    revised = bars.copy()
    revised.loc[2, "close"] += 0.5

    assert store.write(revised, source="test", ingested_at=LATER, backfilled=True) == WriteResult(0, 1, 4)

    assert store.read()["close"][2] == revised["close"][2]
    assert store.read(as_of=LATER)["close"][2] == revised["close"][2]
    assert store.read(as_of=LATER - dt.timedelta(seconds=1))["close"][2] == bars["close"][2]
    with database.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM market.raw_prices")).scalar() == 6


def test_a_revision_and_its_return_are_both_kept_even_in_the_same_instant(database: Engine) -> None:
    store, bars = BarStore(database), make_bars()
    changed = bars.assign(volume=2e6)

    for batch in (bars, changed, bars):
        store.write(batch, source="test", ingested_at=SEEN)

    assert (store.read()["volume"] == 1e6).all()
    with database.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM market.raw_prices")).scalar() == 15


def test_backfilled_bars_count_as_known_a_quarter_of_an_hour_after_their_close(database: Engine) -> None:
    store = BarStore(database)
    store.write(make_bars(end=dt.date(2018, 12, 24)), source="test", ingested_at=LATER, backfilled=True)

    known = store.read()["known_at"]

    assert known.iloc[0] == close_of(MONDAY) + dt.timedelta(minutes=15)
    assert known.iloc[-1] == dt.datetime(2018, 12, 24, 18, 15, tzinfo=dt.UTC), "a half day closes at 13:00 New York"


def test_as_of_shows_only_what_was_known_by_then(database: Engine) -> None:
    store = BarStore(database)
    store.write(make_bars(), source="test", ingested_at=LATER, backfilled=True)

    wednesday = store.read(as_of=close_of(dt.date(2018, 12, 19)) + dt.timedelta(minutes=15))

    assert wednesday["session"].max() == pd.Timestamp("2018-12-19")
    assert store.read(as_of=SEEN - dt.timedelta(days=30)).empty


def test_reading_is_bounded_by_symbols_and_dates_both_included(database: Engine) -> None:
    store = BarStore(database)
    store.write(make_bars(("AAPL", "MSFT")), source="test", ingested_at=SEEN)

    part = store.read(["MSFT"], start=dt.date(2018, 12, 18), end=dt.date(2018, 12, 20))

    assert part["symbol"].unique().tolist() == ["MSFT"]
    assert part["session"].dt.day.tolist() == [18, 19, 20]
    assert store.symbols() == ["AAPL", "MSFT"]
    assert store.last_sessions() == {"AAPL": FRIDAY, "MSFT": FRIDAY}


def test_bars_that_break_their_schema_are_not_stored(database: Engine) -> None:
    store = BarStore(database)

    with pytest.raises(DataError, match="open"):
        store.write(make_bars().assign(open=np.nan), source="test", ingested_at=SEEN)

    assert store.read().empty


def test_a_backend_killed_in_the_middle_of_a_load_leaves_nothing_and_the_rerun_completes(database: Engine) -> None:
    store, bars = BarStore(database), make_bars(("AAPL", "MSFT"))
    kill = sa.text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )

    @sa.event.listens_for(database, "after_cursor_execute")
    def kill_after_the_first_insert(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO market.raw_prices"):
            sa.event.remove(database, "after_cursor_execute", kill_after_the_first_insert)
            admin = sa.create_engine(database.url, poolclass=sa.NullPool)
            with admin.connect() as connection:
                connection.execute(kill)

    with pytest.raises(sa.exc.OperationalError):
        store.write(bars, source="test", ingested_at=SEEN)

    assert store.read().empty
    assert store.write(bars, source="test", ingested_at=SEEN) == WriteResult(10, 0, 0)


def test_actions_are_stored_once_and_a_corrected_one_wins(database: Engine) -> None:
    store = BarStore(database)
    split = pd.DataFrame({"symbol": ["AAPL"], "session": [pd.Timestamp("2020-08-31")], "kind": ["split"], "value": [4.0]})

    assert store.write_actions(ACTIONS.coerce(split), SEEN) == 1
    assert store.write_actions(ACTIONS.coerce(split), LATER) == 0
    assert store.write_actions(ACTIONS.coerce(split.assign(value=5.0)), LATER) == 1

    assert store.actions(["AAPL"])["value"].tolist() == [5.0]


def test_a_refused_row_is_quarantined_once_with_its_reason(database: Engine) -> None:
    store = BarStore(database)
    frame = pd.DataFrame(
        {
            "symbol": ["AAPL", "AAPL"],
            "session": pd.to_datetime([None, "2018-12-18"]),
            "reason": ["expect_session", "expect_positive"],
            "detail": ["no session", "close is -1"],
            "payload": ['{"close": NaN}', '{"close": -1.0}'],
        }
    )
    run = store.write_validation_run({"symbols": ["AAPL"], "bad": float("nan")}, session=FRIDAY, passed=False)

    assert store.write_quarantine(QUARANTINE.coerce(frame), run) == 2
    assert store.write_quarantine(QUARANTINE.coerce(frame), run) == 0

    kept = store.quarantine()
    assert kept["reason"].tolist() == ["expect_positive", "expect_session"]
    assert kept["payload"].tolist() == ['{"close": -1.0}', '{"close": null}']
    assert store.validation_results(FRIDAY) == [{"symbols": ["AAPL"], "bad": None}]


def test_normalised_prices_are_updated_where_they_changed(database: Engine) -> None:
    store = BarStore(database)
    frame = make_bars()[["symbol", "session", "close"]].assign(sma_20=np.nan, std_20=1.0, zscore_20=0.5)

    assert store.write_normalized(frame) == 5
    assert store.write_normalized(frame) == 0
    assert store.write_normalized(frame.assign(std_20=[1.0, 1.0, 2.0, 1.0, 1.0])) == 1


def test_the_quarantine_keeps_a_text_that_is_no_json_number(database: Engine) -> None:
    store = BarStore(database)
    run = store.write_validation_run({}, session=dt.date(2021, 7, 2), passed=False)
    text = {"Date": "NaN", "Close": "NaN\x00 $10"}
    row = {
        "symbol": "NAN",
        "session": pd.NaT,
        "reason": "null",
        "detail": "",
        "payload": json.dumps({"close": np.nan, "text": text}),
    }

    store.write_quarantine(QUARANTINE.coerce(pd.DataFrame([row])), run)

    assert json.loads(store.quarantine()["payload"].iloc[0]) == {"close": None, "text": {"Date": "NaN", "Close": "NaN? $10"}}


def test_a_refused_row_is_the_same_when_its_line_moves_and_known_from_the_next_session_on(database: Engine) -> None:
    store, day = BarStore(database), dt.date(2021, 7, 2)
    run = store.write_validation_run({}, session=day, passed=False)

    def refused(line: int) -> pd.DataFrame:
        payload = json.dumps({"close": None, "file": "a.csv", "line": line, "text": {"Close": "$10"}})
        row = {"symbol": "AAA", "session": pd.Timestamp("2021-07-01"), "reason": "null", "detail": "", "payload": payload}
        return QUARANTINE.coerce(pd.DataFrame([row]))

    assert [store.write_quarantine(refused(line), run) for line in (3, 7)] == [1, 0]
    assert len(store.quarantine(["AAA"])) == 1
    assert store.quarantine(["BBB"]).empty
    assert store.quarantine(known_at=day).empty, "a batch that was rejected is judged alike when it comes again"
    assert len(store.quarantine(known_at=day + dt.timedelta(days=1))) == 1


def test_researchers_see_the_newest_revision_in_their_own_schema(database: Engine) -> None:
    store, bars = BarStore(database), make_bars()
    store.write(bars, source="test", ingested_at=SEEN)
    store.write(bars.assign(close=bars["close"] + 1, high=bars["high"] + 1), source="test", ingested_at=LATER)

    with database.connect() as connection:
        rows = connection.execute(sa.text("SELECT session, close FROM research.historical_prices ORDER BY session")).all()

    assert [row.close for row in rows] == (bars["close"] + 1).tolist()
    assert rows[0].session == MONDAY


def test_a_revised_bar_is_counted_once(database: Engine) -> None:
    store, bars = BarStore(database), make_bars(("AAPL", "MSFT"))
    store.write(bars, source="test", ingested_at=SEEN)
    store.write(bars.assign(close=bars["close"] + 1, high=bars["high"] + 1), source="test", ingested_at=LATER)

    assert store.counts() == (len(bars), 2, 0)


def test_the_last_close_is_the_newest_version_of_the_newest_bar_however_old(database: Engine) -> None:
    store, bars = BarStore(database), make_bars(("AAPL", "MSFT"))
    store.write(bars, source="test", ingested_at=SEEN)
    revised = bars[(bars["symbol"] == "AAPL") & (bars["session"] == pd.Timestamp(FRIDAY))].assign(close=101.5)
    store.write(revised, source="test", ingested_at=LATER)
    close = float(bars["close"].iloc[-1])

    assert store.last_closes(["AAPL", "MSFT", "NONE"], dt.date(2021, 6, 1)) == {
        "AAPL": (FRIDAY, 101.5),
        "MSFT": (FRIDAY, close),
    }
    assert store.last_closes(["AAPL"], FRIDAY, as_of=SEEN) == {"AAPL": (FRIDAY, close)}
    assert store.last_closes(["AAPL"], MONDAY) == {"AAPL": (MONDAY, 100.0)}
    assert store.last_closes(["AAPL"], MONDAY - dt.timedelta(days=1)) == {}
    assert store.last_closes([], FRIDAY) == {}
