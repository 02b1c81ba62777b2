"""Each kind of bad input, and what becomes of it."""

from __future__ import annotations

import datetime as dt
import json

import numpy as np
import pandas as pd
import pytest

from core.errors import BatchRejected, DataError
from core.frames import ACTIONS, BARS, QUARANTINE
from core.sessions import sessions_between
from ingestion.expectations import Validation, validate

START, END = dt.date(2021, 9, 1), dt.date(2021, 11, 30)  # Labor Day, a clock change, Thanksgiving and its half day
DAYS = sessions_between(START, END)


def bars(symbol: str = "AAA", price: float = 100.0) -> pd.DataFrame:
    close = price * (1 + 0.001 * np.sin(np.arange(len(DAYS))))
    frame = pd.DataFrame({"symbol": symbol, "session": DAYS, "open": close, "high": close * 1.01, "low": close * 0.99})
    return frame.assign(close=close, adj_close=close, volume=1e6).astype(dict(BARS.columns))


def judge(frame: pd.DataFrame, **options: object) -> Validation:
    return validate(frame, session=END, **{"max_bad_fraction": 0.5, **options})


def only_refused(verdict: Validation) -> tuple[str, str]:
    """The session and the reason of the one refused row."""
    assert len(verdict.quarantined) == 1
    row = verdict.quarantined.iloc[0]
    return str(row["session"].date()), row["reason"]


def test_clean_bars_of_two_symbols_pass_whole() -> None:
    both = pd.concat([bars(), bars("^VIX", 20.0)], ignore_index=True)

    verdict = judge(both).require()

    pd.testing.assert_frame_equal(verdict.good, both)
    assert verdict.quarantined.empty
    QUARANTINE.check(verdict.quarantined)
    assert verdict.passed
    assert verdict.results["reasons"] == verdict.results["missing"] == verdict.results["stale"] == {}


@pytest.mark.parametrize("column", ["open", "high", "low", "close"])
@pytest.mark.parametrize("value", [0.0, -1.0, np.inf])
def test_a_price_that_is_not_positive_and_finite_is_quarantined(column: str, value: float) -> None:
    frame = bars()
    frame.loc[20, column] = value

    verdict = judge(frame)

    assert f"expect_column_values_to_be_between:{column}" in set(verdict.quarantined["reason"])
    assert set(verdict.quarantined["session"]) == {DAYS[20]}
    assert DAYS[20] not in set(verdict.good["session"])
    assert len(verdict.good) == len(DAYS) - 1


@pytest.mark.parametrize("column", ["open", "high", "low", "close", "adj_close", "volume"])
def test_a_missing_value_is_quarantined(column: str) -> None:
    frame = bars()
    frame.loc[20, column] = np.nan

    verdict = judge(frame)

    assert only_refused(verdict) == (str(DAYS[20].date()), f"expect_column_values_to_not_be_null:{column}")
    assert json.loads(verdict.quarantined["payload"].iloc[0])[column] is None


def test_a_high_below_the_low_is_quarantined_with_each_reason() -> None:
    frame = bars()
    frame.loc[20, ["high", "low"]] = [99.0, 101.0]

    verdict = judge(frame)

    assert verdict.quarantined["reason"].tolist() == [
        "expect_column_pair_values_a_to_be_greater_than_b:body_low:low",
        "expect_column_pair_values_a_to_be_greater_than_b:high:body_high",
    ]
    assert "high is at or above open and close; found high=99.0" in verdict.quarantined["detail"].iloc[1]
    assert verdict.results["bad_rows"] == 1


def test_a_high_under_its_close_by_rounding_is_kept() -> None:
    frame = bars()
    frame["high"] = frame["close"] * (1 - 1e-7)

    assert judge(frame).quarantined.empty


def test_identical_duplicates_are_kept_once() -> None:
    frame = pd.concat([bars(), bars().iloc[[20, 20]]], ignore_index=True)

    verdict = judge(frame)

    assert only_refused(verdict) == (str(DAYS[20].date()), "expect_column_values_to_be_in_set:copy")
    assert len(json.loads(verdict.quarantined["payload"].iloc[0])) == 2
    pd.testing.assert_frame_equal(verdict.good, bars())


