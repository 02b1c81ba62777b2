"""Alembic's entry: applies migrations over the connection it is handed. Run through `storage.engine.migrate`."""

from __future__ import annotations

from alembic import context

from storage import schema  # noqa: F401  # declares every table
from storage.columns import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    include_schemas=True,
    version_table="alembic_version",
    compare_type=True,
)
context.run_migrations()
