"""Airflow on this machine: its environment, secrets, database, and the mail server for its failure mails.

`python -m desk.ops.airflow dags test daily_market_data 2018-12-31` runs any Airflow command in that environment.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.folders import checkout, data_folder
from core.settings import Settings, get_settings

if TYPE_CHECKING:
    from pathlib import Path

TASK_SLOTS = max(2, min(4, os.cpu_count() or 2))


def airflow_environment(settings: Settings) -> dict[str, str]:
    """Return the environment variables of this machine's Airflow processes, beside the process's own.

    Starts the embedded PostgreSQL where no `DATABASE_URL` is given; the caller must live as long as the processes, since
    the server stops with the last process that uses it.
    """
    from storage.engine import cluster_url

    home = airflow_home(settings)
    own = _secrets(home / "secrets.json")
    url = f"http://127.0.0.1:{settings.airflow_port}"
    return {
        **desk_environment(settings),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(settings.airflow_port),
        "AIRFLOW__API__SECRET_KEY": own["secret_key"],
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API_AUTH__JWT_SECRET": own["jwt_secret"],
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(data_folder("dags")),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__FERNET_KEY": own["fernet_key"],
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": str(TASK_SLOTS),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",  # bound to loopback, as everything here
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": cluster_url(settings, settings.airflow_database_name),
    }


def desk_environment(settings: Settings) -> dict[str, str]:
    """Return the environment in which any process of the desk finds the same database and files."""
    from storage.engine import cluster_url

    environment = {"DATABASE_URL": cluster_url(settings, settings.database_name), "DATA_DIR": str(settings.data_dir.absolute())}
    root = checkout()
    if root is None:  # installed: Python finds the packages by itself
        return environment
    return environment | {"PYTHONPATH": os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))}


def airflow_home(settings: Settings) -> Path:
    """Return Airflow's own folder, created when missing: logs, generated configuration, secrets."""
    home = settings.data_dir.absolute() / "airflow"
    home.mkdir(parents=True, exist_ok=True)
    return home


def migrate(environment: dict[str, str]) -> None:
    """Bring Airflow's database to the installed version."""
    airflow(["db", "migrate"], environment, check=True, stdout=subprocess.DEVNULL)


def airflow(arguments: list[str], environment: dict[str, str], **options: object) -> subprocess.CompletedProcess[str]:
    """Run one Airflow command to its end and return what it came to."""
    command = [sys.executable, "-m", "airflow", *arguments]
    return subprocess.run(command, env={**os.environ, **environment}, text=True, **options)  # type: ignore[call-overload,no-any-return]  # noqa: S603, PLW1510


@dataclass(frozen=True)
class FailureMail:
    """Addressees and the server; `connection` is the JSON of an Airflow connection and holds the password."""

    to: tuple[str, ...]
    sender: str
    connection: str = field(repr=False)


def failure_mail(settings: Settings | None = None) -> FailureMail | None:
    """Return addressees and server of a failure mail; None when `SMTP_HOST` or `ALERT_TO` is not set."""
    settings = settings or get_settings()
    if not (settings.smtp_host and settings.alert_to):
        return None
    connection = {
        "conn_type": "smtp",
        "host": settings.smtp_host,
        "port": settings.smtp_port,
        "login": settings.smtp_user,
        "password": settings.smtp_password.get_secret_value() if settings.smtp_password else None,
        "extra": {"disable_ssl": True, "disable_tls": not settings.smtp_starttls, "timeout": 20},
    }
    return FailureMail(to=settings.alert_to, sender=settings.alert_from, connection=json.dumps(connection))


def _secrets(path: Path) -> dict[str, str]:
    """Return the keys of this installation, made on first use and readable by the owner alone."""
    fresh = {
        "fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "jwt_secret": secrets.token_urlsafe(48),
        "secret_key": secrets.token_urlsafe(32),
    }
    draft = path.with_suffix(f".{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(fresh, file)
    try:
        os.link(draft, path)  # fails when another process was first: then its keys are used
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    stored: dict[str, str] = json.loads(path.read_text())
    return stored


def main() -> int:
    """Run the Airflow command given on the command line."""
    environment = airflow_environment(get_settings())
    migrate(environment)
    return airflow(sys.argv[1:], environment).returncode


if __name__ == "__main__":
    sys.exit(main())
