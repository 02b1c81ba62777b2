"""The embedded PostgreSQL and the schema's version."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

from core.errors import ConfigError, RetryLater
from core.settings import Settings
from storage import engine as engine_module
from storage import schema  # noqa: F401  # declares every table
from storage.columns import metadata
from storage.engine import cluster_url, open_engine

if TYPE_CHECKING:
    from sqlalchemy import Engine

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]
OPEN_AND_PRINT = """
import sys
from pathlib import Path
import sqlalchemy as sa
from core.settings import Settings
from storage.engine import open_engine
engine = open_engine(Settings.of(data_dir=Path(sys.argv[1]), database__url=None))
with engine.begin() as connection:
    connection.execute(sa.text("INSERT INTO market.validation_runs (session, passed, results) VALUES (now(), true, '{}')"))
    count = connection.execute(sa.text("SELECT count(*) FROM market.validation_runs")).scalar()
print(count, flush=True)  # committed by now
if len(sys.argv) > 2:
    sys.stdin.read()
"""


def start(folder: Path, *extra: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("DATABASE__URL", None)
    return subprocess.Popen(
        [sys.executable, "-c", OPEN_AND_PRINT, str(folder), *extra],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder that root's PostgreSQL may use as it is."""
    for parent in (tmp_path, *tmp_path.parents[:3]):
        if parent.stat().st_uid == os.getuid() and parent != Path(tempfile.gettempdir()):
            parent.chmod(0o755)
    return tmp_path


def test_the_migrations_make_exactly_the_declared_tables(database: Engine) -> None:
    with database.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_schemas": True, "compare_type": True})
        differences = [change for change in compare_metadata(context, metadata) if "alembic_version" not in str(change)]

    assert differences == []


def test_an_exit_from_before_evidence_was_kept_gets_the_entry_that_it_closed(database: Engine) -> None:
    order = """
        INSERT INTO trading.order_intents (client_order_id, portfolio, strategy, symbol, session, decision_session, leg, side,
            quantity, order_type, code_commit)
        VALUES (:id, 'main', 's', 'SPY', :session, :session, :leg, 'buy', 1, 'market', 'unknown')
    """
    fill = """
        INSERT INTO trading.fills (fill_id, client_order_id, symbol, side, quantity, price, raw_price, commission_usd, session,
            filled_at, reason)
        VALUES (:id, :id, 'SPY', 'buy', 1, 1, 1, 0, :session, :session, 'entry')
    """
    legs = [("one", "entry", 3), ("two", "exit", 4), ("three", "entry", 5), ("four", "exit", 6)]
    config = Config()
    config.set_main_option("script_location", str(engine_module.MIGRATIONS))
    with database.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0011")
        for name, leg, day in legs:
            values = {"id": name, "leg": leg, "session": dt.date(2018, 12, day)}
            connection.execute(sa.text(order), values)
            connection.execute(sa.text(fill), values)

    engine_module.migrate(database)

    with database.connect() as connection:
        rows = connection.execute(sa.text("SELECT client_order_id, origin, entry_order_id FROM trading.order_intents")).all()
    assert {row[0]: row[2] for row in rows} == {"one": None, "two": "one", "three": None, "four": "three"}
    assert {row[1] for row in rows} == {"other"}


def test_two_processes_starting_at_once_share_one_server_and_one_schema(folder: Path) -> None:
    processes = [start(folder), start(folder)]

    answers = [process.communicate(timeout=120) for process in processes]

    assert [process.returncode for process in processes] == [0, 0], answers
    assert sorted(out.strip() for out, _ in answers) in (["1", "2"], ["1", "1"])


def test_a_folder_whose_server_was_killed_starts_again_with_its_rows(folder: Path) -> None:
    process = start(folder, "wait")
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "1"
    postmaster = int((folder / "postgres" / "postmaster.pid").read_text().splitlines()[0])

    process.kill()
    os.kill(postmaster, signal.SIGKILL)
    process.wait()

    again = start(folder)
    out, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    assert out.split()[-1] == "2"


def test_a_half_made_cluster_and_a_foreign_pid_file_are_cleared_away(tmp_path: Path) -> None:
    cluster, whole = tmp_path / "postgres", tmp_path / "postgres.initialised"
    cluster.mkdir()
    (cluster / "postmaster.pid").write_text(f"{os.getpid()}\n" + "x\n" * 7)

    engine_module._repair(cluster, whole)

    assert not cluster.exists()


def test_no_server_is_started_beside_the_processes_of_one_that_was_killed(tmp_path: Path) -> None:
    cluster, whole = tmp_path / "cluster", tmp_path / "cluster.initialised"
    cluster.mkdir()
    whole.touch()
    (cluster / "postmaster.pid").write_text("999999\n" + "x\n" * 7)
    worker = shutil.copy(str(shutil.which("sleep")), tmp_path / "postgres")
    orphan = subprocess.Popen([worker, "1"], cwd=cluster)

    engine_module._repair(cluster, whole)

    assert orphan.wait(timeout=0) == 0, "its files would have had two writers"
    assert not (cluster / "postmaster.pid").exists()


def test_a_finished_cluster_is_kept(tmp_path: Path) -> None:
    cluster, whole = tmp_path / "postgres", tmp_path / "postgres.initialised"
    cluster.mkdir()
    whole.touch()

    engine_module._repair(cluster, whole)

    assert cluster.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server works as another user")
def test_root_in_a_private_folder_opens_no_parent_folder(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)

    place = engine_module._place(private)

    assert engine_module.ROOT_DATA in place.parents
    assert private.stat().st_mode & 0o777 == 0o700


def test_no_server_says_where_and_what_to_do_and_hides_the_password(tmp_path: Path) -> None:
    settings = Settings.of(data_dir=tmp_path, database__url="postgresql://me:hush@127.0.0.1:9/desk")

    with pytest.raises(RetryLater, match=r"127\.0\.0\.1:9") as raised:
        open_engine(settings)

    assert "hush" not in str(raised.value)


@pytest.mark.parametrize("url", ["sqlite:///desk.db", "nonsense"])
def test_a_url_of_another_kind_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match="DATABASE__URL"):
        cluster_url(Settings.of(data_dir=tmp_path, database__url=url), "desk")


def test_the_given_url_names_the_desks_database_and_the_others_are_neighbours(database_settings: Settings) -> None:
    own = sa.make_url(cluster_url(database_settings, database_settings.database.name))
    neighbour = sa.make_url(cluster_url(database_settings, database_settings.database.feast_name))

    assert own.database == database_settings.database.name
    assert neighbour.database == database_settings.database.feast_name
    assert own.query == neighbour.query
