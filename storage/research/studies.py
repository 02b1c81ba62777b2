"""Optuna's studies in the desk's database, schema `optuna`. Owns where they lie and what becomes of a dead worker's trial.

Every worker that is given the same address shares the studies. Optuna makes and migrates its own tables; they are kept apart
from the desk's by a schema of their own.
"""

from __future__ import annotations

import warnings
from functools import lru_cache

import sqlalchemy as sa
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback

SCHEMA = "optuna"
SCHEMA_LOCK = 7_103_221
HEARTBEAT_SECONDS = 30  # a trial takes well under a second
GRACE_SECONDS = 120
RETRIES = 3


@lru_cache(maxsize=4)
def open_studies(url: str, heartbeat_seconds: int = HEARTBEAT_SECONDS, grace_seconds: int = GRACE_SECONDS) -> RDBStorage:
    """The studies at a database's URL, once a process; the schema is made when absent, by one process at a time.

    A running trial whose worker has not been heard of for `grace_seconds` is failed by the next worker that asks for a trial,
    and tried again, at most `RETRIES` times.
    """
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(SCHEMA_LOCK)))
        connection.execute(sa.schema.CreateSchema(SCHEMA, if_not_exists=True))
        connection.commit()
    with engine.connect() as connection, warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
        connection.execute(sa.select(sa.func.pg_advisory_lock(SCHEMA_LOCK)))  # released with the connection
        return RDBStorage(
            url,
            engine_kwargs={
                "pool_pre_ping": True,
                "connect_args": {"options": f"-c search_path={SCHEMA} -c timezone=utc", "connect_timeout": 10},
            },
            heartbeat_interval=heartbeat_seconds,
            grace_period=grace_seconds,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=RETRIES),
        )
