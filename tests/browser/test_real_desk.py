"""Every page in a browser over the real API and a real PostgreSQL: an empty desk, ten years of one, a database that is down."""

from __future__ import annotations

import datetime as dt
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from core.sessions import close_of
from monitoring.dashboard.app import PAGES, path_of
from pipeline.resources import Resources
from storage.engine import open_engine
from tests.browser.conftest import Dashboard
from tests.databases import fresh_databases
from tests.standins.dashboard_process import served
from tests.standins.served_api import served_api
from tests.standins.traded_years import CASH, Shape, write_record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from core.settings import Settings
    from tests.browser.conftest import Window

SHAPE = Shape(first=dt.date(2009, 1, 2), last=dt.date(2018, 12, 31), books=("main", "duo"), rules=("bollinger", "rsi"), width=3)
NOW = close_of(SHAPE.last) + dt.timedelta(hours=2)
PATHS = {title: "/" if title == "Overview" else f"/{path_of(title)}" for title in PAGES}


@contextmanager
def dashboard_on(settings: Settings, browser: Browser) -> Iterator[Dashboard]:
    """Serve API and dashboard of a desk; the page is refreshed each second."""
    desk = Resources(settings, clock=lambda: NOW)
    with served_api(desk) as api, served(str(api.base_url).rstrip("/"), DASHBOARD__REFRESH_SECONDS="1") as dashboard:
        yield Dashboard(dashboard.address, None, browser)  # type: ignore[arg-type]  # the API is no stand-in
    desk.engine.dispose()


@pytest.fixture(scope="module")
def empty(cluster_dir: Path, tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Dashboard]:
    """A desk that was started and has done nothing."""
    with (
        fresh_databases(cluster_dir, tmp_path_factory.mktemp("desk")) as settings,
        dashboard_on(settings, browser) as found,
    ):
        yield found


@pytest.fixture(scope="module")
def ten_years(cluster_dir: Path, tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[tuple[Dashboard, Any]]:
    """Ten years of two books, and the settings of their desk."""
    with fresh_databases(cluster_dir, tmp_path_factory.mktemp("desk")) as databases:
        settings = databases.with_changes(strategies=SHAPE.rules, risk__max_positions=8, venue__initial_cash_usd=CASH)
        engine = open_engine(settings)
        write_record(engine, SHAPE)
        engine.dispose()
        with dashboard_on(settings, browser) as found:
            yield found, settings


def complete(window: Window) -> None:
    """Wait until Streamlit has drawn everything; no part of the page ended in an error."""
    window.page.wait_for_selector(".desk-notice, .desk-table, form")
    window.page.wait_for_selector("[data-test-script-state=notRunning]", state="attached")
    assert window.page.locator("[data-testid=stException]").count() == 0
    assert window.complaints == []
    assert window.outside == []


@pytest.mark.parametrize("title", PAGES)
def test_an_empty_desk_says_what_is_missing(empty: Dashboard, title: str) -> None:
    with empty.window(PATHS[title]) as window:
        complete(window)
        window.photograph(f"empty-{path_of(title)}")
        assert window.page.locator(".desk-notice[role=alert]").count() == 0


@pytest.mark.parametrize("title", PAGES)
def test_ten_years_are_shown(ten_years: tuple[Dashboard, Settings], title: str) -> None:
    with ten_years[0].window(f"{PATHS[title]}?book=main") as window:
        complete(window)
        window.photograph(f"ten-years-{path_of(title)}")
        assert window.page.locator("h1").inner_text() == title
        assert window.page.locator(".desk-notice[role=alert]").count() == 0


def test_while_the_database_is_down_the_last_figures_stay_and_then_they_are_new_again(
    ten_years: tuple[Dashboard, Settings],
) -> None:
    dashboard, settings = ten_years
    with dashboard.window("/?book=main") as window:
        complete(window)
        equity = window.page.locator(".desk-cards dd").first.inner_text()
        with database_down(settings):
            notice = window.page.locator(".desk-notice[role=alert]")
            notice.wait_for()
            assert "Figures are up to" in notice.inner_text()
            assert window.page.locator(".desk-cards dd").first.inner_text() == equity
            window.photograph("database-down")
        notice.wait_for(state="detached", timeout=60_000)


@contextmanager
def database_down(settings: Settings) -> Iterator[None]:
    """Let nobody into the desk's database until the end."""
    assert settings.database.url is not None
    url = sa.make_url(settings.database.url.get_secret_value())
    admin = sa.create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with admin.connect() as connection:
        connection.execute(sa.text(f'ALTER DATABASE "{url.database}" ALLOW_CONNECTIONS false'))
        ended = sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
        connection.execute(ended, {"name": url.database})
        try:
            yield
        finally:
            connection.execute(sa.text(f'ALTER DATABASE "{url.database}" ALLOW_CONNECTIONS true'))
