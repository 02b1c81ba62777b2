"""Alembic's entry: applies migrations over the connection it is handed. Run through `storage.engine.migrate`."""

from __future__ import annotations

from alembic import context

from storage import trading_tables  # noqa: F401  # every table is declared by it and by what it imports
from storage.columns import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    include_schemas=True,
    version_table="alembic_version",
    compare_type=True,
)
context.run_migrations()
