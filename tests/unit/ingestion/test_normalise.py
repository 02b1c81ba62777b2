from __future__ import annotations

import doctest

import pandas as pd
import pytest

from core.errors import DataError
from core.frames import BARS
from ingestion import normalise
from ingestion.normalise import sessions_of, to_bars


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(normalise).failed == 0


def test_new_york_midnights_in_utc_keep_their_date_across_a_daylight_saving_change() -> None:
    stamps = pd.Series(pd.to_datetime(["2021-03-12T05:00Z", "2021-03-15T04:00Z", "2021-11-05T04:00Z", "2021-11-08T05:00Z"]))

    assert sessions_of(stamps).dt.strftime("%m-%d").tolist() == ["03-12", "03-15", "11-05", "11-08"]


def test_a_late_evening_instant_belongs_to_the_new_york_day() -> None:
    assert sessions_of(pd.Series(pd.to_datetime(["2021-07-02T01:30Z"]))).iloc[0] == pd.Timestamp("2021-07-01")


def test_midnight_utc_is_the_label_of_a_date() -> None:
    assert sessions_of(pd.Series(pd.to_datetime(["2021-07-02T00:00Z"]))).iloc[0] == pd.Timestamp("2021-07-02")


def test_crypto_instants_take_the_utc_date() -> None:
    assert sessions_of(pd.Series(pd.to_datetime(["2021-07-02T01:30Z"])), "24/7").iloc[0] == pd.Timestamp("2021-07-02")


def test_text_dates_with_and_without_an_offset_are_read() -> None:
    assert sessions_of(pd.Series(["2021-07-02", "2021-07-06 00:00:00"])).dt.day.tolist() == [2, 6]
    assert sessions_of(pd.Series(["2021-07-02T00:00:00-04:00"])).iloc[0] == pd.Timestamp("2021-07-02")


def test_columns_dtypes_and_order_become_those_of_the_schema() -> None:
    raw = pd.DataFrame(
        {
            "Date": ["2021-07-06", "2021-07-02"],
            "Open": [2, 1],
            "High": [2, 1],
            "Low": [2, 1],
            "Close": [2, 1],
            "Adj Close": [4, 3],
            "Volume": [9, 8],
        }
    )

    bars = BARS.check(to_bars(raw, "brk.b"))

    assert bars["symbol"].tolist() == ["BRK-B", "BRK-B"]
    assert bars["adj_close"].tolist() == [3.0, 4.0]
    assert bars["volume"].tolist() == [8.0, 9.0]


def test_several_spellings_of_a_symbol_become_one() -> None:
    raw = pd.DataFrame(
        {"ticker": ["BTC/USD", "btcusd", "VIX"], "date": ["2021-07-03", "2021-07-04", "2021-07-02"], "close": [1, 2, 3]}
    )

    assert to_bars(raw)[["symbol", "close"]].to_numpy().tolist() == [["BTC-USD", 1.0], ["BTC-USD", 2.0], ["^VIX", 3.0]]


def test_a_source_with_closes_alone_gets_the_close_as_every_price() -> None:
    bars = to_bars(pd.DataFrame({"date": ["2021-07-02"], "close": [15.07]}), "^VIX")

    assert bars.loc[0, ["open", "high", "low", "close", "adj_close", "volume"]].tolist() == [15.07] * 5 + [0.0]


def test_unreadable_values_become_missing_and_no_row_is_lost() -> None:
    raw = pd.DataFrame({"symbol": ["A", "A", None], "date": ["2021-07-02", "soon", "2021-07-06"], "close": ["x", "2", "3"]})

    bars = to_bars(raw)

    assert len(bars) == 3
    assert bars[["symbol", "session", "close"]].isna().sum().tolist() == [1, 2, 1]


def test_a_frame_without_a_close_is_refused_by_name() -> None:
    with pytest.raises(DataError, match="no close"):
        to_bars(pd.DataFrame({"date": ["2021-07-02"], "price": [1.0]}), "A")
