"""Book events: splits, renames, dividends and transfers of a portfolio, and the present terms of open orders."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table and the columns."""
    op.create_table(
        "book_events",
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("portfolio", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("strategy", sa.Text(), server_default="", nullable=False),
        sa.Column("symbol", sa.Text(), server_default="", nullable=False),
        sa.Column("ratio", sa.Numeric(), nullable=False),
        sa.Column("price_ratio", sa.Numeric(), nullable=False),
        sa.Column("fraction", sa.Numeric(), nullable=False),
        sa.Column("cash_usd", sa.Numeric(), nullable=False),
        sa.Column("new_symbol", sa.Text(), nullable=True),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("event_id"),
        sa.CheckConstraint("ratio > 0 AND price_ratio > 0", name="ck_book_events_ratio"),
        schema="trading",
    )
    op.create_index("ix_trading_book_events_portfolio_session", "book_events", ["portfolio", "session"], schema="trading")
    for name in ("quantity", "limit_price", "stop_price"):
        op.add_column("orders", sa.Column(name, sa.Numeric(), nullable=True), schema="trading")


def downgrade() -> None:
    """Remove the columns and the table."""
    for name in ("quantity", "limit_price", "stop_price"):
        op.drop_column("orders", name, schema="trading")
    op.drop_index("ix_trading_book_events_portfolio_session", "book_events", schema="trading")
    op.drop_table("book_events", schema="trading")
