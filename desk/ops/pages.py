"""The desk's pages in a browser: their addresses, and whether something answers there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from core.settings import Settings

SECONDS = 3.0
UP = "`make up` starts it, or `python -m desk.ops.up`."


@dataclass(frozen=True)
class DeskPage:
    """A page: its address, what answers when it runs (None: a file), and how to start what does not.

    Attributes
    ----------
    file
        Of a page that is a file.
    """

    name: str
    title: str
    address: str
    probe: str | None
    start: str
    file: Path | None = None

    @property
    def runs(self) -> bool:
        """True when something answers, or the file is there."""
        if self.file is not None:
            return self.file.is_file()
        try:
            return httpx.get(str(self.probe), timeout=SECONDS).status_code < httpx.codes.INTERNAL_SERVER_ERROR
        except httpx.HTTPError:
            return False


def desk_pages(settings: Settings) -> list[DeskPage]:
    """Return every page of the desk on this machine."""
    ports = settings.ports
    airflow, mlflow, dashboard = (f"http://127.0.0.1:{port}" for port in (ports.airflow, ports.mlflow, ports.dashboard))
    tracking = settings.tracking.uri if (settings.tracking.uri or "").startswith("http") else mlflow
    api, docs = settings.api.url.rstrip("/"), settings.data_dir.absolute() / "data_docs" / "index.html"
    return [
        DeskPage("dashboard", "Money, risk, orders, models", dashboard, f"{dashboard}/healthz", UP),
        DeskPage("airflow", "Schedules, runs, logs", airflow, f"{airflow}/api/v2/monitor/health", UP),
        DeskPage("mlflow", "Experiments, models, the champion", str(tracking), f"{tracking}/health", UP),
        DeskPage("api", "The REST API's routes", f"{api}/docs", f"{api}/healthz", UP),
        DeskPage("data-docs", "Validation of the bars", docs.as_uri(), None, "`desk ingest` writes it.", docs),
    ]


def page_named(settings: Settings, name: str) -> DeskPage:
    """Return a page by its name.

    Raises
    ------
    core.errors.ConfigError
        When there is no such page.
    """
    pages = {each.name: each for each in desk_pages(settings)}
    if name not in pages:
        raise ConfigError(f"Page: expected one of {', '.join(pages)}, found {name!r}.")
    return pages[name]
