"""The page of trades in a real browser: the table, and a trade on its price chart with everything behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.conftest import PHONE

if TYPE_CHECKING:
    from tests.browser.conftest import Dashboard, Window


def drawn(window: Window) -> None:
    """Wait until the table, the chart and the explanation stand on the page."""
    window.page.wait_for_selector("text=Closed trades, newest first")
    window.page.wait_for_selector(".desk-chart canvas")
    window.page.wait_for_selector("text=Exit order: events")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_trade_stands_on_its_price_chart_with_its_explanation(dashboard: Dashboard, scheme: Any) -> None:
    with dashboard.window("/trades", color_scheme=scheme) as window:
        drawn(window)
        window.page.locator("summary", has_text="Answer of the entry filter").click()
        window.page.wait_for_selector("dd >> text=0.6142")
        window.page.locator(".desk-chart").focus()
        window.page.keyboard.press("End")
        assert "exit: sell 10 at" in window.page.locator(".desk-chart .spoken").inner_text()
        window.photograph(f"trades-{scheme}")
        assert window.outside == []
        assert window.complaints == []


def test_trades_fit_a_phone(dashboard: Dashboard) -> None:
    with dashboard.window("/trades", size=PHONE, has_touch=True, is_mobile=True) as window:
        drawn(window)
        window.photograph("trades-phone")
        assert window.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_address_names_the_filters_and_the_trade(dashboard: Dashboard) -> None:
    with dashboard.window("/trades?trades-symbol=QQQ") as window:
        drawn_table = window.page.locator("td >> text=QQQ").first
        drawn_table.wait_for()
        assert window.page.locator("td >> text=SPY").count() == 0
