"""An index that sums the finished trades of a sleeve in a symbol without reading the trades themselves."""

from __future__ import annotations

from alembic import op

revision = "0022"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the index."""
    op.create_index(
        "ix_trading_trades_totals",
        "trades",
        ["portfolio", "strategy", "symbol", "exit_session"],
        schema="trading",
        postgresql_include=["net_return", "pnl_usd", "cost_usd"],
    )


def downgrade() -> None:
    """Drop the index."""
    op.drop_index("ix_trading_trades_totals", "trades", schema="trading")
