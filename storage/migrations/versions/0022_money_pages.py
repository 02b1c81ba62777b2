"""Indexes that sum finished trades without reading them, and find the fills of a symbol."""

from __future__ import annotations

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the indexes."""
    op.create_index(
        "ix_trading_trades_totals",
        "trades",
        ["portfolio", "strategy", "symbol", "exit_session"],
        schema="trading",
        postgresql_include=["net_return", "pnl_usd", "cost_usd"],
    )
    op.create_index("ix_trading_fills_symbol", "fills", ["symbol", "session"], schema="trading")


def downgrade() -> None:
    """Drop the indexes."""
    op.drop_index("ix_trading_fills_symbol", "fills", schema="trading")
    op.drop_index("ix_trading_trades_totals", "trades", schema="trading")
