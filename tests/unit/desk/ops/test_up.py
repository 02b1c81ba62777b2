"""The supervisor on small services, and what the real ones are told."""

from __future__ import annotations

import datetime as dt
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from rich.console import Console

from core.configuration.services import Dashboard
from core.errors import ConfigError
from core.settings import Settings
from desk.ops import up
from desk.ops.airflow import airflow_environment
from monitoring.dashboard.environment import Environment
from pipeline.execution.service_status import ServiceStatus
from pipeline.resources import utc_now
from tests.standins.dashboard_api import StandIn

ROOT = Path(__file__).parents[4]
SUPERVISE = """
import datetime, sys
from pathlib import Path
from pipeline.execution.service_status import ServiceStatus
from desk.ops.up import Service, Supervisor
port, logs, code, beats = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
web_command = (sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port))
web = Service("web", web_command, {}, f"http://127.0.0.1:{port}/", ("here", "A page"))
now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
answers = {"well": ServiceStatus("other", True, "fine", now), "never": ServiceStatus("other", False, "not a word")}
kept = (lambda: answers[beats]) if beats else None
other = Service("other", (sys.executable, "-c", code), {}, None, ("The other", "Does its work") if kept else None, kept)
mails = lambda subject, body, severity: print("MAIL", severity, subject, body, file=sys.stderr, flush=True)
sys.exit(Supervisor([web, other], logs, mails).run())
"""


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    monkeypatch.setattr("storage.engine.cluster_url", lambda _, name: f"postgresql+psycopg2://postgres:@/{name}?host=here")
    return Settings.of(data_dir=tmp_path)


def supervise(port: int, logs: Path, code: str, beats: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SUPERVISE), str(port), str(logs), code, beats],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_ctrl_c_stops_everything_and_leaves_no_process(port: int, tmp_path: Path) -> None:
    sleep = "import time; time.sleep(99)"
    lost = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {sleep!r}], start_new_session=True); {sleep}"
    process = supervise(port, tmp_path, lost)
    try:
        assert up.wait_until_ready(f"http://127.0.0.1:{port}/", time.monotonic() + 20)
        time.sleep(1.0)
        assert len(offspring()) >= 2
    finally:
        process.send_signal(signal.SIGINT)
        _, shown = process.communicate(timeout=40)

    assert process.returncode == 0
    assert "Ctrl-C stops everything" in shown
    assert "Everything has stopped" in shown
    assert offspring() == []


def test_a_service_that_stops_by_itself_stops_the_rest_and_shows_its_log(port: int, tmp_path: Path) -> None:
    process = supervise(port, tmp_path, "import sys; print('out of memory', flush=True); sys.exit(3)")

    _, shown = process.communicate(timeout=40)

    assert process.returncode == 3
    assert "out of memory" in shown
    assert offspring() == []


