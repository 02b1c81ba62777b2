"""The pages of performance, models, research, parameters, alerts and evenings show what a real API answers."""

from __future__ import annotations

import datetime as dt
import html
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from core.frames import TRADES
from core.sessions import close_of
from monitoring.dashboard import figures
from monitoring.dashboard.pages import alerts, comparison, evening, parameters, research
from monitoring.dashboard.parts import alert_story, model_tables, parameter_history, research_tables
from pipeline.resources import Resources
from storage.alerts.alert_log import NewAlert
from storage.trading.evening_steps import Outcome
from tests.standins.researched_desk import LAST, write_researched
from tests.standins.served_api import dashboard_of, rows_of, served_api
from tests.standins.shown_page import Tables, charts_of, differences, html_of, opened, panes_of
from trading.strategies.registry import make_strategy

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from core.settings import Settings

pytestmark = pytest.mark.integration
NOW = close_of(LAST) + dt.timedelta(hours=2)
MOVED = {"family": "feature", "name": "rsi_14", "psi": 0.41, "statistic": 0.2, "p_value": 0.001, "alert": True}
CALM = {"family": "feature", "name": "vix_close", "psi": 0.02, "statistic": 0.05, "p_value": 0.4, "alert": False}


@pytest.fixture(scope="module")
def api(module_settings: Settings) -> Iterator[httpx.Client]:
    """A real API over a quarter of a year of two books, with research, alerts, versions of parameters and an evening."""
    desk = Resources(module_settings.with_changes(strategies=("bollinger", "rsi")), clock=lambda: NOW)
    write_researched(desk)
    curve = pd.DataFrame({"session": pd.date_range("2024-01-02", periods=3), "equity_usd": [2.0, 2.5, 1.5], "drawdown": 0.1})
    meta = {"strategy": "bollinger", "symbols": ["SPY"], "first_session": "2024-01-02", "last_session": "2024-01-04"}
    desk.runs.save(kind="filtered", meta=meta, metrics={"sharpe": -0.25}, trades=TRADES.empty(), equity=curve)
    reference = {
        "reference_mean": 50.0,
        "reference_count": 900,
        "recent_mean": 61.5,
        "recent_count": 60,
        "detail": "against the training",
    }
    desk.drift.save(LAST, [{**MOVED, **reference}, {**CALM, **reference}])
    for stop in (3.0, 4.5):
        desk.parameters.set("rsi", make_strategy("rsi", {"stop_pct": stop}).describe(), reason=f"a stop of {stop} <i>%</i>")
    for number, severity in enumerate(("critical", "warning")):
        news = NewAlert(
            f"k{number}", "orders", "main", severity, f"Order <b>{number}</b> is unknown", "Look", {"order": number}
        )
        desk.alert_log.raise_alert(news, NOW)
    for name, outcome in (("settle", Outcome.DONE), ("place", Outcome.FAILED)):
        step = desk.evening_steps.start(book="main", session=LAST, step=name, at=NOW)
        desk.evening_steps.end(step, outcome, {"message": "3 < 4"}, at=NOW + dt.timedelta(seconds=2))
    with served_api(desk) as client:
        yield client


@pytest.fixture(autouse=True)
def fresh_process(api: httpx.Client) -> Iterator[None]:
    """The dashboard of this API."""
    with dashboard_of(api):
        yield


def comparison_page() -> None:
    from monitoring.dashboard.pages import comparison

    comparison.draw("trio")


def models_page() -> None:
    from monitoring.dashboard.pages import models

    models.draw(None)


def research_page() -> None:
    from monitoring.dashboard.pages import research

    research.draw(None)


def parameters_page() -> None:
    from monitoring.dashboard.pages import parameters

    parameters.draw(None)


def alerts_page() -> None:
    from monitoring.dashboard.pages import alerts

    alerts.draw(None)


def evening_page() -> None:
    from monitoring.dashboard.pages import evening

    evening.draw("main")


def answer(api: httpx.Client, path: str, **query: Any) -> Any:
    found = api.get(path, params=query)
    assert found.status_code == 200, found.text
    return found.json()


def test_live_against_backtest_shows_the_apis_figures_curves_and_causes(api: httpx.Client) -> None:
    page = opened(comparison_page)
    found = answer(api, comparison.PATH, book="trio", points=comparison.POINTS)
    shown = Tables(html_of(page)).named("Live against backtest")
    assert len(found["rows"]) == 2
    assert differences(shown, comparison.COLUMNS, found["rows"]) == []
    for cells, row in zip(shown.rows, found["rows"], strict=True):
        assert figures.number(row["live_sharpe"], 2) in cells[3]
        assert figures.signed(row["sharpe_delta"]) in cells[4]
    drawn = {line["label"]: line["values"] for pane in panes_of(page) for line in pane["series"] if "values" in line}
    curve = found["curve"]
    for label, name in (
        ("live", "live_usd"),
        ("backtest", "backtest_usd"),
        ("live less backtest", "gap_usd"),
        ("fill", "fill_usd"),
    ):
        assert drawn[label] == curve[name], label
    assert f"{figures.signed(curve['gap_usd'][-1])} USD" in html_of(page)
    assert curve["gap_usd"][-1] == pytest.approx(-4.0)


