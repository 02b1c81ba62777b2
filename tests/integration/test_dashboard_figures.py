"""Every table, card and chart of the pages of money and risk shows what a real API over a real PostgreSQL answers."""

from __future__ import annotations

import datetime as dt
import html
from typing import TYPE_CHECKING

import pytest

from core.sessions import close_of
from monitoring.dashboard import figures
from monitoring.dashboard.pages import overview, risk, trades
from monitoring.dashboard.parts import limits, order_story
from pipeline.resources import Resources
from storage.alerts.alert_log import NewAlert
from storage.engine import open_engine
from storage.trading.evening_steps import Outcome
from tests.standins.served_api import dashboard_of, rows_of, served_api
from tests.standins.shown_page import Tables, differences, html_of, opened, panes_of
from tests.standins.traded_years import Shape, write_record

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from core.settings import Settings

pytestmark = pytest.mark.integration
SHAPE = Shape(first=dt.date(2018, 6, 1), last=dt.date(2018, 12, 31), books=("main", "duo"), rules=("bollinger", "rsi"), width=3)
NOW = close_of(SHAPE.last) + dt.timedelta(hours=2)


@pytest.fixture(scope="module")
def api(module_settings: Settings) -> Iterator[httpx.Client]:
    """A real API over half a year of two books, with an alert and a failed step."""
    settings = module_settings.with_changes(strategies=("bollinger", "rsi"), risk__max_positions=8)
    desk = Resources(settings, clock=lambda: NOW)
    write_record(open_engine(settings), SHAPE)
    desk.alert_log.raise_alert(NewAlert("k", "orders", "main", "critical", "Order <b>x</b> is unknown", "", {}), NOW)
    step = desk.evening_steps.start(book="main", session=SHAPE.last, step="place", at=NOW)
    desk.evening_steps.end(step, Outcome.FAILED, {"message": "no venue"}, at=NOW)
    with served_api(desk) as client:
        yield client


@pytest.fixture(autouse=True)
def fresh_process(api: httpx.Client) -> Iterator[None]:
    """The dashboard of this API."""
    with dashboard_of(api):
        yield


def overview_page() -> None:
    from monitoring.dashboard.pages import overview

    overview.draw("main")


def risk_page() -> None:
    from monitoring.dashboard.pages import risk

    risk.draw("main")


def trades_page() -> None:
    from monitoring.dashboard.pages import trades

    trades.draw("main")


def test_the_overview_shows_the_apis_figures(api: httpx.Client) -> None:
    page = opened(overview_page)
    tables = Tables(html_of(page))
    curve = rows_of(api, "/equity", limit=2_000)
    equity, drawdown = panes_of(page)
    assert len(curve) > 100
    assert equity["series"][0]["values"] == [row["equity_usd"] for row in curve]
    assert drawdown["series"][0]["values"] == [row["drawdown_pct"] for row in curve]
    for caption, columns, rows in (
        ("Held now", overview.POSITIONS, rows_of(api, "/positions", limit=500)),
        ("Ordered last", overview.ORDERS, rows_of(api, "/orders", limit=overview.NEWEST)),
        ("Deployments", overview.DEPLOYMENTS, api.get("/deployments").json()),
    ):
        assert rows, caption
        assert differences(tables.named(caption), columns, rows) == []


def test_the_results_on_the_cards_are_the_apis(api: httpx.Client) -> None:
    text = html_of(opened(overview_page))
    rows = rows_of(api, "/pnl")
    assert [row["period"] for row in rows] == list(overview.PERIODS)
    for row in rows:
        label = f"{overview.PERIODS[row['period']]}, to {row['session']}"
        result, share = (f"{row[name]:+,.2f}".replace("+0.00", "0.00") for name in ("pnl_usd", "return_pct"))
        words = f"<dt>{label}</dt><dd>{result} USD</dd><dd class='about'>{share} % · {row['trades']:,} trades"
        assert words in text


def test_what_needs_a_person_is_what_the_api_says(api: httpx.Client) -> None:
    shown = Tables(html_of(opened(overview_page))).named("Needs a person")
    (alert,) = api.get("/alerts").json()
    (evening,) = rows_of(api, "/sessions")
    blocked = [(row["name"], each) for row in api.get("/deployments").json() for each in row["entries_blocked"]]
    assert sorted((row[2], row[3]) for row in shown.rows) == sorted(
        [(alert["book"], alert["subject"]), (evening["book"], evening["problem"]), *blocked]
    )