def test_a_kept_service_that_ends_is_started_again_and_the_others_go_on(port: int, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    code = f"""
import pathlib, sys, time
runs = pathlib.Path({str(runs)!r})
runs.write_text((runs.read_text() if runs.exists() else "") + "x")
print("no room left", flush=True)
if len(runs.read_text()) == 3:
    time.sleep(99)
sys.exit(7)
"""
    process = supervise(port, tmp_path / "logs", code, "well")
    try:
        until = time.monotonic() + 30
        while not runs.exists() or runs.read_text() != "xxx":
            assert time.monotonic() < until, "it was not started three times"
            time.sleep(0.1)
        assert up.wait_until_ready(f"http://127.0.0.1:{port}/", time.monotonic() + 20), "the other service goes on"
    finally:
        process.send_signal(signal.SIGINT)
        _, shown = process.communicate(timeout=40)

    assert process.returncode == 0
    assert "The other runs" in shown
    assert "other ended by itself (code 7) and is started again in 1 s" in shown
    assert "started again in 2 s" in shown
    assert shown.count("MAIL critical The other ended by itself") == 1, "the first of several in a row"
    assert (tmp_path / "logs" / "other.log").read_text().splitlines() == ["no room left"] * 3
    assert offspring() == []


def test_a_kept_service_without_a_sign_of_life_is_said_not_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(up, "STATUS_SECONDS", 0.1)
    monkeypatch.setattr(up, "console", Console(stderr=True, width=400))
    old = ServiceStatus("risk-worker", True, "seen 100 s ago", utc_now() - dt.timedelta(seconds=100))
    service = up.Service("risk-worker", ("true",), {}, shown=("Risk worker", "Looks"), check=lambda: old)

    up.Supervisor([service], tmp_path)._announce()

    shown = " ".join(capsys.readouterr().err.split())
    assert "Risk worker does not run" in shown, "a heartbeat from before this start is another worker's"
    assert "risk-worker.log" in shown


def offspring() -> list[int]:
    """Sleepers that a supervisor has started and not ended."""
    found = []
    for process in psutil.process_iter():
        try:
            if (
                up.MARK in process.environ()
                and process.status() != psutil.STATUS_ZOMBIE
                and "time.sleep(99)" in str(process.cmdline())
            ):
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return found


def test_every_service_is_bound_to_loopback_and_shares_one_database(settings: Settings) -> None:
    running = {service.name: service for service in up.services(settings)}

    assert set(running) == {"airflow-api", "airflow-scheduler", "airflow-dags", "mlflow", "api", "risk-worker", "dashboard"}
    assert running["airflow-api"].environment["AIRFLOW__API__HOST"] == "127.0.0.1"
    for name in ("mlflow", "api", "dashboard"):
        command = running[name].command
        assert command[command.index("--host") + 1] == "127.0.0.1"
    assert {"desk"} == {
        str(running[name].environment["DATABASE__URL"]).rsplit("/", 1)[1].split("?")[0] for name in ("api", "mlflow")
    }
    assert running["mlflow"].environment["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_the_listener_is_started_where_the_broker_has_a_stream(settings: Settings) -> None:
    keys: dict[str, Any] = {"venue__alpaca__api_key": "k" * 20, "venue__alpaca__secret_key": "s" * 20}
    at_alpaca = up.services(Settings.of(data_dir=settings.data_dir, venue__kind="alpaca", **keys))

    assert [service.name for service in up.services(settings) if service.check] == ["risk-worker", "dashboard"]
    assert [service.name for service in at_alpaca if service.check] == ["risk-worker", "order-listener", "dashboard"]
    assert at_alpaca[-2].command[1:] == ("-m", "desk", "listen")
    assert not any("k" * 20 in str(value) for service in at_alpaca for value in (*service.command, repr(service)))


def test_the_dashboard_is_told_of_the_api_and_a_read_key_and_of_no_database(settings: Settings) -> None:
    keyed = settings.with_changes(api__read_keys=("r" * 20, "s" * 20), ports__api=8123, dashboard__hosts=("desk.lan",))
    service = {service.name: service for service in up.services(keyed)}["dashboard"]

    told = Environment.of(service.environment)
    assert (told.api_url, told.hosts) == ("http://127.0.0.1:8123", ("desk.lan",))
    assert told.read_key is not None
    assert told.read_key.get_secret_value() == "r" * 20
    assert {name.partition("__")[0] for name in service.environment} == {"DASHBOARD"}
    assert "r" * 20 not in repr(service)


def test_the_dashboard_reads_every_setting_of_its_group_and_by_the_same_name() -> None:
    assert set(Environment.model_fields) == set(Dashboard.model_fields)
    unset = {name: field.default for name, field in Dashboard.model_fields.items() if name != "api_url"}
    assert {name: getattr(Environment(), name) or None for name in unset} == {name: unset[name] or None for name in unset}


def test_a_supervised_service_with_an_address_is_well_when_it_answers(port: int) -> None:
    assert not up.answering("dashboard", f"http://127.0.0.1:{port}/").healthy
    with StandIn({}).served(port) as address:
        assert up.answering("dashboard", f"{address}/readyz").healthy
        refusing = up.answering("dashboard", f"{address}/nothing")
    assert (refusing.healthy, refusing.seen_at) == (False, None)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "180"),
        ({"monitor__interval_seconds": 300.0}, "900"),
        ({"pre_send__heartbeat_max_age_seconds": 45.0}, "45"),
        ({"pre_send__heartbeat_max_age_seconds": "off"}, "off"),
    ],
    ids=["unless the setting says", "three looks at least", "as it is set", "off by name"],
)
def test_nothing_is_opened_without_a_heartbeat_of_the_worker_started_here(
    settings: Settings, given: dict[str, Any], told: str
) -> None:
    running = up.services(settings.with_changes(**given))

    limits = {
        service.name: service.environment["PRE_SEND__HEARTBEAT_MAX_AGE_SECONDS"]
        for service in running
        if service.name not in {"mlflow", "dashboard"}
    }
    assert limits == dict.fromkeys(limits, told)
    assert "airflow-scheduler" in limits


def test_a_taken_port_names_its_setting(port: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with pytest.raises(ConfigError, match="set PORTS__API"):
            up.require_free_ports(
                Settings.of(ports__api=port, ports__airflow=0, ports__mlflow=0, ports__dashboard=0)
            )  # 0: any free port


def test_the_installations_keys_are_made_once_and_are_the_owners_alone(settings: Settings, tmp_path: Path) -> None:
    first, second = airflow_environment(settings), airflow_environment(settings)

    assert first["AIRFLOW__CORE__FERNET_KEY"] == second["AIRFLOW__CORE__FERNET_KEY"]
    assert (tmp_path / "airflow" / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_the_tail_of_a_log_that_was_never_written_says_so(tmp_path: Path) -> None:
    assert up.tail(tmp_path / "none.log") == "(nothing written)"
    (tmp_path / "some.log").write_text("\n".join(str(n) for n in range(30)))
    assert up.tail(tmp_path / "some.log", 3) == "27\n28\n29"
