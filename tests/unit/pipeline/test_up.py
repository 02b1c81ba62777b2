"""The supervisor on small services, and what the real ones are told."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from core.errors import ConfigError
from core.settings import Settings
from pipeline import up
from pipeline.orchestrator import airflow_environment

ROOT = Path(__file__).parents[3]
SUPERVISE = """
import sys
from pathlib import Path
from pipeline.up import Service, Supervisor
port, logs, code = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
web_command = (sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port))
web = Service("web", web_command, {}, f"http://127.0.0.1:{port}/", ("here", "A page"))
other = Service("other", (sys.executable, "-c", code), {})
sys.exit(Supervisor([web, other], logs).run())
"""


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    monkeypatch.setattr("storage.engine.cluster_url", lambda _, name: f"postgresql+psycopg2://postgres:@/{name}?host=here")
    return Settings(_env_file=None, data_dir=tmp_path)


def supervise(port: int, logs: Path, code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SUPERVISE), str(port), str(logs), code],
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

    assert set(running) == {"airflow-api", "airflow-scheduler", "airflow-dags", "mlflow", "api"}
    assert running["airflow-api"].environment["AIRFLOW__API__HOST"] == "127.0.0.1"
    for name in ("mlflow", "api"):
        command = running[name].command
        assert command[command.index("--host") + 1] == "127.0.0.1"
    assert {"desk"} == {
        str(running[name].environment["DATABASE_URL"]).rsplit("/", 1)[1].split("?")[0] for name in ("api", "mlflow")
    }
    assert running["mlflow"].environment["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_a_taken_port_names_its_setting(port: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with pytest.raises(ConfigError, match="set API_PORT"):
            up.require_free_ports(Settings(_env_file=None, api_port=port, airflow_port=port + 1, mlflow_port=port + 2))


def test_the_installations_keys_are_made_once_and_are_the_owners_alone(settings: Settings, tmp_path: Path) -> None:
    first, second = airflow_environment(settings), airflow_environment(settings)

    assert first["AIRFLOW__CORE__FERNET_KEY"] == second["AIRFLOW__CORE__FERNET_KEY"]
    assert (tmp_path / "airflow" / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_the_tail_of_a_log_that_was_never_written_says_so(tmp_path: Path) -> None:
    assert up.tail(tmp_path / "none.log") == "(nothing written)"
    (tmp_path / "some.log").write_text("\n".join(str(n) for n in range(30)))
    assert up.tail(tmp_path / "some.log", 3) == "27\n28\n29"
