"""`make up`: Airflow, MLflow and the prediction API on this machine, bound to loopback, until Ctrl-C. Owns no step of the desk.

The embedded PostgreSQL lives in this process. Each service writes to `.local/logs/NAME.log`; the terminal shows where to
look, and the end of the log of a service that stops by itself.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import sys
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import honcho.manager
import httpx
import psutil
from rich.console import Console
from rich.table import Table

from core.errors import ConfigError, DeskError
from core.settings import Settings, get_settings
from pipeline.orchestrator import ROOT, airflow_environment, desk_environment, migrate

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MARK = "DESK_UP_ID"  # in the environment of every process started here, so that none is left behind
PATIENCE_SECONDS = 120.0
STOPPED_BY_OPERATOR = {130, 143}
console = Console(stderr=True)


@dataclass(frozen=True)
class Service:
    """One process: its command, what it adds to the environment, and the address that answers when it is ready."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    health_url: str | None = None
    shown: tuple[str, str] | None = None  # address and what one sees there


def services(settings: Settings) -> list[Service]:
    """Everything `make up` runs; starts the embedded PostgreSQL when it is needed."""
    from storage.engine import cluster_url

    python = (sys.executable, "-m")
    airflow, desk = airflow_environment(settings), desk_environment(settings)
    artifacts = settings.data_dir.absolute() / "mlartifacts"
    mlflow = {
        **desk,
        "MLFLOW_BACKEND_STORE_URI": cluster_url(settings, settings.mlflow_database_name),
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": artifacts.as_uri(),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    ui, runs, api = (f"http://127.0.0.1:{port}" for port in (settings.airflow_port, settings.mlflow_port, settings.api_port))
    return [
        Service(
            "airflow-api",
            (*python, "airflow", "api-server"),
            airflow,
            f"{ui}/api/v2/monitor/health",
            (ui, "Airflow: schedules, runs, logs. No login: whoever reaches this machine's loopback is admin"),
        ),
        Service("airflow-scheduler", (*python, "airflow", "scheduler", "--skip-serve-logs"), airflow),
        Service("airflow-dags", (*python, "airflow", "dag-processor"), airflow),
        Service(
            "mlflow",
            (*python, "mlflow", "server", "--host", "127.0.0.1", "--port", str(settings.mlflow_port), "--workers", "1"),
            mlflow,
            f"{runs}/health",
            (runs, "MLflow: experiments, models, the champion"),
        ),
        Service(
            "api",
            (
                *python,
                "uvicorn",
                "serving.app:create_app",
                "--factory",
                "--no-access-log",
                "--host",
                "127.0.0.1",
                "--port",
                str(settings.api_port),
            ),
            desk,
            f"{api}/healthz",
            (f"{api}/docs", "Prediction API: try it in the browser"),
        ),
    ]


def require_free_ports(settings: Settings) -> None:
    """Raise `ConfigError` naming the setting when another program listens on one of the ports."""
    for name in ("airflow_port", "mlflow_port", "api_port"):
        port = getattr(settings, name)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise ConfigError(
                    f"Port {port} is taken ({error.strerror}). Stop that program or set {name.upper()}."
                ) from error


class Supervisor:
    """Runs the services until one stops or the operator does, then leaves no process behind."""

    def __init__(self, running: list[Service], logs: Path) -> None:
        self.services, self.logs, self.mark = running, logs, uuid.uuid4().hex
        honcho.manager.KILL_WAIT = 15  # the scheduler ends its tasks before it goes
        self.manager = honcho.manager.Manager()
        logs.mkdir(parents=True, exist_ok=True)
        for service in running:
            command = f"exec {shlex.join(service.command)} > {shlex.quote(str(self.log_of(service)))} 2>&1"
            environment = {**os.environ, **service.environment, MARK: self.mark}
            self.manager.add_process(service.name, command, env=environment, cwd=str(ROOT))

    def log_of(self, service: Service) -> Path:
        """Where the service writes."""
        return self.logs / f"{service.name}.log"

    def run(self) -> int:
        """Block until everything has stopped; 0 when the operator stopped it."""
        threading.Thread(target=self._announce, daemon=True).start()
        try:
            self.manager.loop()
        finally:
            self._sweep()
        code = int(self.manager.returncode or 0)
        if code in STOPPED_BY_OPERATOR:
            console.print("Everything has stopped.")
            return 0
        console.print("[red]A service stopped by itself; so did the others. The end of each log:[/red]")
        for service in self.services:
            console.rule(str(self.log_of(service)))
            console.print(tail(self.log_of(service)), markup=False, highlight=False)
        return code or 1

    def _announce(self) -> None:
        """Wait until every service answers, then say where to look."""
        started = time.monotonic()
        for service in self.services:
            if service.health_url and not wait_until_ready(service.health_url, started + PATIENCE_SECONDS):
                console.print(f"[red]{service.name} does not answer at {service.health_url}: see {self.log_of(service)}[/red]")
                return
        table = Table(title=f"Ready after {time.monotonic() - started:.0f} s. Ctrl-C stops everything.", show_header=False)
        for service in self.services:
            if service.shown:
                table.add_row(*service.shown)
        table.add_row(str(self.logs), "Logs, one file a service")
        console.print(table)

    def _sweep(self) -> None:
        """End what the services left: Airflow's tasks run in process groups of their own."""
        left = [process for process in psutil.process_iter() if self._is_ours(process)]
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        for process in psutil.wait_procs(left, timeout=5)[1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.pid != os.getpid() and str(process.environ().get(MARK)) == self.mark
        except (psutil.Error, OSError):
            return False  # another user's, or already gone


def wait_until_ready(url: str, deadline: float) -> bool:
    """Ask `url` until it answers 200 or `deadline` (monotonic seconds) has passed."""
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url, timeout=5).status_code == httpx.codes.OK:
                return True
        time.sleep(0.5)
    return False


def tail(path: Path, lines: int = 15) -> str:
    """The last lines of a log."""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else "(nothing written)"


def main() -> int:
    """Start everything; the return value is the exit code."""
    settings = get_settings()
    try:
        require_free_ports(settings)
        console.print("Starting PostgreSQL and preparing Airflow's database ...")
        running = services(settings)
        migrate(dict(running[0].environment))
    except DeskError as error:
        console.print(f"[red]{error}[/red]")
        return 2
    console.print("Starting Airflow, MLflow and the prediction API ...")
    return Supervisor(running, settings.data_dir.absolute() / "logs").run()


if __name__ == "__main__":
    sys.exit(main())
