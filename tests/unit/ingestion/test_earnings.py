"""Announcement dates from a file: what is read, and which line is refused for which reason."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BatchRejected, DataError
from core.frames import EARNINGS
from ingestion.earnings import Announcements, read_csv, to_frame

if TYPE_CHECKING:
    from pathlib import Path

TODAY = dt.date(2024, 6, 3)


def read(folder: Path, text: str | bytes) -> Announcements:
    path = folder / "earnings.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_csv(path, today=TODAY)


def pairs(found: Announcements) -> list[tuple[str, str]]:
    return [(row.symbol, str(row.announced.date())) for row in EARNINGS.check(found.dates).itertuples()]


def test_a_file_is_read_in_any_order_with_one_spelling_a_symbol(tmp_path: Path) -> None:
    found = read(tmp_path, "symbol,announced\nmsft,2024-04-25\nBRK.B,2024-05-04\n aapl ,2024-05-02\n")

    assert pairs(found) == [("AAPL", "2024-05-02"), ("BRK-B", "2024-05-04"), ("MSFT", "2024-04-25")]
    assert (found.refused, found.failed) == ((), {})


def test_other_columns_order_case_blank_lines_and_a_byte_order_mark_do_not_matter(tmp_path: Path) -> None:
    found = read(tmp_path, "\ufeffEPS, Announced ,SYMBOL\r\n1.5,2024-05-02,AAPL\r\n\r\n,,\r\n1.6,2024-08-01,AAPL\r\n")

    assert pairs(found) == [("AAPL", "2024-05-02"), ("AAPL", "2024-08-01")]
    assert found.refused == ()


def test_the_same_announcement_twice_counts_once(tmp_path: Path) -> None:
    assert pairs(read(tmp_path, "symbol,announced\nAAPL,2024-05-02\naapl,2024-05-02T16:30\n")) == [("AAPL", "2024-05-02")]


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2024-05-02 16:30", "2024-05-02"),
        ("2024-05-02T23:30:00", "2024-05-02"),
        ("2024-05-03T01:30:00Z", "2024-05-02"),  # 21:30 in New York
        ("2024-05-02T20:30:00+00:00", "2024-05-02"),
    ],
)
def test_a_time_gives_the_date_at_the_exchange(tmp_path: Path, text: str, day: str) -> None:
    assert pairs(read(tmp_path, f"symbol,announced\nAAPL,{text}\n")) == [("AAPL", day)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("AAPL,05/02/2024", "line 3: AAPL: expected a date YYYY-MM-DD, found '05/02/2024'"),
        ("AAPL,2024-02-30", "line 3: AAPL: expected a date YYYY-MM-DD, found '2024-02-30'"),
        ("AAPL,", "line 3: AAPL: expected a date YYYY-MM-DD, found ''"),
        ("AAPL", "line 3: AAPL: expected a date YYYY-MM-DD, found ''"),
        (",2024-05-02", "line 3: expected a symbol, found none beside '2024-05-02'"),
        ("AAPL,2204-05-02", "line 3: expected a date from 1990-01-01 to 2026-06-04, found 2204-05-02"),
        ("AAPL,1989-12-31", "line 3: expected a date from 1990-01-01 to 2026-06-04, found 1989-12-31"),
    ],
)
def test_a_bad_row_is_named_by_its_line_and_the_rest_kept(tmp_path: Path, line: str, reason: str) -> None:
    found = read(tmp_path, f"symbol,announced\nMSFT,2024-04-25\n{line}\nMSFT,2024-07-30\n")

    assert pairs(found) == [("MSFT", "2024-04-25"), ("MSFT", "2024-07-30")]
    assert found.refused == (reason,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"expected the columns symbol, announced, found \[\]: no symbol, announced"),
        ("symbol;announced\nAAPL;2024-05-02\n", r"found \['symbol;announced'\]"),
        ("ticker,announced\nAAPL,2024-05-02\n", "no symbol"),
        ("symbol,announced\n\n", "expected one announcement a line, found none"),
        (b"symbol,announced\n\xff\xfe,2024-05-02\n", "expected a CSV file"),
        ('symbol,announced\n"AAPL,2024' + "x" * 200_000, "expected a CSV file"),
    ],
)
def test_a_file_of_another_kind_is_refused_whole(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, text)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.csv"):
        read_csv(tmp_path / "nowhere.csv", today=TODAY)


def test_too_many_bad_rows_refuse_the_batch_and_say_which(tmp_path: Path) -> None:
    found = read(tmp_path, "symbol,announced\n" + "AAPL,2024-05-02\nMSFT,2024-04-25\nAAPL,soon\n")

    found.require(max_bad_fraction=0.4)
    with pytest.raises(BatchRejected, match=r"at most 5% of 3 rows refused, found 1: line 4: AAPL.*Nothing was stored"):
        found.require(max_bad_fraction=0.05)


def test_a_long_list_of_bad_rows_is_cut_off() -> None:
    with pytest.raises(BatchRejected, match="line 20; and 5 more"):
        Announcements(EARNINGS.empty(), tuple(f"line {number}" for number in range(1, 26))).require(0.05)


@given(st.lists(st.tuples(st.sampled_from(["AAA", "BBB", "CCC"]), st.dates(dt.date(1990, 1, 1), dt.date(2030, 1, 1)))))
def test_any_pairs_become_the_frame_of_their_set(rows: list[tuple[str, dt.date]]) -> None:
    frame = EARNINGS.check(to_frame(rows))

    assert [(row.symbol, row.announced.date()) for row in frame.itertuples()] == sorted(set(rows))
