"""Leases of executors: a number that rises each time one takes a portfolio."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "executor_leases",
        sa.Column("portfolio", sa.Text(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), server_default=sa.func.clock_timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("portfolio"),
        schema="trading",
    )


def downgrade() -> None:
    """Remove the table and what it held."""
    op.drop_table("executor_leases", schema="trading")