def test_of_two_different_bars_for_a_session_neither_is_kept() -> None:
    other = bars().iloc[[20]].assign(volume=5.0)

    verdict = judge(pd.concat([bars(), other], ignore_index=True))

    assert only_refused(verdict) == (str(DAYS[20].date()), "expect_compound_columns_to_be_unique:symbol:session:copy")
    assert sorted(row["volume"] for row in json.loads(verdict.quarantined["payload"].iloc[0])) == [5.0, 1e6]
    assert DAYS[20] not in set(verdict.good["session"])


@pytest.mark.parametrize("day", ["2021-09-06", "2021-11-25", "2021-10-09"])
def test_a_bar_on_a_holiday_or_weekend_is_quarantined(day: str) -> None:
    holiday = bars().iloc[[20]].assign(session=pd.Timestamp(day))

    verdict = judge(pd.concat([bars(), holiday], ignore_index=True))

    assert only_refused(verdict) == (day, "expect_column_values_to_be_in_set:trades")


def test_a_half_day_and_both_sides_of_a_clock_change_are_sessions() -> None:
    sessions = judge(bars()).good["session"]

    assert {pd.Timestamp("2021-11-26"), pd.Timestamp("2021-11-05"), pd.Timestamp("2021-11-08")} <= set(sessions)


def test_crypto_trades_at_the_weekend() -> None:
    days = pd.date_range("2021-11-26", "2021-11-30")
    frame = bars("BTC-USD").iloc[:5].assign(session=days)

    verdict = judge(frame)

    assert verdict.quarantined.empty
    assert verdict.results["missing"] == {}


def test_tomorrows_bar_is_refused_and_does_not_count_as_fresh() -> None:
    frame = bars().assign(session=[*DAYS[:-1], pd.Timestamp("2021-12-01")])

    verdict = judge(frame)

    assert only_refused(verdict) == ("2021-12-01", "expect_column_values_to_be_between:session")
    assert verdict.results["stale"] == {"AAA": "2021-11-29"}


def test_an_unreadable_session_is_quarantined_without_one() -> None:
    frame = bars()
    frame.loc[20, "session"] = pd.NaT

    verdict = judge(frame)

    assert verdict.quarantined["reason"].tolist() == ["expect_column_values_to_not_be_null:session"]
    assert verdict.quarantined["session"].isna().all()
    assert verdict.results["missing"] == {"AAA": [str(DAYS[20].date())]}


def test_a_missing_middle_session_is_reported_and_the_rest_kept() -> None:
    verdict = judge(bars().drop(index=[20, 21]))

    assert verdict.passed
    assert verdict.results["missing"] == {"AAA": [str(day.date()) for day in DAYS[20:22]]}


def test_vix_missing_a_day_is_reported_and_every_other_bar_kept() -> None:
    both = pd.concat([bars(), bars("^VIX", 20.0).drop(index=20)], ignore_index=True)

    verdict = judge(both).require()

    assert verdict.results["missing"] == {"^VIX": [str(DAYS[20].date())]}
    assert verdict.good["symbol"].value_counts().to_dict() == {"AAA": len(DAYS), "^VIX": len(DAYS) - 1}


def test_a_stale_symbol_is_reported_with_its_last_bar() -> None:
    both = pd.concat([bars(), bars("XLE").iloc[:30]], ignore_index=True)

    assert judge(both).results["stale"] == {"XLE": str(DAYS[29].date())}


def test_a_symbol_that_brought_nothing_is_reported() -> None:
    verdict = judge(bars(), expected_symbols=["AAA", "GONE"])

    assert verdict.passed
    assert verdict.results["short"] == {"GONE": 0}


def test_a_short_history_is_reported() -> None:
    assert judge(bars(), min_history=250).results["short"] == {"AAA": len(DAYS)}


def test_an_empty_download_does_not_pass() -> None:
    verdict = judge(BARS.empty(), expected_symbols=["AAA"])

    assert not verdict.passed
    with pytest.raises(BatchRejected, match="0 of 0 rows"):
        verdict.require()


def test_an_unadjusted_split_is_quarantined_from_its_day_on() -> None:
    frame = bars()
    frame.loc[40:, ["open", "high", "low", "close"]] /= 2

    verdict = judge(frame)

    assert verdict.good["session"].max() == DAYS[39]
    assert set(verdict.quarantined["reason"]) == {"expect_column_values_to_be_between:unexplained_bps"}


