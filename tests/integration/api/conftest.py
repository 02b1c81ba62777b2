"""The API over a real PostgreSQL, one database a module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from core.settings import Settings
from storage.engine import open_engine
from tests.standins.api_desk import CONTROL_KEY, Desk, client_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fastapi.testclient import TestClient


@pytest.fixture(scope="module")
def engine(module_settings: Settings) -> Iterator[sa.Engine]:
    found = open_engine(module_settings)
    yield found
    found.dispose()


@pytest.fixture
def desk(engine: sa.Engine, tmp_path: Path) -> Desk:
    """A desk with one champion, a control key and no read key."""
    with engine.begin() as connection:
        for table in (
            "trading.served_predictions",
            "trading.strategy_params",
            "trading.halts",
            "trading.alerts",
            "trading.alert_events",
        ):
            connection.execute(sa.text(f"TRUNCATE {table}"))
    settings = Settings.of(api__champion_poll_seconds=0.02, api__control_keys=CONTROL_KEY)
    return Desk(settings, engine, tmp_path)


@pytest.fixture
def api(desk: Desk) -> Iterator[TestClient]:
    """A client on this machine."""
    with client_of(desk) as client:
        yield client
