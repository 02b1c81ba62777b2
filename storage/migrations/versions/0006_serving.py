"""Served predictions with their features, materialisations, and the halt switch."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
NOW = sa.func.now()
CLOCK = sa.func.clock_timestamp()


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "materialisations",
        _id(),
        sa.Column("until", INSTANT, nullable=False),
        sa.Column("created_at", INSTANT, server_default=CLOCK, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        schema="features",
    )
    op.create_table(
        "feature_sets",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("names", ARRAY(sa.Text()), nullable=False),
        sa.Column("created_at", INSTANT, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("digest"),
        schema="features",
    )
    op.create_table(
        "served_predictions",
        _id(),
        sa.Column("served_at", INSTANT, nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("for_session", sa.Date(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("arm", "model_name", "model_version")),
        *(sa.Column(name, sa.Double(), nullable=False) for name in ("probability", "predicted_return")),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("signal", "source")),
        sa.Column("feature_timestamp", INSTANT),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("feature_set", "feature_hash")),
        sa.Column("features", ARRAY(sa.Double()), nullable=False),
        sa.Column("latency_us", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        schema="trading",
    )
    op.create_index("ix_trading_served_predictions_served_at", "served_predictions", ["served_at"], schema="trading")
    op.create_table(
        "halts",
        _id(),
        sa.Column("portfolio", sa.Text(), nullable=False),
        sa.Column("halted", sa.Boolean(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("reason", "author")),
        sa.Column("created_at", INSTANT, server_default=CLOCK, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        schema="trading",
    )


def downgrade() -> None:
    """Remove the tables and what they held."""
    for name, schema in (
        ("halts", "trading"),
        ("served_predictions", "trading"),
        ("feature_sets", "features"),
        ("materialisations", "features"),
    ):
        op.drop_table(name, schema=schema)
