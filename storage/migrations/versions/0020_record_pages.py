"""Indexes for the pages of the record: newest first, by book, and what belongs to an order."""

from __future__ import annotations

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

INDEXES = {
    "order_intents": (
        ("newest", ["session", "created_at", "client_order_id"]),
        ("portfolio_newest", ["portfolio", "session", "created_at", "client_order_id"]),
        ("symbol_newest", ["symbol", "session", "created_at", "client_order_id"]),
        ("candidate", ["strategy", "symbol", "decision_session"]),
    ),
    "order_events": (("client_order_id", ["client_order_id", "id"]),),
    "fills": (
        ("newest", ["session", "filled_at", "fill_id"]),
        ("symbol_newest", ["symbol", "session", "filled_at", "fill_id"]),
    ),
    "trades": (
        ("newest", ["exit_session", "entry_session", "portfolio", "strategy", "symbol"]),
        ("portfolio_newest", ["portfolio", "exit_session", "entry_session", "strategy", "symbol"]),
    ),
    "signals": (("newest", ["session", "strategy", "symbol"]), ("symbol_newest", ["symbol", "session", "strategy"])),
    "risk_events": (("candidate", ["strategy", "symbol", "session"]),),
}


def upgrade() -> None:
    """Create the indexes."""
    for table, indexes in INDEXES.items():
        for name, columns in indexes:
            op.create_index(f"ix_trading_{table}_{name}", table, columns, schema="trading")


def downgrade() -> None:
    """Drop the indexes."""
    for table, indexes in INDEXES.items():
        for name, _ in indexes:
            op.drop_index(f"ix_trading_{table}_{name}", table, schema="trading")
