"""Files as people have them: each is read, or left out with a reason, and disturbs no other."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import os
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from core.sessions import sessions_between
from core.settings import Settings
from ingestion.expectations import Validation, validate
from ingestion.providers.files import FilesProvider
from pipeline.data import ingest
from pipeline.resources import Resources

if TYPE_CHECKING:
    from pathlib import Path

START, END = dt.date(2021, 6, 1), dt.date(2021, 7, 9)
GOOD = "date,open,high,low,close,volume\n2021-07-01,10,11,9,10,100\n2021-07-02,10,11,9,10.5,100\n"
TWO = {"2021-07-01": 10.0, "2021-07-02": 10.5}


def folder(tmp_path: Path, **files: str | bytes) -> FilesProvider:
    """A folder with `GOOD.csv` and the files given, whose names have `__` for a point."""
    (tmp_path / "GOOD.csv").write_text(GOOD)
    for name, content in files.items():
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name.replace("__", ".")).write_bytes(data)
    return FilesProvider(tmp_path)


def closes(provider: FilesProvider, symbol: str = "AAA") -> dict[str, float]:
    bars = provider.fetch([symbol], START, END).bars
    return {str(day.date()): close for day, close in zip(bars["session"], bars["close"], strict=True)}


def judged(provider: FilesProvider, symbol: str = "AAA") -> Validation:
    download = provider.fetch([symbol], START, END)
    return validate(download.bars, session=END, origins=download.origins, max_bad_fraction=0.9)


READ = {
    "date and time of day": "Date,Time,Close\n2021-07-01,16:00,10\n2021-07-02,16:00,10.5\n",
    "date and timestamp": "Date,Timestamp,Close\n2021-07-01,1625169600,10\n2021-07-02,1625256000,10.5\n",
    "ticker and symbol": "symbol,ticker,date,close\nAAA,AAA,2021-07-01,10\nAAA,aaa,2021-07-02,10.5\n",
    "semicolons": "date;open;high;low;close\n2021-07-01;10;11;9;10\n2021-07-02;10;11;9;10.5\n",
    "tabs": "date\tclose\n2021-07-01\t10\n2021-07-02\t10.5\n",
    "Excel's line that names the separator": "sep=;\ndate;close\n2021-07-01;10\n2021-07-02;10.5\n",
    "comment lines": "# AAA, daily\n# source: a desk\n\ndate,close\n2021-07-01,10\n2021-07-02,10.5\n",
    "a title": "Historical prices of AAA\ndate,close\n2021-07-01,10\n2021-07-02,10.5\n",
    "capitals": "DATE,CLOSE\n2021-07-01,10\n2021-07-02,10.5\n",
    "the same header twice": "date,close,close\n2021-07-01,10,10.0\n2021-07-02,10.5,10.5\n",
    "an index without a name": ",Volume,Close\n2021-07-01,7,10\n2021-07-02,7,10.5\n",
    "a counted index": ",date,close\n0,2021-07-01,10\n1,2021-07-02,10.5\n",
    "dates as integers": "date,close\n20210701,10\n20210702,10.5\n",
    "seconds since 1970": "timestamp,close\n1625097600,10\n1625184000,10.5\n",
    "year first with slashes": "date,close\n2021/7/1,10\n2021/7/2,10.5\n",
    "midnights of New York": "date,close\n2021-07-01 00:00:00-04:00,10\n2021-07-02 00:00:00-04:00,10.5\n",
    "mixed time zones": "date,close\n2021-07-01T00:00:00-04:00,10\n2021-07-02T20:00:00Z,10.5\n",
    "quotes and Windows line ends": '"date","close"\r\n"2021-07-01","10"\r\n"2021-07-02","10.5"\r\n',
    "commas at the ends": "date,close\n2021-07-01,10,,\n2021-07-02,10.5,\n\n",
    "MetaStock": "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>\n"
    "AAA,D,20210701,000000,10,11,9,10,5\nAAA,D,20210702,000000,10,11,9,10.5,5\n",
    "a download of yfinance": "Price,Close,High,Low,Open,Volume\nTicker,AAA,AAA,AAA,AAA,AAA\nDate,,,,,\n"
    "2021-07-01,10,11,9,10,5\n2021-07-02,10.5,11,9,10,5\n",
}


@pytest.mark.parametrize("content", READ.values(), ids=READ.keys())
@pytest.mark.filterwarnings("error")
def test_a_file_of_unusual_form_is_read(tmp_path: Path, content: str) -> None:
    provider = folder(tmp_path, AAA__csv=content)

    assert provider.ignored == {}
    assert closes(provider) == closes(provider, "GOOD") == TWO
    assert len(judged(provider).good) == 2


@pytest.mark.parametrize(
    "content",
    [b"\xef\xbb\xbf" + GOOD.encode(), GOOD.encode("utf-16"), GOOD.replace("date", "date,na\xefve").encode("cp1252")],
    ids=["UTF-8 with a mark", "UTF-16", "Windows-1252"],
)
def test_a_file_of_another_encoding_is_read(tmp_path: Path, content: bytes) -> None:
    text = content.replace(b",10,11", b",x,10,11") if b"\xef" in content[3:] else content

    assert closes(folder(tmp_path, AAA__csv=text)) == TWO


def test_a_compressed_file_is_read_and_a_torn_one_left_out(tmp_path: Path) -> None:
    packed = gzip.compress(GOOD.encode())
    provider = folder(tmp_path, AAA__csv__gz=packed, BBB__csv__gz=packed[:40], CCC__csv__gz=b"not packed")

    assert provider.default_universe == ("AAA", "GOOD")
    assert closes(provider) == TWO
    assert sorted(provider.ignored) == ["BBB.csv.gz", "CCC.csv.gz"]


LEFT_OUT = {
    "an empty file": ("", "is empty"),
    "a header alone": ("date,close\n", "no rows"),
    "a binary file": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "not text"),
    "garbage": (bytes(range(1, 256)) * 40, "no header line"),
    "columns that disagree": ("date,close,Close\n2021-07-01,10,11\n", "'10' and '11'"),
    "symbols that disagree": ("symbol,ticker,date,close\nAAA,BBB,2021-07-01,10\n", "'AAA' and 'BBB'"),
    "no close": ("date,price\n2021-07-01,10\n", "no close column"),
    "no date": ("close,open\n10,10\n", "no date column"),
    "minutes": ("ts,close\n2021-07-01T14:30Z,10\n2021-07-01T14:31Z,10\n2021-07-01T14:32Z,10\n", "1 minutes apart"),
    "hours in two columns": (
        "date,time,close\n2021-07-01,10:00,1\n2021-07-01,11:00,1\n2021-07-02,10:00,1\n2021-07-02,11:00,1\n",
        "60 minutes",
    ),
}


@pytest.mark.parametrize(("content", "why"), LEFT_OUT.values(), ids=LEFT_OUT.keys())
def test_a_file_that_holds_no_daily_bars_is_named_with_its_reason(tmp_path: Path, content: str | bytes, why: str) -> None:
    provider = folder(tmp_path, AAA__csv=content)

    assert why in provider.ignored["AAA.csv"]
    assert closes(provider, "GOOD") == TWO
    assert why in provider.fetch(["AAA"], START, END).failed["AAA"]


def test_what_is_no_file_of_bars_is_named_and_the_others_read(tmp_path: Path) -> None:
    provider = folder(tmp_path, prices__xlsx=b"PK", **{"AAA (1)__csv": GOOD})
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "gone.csv").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / ".hidden.csv").write_text("")

    assert closes(provider, "GOOD") == TWO
    assert sorted(provider.ignored) == ["AAA (1).csv", "folder.csv", "gone.csv", "pipe.csv", "prices.xlsx"]
    assert "name the file by its symbol" in provider.ignored["AAA (1).csv"]


@pytest.mark.parametrize("symbol", ["NA", "NAN", "NULL", "TRUE", "INF"])
def test_a_ticker_that_reads_like_a_missing_value_is_a_ticker(tmp_path: Path, symbol: str) -> None:
    content = f"symbol,date,close\n{symbol},2021-07-01,10\n{symbol},2021-07-02,10.5\n"

    assert closes(folder(tmp_path, prices__csv=content), symbol) == TWO


def two_bars(**columns: object) -> pd.DataFrame:
    frame = pd.DataFrame({"open": 10.0, "high": 11.0, "low": 9.0, "close": [10.0, 10.5], "volume": 5})
    return frame.assign(**columns)


DAYS = pd.to_datetime(["2021-07-01", "2021-07-02"])


@pytest.mark.parametrize(
    "frame",
    [
        two_bars().set_axis(DAYS),
        two_bars().set_axis(DAYS.rename("Date")),
        two_bars().set_axis(DAYS.tz_localize("America/New_York").rename("Date")),
        two_bars(symbol="AAA").set_index(["symbol", DAYS]),
        two_bars(date=[20210701, 20210702]),
        two_bars(date=[dt.date(2021, 7, 1), dt.date(2021, 7, 2)]),
        two_bars(date=DAYS.as_unit("s")),
        two_bars(date=DAYS.astype(str), close=["10", "10.5"]),
        two_bars(date=DAYS, index=[1, 2]).set_index("index"),
        pd.concat({"AAA": two_bars().set_axis(DAYS)}, axis=1),
        pd.concat({"AAA": two_bars().set_axis(DAYS)}, axis=1).swaplevel(axis=1),
        pd.concat({"AAA": two_bars().set_axis(DAYS.rename("Date"))}, axis=1, names=["Ticker", "Price"]),
    ],
)
def test_a_parquet_file_is_read_whatever_its_index_and_levels(tmp_path: Path, frame: pd.DataFrame) -> None:
    frame.to_parquet(tmp_path / "AAA.parquet")
    provider = folder(tmp_path)

    assert provider.ignored == {}
    assert closes(provider) == TWO


def test_a_parquet_file_with_columns_for_two_tickers_is_two_symbols(tmp_path: Path) -> None:
    later = two_bars(close=[20.0, 21.0]).set_axis(DAYS + pd.Timedelta(days=4))
    pd.concat({"AAA": two_bars().set_axis(DAYS), "BRK.B": later}, axis=1).to_parquet(tmp_path / "both.parquet")
    provider = folder(tmp_path)

    assert provider.default_universe == ("AAA", "BRK-B", "GOOD")
    assert closes(provider) == TWO
    assert closes(provider, "BRK-B") == {"2021-07-05": 20.0, "2021-07-06": 21.0}


UNREADABLE = {
    "a currency sign": ("2021-07-01", "$10", "close"),
    "a separator of thousands": ("2021-07-01", "1,000", "close"),
    "a decimal comma": ("2021-07-01", "10,5", "close"),
    "an underscore": ("2021-07-01", "1_0", "close"),
    "a null": ("2021-07-01", "null", "close"),
    "an ambiguous date": ("01/02/2020", "10", "session"),
    "day first": ("13.07.2021", "10", "session"),
    "a day of Excel": ("44378", "10", "session"),
    "no date": ("Total", "10", "session"),
}


@pytest.mark.parametrize(("date", "close", "field"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_field_that_cannot_be_read_is_quarantined_with_its_text_file_and_line(
    tmp_path: Path, date: str, close: str, field: str
) -> None:
    content = f'# prices\nDate,Close\n2021-07-02,10.5\n"{date}","{close}"\n2021-07-06,10\n'

    verdict = judged(folder(tmp_path, AAA__csv=content))

    assert verdict.good["close"].tolist() == [10.5, 10.0]
    row = verdict.quarantined[verdict.quarantined["reason"].str.endswith(f":{field}")].iloc[0]
    assert row["reason"] == f"expect_column_values_to_not_be_null:{field}"
    assert row["detail"].endswith(f"found {field}={date if field == 'session' else close!r} in AAA.csv, line 4.") or (
        f"found {field}={date!r} in AAA.csv, line 4." in row["detail"]
    )
    payload = json.loads(row["payload"])
    assert (payload["file"], payload["line"], payload["text"]) == ("AAA.csv", 4, {"Date": date, "Close": close})


def test_a_row_with_an_unquoted_comma_in_a_number_is_quarantined_whole(tmp_path: Path) -> None:
    content = "date,open,high,low,close,volume\n2021-07-01,10,11,9,10,1,000\n2021-07-02,10,11,9,10.5,100\n"

    verdict = judged(folder(tmp_path, AAA__csv=content))

    assert verdict.good["close"].tolist() == [10.5]
    payload = json.loads(verdict.quarantined["payload"].iloc[0])
    assert payload["text"] | {} == {
        "date": "2021-07-01",
        "open": "10",
        "high": "11",
        "low": "9",
        "close": "10",
        "volume": "1",
        "(more fields than the header)": "000",
    }


def test_a_row_of_a_parquet_file_is_quarantined_with_its_values(tmp_path: Path) -> None:
    frame = two_bars(date=["2021-07-01", "01/02/2020"], volume=[5, 6], tags=[["a"], ["b", "c"]])
    frame.to_parquet(tmp_path / "AAA.parquet")

    (payload,) = map(json.loads, judged(folder(tmp_path)).quarantined["payload"])

    assert (payload["file"], payload["row"], payload["text"]["date"]) == ("AAA.parquet", 2, "01/02/2020")
    assert (payload["text"]["close"], payload["text"]["volume"]) == ("10.5", "6")


def test_a_row_without_a_symbol_is_quarantined_and_charged_to_nobody(tmp_path: Path) -> None:
    provider = folder(tmp_path, prices__csv="symbol,date,close\nAAA,2021-07-01,10\n,2021-07-01,10\nAAA,2021-07-02,10.5\n")

    verdict = judged(provider)

    assert verdict.bad_fraction == 0
    assert json.loads(verdict.quarantined["payload"].iloc[0])["line"] == 3


def test_every_unreadable_date_is_a_row_of_the_quarantine(tmp_path: Path) -> None:
    verdict = judged(folder(tmp_path, AAA__csv="date,close\n01/02/2020,10\n01/03/2020,11\n2021-07-01,10\n"))

    assert [json.loads(payload)["line"] for payload in verdict.quarantined["payload"]] == [2, 3]


def test_a_row_without_a_date_is_no_jump_and_judges_no_other(tmp_path: Path) -> None:
    lines = "".join(f"{day.date()},{100 + number % 3}\n" for number, day in enumerate(sessions_between(START, END)))

    verdict = judged(folder(tmp_path, AAA__csv=f"date,close\n01/02/2020,50\n{lines}"))

    assert verdict.quarantined["reason"].tolist() == ["expect_column_values_to_not_be_null:session"]


def test_a_symbol_in_two_files_is_read_once_and_a_contradiction_names_both(tmp_path: Path) -> None:
    provider = folder(tmp_path, AAA__csv=GOOD, aaa_daily__csv=GOOD.replace("10.5", "10.6") + "2021-07-06,10,11,9,10,100\n")

    verdict = judged(provider)

    assert verdict.good["session"].dt.day.tolist() == [1, 6], "the same bar twice is one bar, another bar is none"
    (payload,) = verdict.quarantined["payload"]
    assert {(row["file"], row["line"], row["text"]["close"]) for row in json.loads(payload)} == {
        ("AAA.csv", 3, "10.5"),
        ("aaa_daily.csv", 3, "10.6"),
    }


def test_one_odd_file_does_not_disturb_a_hundred_good_ones(tmp_path: Path) -> None:
    days = sessions_between(START, END)
    for number in range(100):
        pd.DataFrame({"date": days, "close": 10.0 + number}).to_csv(tmp_path / f"S{number:02}.csv", index=False)
    rng = np.random.default_rng(1)
    provider = folder(tmp_path, **{f"X{seed}__csv": rng.bytes(400) for seed in range(40)})

    symbols = provider.default_universe

    assert len([symbol for symbol in symbols if symbol.startswith("S")]) == 100
    assert len(provider.ignored) == 40


def test_the_files_left_out_are_told_after_a_load(tmp_path: Path) -> None:
    folder(tmp_path, AAA__csv="")
    desk = Resources(Settings.of(provider="files", ingestion__files_dir=tmp_path))

    assert ingest.files_left_out(resources=desk) == {"AAA.csv": "is empty"}
    assert ingest.files_left_out(resources=Resources(Settings.of(provider="sample"))) == {}
