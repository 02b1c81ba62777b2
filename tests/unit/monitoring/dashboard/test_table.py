"""Tables as HTML."""

from __future__ import annotations

from typing import Any

import pytest

from monitoring.dashboard.table import Column, markup


def html(columns: list[Column], rows: list[dict[str, Any]] | None, **given: Any) -> str:
    return markup(columns, rows, caption="Trades", empty="No trade yet.", **given)


def test_whatever_a_person_wrote_is_text() -> None:
    attack = "<script>alert(1)</script>"
    shown = markup([Column("name", attack, attack)], [{"name": attack}], caption=attack, empty="")
    assert "<script" not in shown
    assert shown.count("&lt;script&gt;") == 5


def test_a_text_made_for_a_row_is_escaped_too() -> None:
    assert "<b>" not in html([Column("x", "X", text=lambda _: "<b>")], [{}])


def test_numbers_stand_on_the_right_with_their_unit_in_the_header() -> None:
    shown = html([Column("pnl_usd", "Result", "USD", kind="signed")], [{"pnl_usd": 1234.5}])
    assert '<th scope="col" class="figure">Result <span class="unit">(USD)</span></th>' in shown
    assert '<td class="figure">+1,234.50</td>' in shown


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        (Column("x", "X", kind="number"), None, "n/a"),
        (Column("x", "X", kind="number"), float("nan"), "n/a"),
        (Column("x", "X", kind="number", scale=100), 0.1234, "12.34"),
        (Column("x", "X", kind="instant"), "2026-03-02T09:30:00-05:00", "2026-03-02 14:30:00 UTC"),
        (Column("x", "X", kind="flag"), False, "no"),
        (Column("x", "X"), 0, "0"),
        (Column("x", "X"), "", "n/a"),
    ],
)
def test_a_value_is_shown_by_its_kind(column: Column, value: object, text: str) -> None:
    assert f">{text}</td>" in html([column], [{"x": value}])


def test_a_tone_is_a_shape_beside_its_colour() -> None:
    assert '<td class="bad">■ red</td>' in html([Column("x", "X", tone=lambda _: "bad")], [{"x": "red"}])


def test_a_long_table_says_how_much_it_leaves_out() -> None:
    shown = html([Column("x", "X")], [{"x": each} for each in range(100_000)], most=50)
    assert shown.count("<tr>") == 51
    assert "The first 50 of 100,000 rows" in shown


def test_no_rows_and_no_answer_are_two_things() -> None:
    assert "No trade yet." in html([Column("x", "X")], [])
    assert "Not available" in html([Column("x", "X")], None)
