"""The daily parity ledger; which code and which DAG run decided an order."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
CAUSES = ("signal", "fill", "cost", "missed")


def upgrade() -> None:
    """Add the table and the columns; orders from before have an unknown commit, every new one has its own."""
    op.create_table(
        "parity_days",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("portfolio", "strategy")),
        sa.Column("session", sa.Date(), nullable=False),
        *(sa.Column(f"{cause}_differences", sa.Integer(), nullable=False) for cause in CAUSES),
        *(sa.Column(f"{cause}_usd", sa.Double(), nullable=False) for cause in CAUSES),
        *(sa.Column(name, sa.Double(), nullable=False) for name in ("record_usd", "backtest_usd")),
        sa.Column("details", JSONB(), nullable=False),
        sa.Column("created_at", INSTANT, server_default=sa.func.clock_timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        schema="trading",
    )
    op.create_index("ix_trading_parity_days_portfolio_session", "parity_days", ["portfolio", "session"], schema="trading")
    op.add_column(
        "order_intents", sa.Column("code_commit", sa.Text(), server_default="unknown", nullable=False), schema="trading"
    )
    op.alter_column("order_intents", "code_commit", server_default=None, schema="trading")
    op.add_column("order_intents", sa.Column("dag_run", sa.Text()), schema="trading")


def downgrade() -> None:
    """Remove them and what they held."""
    op.drop_column("order_intents", "dag_run", schema="trading")
    op.drop_column("order_intents", "code_commit", schema="trading")
    op.drop_table("parity_days", schema="trading")
