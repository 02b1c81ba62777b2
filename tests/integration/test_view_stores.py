"""Reads behind the views on a real PostgreSQL: closes at sessions, histories that stay fresh, heartbeats as points."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from pipeline.bars import window_returns
from storage.market.bars import BarStore
from storage.trading.control_tables import risk_heartbeats
from storage.trading.tables import equity
from storage.views.bar_history import MOST_HISTORIES, BarHistory
from storage.views.book_figures import BookFigures, Close
from storage.views.heartbeat_points import HeartbeatPoints
from tests.standins.feed import walk

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.integration
START, END = dt.date(2018, 1, 2), dt.date(2018, 12, 31)
LOADED = dt.datetime(2019, 1, 1, tzinfo=dt.UTC)
FAR = dt.date.max


@pytest.fixture
def bars(database: sa.Engine) -> BarStore:
    store = BarStore(database)
    for symbol, end in (("AAA", END), ("BBB", dt.date(2018, 6, 1))):
        store.write(walk(symbol, START, end), source="walk", ingested_at=LOADED, backfilled=True)
    return store


def test_closes_are_the_newest_at_or_before_a_day(database: sa.Engine, bars: BarStore) -> None:
    weekend, before = dt.date(2018, 7, 1), dt.date(2017, 1, 1)

    found = BarHistory(database).closes([("AAA", weekend), ("BBB", weekend), ("BBB", before), ("ZZZ", FAR), ("AAA", END)])

    for symbol, day in (("AAA", weekend), ("BBB", weekend), ("AAA", END)):
        assert found[symbol, day] == bars.last_closes([symbol], day)[symbol]
    assert found.keys() == {("AAA", weekend), ("BBB", weekend), ("AAA", END)}
    assert found["BBB", weekend][0] == dt.date(2018, 6, 1)


def test_a_history_is_every_bar_and_follows_a_revision(database: sa.Engine, bars: BarStore) -> None:
    history = BarHistory(database)
    first, again = history.history("AAA"), history.history("AAA")
    assert first is not None
    assert again is first

    bars.write(walk("AAA", END, END).assign(close=1.0, low=0.5), source="walk", ingested_at=LOADED + dt.timedelta(days=1))
    revised = history.history("AAA")

    stored = bars.read(["AAA"])
    assert revised is not None
    assert (first.close[-1] == 1.0, revised.close[-1]) == (False, 1.0)
    for name in ("open", "high", "low", "close", "volume"):
        np.testing.assert_array_equal(getattr(revised, name), stored[name].to_numpy())
    np.testing.assert_array_equal(revised.sessions, stored["session"].to_numpy().astype("datetime64[D]"))
    assert history.history("ZZZ") is None


def test_the_oldest_histories_leave_the_memory(database: sa.Engine, bars: BarStore) -> None:
    history = BarHistory(database)
    for number in range(MOST_HISTORIES + 1):
        bars.write(walk(f"S{number}", END, END), source="walk", ingested_at=LOADED, backfilled=True)
        history.history(f"S{number}")

    assert len(history._histories) == MOST_HISTORIES
    assert "S0" not in history._histories


def test_returns_are_those_that_the_monitor_measures(database: sa.Engine, bars: BarStore) -> None:
    found = BarHistory(database).returns(["BBB", "AAA"], 60)

    expected = window_returns(bars, ["BBB", "AAA"], END, 60)
    pd.testing.assert_frame_equal(found, expected, check_names=False, check_index_type=False, check_freq=False, atol=0, rtol=0)
    assert BarHistory(database).returns(["ZZZ"], 60).empty


def test_the_newest_re_scaling_of_each_symbol(database: sa.Engine, bars: BarStore) -> None:
    rows = [("AAA", "2018-03-01", "split", 2.0), ("AAA", "2018-09-03", "spin_off", 1.1), ("BBB", "2018-03-01", "dividend", 1.0)]
    actions = pd.DataFrame(rows, columns=["symbol", "session", "kind", "value"])
    bars.write_actions(actions.assign(session=pd.to_datetime(actions["session"])), LOADED)

    assert BarHistory(database).last_rescaled(["AAA", "BBB"]) == {"AAA": dt.date(2018, 9, 3)}
    assert BarHistory(database).last_rescaled([]) == {}


def beats(database: sa.Engine, moments: Sequence[dt.datetime], book: str = "main") -> None:
    figures = dict.fromkeys(("equity_usd", "peak_usd", "drawdown_pct", "gross_usd", "net_usd"), 1.0)
    rows = [
        {"portfolio": book, "at": moment, "mode": "log", "level": "ok", "positions": number, "breaches": {}} | figures
        for number, moment in enumerate(moments)
    ]
    with database.begin() as connection:
        connection.execute(sa.insert(risk_heartbeats), rows)


def test_few_heartbeats_come_whole_and_many_as_the_last_of_each_part(database: sa.Engine) -> None:
    beats(database, [LOADED + dt.timedelta(minutes=minute) for minute in range(101)])
    beats(database, [LOADED], book="other")
    points = HeartbeatPoints(database)

    whole = points.between("main", LOADED, LOADED + dt.timedelta(minutes=50), 50, 10)
    some = points.between("main", LOADED, LOADED + dt.timedelta(days=9), 50, 10)

    assert [row["positions"] for row in whole] == [*range(50)]  # up to the moment, without it
    assert [row["positions"] for row in some] == [9, 19, 29, 39, 49, 59, 69, 79, 89, 100]
    assert points.between("nobody", LOADED, LOADED + dt.timedelta(days=9), 50, 10) == []


def test_a_gap_in_the_heartbeats_has_no_points(database: sa.Engine) -> None:
    moments = [LOADED + dt.timedelta(minutes=minute) for minute in (*range(10), *range(90, 100))]
    beats(database, moments)

    some = HeartbeatPoints(database).between("main", LOADED, LOADED + dt.timedelta(days=1), 10, 10)

    assert [row["positions"] for row in some] == [9, 19]


def test_the_newest_heartbeat_of_each_book(database: sa.Engine) -> None:
    beats(database, [LOADED, LOADED + dt.timedelta(minutes=1)])
    beats(database, [LOADED], book="other")

    newest = HeartbeatPoints(database).newest(["main", "other", "nobody"])

    assert {book: row["at"] for book, row in newest.items()} == {"main": LOADED + dt.timedelta(minutes=1), "other": LOADED}


def test_closes_before_a_session_and_the_first_of_each_book(database: sa.Engine) -> None:
    days = [dt.date(2018, 12, day) for day in (12, 13, 14)]
    rows = [
        {"portfolio": book, "session": day, "cash_usd": 0.0, "equity_usd": float(day.day), "exposure_usd": 0.0, "positions": 0}
        for book, days_of in (("main", days), ("other", days[1:]))
        for day in days_of
    ]
    with database.begin() as connection:
        connection.execute(sa.insert(equity), rows)
    figures = BookFigures(database)

    found = figures.closes_before([("main", days[2]), ("main", FAR), ("other", days[1]), ("nobody", FAR)])

    assert found == {("main", days[2]): Close(days[1], 13.0), ("main", FAR): Close(days[2], 14.0)}
    assert figures.first_closes(["main", "other", "nobody"]) == {"main": Close(days[0], 12.0), "other": Close(days[1], 13.0)}
    assert figures.closes_before([]) == figures.first_closes([]) == {}
    assert figures.closes("other") == [Close(days[1], 13.0), Close(days[2], 14.0)]
