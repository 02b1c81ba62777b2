"""`make up`: the whole desk on this machine, bound to loopback, until Ctrl-C.

Airflow, MLflow and the prediction API; beside them the dashboard, the risk worker, and the order listener where the broker has
a stream. The embedded PostgreSQL lives in this process. Each service writes to `.local/logs/NAME.log`; the terminal shows where
to look, and the end of the log of a service that ends by itself. The desk does not work without one of the first three, so the
end of one stops the others. The others are started again instead, with a line in the terminal each time and a mail the first
time. Meanwhile nothing is opened without the risk worker, the desk is halted without the listener, and positions can still be
sold; without the dashboard nothing changes.
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
from functools import partial
from typing import TYPE_CHECKING

import honcho.manager
import httpx
import psutil
from rich.console import Console
from rich.table import Table

from core.errors import ConfigError, DeskError
from core.settings import Settings, environment_for, get_settings
from desk.ops.airflow import airflow_environment, desk_environment, migrate
from desk.ops.supervised_process import SupervisedProcess
from pipeline.execution import service_status
from pipeline.execution.service_status import ServiceStatus
from pipeline.resources import Resources, utc_now

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from desk.ops.supervised_process import ProcessEnd
    from monitoring.alerts import Severity

MARK = "DESK_UP_ID"  # in the environment of every process started here, so that none is left behind
READY_SECONDS = 120.0
STATUS_SECONDS = 30.0  # for a first heartbeat, once everything else is ready
HEARTBEAT_SECONDS = 180.0  # how old the risk worker's heartbeat may be, unless the setting says: it is started here
STOPPED_BY_OPERATOR = {130, 143}
console = Console(stderr=True)


@dataclass(frozen=True)
class Service:
    """One process: its command, its environment beside this process's own, and how it is known to be ready.

    Attributes
    ----------
    health_url
        The address that answers when it is ready.
    check
        Returns the status of a service that is supervised: started again when it ends.
    shown
        Address or name, and a description.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    health_url: str | None = None
    shown: tuple[str, str] | None = None
    check: Callable[[], ServiceStatus] | None = field(default=None, repr=False)


def services(settings: Settings) -> list[Service]:
    """Return every service of `make up`; start the embedded PostgreSQL when it is needed."""
    from storage.engine import cluster_url

    python = (sys.executable, "-m")
    watched = environment_for(pre_send__heartbeat_max_age_seconds=_heartbeat_limit(settings))
    airflow, desk = airflow_environment(settings) | watched, desk_environment(settings) | watched
    artifacts = settings.data_dir.absolute() / "mlartifacts"
    mlflow = {
        **desk,
        "MLFLOW_BACKEND_STORE_URI": cluster_url(settings, settings.database.mlflow_name),
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": artifacts.as_uri(),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    ui, runs, api = (f"http://127.0.0.1:{port}" for port in (settings.ports.airflow, settings.ports.mlflow, settings.ports.api))
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
            (*python, "mlflow", "server", "--host", "127.0.0.1", "--port", str(settings.ports.mlflow), "--workers", "1"),
            mlflow,
            f"{runs}/health",
            (runs, "MLflow: experiments, models, the champion"),
        ),
        Service(
            "api",
            uvicorn_command("serving.app:create_app", settings.ports.api),
            desk,
            f"{api}/healthz",
            (f"{api}/docs", "Prediction API: try it in the browser"),
        ),
        *monitors(settings, desk),
        dashboard(settings),
    ]


def _heartbeat_limit(settings: Settings) -> str:
    """Return the age of a heartbeat from which nothing is opened; `off` where that was set by name."""
    checks = settings.pre_send
    if checks.heartbeat_max_age_seconds is None and "heartbeat_max_age_seconds" in checks.model_fields_set:
        return "off"
    least = max(HEARTBEAT_SECONDS, service_status.INTERVALS * settings.monitor.interval_seconds)
    return f"{checks.heartbeat_max_age_seconds or least:g}"