def test_the_lights_are_the_apis_checks(api: httpx.Client) -> None:
    text = html_of(opened(overview_page))
    checks = api.get("/health").json()["checks"]
    assert len(checks) > 3
    for each in checks:
        word = "ok" if each["healthy"] else html.escape(each["detail"])
        assert f"{word}</span> {html.escape(each['name'])}</li>" in text


def test_risk_shows_the_apis_limits_exposure_and_curves(api: httpx.Client) -> None:
    page = opened(risk_page)
    tables, rows = Tables(html_of(page)), rows_of(api, "/risk", limit=500)
    ordinary = [row for row in rows if row["limit"] not in limits.FREQUENCY]
    assert len(ordinary) >= 8
    assert differences(tables.named("Limits"), limits.COLUMNS, ordinary) == []
    exposure = rows_of(api, "/exposure", by="position", limit=500)
    assert exposure
    assert differences(tables.named("Exposure"), risk.EXPOSURE, exposure) == []
    beats, (drawdown, var) = rows_of(api, "/heartbeats", limit=2_000), panes_of(page)
    assert drawdown["series"][0]["values"] == [row["drawdown_pct"] for row in beats]
    assert [each["values"] for each in var["series"]] == [
        [row[f"var_{name}_usd"] for row in beats] for name in ("historical", "parametric")
    ]
    stop = next(row for row in rows if row["limit"] == "drawdown_halt")
    assert f"{stop['used']:,.2f} {stop['unit']}</dd>" in html_of(page)
    assert f"{stop['state']}: {stop['distance']:,.2f} to the emergency stop at {stop['limit_value']:,.2f}" in html_of(page)


def test_the_matrix_shows_every_correlation_of_the_api(api: httpx.Client) -> None:
    shown = Tables(html_of(opened(risk_page))).named("Correlation")
    cells = {(row[0], other): cell for row in shown.rows for other, cell in zip(shown.headers[1:], row[1:], strict=True)}
    pairs = rows_of(api, "/correlation", limit=500)
    assert len(pairs) >= 1
    for pair in pairs:
        for one, other in ((pair["symbol"], pair["other"]), (pair["other"], pair["symbol"])):
            assert cells[one, other] == figures.signed(pair["correlation"])


def test_trades_show_the_apis_rows_and_the_bars_of_the_newest(api: httpx.Client) -> None:
    page = opened(trades_page)
    rows = rows_of(api, "/trades", limit=trades.PAGE_ROWS)
    assert len(rows) == trades.PAGE_ROWS
    assert differences(Tables(html_of(page)).named("Closed trades"), trades.COLUMNS, rows) == []

    newest, prices = rows[0], panes_of(page)[0]
    span = {"first": "2018-01-01", "last": "2018-12-31", "book": None}
    bars = rows_of(api, "/prices", symbol=newest["symbol"], strategy=newest["sleeve"], limit=2_000, **span)
    shown = {series["label"]: series["values"] for series in prices["series"]}
    for name in ("open", "high", "low", "close"):
        assert shown[name] == [row[name] for row in bars][-len(shown[name]) :]
    marks = {mark["shape"]: mark["value"] for mark in prices["markers"]}
    at = {row["session"]: row for row in bars}
    assert marks["signal"] == at[newest["decision_session"]]["close"]
    assert marks["entry"] == pytest.approx(newest["entry_price"])
    assert marks["exit"] == pytest.approx(newest["exit_price"])


def test_the_explanation_has_every_value_of_both_orders(api: httpx.Client) -> None:
    text = html_of(opened(trades_page))
    newest = rows_of(api, "/trades", limit=1)[0]
    entry = api.get(order_story.path_of(newest["entry_order_id"])).json()
    (leaving,) = [
        row["client_order_id"]
        for row in rows_of(api, "/orders", symbol=newest["symbol"], leg="exit", limit=500)
        if row["entry_order_id"] == newest["entry_order_id"]
    ]
    for order in (entry, api.get(order_story.path_of(leaving)).json()):
        for value in (*order["order"].values(), *(each["price"] for each in order["fills"])):
            assert html.escape(order_story.words(value)) in text
    for sentence in entry["not_linked"]:
        assert html.escape(sentence) in text
