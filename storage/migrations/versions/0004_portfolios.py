"""Chosen portfolios and what their validation said."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "portfolios",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("members", JSONB(), nullable=False),
        sa.Column("figures", JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        schema="research",
    )
    op.create_table(
        "validations",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("portfolio_id", sa.BigInteger(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("report", JSONB(), nullable=False),
        sa.ForeignKeyConstraint(["portfolio_id"], ["research.portfolios.id"]),
        sa.PrimaryKeyConstraint("id"),
        schema="research",
    )
    op.create_index("ix_research_validations_portfolio_id", "validations", ["portfolio_id"], schema="research")


def downgrade() -> None:
    """Remove the tables and what they held."""
    op.drop_table("validations", schema="research")
    op.drop_table("portfolios", schema="research")
