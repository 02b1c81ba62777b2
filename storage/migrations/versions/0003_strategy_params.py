"""Strategy parameters, version by version, and the earnings calendar."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "strategy_params",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("params", JSONB(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("preset", sa.Text(), nullable=True),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.clock_timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint(
            "strategy",
            "symbol",
            "version",
            name="strategy_params_strategy_symbol_version_key",
            postgresql_nulls_not_distinct=True,
        ),
        schema="trading",
    )
    op.create_table(
        "earnings",
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("announced", sa.Date(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("ingested_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("symbol", "announced"),
        schema="market",
    )


def downgrade() -> None:
    """Remove the tables and what they held."""
    op.drop_table("earnings", schema="market")
    op.drop_table("strategy_params", schema="trading")
