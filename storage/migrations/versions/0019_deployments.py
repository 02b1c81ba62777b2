"""Deployments and the value of their sleeves; drafts among portfolios; signals and evidence of unfiltered entries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

COMPLETE = "(model_version IS NOT NULL AND feature_event IS NOT NULL AND feature_created IS NOT NULL)"


def upgrade() -> None:
    """Create the tables and columns."""
    op.create_table(
        "deployments",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("sleeves", JSONB(), nullable=False),
        sa.Column("capital_usd", sa.Double(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("portfolio_id", sa.BigInteger(), nullable=True),
        sa.Column("promise", JSONB(), nullable=False),
        sa.Column("venue", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.clock_timestamp(), nullable=False),
        sa.CheckConstraint("stage IN ('paper', 'live')", name="ck_deployments_stage"),
        sa.CheckConstraint("state IN ('active', 'paused', 'retired')", name="ck_deployments_state"),
        sa.ForeignKeyConstraint(["portfolio_id"], ["research.portfolios.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name", "version", name="uq_deployments_name_version"),
        schema="trading",
    )
    op.create_table(
        "sleeve_equity",
        sa.Column("portfolio", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("equity_usd", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("portfolio", "strategy", "session"),
        schema="trading",
    )
    op.add_column("portfolios", sa.Column("draft", sa.Boolean(), server_default=sa.false(), nullable=False), schema="research")
    for table in ("signals", "evidence"):
        op.add_column(table, sa.Column("filtered", sa.Boolean(), server_default=sa.true(), nullable=False), schema="trading")
    op.drop_constraint("ck_evidence_entry", "evidence", schema="trading")
    op.create_check_constraint("ck_evidence_entry", "evidence", f"leg = 'exit' OR NOT filtered OR {COMPLETE}", schema="trading")


def downgrade() -> None:
    """Remove the tables and what they held; unfiltered entries must be gone before."""
    op.drop_constraint("ck_evidence_entry", "evidence", schema="trading")
    op.create_check_constraint("ck_evidence_entry", "evidence", f"leg = 'exit' OR {COMPLETE}", schema="trading")
    for table in ("signals", "evidence"):
        op.drop_column(table, "filtered", schema="trading")
    op.drop_column("portfolios", "draft", schema="research")
    for name in ("sleeve_equity", "deployments"):
        op.drop_table(name, schema="trading")
