"""A stand-in of the API for the pages' tests, and a page that Streamlit's own harness runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import streamlit as st
from fastapi.testclient import TestClient

from monitoring.dashboard import server
from tests.standins.dashboard_answers import PagesApi
from tests.standins.dashboard_api import StandIn, desk
from tests.standins.steering_api import SteeringApi

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No answer, client or setting of another test; every read asks the API."""
    monkeypatch.setattr("monitoring.dashboard.api.FRESH_SECONDS", 0.0)
    st.cache_resource.clear()
    yield
    st.cache_resource.clear()


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A stand-in that answers, with the variable that leads to it."""
    api = StandIn(desk(sessions=30, closed=10))
    with api.served() as address:
        monkeypatch.setenv("DASHBOARD__API_URL", address)
        yield api


@pytest.fixture
def pages_api(monkeypatch: pytest.MonkeyPatch) -> Iterator[PagesApi]:
    """A stand-in that answers the routes of performance, models and research too."""
    api = PagesApi()
    with api.served() as address:
        monkeypatch.setenv("DASHBOARD__API_URL", address)
        yield api


@pytest.fixture
def steering_api(monkeypatch: pytest.MonkeyPatch) -> Iterator[SteeringApi]:
    """A stand-in that answers, and takes, what the pages of parameters, alerts and the evening send."""
    api = SteeringApi()
    with api.served() as address:
        monkeypatch.setenv("DASHBOARD__API_URL", address)
        yield api


@pytest.fixture(scope="session")
def client() -> TestClient:
    """The dashboard's server, which also answers to desk.lan; Streamlit allows one in a process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DASHBOARD__HOSTS", "desk.lan")
        return TestClient(server.create_app(), base_url="http://127.0.0.1:8501")


@pytest.fixture
def no_api(monkeypatch: pytest.MonkeyPatch) -> str:
    """An address at which nothing answers."""
    monkeypatch.setenv("DASHBOARD__API_URL", "http://127.0.0.1:9")
    return "http://127.0.0.1:9"
