"""The steps of each evening on record."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "evening_steps",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("book", sa.Text(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("detail", JSONB(), nullable=False),
        sa.Column("code_commit", sa.Text(), nullable=False),
        sa.Column("dag_run", sa.Text(), nullable=True),
        sa.CheckConstraint("outcome IN ('running', 'done', 'refused', 'failed')", name="ck_evening_steps_outcome"),
        sa.CheckConstraint("(outcome = 'running') = (ended_at IS NULL)", name="ck_evening_steps_ended"),
        sa.PrimaryKeyConstraint("id"),
        schema="trading",
    )
    op.create_index("ix_trading_evening_steps_session_book", "evening_steps", ["session", "book"], schema="trading")


def downgrade() -> None:
    """Remove the table and what it held."""
    op.drop_table("evening_steps", schema="trading")
