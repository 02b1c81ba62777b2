"""The page of alerts on a stand-in of the API, through Streamlit's own harness."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from streamlit.testing.v1 import AppTest

from tests.standins.dashboard_api import CONTROL_KEY
from tests.standins.shown_page import Tables, html_of
from tests.standins.steering_api import HTML, alert

if TYPE_CHECKING:
    from tests.standins.steering_api import SteeringApi


def script() -> None:
    from monitoring.dashboard.pages import alerts

    alerts.draw("main")


def opened() -> AppTest:
    page = AppTest.from_function(script, default_timeout=30).run()
    assert [each.value for each in page.exception] == []
    return page


def submitted(page: AppTest, form: str, button: str, **typed: str) -> AppTest:
    for name, text in {"author": "ann", "key": CONTROL_KEY, **typed}.items():
        page.text_input(key=f"{form}-{name}").set_value(text)
    next(each for each in page.button if each.label == button).click()
    return page.run()


def listed(page: AppTest) -> list[str]:
    return [row[0] for row in Tables(html_of(page)).named("Alerts, newest first").rows]


@pytest.mark.usefixtures("steering_api")
def test_open_alerts_show_first_and_resolved_ones_on_request() -> None:
    page = opened()
    assert listed(page) == ["3", "2"]
    page.radio(key="alerts-state").set_value("open and resolved").run()
    assert listed(page) == ["3", "2", "1"]


@pytest.mark.usefixtures("steering_api")
def test_kind_and_book_choose_alerts() -> None:
    page = opened()
    page.selectbox(key="alerts-kind").set_value("disk").run()
    assert listed(page) == ["2"]
    page.selectbox(key="alerts-book").set_value("main").run()
    assert "No alert matches the filters." in html_of(page)


@pytest.mark.usefixtures("steering_api")
def test_the_chosen_alert_has_its_history_and_html_in_it_is_text() -> None:
    text = html_of(opened())
    history = Tables(text).named("History of alert 3")
    assert [row[1:4] for row in history.rows] == [["raised", "n/a", "n/a"], ["commented", "bob", f"<b>{HTML}</b>"]]
    assert HTML not in text
    assert "<dt>order</dt><dd>d1</dd>" in text


def test_a_comment_goes_to_the_history_and_shows_at_once(steering_api: SteeringApi) -> None:
    page = submitted(opened(), "alerts-comment-3", "Comment on alert 3", text="the vendor is informed")
    assert steering_api.changes == [("/alerts/3/comment", {"text": "the vendor is informed", "author": "ann"})]
    assert Tables(html_of(page)).named("History of alert 3").rows[-1][1:4] == ["commented", "ann", "the vendor is informed"]


def test_an_empty_comment_is_not_sent(steering_api: SteeringApi) -> None:
    page = submitted(opened(), "alerts-comment-3", "Comment on alert 3", text=" ")
    assert page.error[0].value.startswith("Expected your name and a comment")
    assert steering_api.changes == []


def test_an_alert_is_taken_on_and_then_offers_no_second_time(steering_api: SteeringApi) -> None:
    page = submitted(opened(), "alerts-acknowledge-3", "Acknowledge alert 3", reason="mine")
    assert steering_api.changes == [("/alerts/3/acknowledge", {"reason": "mine", "author": "ann"})]
    assert "acknowledged by ann, 2026-03-02 21:30:00 UTC: mine" in html_of(page)
    labels = [each.label for each in page.run().button]
    assert "Acknowledge alert 3" not in labels
    assert "Resolve alert 3" in labels


def test_an_alert_that_somebody_resolved_first_is_not_moved(steering_api: SteeringApi) -> None:
    steering_api.refused_moves.add(3)
    page = submitted(opened(), "alerts-resolve-3", "Resolve alert 3", reason="sold")
    assert page.error[0].value == "Alert 3 is resolved already. Do this. Somebody moved it first: its history above says who."
    assert steering_api.changes == []


def test_more_alerts_than_a_page_are_a_click_away(steering_api: SteeringApi) -> None:
    steering_api.book_alerts = [alert(number) for number in range(70, 0, -1)]
    page = opened()
    assert (listed(page)[0], len(listed(page))) == ("70", 50)
    page.button(key="alerts-older").click().run()
    assert (listed(page)[0], len(listed(page))) == ("20", 20)
    assert page.button(key="alerts-older").disabled
    page.button(key="alerts-newer").click().run()
    assert listed(page)[0] == "70"


@pytest.mark.usefixtures("no_api")
def test_without_an_api_no_alert_and_no_form_is_shown() -> None:
    page = opened()
    assert "Nothing can be shown." in html_of(page)
    assert "No alert is open" not in html_of(page)