def monitors(settings: Settings, desk: Mapping[str, str]) -> list[Service]:
    """Return the services beside the daily DAGs: the risk worker, and the order listener where the broker has a stream."""
    verb, resources = (sys.executable, "-m", "desk"), Resources(settings)
    looks = (
        f"Looks each {settings.monitor.interval_seconds:g} s, MONITOR__MODE={settings.monitor.mode}; without it nothing "
        "is opened"
    )
    worker = Service(
        service_status.RISK_WORKER,
        (*verb, "risk-worker"),
        desk,
        shown=("Risk worker", looks),
        check=lambda: service_status.risk_worker(resources=resources),
    )
    listener = Service(
        service_status.ORDER_LISTENER,
        (*verb, "listen"),
        desk,
        shown=("Order listener", "Brings what Alpaca does into the ledger as it happens"),
        check=lambda: service_status.order_listener(resources=resources),
    )
    return [worker, listener] if settings.venue.kind == "alpaca" else [worker]


def dashboard(settings: Settings) -> Service:
    """Return the dashboard, which is told where the API is, its read key, and nothing else of the desk."""
    chosen, ports = settings.dashboard, settings.ports
    address = f"http://127.0.0.1:{ports.dashboard}"
    read_key = chosen.read_key or next(iter(settings.api.read_keys), None)
    environment = environment_for(
        dashboard__api_url=chosen.api_url or f"http://127.0.0.1:{ports.api}",
        dashboard__read_key=read_key.get_secret_value() if read_key else "",
        dashboard__timeout_seconds=f"{chosen.timeout_seconds:g}",
        dashboard__refresh_seconds=f"{chosen.refresh_seconds:g}",
        dashboard__hosts=",".join(chosen.hosts),
        dashboard__airflow_url=chosen.airflow_url or f"http://127.0.0.1:{ports.airflow}",
        dashboard__mlflow_url=chosen.mlflow_url or f"http://127.0.0.1:{ports.mlflow}",
    )
    return Service(
        "dashboard",
        uvicorn_command("monitoring.dashboard.server:create_app", ports.dashboard),
        environment,
        f"{address}/healthz",
        (address, "Dashboard: money, risk, orders, models; halt and resume"),
        check=lambda: answering("dashboard", f"{address}/healthz"),
    )


def uvicorn_command(factory: str, port: int) -> tuple[str, ...]:
    """Return the command of a web application on loopback."""
    serving = (sys.executable, "-m", "uvicorn", factory, "--factory", "--no-access-log")
    return (*serving, "--timeout-graceful-shutdown", "5", "--host", "127.0.0.1", "--port", str(port))


def answering(name: str, url: str) -> ServiceStatus:
    """Return the status of a supervised service that has an address: seen now when it answers there."""
    try:
        healthy = httpx.get(url, timeout=5).status_code == httpx.codes.OK
    except httpx.TransportError as error:
        return ServiceStatus(name, False, f"{url} does not answer ({type(error).__name__})")
    return ServiceStatus(name, healthy, "answers", utc_now()) if healthy else ServiceStatus(name, False, f"{url} refuses")


def require_free_ports(settings: Settings) -> None:
    """Raise `ConfigError` naming the setting when another program listens on one of the ports."""
    for name in ("airflow", "mlflow", "api", "dashboard"):
        port: int = getattr(settings.ports, name)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise ConfigError(
                    f"Port {port} is taken ({error.strerror}). Stop that program or set PORTS__{name.upper()}."
                ) from error


