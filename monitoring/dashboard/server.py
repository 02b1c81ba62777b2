"""The dashboard's server: Streamlit as an ASGI application under our own check of Host and Origin.

`uvicorn monitoring.dashboard.server:create_app --factory` runs it, under `make up` on loopback. `GET /healthz` answers when it
runs. Nothing is fetched from or sent to anywhere but the browser and the REST API.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Route
from streamlit import config
from streamlit.starlette import App

from monitoring.dashboard import first_page
from monitoring.dashboard.app import PAGES, path_of
from monitoring.dashboard.environment import Environment
from monitoring.dashboard.origin_check import LOOPBACK, OriginCheck
from monitoring.dashboard.palette import PALETTE

if TYPE_CHECKING:
    from starlette.requests import Request

SCRIPT: Final = Path(__file__).parent / "script" / "main.py"
OPTIONS: Final[dict[str, Any]] = {
    "browser.gatherUsageStats": False,
    "client.showErrorDetails": "type",  # the text of an error goes to the log, not to the browser
    "client.showErrorLinks": False,
    "client.toolbarMode": "viewer",
    "runner.magicEnabled": False,
    "server.disconnectedSessionTTL": 60,
    "server.enableAgentApi": False,
    "server.enableCORS": True,  # Streamlit's word for refusing other origins
    "server.enableStaticServing": False,
    "server.enableXsrfProtection": True,
    "server.fileWatcherType": "none",
    "server.headless": True,
    "server.maxUploadSize": 1,
    "theme.dark.primaryColor": PALETTE["blue"][1],  # Streamlit's red reads as an alarm
    "theme.light.primaryColor": PALETTE["blue"][0],
}


def create_app() -> App:
    """Return the application of this process; the environment says where the API is (`DASHBOARD__API_URL`)."""
    environment = Environment.of(os.environ)
    for name, value in OPTIONS.items():
        config.set_option(name, value)
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)  # Streamlit turns on what `--no-access-log` turned off
    config.set_option("server.allowedHosts", [*LOOPBACK, *environment.hosts])
    return App(
        SCRIPT,
        routes=[Route("/healthz", _alive), *first_page.routes(["/", *(f"/{path_of(title)}" for title in PAGES)])],
        middleware=[Middleware(OriginCheck, hosts=environment.hosts)],
    )


async def _alive(_: Request) -> JSONResponse:
    return JSONResponse({"status": "alive"})
