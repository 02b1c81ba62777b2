"""Cursors, parts of computed rows and exports, without a database."""

from __future__ import annotations

import csv
import datetime as dt
import io
from typing import TYPE_CHECKING, Literal

import pyarrow.parquet as pq
import pytest

from pipeline.views.decisions import outcome_of
from pipeline.views.export import csv_chunks, parquet_chunks
from pipeline.views.view import BadCursor, Filter, Row, View, part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.resources import Resources

NOON = dt.datetime(2024, 7, 3, 16, tzinfo=dt.UTC)


class Point(Row):
    """A row of every kind of field."""

    day: dt.date
    name: str
    side: Literal["long", "short"]
    value_usd: float | None
    count: int
    done: bool
    reasons: list[str]
    at: dt.datetime
    at_exchange: dt.datetime


def point(number: int, **changes: object) -> Point:
    here = NOON.astimezone(dt.timezone(dt.timedelta(hours=-4)))
    values = {"value_usd": None if number % 2 else 0.1 * number, "name": f"n{number}", "side": "long", "reasons": ["a", 'b"c']}
    return Point(day=dt.date(2024, 1, 1 + number), count=number, done=True, at=NOON, at_exchange=here, **{**values, **changes})


ROWS = [point(number) for number in range(7)]


def read(
    _wanted: Filter, after: tuple[object, ...] | None = None, limit: int = 500, *, resources: Resources | None = None
) -> Sequence[Point]:
    assert resources is None
    return part(ROWS, ("day", "name"), after, limit)


POINTS = View("points", "Points.", Filter, Point, read, ("day", "name"), ("day", "name"))


@pytest.mark.parametrize("size", [1, 2, 3, 6, 7, 8])
def test_pages_of_any_size_have_each_row_once(size: int) -> None:
    rows, after, pages = [], None, 0
    while pages == 0 or after:
        page = POINTS.page(Filter(), after=after, limit=size)
        rows, after, pages = [*rows, *page.rows], page.after, pages + 1

    assert rows == ROWS
    assert pages == -(-7 // size)


@pytest.mark.parametrize("cursor", ["", "x", "bm9uc2Vuc2U", "WyIyMDI0LTAxLTAxIl0", "é", "W10" * 100])
def test_a_cursor_that_no_page_gave_is_refused(cursor: str) -> None:
    with pytest.raises(BadCursor, match="the `next` of a page of points"):
        POINTS.page(Filter(), after=cursor)


def test_a_cursor_after_a_row_that_is_gone_ends_the_pages() -> None:
    cursor = POINTS.page(Filter(), limit=6).after
    gone = View(
        "points", "Points.", Filter, Point, lambda *_, **__: part(ROWS[:5], ("day", "name"), (1, 2), 9), ("day", "name"), ()
    )

    assert gone.page(Filter(), after=cursor).rows == []


def test_csv_has_a_header_once_and_gives_the_values_back() -> None:
    text = b"".join(csv_chunks(POINTS, POINTS.stream(Filter(), 2))).decode()
    rows = list(csv.DictReader(io.StringIO(text)))

    assert text.count("value_usd") == 1
    assert [row["value_usd"] for row in rows[:3]] == ["0.0", "", "0.2"]
    assert rows[0]["at"] == "2024-07-03T16:00:00+00:00"
    assert rows[0]["at_exchange"] == "2024-07-03T12:00:00-04:00"
    assert rows[0]["reasons"] == '["a", "b\\"c"]'


@pytest.mark.parametrize("text", ["=1+1", "@SUM(A1)", "+1", "-1", "\tx"])
def test_a_text_that_a_spreadsheet_would_run_is_text_in_csv(text: str) -> None:
    (row,) = csv.DictReader(io.StringIO(b"".join(csv_chunks(POINTS, [[point(0, name=text, value_usd=-1.0)]])).decode()))

    assert (row["name"], row["value_usd"]) == (f"'{text}", "-1.0")


def test_parquet_keeps_types_and_every_batch() -> None:
    table = pq.read_table(io.BytesIO(b"".join(parquet_chunks(POINTS, POINTS.stream(Filter(), 3)))))

    assert table.num_rows == 7
    assert [str(kind) for kind in table.schema.types] == [
        "date32[day]", "string", "string", "double", "int64", "bool", "string", "timestamp[us, tz=UTC]", "string",
    ]  # fmt: skip
    assert table["value_usd"].to_pylist()[:3] == [0.0, None, 0.2]


def test_a_batch_of_nothing_but_nulls_keeps_the_type() -> None:
    table = pq.read_table(io.BytesIO(b"".join(parquet_chunks(POINTS, iter([[point(1)], [point(2)]])))))

    assert table["value_usd"].to_pylist() == [None, 0.2]


@pytest.mark.parametrize(
    ("ordered", "answer", "refused", "filtered", "outcome"),
    [
        (True, "enter", False, True, "ordered"),
        (True, None, True, False, "ordered"),
        (False, "skip", True, True, "skipped"),
        (False, "enter", True, True, "refused"),
        (False, None, True, True, "refused"),
        (False, None, False, True, "unanswered"),
        (False, None, False, False, "undecided"),
        (False, "enter", False, True, "undecided"),
    ],
)
def test_a_candidate_has_one_outcome(*, ordered: bool, answer: str | None, refused: bool, filtered: bool, outcome: str) -> None:
    assert outcome_of(ordered=ordered, answer=answer, refused=refused, filtered=filtered) == outcome
