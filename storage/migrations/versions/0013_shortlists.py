"""Shortlists of the research chain with their equity curves."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "shortlists",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("members", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        schema="research",
    )
    op.create_table(
        "shortlist_equity",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("equity_usd", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("key", "label", "session"),
        sa.ForeignKeyConstraint(["key"], ["research.shortlists.key"], ondelete="CASCADE"),
        schema="research",
    )


def downgrade() -> None:
    """Remove the tables."""
    op.drop_table("shortlist_equity", schema="research")
    op.drop_table("shortlists", schema="research")
