"""Optuna's studies in the desk's database, in a schema of their own.

Every worker that has the same database URL shares the studies. Optuna makes and migrates its own tables.
"""

from __future__ import annotations

import warnings
from functools import cached_property

import sqlalchemy as sa
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback

SCHEMA = "optuna"
SCHEMA_LOCK = 7_103_221
HEARTBEAT_SECONDS = 30  # a trial takes well under a second
GRACE_SECONDS = 120
RETRIES = 3


class Studies:
    """Optuna's studies at a database's URL.

    A running trial whose worker sends no heartbeat for `grace_seconds` is failed by the next worker that requests a trial, and
    retried, at most `RETRIES` times.
    """

    def __init__(self, url: str, *, heartbeat_seconds: int = HEARTBEAT_SECONDS, grace_seconds: int = GRACE_SECONDS) -> None:
        self._url = url
        self._heartbeat_seconds = heartbeat_seconds
        self._grace_seconds = grace_seconds

    @cached_property
    def storage(self) -> RDBStorage:
        """Optuna's storage, opened once; the schema is made when absent, by one process at a time."""
        engine = sa.create_engine(self._url, poolclass=sa.NullPool)
        with engine.begin() as connection:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(SCHEMA_LOCK)))
            connection.execute(sa.schema.CreateSchema(SCHEMA, if_not_exists=True))
            connection.commit()
        with engine.connect() as connection, warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
            connection.execute(sa.select(sa.func.pg_advisory_lock(SCHEMA_LOCK)))  # released with the connection
            return RDBStorage(
                self._url,
                engine_kwargs={
                    "pool_pre_ping": True,
                    "connect_args": {"options": f"-c search_path={SCHEMA} -c timezone=utc", "connect_timeout": 10},
                },
                heartbeat_interval=self._heartbeat_seconds,
                grace_period=self._grace_seconds,
                heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=RETRIES),
            )
