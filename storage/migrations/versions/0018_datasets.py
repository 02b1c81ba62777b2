"""Frozen research datasets, and which of them a trial, shortlist, portfolio or validation was made from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None
MADE_FROM = ("trials", "shortlists", "portfolios", "validations")


def upgrade() -> None:
    """Create the table and the columns."""
    op.create_table(
        "datasets",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("frozen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("first_session", sa.Date(), nullable=False),
        sa.Column("last_session", sa.Date(), nullable=False),
        sa.Column("symbols", JSONB(), nullable=False),
        sa.Column("bars", sa.BigInteger(), nullable=False),
        sa.Column("parts", JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        schema="research",
    )
    for name in MADE_FROM:
        op.add_column(name, sa.Column("dataset", sa.Text(), nullable=True), schema="research")


def downgrade() -> None:
    """Remove the columns and the table."""
    for name in MADE_FROM:
        op.drop_column(name, "dataset", schema="research")
    op.drop_table("datasets", schema="research")
