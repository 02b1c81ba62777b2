"""A real PostgreSQL for tests: one embedded cluster a test run, fresh databases for each test or module."""

from __future__ import annotations

import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import prometheus_client  # noqa: F401  # before Feast, which would have it keep all counts of a process in shared files
import pytest
import structlog

from core.sessions import correct_calendars
from storage.engine import open_engine
from tests.databases import fresh_databases
from tests.isolation import leave_the_developers_desk
from tests.properties import load_profile

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa

    from core.settings import Settings

leave_the_developers_desk()  # both before a test module is imported
load_profile()


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out modules with neither tests nor examples: importing every stand-in and benchmark takes long."""
    if collection_path.suffix != ".py" or collection_path.name.startswith("test_"):
        return None
    return True if ">>>" not in collection_path.read_text(encoding="utf-8") else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests with real servers first: their files take longest, and short ones at the end keep every worker busy."""
    items.sort(key=lambda item: item.get_closest_marker("integration") is None)


@pytest.fixture(scope="session")
def cluster_dir(request: pytest.FixtureRequest) -> Path:
    """The folder of the run's cluster, shared by all workers."""
    run = getattr(request.config, "workerinput", {}).get("testrunuid", uuid.uuid4().hex)
    folder = Path(tempfile.gettempdir()) / f"desk-tests-{run[:12]}"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    return folder


@pytest.fixture(autouse=True)
def fresh_logging() -> Iterator[None]:
    """A test that configures logging does so for itself alone."""
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def calendars_by_rule() -> Iterator[None]:
    """A test that corrects calendars does so for itself alone."""
    yield
    correct_calendars({})


@pytest.fixture
def database_settings(cluster_dir: Path, tmp_path: Path) -> Iterator[Settings]:
    """Settings on fresh databases, for one test."""
    with fresh_databases(cluster_dir, tmp_path) as settings:
        yield settings


@pytest.fixture(scope="module")
def module_settings(cluster_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings on fresh databases, shared by a module's tests."""
    with fresh_databases(cluster_dir, tmp_path_factory.mktemp("desk")) as settings:
        yield settings


@pytest.fixture
def database(database_settings: Settings) -> Iterator[sa.Engine]:
    """An engine on a fresh, migrated desk database."""
    engine = open_engine(database_settings)
    yield engine
    engine.dispose()
