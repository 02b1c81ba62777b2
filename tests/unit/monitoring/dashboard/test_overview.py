"""The overview on a stand-in of the API, through Streamlit's own harness; charts are looked at in tests/browser."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from streamlit.testing.v1 import AppTest

from monitoring.dashboard import server
from monitoring.dashboard.parts.attention import attention_rows
from tests.standins.dashboard_api import READ_KEY, desk

if TYPE_CHECKING:
    import pytest

    from tests.standins.dashboard_api import StandIn


def opened() -> AppTest:
    """The dashboard's first page."""
    page = AppTest.from_file(server.SCRIPT, default_timeout=20).run()
    assert [each.value for each in page.exception] == []
    return page


def shown(page: AppTest) -> str:
    """The HTML of the page's own tables, cards and messages."""
    return "\n".join(each.proto.body for each in page.get("html"))


def spec(page: AppTest) -> dict[str, Any]:
    """The description of the page's chart."""
    (component,) = page.get("bidi_component")
    content: dict[str, Any] = json.loads(json.loads(component.proto.json)["spec"])
    return content


def test_every_figure_of_the_chart_is_the_apis(api: StandIn) -> None:
    panes = spec(opened())["panes"]
    assert panes[0]["series"][0]["values"] == [row["equity_usd"] for row in api.rows["/equity"]]
    assert panes[1]["series"][0]["values"] == [row["drawdown_pct"] for row in api.rows["/equity"]]


def test_the_page_shows_results_positions_orders_alerts_and_deployments(api: StandIn) -> None:
    text = shown(opened())
    for figure in ("+312.40 USD", "+48,211.90 USD", "15,321.00", "-88.20", "12.5", "2026-03-02 21:35:00 UTC", "paused by ann"):
        assert figure in text
    assert "Order &lt;b&gt;gap&lt;/b&gt; is unknown" in text
    assert "does not answer</span> airflow" in text
    assert 'role="alert"' not in text
    assert api.problem is None


def test_an_empty_desk_says_what_there_is_not(api: StandIn) -> None:
    api.rows.update(desk(sessions=0, closed=0))
    page = opened()
    assert spec(page)["x"] == []
    assert "No position is held." in shown(page)
    assert "No order is on record." in shown(page)


def test_open_alerts_failed_steps_and_blocked_entries_need_a_person(api: StandIn) -> None:
    rows = attention_rows(api.rows["/alerts"], api.rows["/deployments"], api.rows["/sessions"])
    assert [(row["source"], row["book"], row["subject"]) for row in rows] == [
        ("evening of 2026-03-02", "main", "place: no <i>venue</i>"),
        ("alert", "main", "Order <b>gap</b> is unknown at the venue"),
        ("deployment", "trio", "paused by ann"),
    ]
    assert "place: no &lt;i&gt;venue&lt;/i&gt;" in shown(opened())


def test_nothing_needs_a_person_when_all_three_sources_say_so(api: StandIn) -> None:
    api.rows["/alerts"], api.rows["/sessions"] = [], []
    api.rows["/deployments"][1]["state"] = "retired"
    assert "Nothing: no open alert, no blocked entries, no failed step." in shown(opened())


def test_a_period_without_a_figure_gives_its_reason(api: StandIn) -> None:
    reason = "No close of the book is on record."
    api.rows["/pnl"][0] |= {"pnl_usd": None, "return_pct": None, "session": None, "win_rate_pct": None, "reason": reason}
    text = shown(opened())
    assert "n/a USD" in text
    assert f"n/a % · 0 trades · {reason}" in text


def test_when_the_database_is_down_the_last_figures_stay_with_the_reason(api: StandIn) -> None:
    page = opened()
    before = spec(page)
    api.problem, api.ready = (503, "The database does not answer"), api.ready | {"ready": False, "state": "red"}
    page.run()

    assert spec(page) == before
    assert "The database does not answer. Do this. Figures are up to 0 s old." in shown(page)
    assert '<span class="bad">■ red</span> API' in shown(page)


def test_without_an_api_the_page_says_so_and_shows_no_figure(no_api: str) -> None:
    text = shown(opened())
    assert f"The API at {no_api} does not answer (ConnectError)." in text
    assert "Nothing can be shown." in text
    assert "No position is held." not in text


def test_a_wrong_key_says_what_to_do_and_shows_no_key(api: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHBOARD__READ_KEY", "another-key-0123456789")
    api.read_key = READ_KEY
    text = shown(opened())
    assert "Expected a read key in X-API-Key, found another." in text
    assert "another-key" not in text


def test_the_book_chosen_is_the_one_that_is_read(api: StandIn) -> None:
    page = opened()
    assert page.selectbox(key="book").options == ["main", "trio"]
    page.selectbox(key="book").set_value("trio").run()
    assert any(request.startswith("/positions?book=trio") for request in api.requests)
