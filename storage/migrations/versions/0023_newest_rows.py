"""Indexes that find the newest fills and closes."""

from __future__ import annotations

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the indexes."""
    op.create_index("ix_trading_fills_created_at", "fills", ["created_at"], schema="trading")
    op.create_index("ix_trading_equity_session", "equity", ["session"], schema="trading")


def downgrade() -> None:
    """Drop the indexes."""
    op.drop_index("ix_trading_equity_session", "equity", schema="trading")
    op.drop_index("ix_trading_fills_created_at", "fills", schema="trading")
