"""The dashboard in Debian's Chromium, on a stand-in of the API. `make test-browser` runs these; elsewhere they are skipped.

Screenshots stand in `.local/screenshots`, one a name, for a person to look at.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.standins.dashboard_api import StandIn
from tests.standins.dashboard_process import ROOT, chromium, served

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, ConsoleMessage, Page

SCREENSHOTS = ROOT / ".local" / "screenshots"
LOOPBACK = ("http://127.0.0.1", "ws://127.0.0.1", "blob:", "data:")
PHONE, DESKTOP = (390, 844), (1280, 1500)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip every test of this folder outside `make test-browser`."""
    skipped = pytest.mark.skip(reason="needs a browser: `make test-browser` installs Chromium and runs these")
    for item in items:
        if Path(__file__).parent in item.path.parents and not os.environ.get("BROWSER_TESTS"):
            item.add_marker(skipped)


@dataclass
class Window:
    """One browser window: its page, and whatever it asked for or complained about."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def hear(self, message: ConsoleMessage) -> None:
        """Note an error of the console, but for Streamlit's search of its own address from the path of a page."""
        if message.type == "error" and "/_stcore/" not in str(message.location.get("url")):
            self.complaints.append(message.text)

    @property
    def outside(self) -> list[str]:
        """Requests that left this machine."""
        return [url for url in self.requests if not url.startswith(LOOPBACK)]

    def photograph(self, name: str) -> None:
        """Store a screenshot."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")


@dataclass
class Dashboard:
    """A running dashboard, its API, and windows on it."""

    address: str
    api: StandIn
    browser: Browser

    @contextmanager
    def window(self, path: str = "/", size: tuple[int, int] = DESKTOP, **context: Any) -> Iterator[Window]:
        """Open a path in a fresh window with an empty cache; `context` are Playwright's options."""
        opened = self.browser.new_context(viewport={"width": size[0], "height": size[1]}, **context)
        window = Window(opened.new_page())
        window.page.on("request", lambda request: window.requests.append(request.url))
        window.page.on("websocket", lambda socket: window.requests.append(socket.url))
        window.page.on("pageerror", lambda error: window.complaints.append(str(error)))
        window.page.on("console", window.hear)
        window.page.set_default_timeout(30_000)
        window.page.goto(self.address + path)
        try:
            yield window
        finally:
            opened.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, without a window."""
    with chromium() as running:
        yield running


@pytest.fixture
def dashboard(browser: Browser) -> Iterator[Dashboard]:
    """A dashboard that refreshes each second, on an API with three years of a desk."""
    api = StandIn()
    with api.served() as api_address, served(api_address, DASHBOARD__REFRESH_SECONDS="1") as dashboard:
        yield Dashboard(dashboard.address, api, browser)