def test_models_show_the_apis_tests_drift_and_promotions(api: httpx.Client) -> None:
    tables = Tables(html_of(opened(models_page)))
    drift, moves = rows_of(api, "/models/drift", book=None), rows_of(api, "/models/promotions", book=None)
    assert [row["name"] for row in drift if row["alert"]] == ["rsi_14"]
    assert differences(tables.named("Drift"), model_tables.DRIFT, sorted(drift, key=lambda row: not row["alert"])) == []
    assert differences(tables.named("Promotions"), model_tables.PROMOTIONS, moves) == []
    (test,) = rows_of(api, "/models/ab-tests", book=None)
    (row,) = tables.named("A/B tests").rows
    assert (row[0], row[2], row[3]) == (test["name"], test["champion"], test["challengers"][0])


def test_models_say_which_parts_mlflow_does_not_give(api: httpx.Client) -> None:
    text = html_of(opened(models_page))
    assert answer(api, "/models/versions", kind="entry")["versions"] == []
    assert "No version is registered." in text


def test_research_shows_the_apis_runs_and_compares_the_chosen_ones(api: httpx.Client) -> None:
    page = opened(research_page)
    rows = rows_of(api, "/research/runs", book=None, limit=research.RUNS)
    assert len(rows) == 2
    assert differences(Tables(html_of(page)).named("Backtests"), research_tables.RUNS, rows) == []

    ids = [row["run_id"] for row in rows]
    page.multiselect(key="research-chosen").set_value(ids).run()
    found = answer(api, "/research/compare", run=ids, points=research.POINTS)
    (chart,) = charts_of(page)
    assert [line["values"] for line in chart["panes"][0]["series"]] == [each["value"] for each in found["curves"]]
    shown = {row[0]: row[2:] for row in Tables(html_of(page)).named("Figures side by side").rows}
    sharpe = next(each for each in found["figures"] if each["name"] == "sharpe")
    assert shown["Sharpe ratio"] == [figures.number(value, 2) for value in sharpe["values"]]


def test_a_heat_map_and_a_ranking_show_the_apis_cells_and_rows(api: httpx.Client) -> None:
    page = opened(research_page)
    page.segmented_control(key="section").set_value("Heat map").run()
    page.selectbox(key="heat-strategy").set_value("rsi").run()
    page.selectbox(key="heat-x-rsi").set_value("oversold").run()
    page.selectbox(key="heat-y-rsi-oversold").set_value("stop_pct").run()
    found = answer(api, "/research/heatmap", strategy="rsi", x="oversold", y="stop_pct", metric="sharpe")
    (row,) = Tables(html_of(page)).named("Sharpe ratio").rows
    expected = [f"{figures.number(mean, 2)} {count:,}" for mean, count in zip(found["mean"][0], found["count"][0], strict=True)]
    assert row[1:] == expected

    page.segmented_control(key="section").set_value("Rankings").run()
    ranked = rows_of(api, "/research/rankings", book=None, of="sweep", min_trades=30, limit=research.RUNS)
    assert len(ranked) == 2
    assert differences(Tables(html_of(page)).named("Newest sweep"), research_tables.RANKED, ranked) == []


def test_parameters_show_what_is_in_force_and_every_version(api: httpx.Client) -> None:
    page = opened(parameters_page)
    tables, strategies = Tables(html_of(page)), answer(api, "/strategies")
    assert differences(tables.named("Strategies"), parameters.STRATEGIES, strategies) == []
    page.selectbox(key="parameters-strategy").set_value("rsi").run()
    versions = rows_of(api, "/strategies/rsi/history", book=None)
    assert [row["version"] for row in versions] == [2, 1]
    shown = Tables(html_of(page)).named("Versions of rsi")
    columns = [each for each in parameter_history.COLUMNS if each.name != "difference"]
    without = [[cell for place, cell in enumerate(row) if place != 4] for row in (shown.headers, *shown.rows)]
    shown.headers, shown.rows = without[0], without[1:]
    assert differences(shown, columns, versions) == []


def test_alerts_show_the_apis_rows_and_the_history_of_the_chosen_one(api: httpx.Client) -> None:
    page = opened(alerts_page)
    tables, rows = Tables(html_of(page)), answer(api, "/alerts")
    assert len(rows) == 2
    assert differences(tables.named("Alerts"), alerts.COLUMNS, rows) == []
    chosen = answer(api, f"/alerts/{rows[0]['id']}")
    assert differences(tables.named("History"), alert_story.EVENTS, chosen["events"]) == []
    assert html.escape(chosen["subject"]) in html_of(page)
    assert "<b>" not in html_of(page)


def test_an_evening_shows_the_apis_steps_and_its_problem(api: httpx.Client) -> None:
    page = opened(evening_page, problems=1)
    (found,) = rows_of(api, "/sessions", limit=1)
    steps = Tables(html_of(page)).named("Steps of main")
    assert [step["outcome"] for step in found["steps"]] == ["done", "failed"]
    assert differences(steps, evening.STEPS, found["steps"]) == []
    assert [row[7] for row in steps.rows] == ["message: 3 < 4"] * 2
    assert html.escape(found["problem"]) in html_of(page)
    assert figures.number(found["seconds"], 1) in html_of(page)