class Supervisor:
    """Runs the services until one that all need stops or the operator stops them, then leaves no process behind.

    Parameters
    ----------
    send_mail
        Mails the operator: subject, body, severity.
    """

    def __init__(
        self, running: list[Service], logs: Path, send_mail: Callable[[str, str, Severity], object] | None = None
    ) -> None:
        self.services, self.logs, self.mark, self.started_at = running, logs, uuid.uuid4().hex, utc_now()
        self.send_mail = send_mail or (lambda *_: None)
        honcho.manager.KILL_WAIT = 15  # the scheduler ends its tasks before it goes
        self.manager = honcho.manager.Manager()
        self.supervised: list[SupervisedProcess] = []
        logs.mkdir(parents=True, exist_ok=True)
        for service in running:
            environment = {**os.environ, **service.environment, MARK: self.mark}
            if service.check is not None:
                ended = partial(self._ended, service)
                self.supervised.append(SupervisedProcess(service.command, environment, self.log_of(service), ended))
                continue
            command = f"exec {shlex.join(service.command)} > {shlex.quote(str(self.log_of(service)))} 2>&1"
            self.manager.add_process(service.name, command, env=environment)

    def log_of(self, service: Service) -> Path:
        """Return the log file of a service."""
        return self.logs / f"{service.name}.log"

    def run(self) -> int:
        """Block until everything has stopped; 0 when the operator stopped it."""
        try:
            for process in self.supervised:
                process.start()
            threading.Thread(target=self._announce, daemon=True).start()
            self.manager.loop()
        finally:
            for process in self.supervised:
                process.stop()
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
        """Wait until every service answers or has a heartbeat, then print where to look."""
        started = time.monotonic()
        for service in self.services:
            if (
                service.health_url
                and service.check is None
                and not wait_until_ready(service.health_url, started + READY_SECONDS)
            ):
                console.print(f"[red]{service.name} does not answer at {service.health_url}: see {self.log_of(service)}[/red]")
                return
        table = Table(title=f"Ready after {time.monotonic() - started:.0f} s. Ctrl-C stops everything.", show_header=False)
        for service in self.services:
            if service.shown:
                table.add_row(*service.shown if service.check is None else self._row(service))
        table.add_row(str(self.logs), "Logs, one file a service")
        console.print(table)

    def _row(self, service: Service) -> tuple[str, str]:
        """Return the line of a supervised service: that it runs, or why it seems not to."""
        name, description = service.shown or (service.name, "")
        last = wait_for_status(service, self.started_at, time.monotonic() + STATUS_SECONDS)
        if last.healthy and last.seen_at is not None and last.seen_at >= self.started_at:
            return name if service.health_url else f"{name} runs", description
        return f"[red]{name} does not run[/red]", f"{last.detail}; see {self.log_of(service)}, `desk status`"

    def _ended(self, service: Service, end: ProcessEnd) -> None:
        """Print that a supervised service has ended, with the end of its log; mail the first of several ends in a row."""
        words = f"{service.name} ended by itself (code {end.code}) and is started again in {end.pause_seconds:g} s"
        log_end = tail(self.log_of(service))
        console.rule(f"[red]{words}[/red]")
        console.print(log_end, markup=False, highlight=False)
        if end.failures == 1:
            self.send_mail(f"The {service.name} ended by itself", f"{words}. The end of its log:\n\n{log_end}", "critical")

    def _sweep(self) -> None:
        """End the processes that the services left: Airflow's tasks run in process groups of their own."""
        remaining = [process for process in psutil.process_iter() if self._is_ours(process)]
        for process in remaining:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        for process in psutil.wait_procs(remaining, timeout=5)[1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.pid != os.getpid() and str(process.environ().get(MARK)) == self.mark
        except (psutil.Error, OSError):
            return False  # another user's, or already gone


def wait_until_ready(url: str, deadline: float) -> bool:
    """Poll `url` until it answers 200 or `deadline` (monotonic seconds) has passed."""
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url, timeout=5).status_code == httpx.codes.OK:
                return True
        time.sleep(0.5)
    return False


def wait_for_status(service: Service, since: dt.datetime, deadline: float) -> ServiceStatus:
    """Return a service's status, once its heartbeat is younger than `since` or `deadline` (monotonic seconds) has passed."""
    from sqlalchemy.exc import SQLAlchemyError

    while True:
        try:
            last = service.check() if service.check else ServiceStatus(service.name, False, "it has no heartbeat")
        except (DeskError, SQLAlchemyError) as error:
            last = ServiceStatus(service.name, False, str(error))
        if (last.seen_at is not None and last.seen_at >= since) or time.monotonic() >= deadline:
            return last
        time.sleep(0.5)


def tail(path: Path, lines: int = 15) -> str:
    """Return the last lines of a log."""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else "(nothing written)"


def main() -> int:
    """Start everything; return the exit code."""
    settings = get_settings()
    try:
        require_free_ports(settings)
        console.print("Starting PostgreSQL and preparing Airflow's database ...")
        running = services(settings)
        migrate(dict(running[0].environment))
    except DeskError as error:
        console.print(f"[red]{error}[/red]")
        return 2
    console.print(f"Starting {', '.join(service.name for service in running)} ...")
    return Supervisor(running, settings.data_dir.absolute() / "logs", Resources(settings).alerts.send).run()


if __name__ == "__main__":
    sys.exit(main())
