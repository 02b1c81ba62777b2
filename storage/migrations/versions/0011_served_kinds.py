"""Served predictions of two kinds: of an entry, and of the next session's return."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TABLE, SCHEMA, RULE = "served_predictions", "trading", "ck_served_predictions_kind"


def upgrade() -> None:
    """Widen the table; what is in it are entries."""
    op.add_column(TABLE, sa.Column("kind", sa.Text(), server_default="entry", nullable=False), schema=SCHEMA)
    op.add_column(TABLE, sa.Column("strategy", sa.Text(), server_default="", nullable=False), schema=SCHEMA)
    for name in ("low", "high", "confidence"):
        op.add_column(TABLE, sa.Column(name, sa.Double()), schema=SCHEMA)
    op.alter_column(TABLE, "probability", nullable=True, schema=SCHEMA)
    op.create_check_constraint(RULE, TABLE, "(kind = 'entry') = (probability IS NOT NULL)", schema=SCHEMA)


def downgrade() -> None:
    """Remove predictions of the next session, and what tells them apart."""
    op.execute("DELETE FROM trading.served_predictions WHERE kind <> 'entry'")
    op.drop_constraint(RULE, TABLE, schema=SCHEMA)
    op.alter_column(TABLE, "probability", nullable=False, schema=SCHEMA)
    for name in ("kind", "strategy", "low", "high", "confidence"):
        op.drop_column(TABLE, name, schema=SCHEMA)
