"""The page of the evening on a stand-in of the API, through Streamlit's own harness."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from streamlit.testing.v1 import AppTest

from monitoring.dashboard.parts import mail_frame
from tests.standins.shown_page import Tables, html_of
from tests.standins.steering_api import HTML, step

if TYPE_CHECKING:
    from tests.standins.steering_api import SteeringApi


def script() -> None:
    from monitoring.dashboard.pages import evening

    evening.draw("main")


def opened(session: str | None = None) -> AppTest:
    page = AppTest.from_function(script, default_timeout=30).run()
    if session is not None:
        page.selectbox(key="evening-session").set_value(session).run()
    assert [each.value for each in page.exception] == []
    return page


@pytest.mark.usefixtures("steering_api")
def test_the_newest_evening_of_the_book_shows_what_is_running() -> None:
    text = html_of(opened())
    steps = Tables(text).named("Steps of main after 2026-03-02")
    assert [(row[0], row[3], row[6]) for row in steps.rows] == [
        ("settle", "● done", "41.5"),
        ("decide", "● done", "41.5"),
        ("place", "running", "n/a"),
    ]
    assert "place is running" in text
    assert "2 done, 1 running" in text


def test_a_step_that_ends_shows_at_the_next_run(steering_api: SteeringApi) -> None:
    page = opened()
    steering_api.evenings[1]["steps"][2] = step("place", 2)
    assert "3 done" in html_of(page.run())


@pytest.mark.usefixtures("steering_api")
def test_a_failed_evening_names_its_problem_and_html_in_an_error_is_text() -> None:
    text = html_of(opened("2026-02-27"))
    assert "■ place: no venue &lt;script&gt;" in text
    assert Tables(text).named("Steps").rows[1][7] == f"error: VenueDown; message: no venue {HTML}"
    assert HTML not in text


@pytest.mark.usefixtures("steering_api")
def test_steps_lead_into_airflow_where_its_address_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "<a href" not in html_of(opened())
    monkeypatch.setenv("DASHBOARD__AIRFLOW_URL", "http://127.0.0.1:8080")
    import streamlit as st

    st.cache_resource.clear()
    text = html_of(opened())
    url = "http://127.0.0.1:8080/dags/trading_execution/runs/asset_triggered__2026-03-02T21%3A30%3A00%2B00%3A00_x"
    assert text.count(f'<a href="{url}" target="_blank" rel="noopener noreferrer">') == 2, "the terminal's run has none"


@pytest.mark.usefixtures("steering_api")
def test_the_mail_stands_in_a_frame_that_runs_nothing() -> None:
    page = opened("2026-02-27")
    (frame,) = page.get("bidi_component")
    assert json.loads(frame.proto.json)["html"].endswith(HTML), "as in the mail"
    assert 'sandbox=""' in mail_frame.HTML
    assert HTML not in html_of(page)
    assert "Sent 2026-03-02 21:30:00 UTC" in html_of(page)
    assert [each.value for each in page.code] == ["Result +312.40 USD"]


@pytest.mark.usefixtures("steering_api")
def test_an_evening_without_a_mail_says_so_and_nothing_failed() -> None:
    page = opened()
    assert "No mail of this evening is stored" in page.text[0].value
    assert 'role="alert"' not in html_of(page)


@pytest.mark.usefixtures("steering_api")
def test_the_steps_of_all_books_are_a_choice() -> None:
    page = opened()
    page.selectbox(key="evening-of-main").set_value("").run()
    assert Tables(html_of(page)).named("Steps of steps of all books").rows[0][:2] == ["ingest", "SPY"]


def test_a_desk_without_an_evening_has_no_steps(steering_api: SteeringApi) -> None:
    steering_api.evenings.clear()
    assert "No step of this evening is on record." in html_of(opened())


@pytest.mark.usefixtures("no_api")
def test_without_an_api_no_step_is_shown() -> None:
    assert "Nothing can be shown." in html_of(opened())