def test_a_recorded_split_explains_the_jump() -> None:
    frame = bars()
    frame.loc[40:, ["open", "high", "low", "close"]] /= 2
    split = ACTIONS.coerce(pd.DataFrame({"symbol": ["AAA"], "session": [DAYS[40]], "kind": ["split"], "value": [2.0]}))

    assert judge(frame, actions=split).quarantined.empty


def test_a_split_between_the_stored_bars_and_the_batch_is_seen_through_the_context() -> None:
    today = bars().iloc[[-1]].assign(open=50.0, high=50.5, low=49.5, close=50.0)

    assert judge(today).passed
    verdict = judge(today, context=bars().iloc[:-1])
    assert only_refused(verdict)[1] == "expect_column_values_to_be_between:unexplained_bps"
    assert not verdict.passed


def test_a_gap_between_the_stored_bars_and_the_batch_is_seen_through_the_context() -> None:
    verdict = judge(bars().iloc[[-1]], context=bars().iloc[:-2])

    assert verdict.results["missing"] == {"AAA": [str(DAYS[-2].date())]}


def test_a_violent_day_is_loaded_and_reported() -> None:
    frame = bars()
    frame.loc[40:, ["open", "high", "low", "close"]] *= 1.2

    verdict = judge(frame)

    assert verdict.quarantined.empty
    assert [move["session"] for move in verdict.results["large_moves"]] == [str(DAYS[40].date())]


def test_too_many_bad_rows_reject_the_batch_and_name_the_reasons() -> None:
    frame = bars()
    frame.loc[:9, "close"] = -1.0

    verdict = judge(frame, max_bad_fraction=0.05)

    assert not verdict.passed
    assert verdict.bad_fraction == pytest.approx(10 / len(DAYS))
    with pytest.raises(BatchRejected, match=r"10 of 63 rows refused.*expect_column_values_to_be_between:close"):
        verdict.require()
    assert len(verdict.good) == len(DAYS) - 10


def test_prices_that_are_not_numbers_fail_the_schema() -> None:
    verdict = judge(bars().astype({"volume": "int64"}))

    assert not verdict.passed
    assert verdict.results["schema_ok"] is False


def test_a_batch_without_a_price_column_is_an_error() -> None:
    with pytest.raises(DataError, match="none of \\['close'\\]"):
        judge(bars().drop(columns="close"))


def test_results_are_strict_json_even_with_missing_and_infinite_values() -> None:
    frame = bars()
    frame.loc[20, "close"], frame.loc[21, "high"] = np.nan, np.inf

    text = json.dumps(judge(frame).results, allow_nan=False)

    assert [suite["suite_name"] for suite in json.loads(text)["suites"]] == ["daily_bars", "coverage"]


def test_the_order_of_rows_and_their_index_do_not_matter() -> None:
    shuffled = bars().sample(frac=1, random_state=3)

    pd.testing.assert_frame_equal(judge(shuffled).good, bars())


@pytest.mark.parametrize("cut", [25, 31, 32, 33, 41, 42, 50, 51, 52, 56, 57, 60])
def test_bars_that_come_later_never_change_what_is_refused(cut: int) -> None:
    frame = bars()
    prices = ["open", "high", "low", "close", "adj_close"]
    frame.loc[30, prices] *= 1.4  # given back at once
    frame.loc[32, "close"] = np.nan
    frame.loc[40:42, prices] /= 2  # a missed split, repaired
    frame.loc[50, prices] *= 0.7
    frame.loc[55:, prices] *= 3
    frame = pd.concat([frame, frame.iloc[[52]].assign(volume=1.0), frame.iloc[[35]]]).sort_values("session")
    known = frame[frame["session"] < DAYS[cut]]

    verdict, early = judge(frame), judge(known)

    before = verdict.quarantined["session"] < DAYS[cut]
    pd.testing.assert_frame_equal(early.quarantined, verdict.quarantined[before].reset_index(drop=True))
    pd.testing.assert_frame_equal(early.good, verdict.good[verdict.good["session"] < DAYS[cut]])


def test_a_move_that_the_next_close_gives_back_is_loaded_and_flagged() -> None:
    frame = bars()
    frame.loc[30, ["open", "high", "low", "close", "adj_close"]] *= 1.4

    verdict = judge(frame)

    assert verdict.quarantined.empty
    assert [(move["session"], round(move["move_bps"], -2)) for move in verdict.results["given_back"]] == [("2021-10-14", 4000)]
