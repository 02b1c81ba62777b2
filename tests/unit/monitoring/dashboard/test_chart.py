"""The description of a chart, as the browser gets it."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from monitoring.dashboard import chart
from monitoring.dashboard.chart import Band, Candles, Level, Line, Marker, Pane
from monitoring.dashboard.palette import PALETTE

DAYS = [dt.date(2026, 3, 2), dt.date(2026, 3, 3)]


def described(x: list[Any], *panes: Pane) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(chart.describe(x, panes))
    return content


def test_a_session_stands_at_midnight_utc_and_an_instant_where_it_is() -> None:
    assert described(DAYS)["x"] == [1772409600, 1772496000]
    new_york = dt.datetime.fromisoformat("2026-03-02T09:30:00-05:00")
    content = described([new_york])
    assert (content["x"], content["daily"], content["x_label"]) == ([1772461800], False, "Time, UTC")


def test_missing_values_are_gaps() -> None:
    content = described(DAYS, Pane("Equity", "USD", [Line("live", [None, float("nan")])]))
    assert content["panes"][0]["series"][0]["values"] == [None, None]


def test_numbers_are_those_given() -> None:
    content = described(DAYS, Pane("Equity", "USD", [Line("live", [101_234.56, 1e-9])]))
    assert content["panes"][0]["series"][0]["values"] == [101_234.56, 1e-9]


def test_a_band_is_two_series_with_the_area_between_them() -> None:
    pane = Pane("Equity", "USD", [Line("live", [1, 2]), Band("interval", [0, 1], [2, 3])])
    content = described(DAYS, pane)["panes"][0]
    assert [series["label"] for series in content["series"]] == ["live", "interval low", "interval high"]
    assert content["bands"] == [{"low": 1, "high": 2, "colour": list(PALETTE["grey"])}]


def test_candles_name_their_four_columns_and_draw_no_line() -> None:
    pane = Pane("SPY", "USD", [Line("mean", [1, 1]), Candles([1, 2], [3, 3], [0, 1], [2, 1])])
    content = described(DAYS, pane)["panes"][0]
    assert content["candles"]["columns"] == [1, 2, 3, 4]
    assert [series["kind"] for series in content["series"]] == ["line", "none", "none", "none", "none"]


def test_markers_stand_in_order_of_time_with_shape_and_text() -> None:
    markers = [Marker(DAYS[1], 2.0, "exit", "sold 10"), Marker(DAYS[0], 1.0, "entry", "bought 10")]
    content = described(DAYS, Pane("SPY", "USD", [Line("close", [1, 2])], markers, [Level(0.9, "stop")]))["panes"][0]
    assert [(each["shape"], each["text"]) for each in content["markers"]] == [("entry", "bought 10"), ("exit", "sold 10")]
    assert [(each["label"], each["value"]) for each in content["levels"]] == [("stop", 0.9)]


def test_every_value_has_a_unit_and_a_screen_reader_gets_it() -> None:
    content = described(DAYS, Pane("Equity", "USD", []), Pane("Drawdown", "%", []))
    assert content["summary"].startswith("Chart: Equity in USD, Drawdown in %.")


def test_the_same_data_give_the_same_text_and_so_are_not_drawn_again() -> None:
    pane = Pane("Equity", "USD", [Line("live", [1.0, 2.0])])
    assert chart.describe(DAYS, [pane]) == chart.describe(list(DAYS), [pane])
    assert chart.describe(DAYS, [pane]) != chart.describe(DAYS, [Pane("Equity", "USD", [Line("live", [1.0, 2.1])])])


@pytest.mark.parametrize(("shade", "background"), [(0, "#FFFFFF"), (1, "#0E1117")])
def test_each_colour_has_contrast_on_its_background(shade: int, background: str) -> None:
    for name, shades in PALETTE.items():
        assert contrast(shades[shade], background) >= 3, name


def test_the_styles_hold_a_line_break_or_streamlit_would_take_them_for_a_path() -> None:
    assert "\n" in (chart.FOLDER / "chart.css").read_text()


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours (WCAG 2)."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
