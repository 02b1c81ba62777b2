"""The page of trades on a stand-in of the API, through Streamlit's own harness."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import pytest
from streamlit.testing.v1 import AppTest

from monitoring.dashboard.parts import trade_chart
from tests.standins.dashboard_api import desk
from tests.standins.money_rows import ENTRY_ID, order_page, prices, trades

if TYPE_CHECKING:
    from tests.standins.dashboard_api import StandIn


def script() -> None:
    from monitoring.dashboard.pages import trades

    trades.draw("main")


def opened() -> AppTest:
    page = AppTest.from_function(script, default_timeout=30).run()
    assert [each.value for each in page.exception] == []
    return page


def shown(page: AppTest) -> str:
    return "\n".join(each.proto.body for each in page.get("html"))


def texts(page: AppTest) -> str:
    return "\n".join(each.value for each in page.text)


def prices_pane(page: AppTest) -> dict[str, Any]:
    (component,) = page.get("bidi_component")
    pane: dict[str, Any] = json.loads(json.loads(component.proto.json)["spec"])["panes"][0]
    return pane


def test_the_newest_trade_is_drawn_with_signal_entry_exit_stop_and_target(api: StandIn) -> None:
    pane = prices_pane(opened())
    rows = api.rows["/prices"]
    assert [series["label"] for series in pane["series"]] == ["band low", "band high", "mean", "open", "high", "low", "close"]
    assert pane["series"][-1]["values"] == [row["close"] for row in rows]
    assert [(mark["shape"], mark["value"]) for mark in pane["markers"]] == [
        ("signal", rows[-5]["close"]),
        ("entry", rows[-4]["open"]),
        ("exit", rows[-1]["open"]),
    ]
    raw = rows[-4]["open"] * 500.0 / 500.1
    assert [round(level["value"], 6) for level in pane["levels"]] == [round(raw * 0.97, 6), round(raw * 1.04, 6)]


def test_stop_and_target_of_a_short_stand_on_the_other_side() -> None:
    trade = trades(1)[0] | {"side": "short"}
    stop, target = trade_chart.levels(trade, prices(), order_page(ENTRY_ID))
    assert target.value < stop.value


@pytest.mark.usefixtures("api")
def test_the_chain_behind_the_trade_stands_beside_it() -> None:
    text = shown(opened())
    for part in (
        "Signal: strategy bollinger",
        "Features: 3 values",
        "Answer of the entry filter: signal enter, probability 0.6142",
        "Bar of the decision: symbol SPY, close 499.5",
        "Validation of the bars: session 2026-02-24, passed yes",
        "Model: name entry-filter, version 7, aliases champion",
        "Entry order: events",
        "Exit order: fills",
        "rsi 14</dt><dd>31.25",
    ):
        assert part in text
    assert "The API&#x27;s record of the answer: not on record." in text
    assert "the exit at the &lt;b&gt;open&lt;/b&gt;" in text


def test_filters_are_the_apis_and_start_at_the_first_page(api: StandIn) -> None:
    api.rows.update(desk(sessions=30, closed=120))
    page = opened()
    next(each for each in page.button if each.label == "Older trades").click()
    page.run()
    assert "Closed trades, newest first, 51 to 100" in shown(page)
    assert page.selectbox(key="trades-symbol").options == ["IWM", "QQQ", "SPY"]
    page.selectbox(key="trades-symbol").set_value("QQQ")
    page.date_input(key="trades-first").set_value(dt.date(2026, 1, 2)).run()
    assert "Closed trades, newest first, 1 to 40" in shown(page)
    assert any("symbol=QQQ" in each and "first=2026-01-02" in each for each in api.requests)


def test_pages_go_on_and_back(api: StandIn) -> None:
    api.rows.update(desk(sessions=30, closed=120))
    page = opened()
    for button, span in (("Older", "51 to 100"), ("Older", "101 to 120"), ("Newer", "51 to 100"), ("Newer", "1 to 50")):
        next(each for each in page.button if each.label == f"{button} trades").click()
        page.run()
        assert f"newest first, {span}<" in shown(page)


@pytest.mark.usefixtures("api")
def test_another_trade_can_be_chosen() -> None:
    page = opened()
    key = next(each for each in page.selectbox if each.label == "Trade to show")
    key.select_index(1).run()
    assert "No order on record made this trade." in texts(page)
    assert "entry order: events" not in shown(page).lower()


@pytest.mark.parametrize("status", [200, 404])
def test_a_symbol_without_bars_says_so_and_keeps_the_explanation(api: StandIn, status: int) -> None:
    if status == 200:
        api.rows["/prices"] = []
    else:
        api.refusals["/prices"] = (404, "No bar of SPY is stored")
    page = opened()
    assert "No bar of SPY is stored" in texts(page)
    assert "Entry order: events" in shown(page)
    assert 'role="alert"' not in shown(page)


def test_a_strategy_that_is_gone_leaves_the_bars_without_lines(api: StandIn) -> None:
    api.refusals["strategy=bollinger"] = (409, "Unknown strategy")
    page = opened()
    assert [series["label"] for series in prices_pane(page)["series"]] == ["open", "high", "low", "close"]
    assert "The lines of bollinger cannot be drawn" in texts(page)


def test_an_empty_desk_has_no_trade(api: StandIn) -> None:
    api.rows.update(desk(sessions=0, closed=0))
    page = opened()
    assert "No trade matches the filters." in shown(page)
    assert page.get("bidi_component") == []


@pytest.mark.usefixtures("no_api")
def test_without_an_api_the_page_says_so() -> None:
    assert "Nothing can be shown." in shown(opened())
