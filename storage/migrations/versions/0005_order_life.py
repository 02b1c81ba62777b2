"""Stop orders and arms of an A/B test; events and fills can be added and never changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

EVIDENCE = ("order_events", "fills")
REFUSE = """
CREATE FUNCTION trading.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%.% is evidence: rows are added, never changed', TG_TABLE_SCHEMA, TG_TABLE_NAME;
END $$
"""


def upgrade() -> None:
    """Add the columns and the guards."""
    op.add_column("order_intents", sa.Column("stop_price", sa.Numeric(), nullable=True), schema="trading")
    op.add_column("order_intents", sa.Column("arm", sa.Text(), server_default="", nullable=False), schema="trading")
    op.create_index("ix_trading_fills_client_order_id", "fills", ["client_order_id"], schema="trading")
    op.execute(REFUSE)
    for table in EVIDENCE:
        op.execute(
            f"CREATE TRIGGER {table}_only_grows BEFORE UPDATE OR DELETE ON trading.{table} "
            "FOR EACH ROW EXECUTE FUNCTION trading.refuse_change()"
        )


def downgrade() -> None:
    """Remove them."""
    for table in EVIDENCE:
        op.execute(f"DROP TRIGGER {table}_only_grows ON trading.{table}")
    op.execute("DROP FUNCTION trading.refuse_change()")
    op.drop_index("ix_trading_fills_client_order_id", "fills", schema="trading")
    op.drop_column("order_intents", "arm", schema="trading")
    op.drop_column("order_intents", "stop_price", schema="trading")
