"""Live against backtest, models and research in a real browser: light, dark and on a phone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.conftest import DESKTOP, PHONE, Dashboard
from tests.standins.dashboard_answers import PagesApi
from tests.standins.dashboard_process import served

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from tests.browser.conftest import Window

PROBE = "404 (Not Found)"  # Streamlit looks for its own server below the path of a page first
SIZES: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"size": PHONE, "has_touch": True, "is_mobile": True},
}


@pytest.fixture(scope="module")
def pages(browser: Browser) -> Iterator[Dashboard]:
    """A dashboard on an API with three years of a book, models and research."""
    api = PagesApi()
    with api.served() as api_address, served(api_address) as dashboard:
        yield Dashboard(dashboard.address, api, browser)


def photographed(window: Window, name: str) -> None:
    """Store the whole page, and see that it fits, stays on this machine and complains of nothing."""
    height = window.page.evaluate("document.querySelector('.stMain').scrollHeight")
    width = window.page.viewport_size["width"] if window.page.viewport_size else DESKTOP[0]
    window.page.set_viewport_size({"width": width, "height": int(height) + 20})
    window.page.wait_for_timeout(800)
    window.photograph(name)
    assert window.page.evaluate("document.documentElement.scrollWidth") <= width
    assert window.outside == []
    assert [each for each in window.complaints if PROBE not in each] == []


@pytest.mark.parametrize("look", list(SIZES))
def test_live_against_backtest_shows_curves_lights_and_causes(pages: Dashboard, look: str) -> None:
    with pages.window("/live-against-backtest", **SIZES[look]) as window:
        window.page.wait_for_selector(".desk-chart canvas")
        assert window.page.locator(".desk-chart canvas").count() == 3
        assert window.page.get_by_text("● +0.51 green").is_visible() or look == "phone"
        assert window.page.get_by_text("<script>alert('x')</script>").first.is_visible(), "HTML in a name is text"
        newest = pages.api.objects["/live-vs-backtest"]["curve"]["gap_usd"][-1]  # type: ignore[attr-defined]
        assert f"{newest:,.2f} USD" in window.page.locator(".desk-chart").inner_text(), "the legend has the newest value"
        photographed(window, f"comparison-{look}")


@pytest.mark.parametrize("look", list(SIZES))
def test_models_show_versions_with_links_calibration_and_what_blocks(pages: Dashboard, look: str) -> None:
    with pages.window("/models", **SIZES[look]) as window:
        window.page.wait_for_selector("text=Versions of the next-day model")
        window.page.locator(".desk-chart canvas").nth(1).wait_for()
        link = window.page.locator("a[href$='/models/entry-filter/versions/3']")
        assert (link.get_attribute("target"), "noopener" in (link.get_attribute("rel") or "")) == ("_blank", True)
        assert window.page.get_by_text("Too few samples: 9 of 12 pairs.").first.is_visible()
        photographed(window, f"models-{look}")


@pytest.mark.parametrize("look", list(SIZES))
def test_runs_are_chosen_and_compared(pages: Dashboard, look: str) -> None:
    with pages.window("/research", **SIZES[look]) as window:
        window.page.wait_for_selector("text=Backtests, net of costs")
        choice = window.page.locator("[data-testid=stMultiSelect] input")
        for run in ("00000000", "00000001", "00000002"):
            choice.fill(run)
            window.page.get_by_role("option").filter(has_text=run).click()
            window.page.locator("[data-testid=stMultiSelect]").get_by_text(run).wait_for()
            if run != "00000000":  # with two there is a comparison: each choice is drawn before the next is made
                window.page.wait_for_selector("text=Figures side by side")
        window.page.keyboard.press("Escape")
        window.page.wait_for_selector("text=Figures side by side")
        window.page.locator(".desk-chart .u-legend").filter(has_text="00000002").wait_for()
        photographed(window, f"research-{look}")


@pytest.mark.parametrize("look", list(SIZES))
def test_a_heat_map_and_the_rankings_are_a_click_away(pages: Dashboard, look: str) -> None:
    with pages.window("/research", **SIZES[look]) as window:
        window.page.get_by_role("radio", name="Heat map").or_(window.page.get_by_role("button", name="Heat map")).first.click()
        window.page.wait_for_selector(".heat-6")
        photographed(window, f"heat-map-{look}")
        assert "section=Heat" in window.page.url
        window.page.get_by_role("radio", name="Rankings").or_(window.page.get_by_role("button", name="Rankings")).first.click()
        window.page.wait_for_selector("text=Newest sweep, the first 200")
        photographed(window, f"rankings-{look}")
