"""The performance report on a stand-in of the API."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING

from monitoring.dashboard.pages import comparison
from monitoring.dashboard.parts import limits, report
from monitoring.dashboard.parts.line_picture import picture
from monitoring.dashboard.reading import api
from tests.standins.dashboard_answers import HTML
from tests.standins.dashboard_api import desk
from tests.standins.shown_page import Tables, differences

if TYPE_CHECKING:
    from tests.standins.dashboard_answers import PagesApi

NOW = dt.datetime(2026, 3, 2, 22, tzinfo=dt.UTC)


def made() -> str:
    return report.report(api(), "main", comparison.COLUMNS, NOW).decode()


def test_every_figure_of_the_report_is_the_apis(pages_api: PagesApi) -> None:
    tables = Tables(made())
    views = pages_api.rows
    assert differences(tables.named("Result"), report.PNL, views["/pnl"]) == []
    assert differences(tables.named("Risk limits"), limits.COLUMNS, views["/risk"]) == []
    assert differences(tables.named("Positions"), report.POSITIONS, views["/positions"]) == []
    rows = pages_api.objects["/live-vs-backtest"]["rows"]
    assert differences(tables.named("Live against backtest"), comparison.COLUMNS, rows) == []


def test_the_report_holds_both_curves_with_unit_and_span(pages_api: PagesApi) -> None:
    rows = pages_api.rows["/equity"]
    text = made()
    span = f"sessions {rows[0]['session']} to {rows[-1]['session']}"
    assert f"Equity at the close, USD, {span}; last {rows[-1]['equity_usd']:,.2f} USD" in text
    assert f"Drawdown: fall from the highest close before, %, {span}" in text
    paths = re.findall(r'<path d="([^"]+)"', text)
    assert [len(re.findall("[ML]", each)) for each in paths] == [len(rows)] * 2


def test_the_report_loads_nothing_and_runs_nothing(pages_api: PagesApi) -> None:
    assert pages_api.objects["/live-vs-backtest"]["rows"][-1]["label"] == HTML
    text = made()
    assert "<script" not in text
    assert re.findall(r"(?:src|href)=|url\(|@import", text) == []
    assert "default-src 'none'" in text
    assert "@media print" in text
    assert "Made 2026-03-02 22:00:00 UTC" in text


def test_a_report_made_without_an_answer_says_so(pages_api: PagesApi) -> None:
    made()
    pages_api.problem = (503, "The database does not answer")
    text = made()
    assert "The database does not answer" in text
    assert "Figures are up to" in text


def test_an_empty_desk_has_a_report_without_figures(pages_api: PagesApi) -> None:
    pages_api.rows.update(desk(sessions=0, closed=0))
    text = made()
    assert "No close is on record." in text
    assert "No position is held." in text


def test_missing_values_are_gaps_in_a_curve() -> None:
    text = picture("Equity", "USD", ["2026-03-02"] * 4, [1.0, None, 3.0, 2.0], "blue")
    (path,) = re.findall(r'<path d="([^"]+)"', text)
    assert re.findall("[ML]", path) == ["M", "M", "L"]
