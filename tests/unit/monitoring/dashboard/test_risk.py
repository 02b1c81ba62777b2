"""The page of risk on a stand-in of the API, through Streamlit's own harness."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from streamlit.testing.v1 import AppTest

from monitoring.dashboard.parts import limits
from tests.standins.dashboard_api import CONTROL_KEY, desk

if TYPE_CHECKING:
    from tests.standins.dashboard_api import StandIn


def script() -> None:
    from monitoring.dashboard.pages import risk

    risk.draw("main")


def opened() -> AppTest:
    page = AppTest.from_function(script, default_timeout=30).run()
    assert [each.value for each in page.exception] == []
    return page


def shown(page: AppTest) -> str:
    return "\n".join(each.proto.body for each in page.get("html"))


def panes(page: AppTest) -> list[dict[str, Any]]:
    (component,) = page.get("bidi_component")
    content: dict[str, Any] = json.loads(json.loads(component.proto.json)["spec"])
    return list(content["panes"])


def change(page: AppTest, form: str, words: str, button: str) -> AppTest:
    for name, text in {"author": "ann", "reason": "drill", "typed": words, "key": CONTROL_KEY}.items():
        page.text_input(key=f"{form}-{name}").set_value(text)
    next(each for each in page.button if each.label == button).click()
    return page.run()


def test_every_limit_shows_its_use_its_distance_its_state_and_a_bar(api: StandIn) -> None:
    text = shown(opened())
    assert "▲ warning" in text
    assert '<meter min="0" max="100" value="100.0"></meter> 104.50' in text
    assert '<meter min="0" max="100" value="40.0"></meter> 4.00' in text
    assert text.count("<meter") == sum(
        row["limit"] not in limits.FREQUENCY and row["used"] is not None for row in api.rows["/risk"]
    )
    assert "Measured on each order." in text


@pytest.mark.usefixtures("api")
def test_the_distance_to_the_emergency_stop_stands_on_a_card() -> None:
    text = shown(opened())
    assert "● 4.00 % under the peak" in text
    assert "ok: 6.00 to the emergency stop at 10.00" in text
    assert "■ 104.50 % of equity" in text
    assert "● 75.00 s" in text


def test_a_limit_that_nobody_measured_says_why(api: StandIn) -> None:
    api.rows["/risk"][5] |= {
        "used": None,
        "distance": None,
        "distance_pct": None,
        "state": "unknown",
        "note": "Never measured.",
    }
    assert "unknown: Never measured." in shown(opened())


def test_the_curves_are_the_heartbeats_with_the_stop_as_a_line(api: StandIn) -> None:
    drawdown, var = panes(opened())
    assert drawdown["series"][0]["values"] == [row["drawdown_pct"] for row in api.rows["/heartbeats"]]
    assert [(each["value"], each["label"]) for each in drawdown["levels"]] == [(10.0, "emergency stop"), (5.0, "alert")]
    assert var["series"][0]["values"] == [row["var_historical_usd"] for row in api.rows["/heartbeats"]]


@pytest.mark.usefixtures("api")
def test_the_matrix_gives_each_pair_twice_and_a_reason_where_there_is_no_figure() -> None:
    text = shown(opened())
    assert text.count("+0.62 (as held -0.62)") == 2
    assert text.count(">-0.31</td>") == 2
    assert text.count("n/a: Fewer than 20 common sessions.") == 2


def test_an_empty_desk_has_no_limit_and_holds_nothing(api: StandIn) -> None:
    api.rows.update(desk(sessions=0, closed=0))
    page = opened()
    text = shown(page)
    assert "No limit is on" in text
    assert "Nothing is held or ordered." in text
    assert "Fewer than two symbols are held." in text
    assert "The risk worker has never measured this book" in "\n".join(each.value for each in page.text)


def test_a_halt_needs_its_words_and_shows_at_once(api: StandIn) -> None:
    page = opened()
    assert "main is not halted" in shown(page)
    refused = change(page, "risk-halt", "HALT", "Halt trading of main")
    assert "Expected HALT main typed" in refused.error[0].value
    assert api.changes == []

    page = change(page, "risk-halt", "HALT main", "Halt trading of main")
    assert api.changes == [("/trading/halt", {"portfolio": "main", "reason": "drill", "author": "ann"})]
    assert "main is HALTED by ann" in shown(page)


def test_every_book_is_resumed_with_words_of_its_own(api: StandIn) -> None:
    page = opened()
    page.radio(key="risk-scope").set_value("every book")
    page.radio(key="risk-halt-verb").set_value("Resume").run()
    change(page, "risk-resume", "RESUME EVERY BOOK", "Resume trading of every book")
    assert api.changes == [("/trading/resume", {"reason": "drill", "author": "ann"})]


def test_a_deployment_is_paused_from_the_version_that_is_shown(api: StandIn) -> None:
    page = change(opened(), "risk-pause", "PAUSE main", "Pause main")
    assert api.changes == [("/deployments/main/pause", {"expected_version": 1, "reason": "drill", "author": "ann"})]
    page.run()
    assert "main is paused (version 2" in "\n".join(each.value for each in page.text)


def test_a_deployment_that_was_retired_meanwhile_offers_no_change(api: StandIn) -> None:
    page = opened()
    api.rows["/deployments"][0]["state"] = "retired"
    page.run()
    assert "A retired deployment stays retired" in "\n".join(each.value for each in page.text)


@pytest.mark.usefixtures("no_api")
def test_without_an_api_no_limit_and_no_state_is_shown() -> None:
    text = shown(opened())
    assert "Nothing can be shown." in text
    assert "not halted" not in text
    assert "<meter" not in text
