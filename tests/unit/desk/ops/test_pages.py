"""The desk's pages: where they are, whether they run, and what `desk open` does with each."""

from __future__ import annotations

import http.server
import threading
import webbrowser
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from core.errors import ConfigError
from core.settings import Settings, get_settings
from desk.cli import app
from desk.ops.pages import desk_pages, page_named

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result


class Quiet(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path in {"/health", "/healthz"} else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    """A server that is well."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, port: int) -> Iterator[list[str]]:
    """Addresses opened in a browser; MLflow runs, nothing else does."""
    addresses: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: addresses.append(address) or True)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("PORTS__MLFLOW", str(port))
    for name in ("AIRFLOW", "DASHBOARD"):
        monkeypatch.setenv(f"PORTS__{name}", "9")
    monkeypatch.setenv("API__URL", "http://127.0.0.1:9")
    get_settings.cache_clear()
    yield addresses
    get_settings.cache_clear()


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app.cli, ["open", *arguments], catch_exceptions=False)


def test_a_page_that_runs_is_opened(opened: list[str], port: int) -> None:
    assert call("mlflow").exit_code == 0
    assert opened == [f"http://127.0.0.1:{port}"]


def test_with_print_its_address_is_printed_alone(opened: list[str], port: int) -> None:
    assert call("mlflow", "--print").output == f"http://127.0.0.1:{port}\n"
    assert opened == []


def test_without_a_browser_its_address_is_printed(opened: list[str], port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda _: False)

    assert call("mlflow").output == f"http://127.0.0.1:{port}\n"
    assert opened == []


@pytest.mark.parametrize(("page", "start"), [("airflow", "make up"), ("api", "make up"), ("data-docs", "desk ingest")])
def test_of_a_page_that_does_not_run_it_says_how_to_start_it(opened: list[str], page: str, start: str) -> None:
    result = call(page)

    assert result.exit_code == 1
    assert start in result.output
    assert opened == []


def test_the_data_docs_are_a_file(opened: list[str], tmp_path: Path) -> None:
    docs = tmp_path / "data_docs" / "index.html"
    docs.parent.mkdir()
    docs.write_text("<html>")

    assert call("data-docs").exit_code == 0
    assert opened == [docs.as_uri()]


def test_without_a_page_they_are_listed(opened: list[str]) -> None:
    output = call().output

    assert [name for name in ("dashboard", "airflow", "mlflow", "api", "data-docs") if name not in output] == []
    assert output.count("runs") >= 1
    assert "not there" in output
    assert opened == []


def test_an_unknown_page_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected one of dashboard, airflow, mlflow, api, data-docs, found 'grafana'"):
        page_named(Settings.of(), "grafana")


def test_mlflow_and_the_api_are_where_the_settings_say() -> None:
    pages = {
        each.name: each.address
        for each in desk_pages(Settings.of(tracking__uri="https://mlflow.desk.test", api__url="http://api.desk.test/"))
    }

    assert (pages["mlflow"], pages["api"]) == ("https://mlflow.desk.test", "http://api.desk.test/docs")
