"""Parameters, alerts, the evening and the performance report in a real browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import PHONE, Dashboard
from tests.browser.test_pages_of_research import photographed
from tests.standins.dashboard_api import CONTROL_KEY
from tests.standins.dashboard_process import served
from tests.standins.steering_api import SteeringApi, defaults

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def steering(browser: Browser) -> Iterator[Dashboard]:
    """A dashboard on an API that keeps parameters and moves alerts."""
    api = SteeringApi()
    with api.served() as api_address, served(api_address, DASHBOARD__AIRFLOW_URL="http://127.0.0.1:8080") as dashboard:
        yield Dashboard(dashboard.address, api, browser)


def test_two_people_edit_a_parameter_and_the_second_sees_who_was_first(steering: Dashboard) -> None:
    from playwright.sync_api import expect

    api = steering.api
    assert isinstance(api, SteeringApi)
    with steering.window("/parameters") as window:
        field = window.page.get_by_role("spinbutton", name="stop_pct (%)")
        expect(field).to_have_value("4")
        api.add("rsi", defaults("rsi") | {"stop_pct": 3.0}, ["stop_pct"], {"author": "eve", "reason": "earnings week"})
        field.fill("")  # none
        form = window.page.locator("[data-testid=stForm]").first
        form.get_by_label("Your name").fill("ann")
        form.get_by_label("Reason").fill("no stop")
        form.get_by_label("Control key").fill(CONTROL_KEY)
        form.get_by_role("button", name="Save as a new version").click()
        window.page.get_by_text("Changed since version 2").wait_for()
        photographed(window, "parameters-conflict")
        window.page.get_by_role("button", name="Load what is in force now").click()
        window.page.get_by_text("The form shows version 3").wait_for()
        expect(field).to_have_value("3")
        assert api.changes == []


def test_alerts_show_html_as_text(steering: Dashboard) -> None:
    with steering.window("/alerts", color_scheme="dark") as window:
        window.page.get_by_text("History of alert 3").wait_for()
        assert window.page.get_by_text("<script>alert('x')</script>").first.is_visible()
        photographed(window, "alerts-dark")


def test_the_mail_is_shown_and_its_script_does_not_run(steering: Dashboard) -> None:
    with steering.window("/evening?evening-session=2026-02-27") as window:
        mail = window.page.frame_locator("iframe.desk-mail")
        mail.get_by_role("heading", name="Evening of 2026-02-27").wait_for()
        blocked = [each for each in window.complaints if "sandboxed" in each]
        window.complaints[:] = [each for each in window.complaints if "sandboxed" not in each]
        assert blocked, "the script in the mail was blocked"
        photographed(window, "evening")


def test_the_evening_fits_a_phone(steering: Dashboard) -> None:
    with steering.window("/evening", PHONE, has_touch=True, is_mobile=True) as window:
        window.page.get_by_text("place is running").wait_for()
        photographed(window, "evening-phone")


def test_the_report_is_a_file_that_prints(steering: Dashboard, tmp_path: Path) -> None:
    with steering.window("/live-against-backtest") as window:
        with window.page.expect_download() as download:
            window.page.get_by_role("button", name="Performance report").click()
        report = tmp_path / "report.html"
        download.value.save_as(report)
        window.page.goto(report.as_uri())
        window.page.get_by_role("heading", name="Performance of main").wait_for()
        window.photograph("report")
        assert window.page.pdf().startswith(b"%PDF")
