"""The real API of a desk on a free port, and the dashboard's pages in this process as its clients."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import httpx
import streamlit as st
import uvicorn

from serving.app import create_app
from tests.standins.dashboard_api import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.resources import Resources


@contextmanager
def served_api(desk: Resources) -> Iterator[httpx.Client]:
    """Serve the API of a desk until the end; yields a client."""
    config = uvicorn.Config(create_app(desk), port=free_port(), log_config=None, access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    with httpx.Client(base_url=f"http://127.0.0.1:{config.port}", timeout=60) as client:
        yield client
    server.should_exit = True
    thread.join(10)


@contextmanager
def dashboard_of(api: httpx.Client) -> Iterator[None]:
    """Have pages of this process read an API, without an answer of another test."""
    variables = {"DASHBOARD__API_URL": str(api.base_url).rstrip("/"), "DASHBOARD__TIMEOUT_SECONDS": "60"}
    st.cache_resource.clear()
    with patch.dict(os.environ, variables):
        yield
    st.cache_resource.clear()


def rows_of(api: httpx.Client, path: str, **query: str | int | None) -> list[dict[str, Any]]:
    """Return the rows of a page of the book `main`; None leaves a part of the query out."""
    parameters = {name: value for name, value in ({"book": "main"} | query).items() if value is not None}
    answer = api.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    content = answer.json()
    return list(content["rows"] if isinstance(content, dict) else content)
