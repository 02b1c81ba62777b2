"""Preparation of a deployment before its services start: databases, schema, Airflow's tables. Safe to run again."""

from __future__ import annotations

import sys

import structlog

from core.log import configure_logging
from core.settings import Settings, get_settings
from desk.ops.airflow import migrate

log = structlog.get_logger()


def prepare(settings: Settings) -> list[str]:
    """Create the missing databases and migrate the desk's own; return the names of all."""
    from storage.engine import cluster_url, open_engine

    names = [settings.airflow_database_name, settings.feast_database_name, settings.mlflow_database_name]
    for name in names:
        cluster_url(settings, name)
    open_engine(settings).dispose()
    return [settings.database_name, *names]


def main() -> int:
    """Prepare everything with the process's environment, Airflow's variables included."""
    settings = get_settings()
    configure_logging(settings.log_level)
    log.info("databases_ready", databases=prepare(settings))
    migrate({})
    log.info("airflow_ready")
    return 0


if __name__ == "__main__":
    sys.exit(main())
