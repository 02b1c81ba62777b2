"""Loading, day by day, from a source that misbehaves: what is stored, what is refused, who is told."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from core.errors import BatchRejected, DataError
from core.frames import ACTIONS
from core.sessions import close_of, sessions_between
from pipeline import sessions
from pipeline.bars import VIX, load_bars
from pipeline.data import build_features, ingest
from pipeline.resources import Resources
from tests.properties import DEEP, PROFILE
from tests.standins.feed import Feed, walk

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.settings import Settings

pytestmark = pytest.mark.integration
START, FRIDAY, MONDAY = dt.date(2018, 6, 1), dt.date(2018, 12, 14), dt.date(2018, 12, 17)
EVENINGS = 14 if PROFILE == DEEP else 8


@dataclass
class Mailbox:
    """Alerts that were sent."""

    sent: list[tuple[str, str]] = field(default_factory=list)

    def send(self, subject: str, body: str) -> bool:
        self.sent.append((subject, body))
        return True

    def subjects(self) -> str:
        return " | ".join(subject for subject, _ in self.sent)


@dataclass
class Desk:
    """A live desk on a feed, its clock and its mail."""

    resources: Resources
    feed: Feed
    mail: Mailbox
    now: dt.datetime

    def at_close(self, day: dt.date) -> Desk:
        self.now = close_of(day) + dt.timedelta(hours=1)
        return self

    def load(self, day: dt.date, *symbols: str, full_history: bool = False) -> ingest.LoadResult:
        names = symbols or ("AAA", "BBB")
        return ingest.fetch_symbols(day.isoformat(), names, full_history=full_history, resources=self.resources)

    def spoil(self, symbol: str, day: dt.date, **values: float) -> None:
        row = (self.feed.table["symbol"] == symbol) & (self.feed.table["session"] == pd.Timestamp(day))
        assert row.any()
        for name, value in values.items():
            self.feed.table.loc[row, name] = value


@pytest.fixture
def desk(database_settings: Settings) -> Desk:
    settings = database_settings.with_changes(provider="yfinance", ingestion__history_start=START.isoformat())
    feed = Feed(pd.concat([walk(name, START, MONDAY) for name in ("AAA", "BBB", VIX)], ignore_index=True))
    mail = Mailbox()
    made = Desk(Resources(settings), feed, mail, close_of(FRIDAY) + dt.timedelta(hours=1))
    made.resources.clock = lambda: made.now
    made.resources.__dict__ |= {"provider": feed, "alerts": mail}
    return made


def upto(desk: Desk, day: dt.date) -> pd.DataFrame:
    """Take the bars after `day` out of the feed and return them."""
    later = desk.feed.table["session"] > pd.Timestamp(day)
    kept, desk.feed.table = desk.feed.table[later], desk.feed.table[~later].reset_index(drop=True)
    return kept


def test_a_first_load_is_history_and_a_daily_one_is_news(desk: Desk) -> None:
    monday = upto(desk, FRIDAY)
    first = desk.load(FRIDAY)
    desk.feed.table = pd.concat([desk.feed.table, monday])
    second = desk.at_close(MONDAY).load(MONDAY)

    assert (first.new, second.new, second.revised) == (2 * 137, 2, 0)
    stored = desk.resources.bars.read(["AAA"])
    assert stored["known_at"].iloc[-2] == close_of(FRIDAY) + dt.timedelta(minutes=15), "nobody watched it arrive"
    assert stored["known_at"].iloc[-1] == desk.now, "we saw it arrive"
    _, start, end = desk.feed.asked[-1]
    assert (start, end) == (dt.date(2018, 11, 30), MONDAY), "ten sessions are read again, to see revisions"


def test_a_symbol_that_joins_later_brings_its_history(desk: Desk) -> None:
    desk.load(FRIDAY, "AAA")
    loaded = desk.load(FRIDAY, "AAA", "BBB")

    assert loaded.new == 137
    assert (desk.resources.bars.read(["BBB"])["known_at"] <= close_of(FRIDAY) + dt.timedelta(minutes=15)).all()


def test_tomorrows_bar_is_refused(desk: Desk) -> None:
    loaded = desk.load(FRIDAY)

    assert desk.resources.bars.last_sessions() == {"AAA": FRIDAY, "BBB": FRIDAY}
    refused = desk.resources.bars.quarantine()
    assert set(refused["session"]) == {pd.Timestamp(MONDAY)}
    assert loaded.quarantined == len(refused) >= 2


@pytest.mark.parametrize(
    "values",
    [
        {"close": np.nan},
        {"open": 0.0},
        {"low": -3.0},
        {"high": 1.0},
        {"volume": -1.0},
    ],
)
def test_a_bad_bar_is_quarantined_and_the_good_ones_go_on(desk: Desk, values: dict[str, float]) -> None:
    upto(desk, FRIDAY)
    desk.spoil("AAA", dt.date(2018, 12, 6), **values)

    loaded = desk.load(FRIDAY)

    refused = desk.resources.bars.quarantine()
    assert loaded.new == 2 * 137 - 1
    assert set(zip(refused["symbol"], refused["session"], strict=True)) == {("AAA", pd.Timestamp("2018-12-06"))}
    assert all(refused["reason"])
    assert pd.Timestamp("2018-12-06") not in set(desk.resources.bars.read(["AAA"])["session"])


def test_a_bar_on_a_holiday_and_a_doubled_row_are_quarantined(desk: Desk) -> None:
    upto(desk, FRIDAY)
    table = desk.feed.table
    mourning = table[table["session"] == pd.Timestamp("2018-12-04")].assign(session=pd.Timestamp("2018-12-05"))
    doubled = table[table["session"] == pd.Timestamp("2018-12-07")].assign(close=lambda rows: rows["close"] * 1.001)
    desk.feed.table = pd.concat([table, mourning, doubled])

    desk.load(FRIDAY)

    refused = desk.resources.bars.quarantine()
    assert set(refused["session"]) == {pd.Timestamp("2018-12-05"), pd.Timestamp("2018-12-07")}


def test_too_many_bad_rows_stop_the_load_and_mail_the_operator(desk: Desk) -> None:
    upto(desk, FRIDAY)
    desk.feed.table.loc[:40, "close"] = np.nan

    with pytest.raises(BatchRejected, match="Data Docs"):
        desk.load(FRIDAY)

    assert desk.resources.bars.read().empty
    assert len(desk.resources.bars.quarantine()) >= 40
    assert "Bars for 2018-12-14 rejected" in desk.mail.subjects()
    assert (desk.resources.data_dir / "data_docs" / "index.html").exists()


def test_a_symbol_that_no_longer_exists_is_mailed_and_the_rest_kept(desk: Desk) -> None:
    upto(desk, FRIDAY)

    loaded = desk.load(FRIDAY, "AAA", "GONE")

    assert loaded.new == 137
    assert loaded.failed == {"GONE": "unknown to the feed"}
    assert "Bars missing for 2018-12-14" in desk.mail.subjects()


def test_an_empty_download_fails_the_step(desk: Desk) -> None:
    with pytest.raises(DataError, match="no bars for"):
        desk.load(FRIDAY, "GONE")


def test_a_session_missing_in_the_middle_and_a_stale_symbol_are_mailed(desk: Desk) -> None:
    upto(desk, FRIDAY)
    table = desk.feed.table
    hole = (table["symbol"] == "AAA") & (table["session"] == pd.Timestamp("2018-12-06"))
    stale = (table["symbol"] == "BBB") & (table["session"] > pd.Timestamp("2018-12-11"))
    desk.feed.table = table[~hole & ~stale]

    desk.load(FRIDAY)

    subject, body = desk.mail.sent[-1]
    assert subject == "Bars for 2018-12-14 are loaded and need a look"
    assert "2018-12-06" in body
    assert "BBB" in body


def test_a_split_that_arrives_unadjusted_is_refused(desk: Desk) -> None:
    monday = upto(desk, FRIDAY)
    desk.load(FRIDAY)
    for name in ("open", "high", "low", "close"):
        monday.loc[monday["symbol"] == "AAA", name] /= 2
    desk.feed.table = pd.concat([desk.feed.table, monday])

    loaded = desk.at_close(MONDAY).load(MONDAY, "AAA")

    assert (loaded.new, loaded.quarantined) == (0, 1)
    assert desk.resources.bars.last_sessions()["AAA"] == FRIDAY
    assert "unexplained_bps" in desk.resources.bars.quarantine()["reason"].iloc[0]
    subject, body = desk.mail.sent[-1]
    assert subject == "Bars for 2018-12-17 are loaded and need a look"
    assert "unexplained_bps" in body


def evenings(desk: Desk, spoil: Callable[[pd.DataFrame], pd.DataFrame], symbol: str) -> list[ingest.LoadResult]:
    """Load `EVENINGS` evenings of one symbol from a feed that serves `spoil(bars up to that evening)`."""
    whole = desk.feed.table
    desk.feed.table = whole[whole["session"] <= pd.Timestamp("2018-11-23")].reset_index(drop=True)
    desk.load(dt.date(2018, 11, 23), symbol, full_history=True)
    loads = []
    for session in sessions_between(dt.date(2018, 11, 26), FRIDAY)[:EVENINGS]:
        day = session.date()
        desk.feed.table = spoil(whole[whole["session"] <= session].reset_index(drop=True))
        loads.append(desk.at_close(day).load(day, symbol))
    assert len(loads) == EVENINGS
    return loads


def null_on(*days: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda bars: bars.assign(close=bars["close"].where(~bars["session"].isin(pd.to_datetime(list(days)))))


def doubled_last(bars: pd.DataFrame) -> pd.DataFrame:
    """The newest row comes twice, the second time with another volume, as a source that is still counting sends it."""
    last = bars[bars["session"] == bars["session"].max()]
    return pd.concat([bars, last.assign(volume=last["volume"] + 1)], ignore_index=True)


def same_last(bars: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([bars, bars[bars["session"] == bars["session"].max()]], ignore_index=True)


@pytest.mark.parametrize("symbol", ["AAA", pytest.param(VIX, marks=pytest.mark.deep)])
def test_a_null_bar_does_not_stop_a_symbol_on_any_later_evening(desk: Desk, symbol: str) -> None:
    loads = evenings(desk, null_on("2018-11-28"), symbol)

    assert [load.new for load in loads] == [1, 1, 0] + [1] * (EVENINGS - 3)
    assert [load.quarantined for load in loads] == [0, 0, 1] + [0] * (EVENINGS - 3), "quarantined once"
    assert len(desk.resources.bars.quarantine()) == 1


def test_a_past_bar_that_turns_null_is_quarantined_once_and_the_stored_one_stays(desk: Desk) -> None:
    loads = evenings(desk, null_on("2018-11-21"), "AAA")

    assert [load.new for load in loads] == [1] * EVENINGS
    assert [load.quarantined for load in loads] == [1] + [0] * (EVENINGS - 1)
    assert pd.Timestamp("2018-11-21") in set(desk.resources.bars.read(["AAA"])["session"])


@pytest.mark.parametrize(
    ("spoil", "stored_at_once"), [(doubled_last, False), pytest.param(same_last, True, marks=pytest.mark.deep)]
)
def test_a_doubled_last_row_does_not_stop_a_symbol_on_any_later_evening(
    desk: Desk, spoil: Callable[[pd.DataFrame], pd.DataFrame], stored_at_once: bool
) -> None:
    loads = evenings(desk, spoil, "AAA")

    assert [load.new for load in loads] == [1] * EVENINGS if stored_at_once else [0, *[1] * (EVENINGS - 1)]
    assert [load.quarantined for load in loads] == [1] * EVENINGS


def test_a_source_that_sends_nulls_every_evening_is_stale_and_not_a_failure(desk: Desk) -> None:
    loads = evenings(desk, lambda bars: null_on(*(f"{day}" for day in bars["session"] if day.month == 12))(bars), VIX)

    assert [load.new for load in loads] == [1] * 5 + [0] * (EVENINGS - 5)
    assert [load.quarantined for load in loads] == [0] * 5 + [1] * (EVENINGS - 5)
    assert "Stale: {'^VIX': '2018-11-30'}" in desk.mail.sent[-1][1]


def test_a_batch_that_is_really_bad_is_rejected_and_rejected_again_when_it_is_loaded_again(desk: Desk) -> None:
    monday = upto(desk, FRIDAY)
    desk.load(FRIDAY)
    desk.feed.table = pd.concat([desk.feed.table, monday], ignore_index=True)
    recent = desk.feed.table["session"].isin(pd.to_datetime(["2018-12-11", "2018-12-12", "2018-12-13", MONDAY]))
    desk.feed.table.loc[recent & desk.feed.table["symbol"].eq("AAA"), "close"] = np.nan

    for _ in range(2):
        with pytest.raises(BatchRejected, match=r"4 of 4 new bars are bad \(20.0% of 20"):
            desk.at_close(MONDAY).load(MONDAY, "AAA")

    assert desk.at_close(MONDAY).load(MONDAY, "BBB").new == 1


def test_a_history_that_was_rejected_is_not_taken_on_the_next_evening(desk: Desk) -> None:
    upto(desk, FRIDAY)
    desk.feed.table.loc[desk.feed.table["symbol"].eq("AAA") & (desk.feed.table.index % 3 == 0), "close"] = np.nan

    for day in (dt.date(2018, 12, 13), FRIDAY):
        with pytest.raises(BatchRejected):
            desk.at_close(day).load(day, "AAA", full_history=True)

    assert desk.resources.bars.read(["AAA"]).empty


def test_an_adjusted_split_reloads_the_history_as_revisions(desk: Desk) -> None:
    monday = upto(desk, FRIDAY)
    desk.load(FRIDAY)
    before = load_bars(desk.resources.bars, FRIDAY.isoformat(), ["AAA"])[0]
    table = pd.concat([desk.feed.table, monday])
    for name in ("open", "high", "low", "close", "adj_close"):
        table.loc[table["symbol"] == "AAA", name] /= 2
    desk.feed.table = table
    split = {"symbol": ["AAA"], "session": [pd.Timestamp(MONDAY)], "kind": ["split"], "value": [2.0]}
    desk.feed.actions = ACTIONS.coerce(pd.DataFrame(split))

    loaded = desk.at_close(MONDAY).load(MONDAY, "AAA")

    assert (loaded.new, loaded.revised) == (1, 137)
    stored = desk.resources.bars.read(["AAA"], end=FRIDAY)
    np.testing.assert_allclose(stored["close"], before["close"] / 2)
    as_of_friday = desk.resources.bars.read(["AAA"], as_of=close_of(FRIDAY) + dt.timedelta(hours=2))
    np.testing.assert_array_equal(as_of_friday["close"], before["close"])


def test_a_day_without_vix_leaves_its_features_unknown(desk: Desk) -> None:
    upto(desk, FRIDAY)
    table = desk.feed.table
    missing = (table["symbol"] == VIX) & (table["session"] == pd.Timestamp("2018-12-13"))
    desk.feed.table = table[~missing]
    ingest.fetch_vix(FRIDAY.isoformat(), resources=desk.resources)
    desk.load(FRIDAY)

    build_features.write_features(FRIDAY.isoformat(), resources=desk.resources)

    last = [pd.Timestamp(close_of(day)) for day in (dt.date(2018, 12, 12), dt.date(2018, 12, 13))]
    frame = desk.resources.features.training_frame(pd.DataFrame({"symbol": "AAA", "event_timestamp": last}))
    assert frame["vix"].notna().tolist() == [True, False]
    assert frame["rsi_14"].notna().all()


def test_a_weekend_has_nothing_to_load_and_says_so() -> None:
    answer = sessions.check_session("2018-12-15")

    assert answer.as_dict() == {
        "session": "2018-12-15",
        "trades": False,
        "reason": "Saturday 2018-12-15 is not an XNYS session",
    }


def test_the_newest_session_of_a_live_source_is_the_last_one_closed(desk: Desk) -> None:
    desk.now = close_of(FRIDAY) - dt.timedelta(seconds=1)
    assert sessions.newest_session(resources=desk.resources) == "2018-12-13"
    desk.now = close_of(FRIDAY)
    assert sessions.newest_session(resources=desk.resources) == "2018-12-14"


def test_a_symbol_whose_bars_come_weekly_is_refused_and_the_rest_kept(desk: Desk) -> None:
    upto(desk, FRIDAY)
    table = desk.feed.table
    desk.feed.table = table[(table["symbol"] != "BBB") | (table["session"].dt.dayofweek == 4)].reset_index(drop=True)

    loaded = desk.load(FRIDAY)

    assert loaded.new == 137
    assert "expected daily bars, found weekly ones (29 bars" in loaded.failed["BBB"]
    assert "weekly" in desk.mail.sent[0][1]
    with pytest.raises(DataError, match="found weekly"):
        desk.load(FRIDAY, "BBB")
