"""The page of risk in a real browser: it shows the limits, and halts and resumes a book."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.conftest import PHONE
from tests.standins.dashboard_api import CONTROL_KEY

if TYPE_CHECKING:
    from tests.browser.conftest import Dashboard, Window


def drawn(window: Window) -> None:
    """Wait until the curves, the matrix and the forms stand on the page."""
    window.page.wait_for_selector(".desk-chart canvas")
    window.page.wait_for_selector(".desk-heat td >> text=+0.62")
    window.page.get_by_role("button", name="Halt trading of main").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_risk_shows_limits_curves_and_the_matrix(dashboard: Dashboard, scheme: Any) -> None:
    with dashboard.window("/risk", size=(1280, 2600), color_scheme=scheme) as window:
        drawn(window)
        window.page.wait_for_timeout(500)
        window.photograph(f"risk-{scheme}")
        assert window.page.locator("meter").count() == 6
        assert window.outside == []
        assert window.complaints == []


def test_risk_fits_a_phone(dashboard: Dashboard) -> None:
    with dashboard.window("/risk", size=PHONE, has_touch=True, is_mobile=True) as window:
        drawn(window)
        window.photograph("risk-phone")
        assert window.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_book_is_halted_with_typed_words_and_a_key_and_resumed(dashboard: Dashboard) -> None:
    with dashboard.window("/risk", size=(1280, 2600)) as window:
        drawn(window)
        page = window.page
        page.get_by_label("Your name").first.fill("ann")
        page.get_by_label("Reason").first.fill("drill")
        page.get_by_label("Type HALT main to confirm").fill("HALT main")
        page.get_by_label("Control key").first.fill(CONTROL_KEY)
        page.get_by_role("button", name="Halt trading of main").click()
        page.wait_for_selector("text=HALTED by ann")
        window.photograph("risk-halted")
        page.get_by_text("Resume", exact=True).click()
        page.get_by_label("Type RESUME main to confirm").fill("RESUME main")
        page.get_by_label("Reason").first.fill("over")
        page.get_by_role("button", name="Resume trading of main").click()
        page.wait_for_selector("text=main is not halted")
        assert [(path, change["reason"]) for path, change in dashboard.api.changes] == [
            ("/trading/halt", "drill"),
            ("/trading/resume", "over"),
        ]
