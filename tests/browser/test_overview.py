"""The overview in a real browser: it draws, it stays on this machine, and it draws again only what has changed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.conftest import PHONE

if TYPE_CHECKING:
    from tests.browser.conftest import Dashboard, Window

CHART = ".desk-chart"


def drawn(window: Window) -> None:
    """Wait until chart and tables stand on the page."""
    window.page.wait_for_selector(f"{CHART} canvas")
    window.page.wait_for_selector("text=paused by ann")


def draws(window: Window) -> int:
    """Return the number of times that the chart was drawn."""
    return int(window.page.locator(CHART).get_attribute("data-draws") or 0)


def wait_for(dashboard: Dashboard, refreshes: int) -> None:
    """Wait until the page has read the positions that many more times."""
    seen = sum("/positions" in request for request in dashboard.api.requests)
    until = time.monotonic() + 30
    while sum("/positions" in request for request in dashboard.api.requests) < seen + refreshes:
        assert time.monotonic() < until, "the page does not refresh"
        time.sleep(0.1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_overview_shows_the_desk_and_nothing_leaves_this_machine(dashboard: Dashboard, scheme: Any) -> None:
    with dashboard.window(color_scheme=scheme) as window:
        drawn(window)
        time.sleep(1)
        window.photograph(f"overview-{scheme}")
        assert window.outside == []
        assert window.complaints == []
        assert window.page.locator("text=+312.40 USD").is_visible()
        assert window.page.locator("text=Order <b>gap</b> is unknown at the venue").is_visible(), "HTML in a name is text"


def test_a_phone_shows_the_whole_width_of_a_chart(dashboard: Dashboard) -> None:
    with dashboard.window(size=PHONE, has_touch=True, is_mobile=True) as window:
        drawn(window)
        window.photograph("overview-phone")
        width = window.page.locator(f"{CHART} canvas").first.bounding_box()
        assert width is not None
        assert 300 < width["width"] <= 390
        assert window.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_refresh_draws_again_only_what_has_changed(dashboard: Dashboard) -> None:
    with dashboard.window() as window:
        drawn(window)
        wait_for(dashboard, 3)
        assert draws(window) == 1
        dashboard.api.rows["/equity"][-1]["equity_usd"] += 1_000
        wait_for(dashboard, 3)
        assert draws(window) == 2
        assert window.complaints == []


def test_the_keyboard_moves_the_cursor_and_a_screen_reader_hears_the_figures(dashboard: Dashboard) -> None:
    with dashboard.window() as window:
        drawn(window)
        window.page.locator(CHART).focus()
        window.page.keyboard.press("End")
        row = dashboard.api.rows["/equity"][-1]
        text = f"{row['session']}, equity {row['equity_usd']:,.2f} USD, drawdown {row['drawdown_pct']:,.2f} %"
        assert window.page.locator(f"{CHART} .spoken").inner_text() == text
        window.page.keyboard.press("ArrowLeft")
        assert dashboard.api.rows["/equity"][-2]["session"] in window.page.locator(f"{CHART} .spoken").inner_text()
        window.photograph("overview-keyboard")


def test_while_the_api_is_down_the_last_figures_stay_with_their_age(dashboard: Dashboard) -> None:
    with dashboard.window() as window:
        drawn(window)
        dashboard.api.problem = (503, "The database does not answer")
        notice = window.page.locator(".desk-notice[role=alert]")
        notice.wait_for()
        assert "The database does not answer. Do this. Figures are up to" in notice.inner_text()
        assert window.page.locator("text=15,321.00").is_visible()
        assert draws(window) == 1
        window.photograph("overview-api-down")
        dashboard.api.problem = None
        notice.wait_for(state="detached")
