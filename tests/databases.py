"""Databases of tests: a cluster a test run that never waits for the disk, and copies of one that is migrated once."""

from __future__ import annotations

import contextlib
import uuid
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from core.settings import Settings
from storage.engine import cluster_url, migrate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEMPLATE: Final = "desk_template"
TEMPLATE_LOCK: Final = 7_103_299
HURRIED: Final = ("fsync", "full_page_writes", "synchronous_commit")  # a run's cluster need not survive the machine


@contextlib.contextmanager
def fresh_databases(cluster_dir: Path, data_dir: Path, *, empty: bool = False) -> Iterator[Settings]:
    """Settings of a desk with databases of its own, dropped afterwards, and the data folder given.

    The desk's database has the newest schema; an `empty` one does not exist before it is opened.
    """
    name = f"t{uuid.uuid4().hex[:12]}"
    server = _cluster(cluster_dir)
    if not empty:
        with _administrator(server) as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}"))
    yield Settings.of(
        data_dir=data_dir,
        database__url=server.set(database=name).render_as_string(hide_password=False),
        database__name=name,
        database__feast_name=f"{name}_feast",
        database__mlflow_name=f"{name}_mlflow",
        database__airflow_name=f"{name}_airflow",
    )
    with _administrator(server) as connection:
        made = connection.execute(sa.text("SELECT datname FROM pg_database WHERE datname LIKE :name"), {"name": f"{name}%"})
        for database in made.scalars().all():
            connection.execute(sa.text(f'DROP DATABASE "{database}" WITH (FORCE)'))


@lru_cache(maxsize=4)
def _cluster(cluster_dir: Path) -> sa.URL:
    """Start the cluster of a folder, or join it, and return its address; the template stands on it."""
    server = sa.make_url(cluster_url(Settings.of(data_dir=cluster_dir, database__url=None), "postgres"))
    with _administrator(server) as connection:
        connection.execute(sa.select(sa.func.pg_advisory_lock(TEMPLATE_LOCK)))  # released with the connection
        ready = sa.text("SELECT datistemplate FROM pg_database WHERE datname = :name")
        if not connection.execute(ready, {"name": TEMPLATE}).scalar():
            for setting in HURRIED:
                connection.execute(sa.text(f"ALTER SYSTEM SET {setting} = off"))
            connection.execute(sa.select(sa.func.pg_reload_conf()))
            connection.execute(sa.text(f"DROP DATABASE IF EXISTS {TEMPLATE}"))
            connection.execute(sa.text(f"CREATE DATABASE {TEMPLATE}"))
            engine = sa.create_engine(server.set(database=TEMPLATE), poolclass=sa.NullPool)
            migrate(engine)
            connection.execute(sa.text(f"ALTER DATABASE {TEMPLATE} IS_TEMPLATE true ALLOW_CONNECTIONS false"))
    return server


@contextlib.contextmanager
def _administrator(server: sa.URL) -> Iterator[sa.Connection]:
    engine = sa.create_engine(server.set(database="postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        yield connection
