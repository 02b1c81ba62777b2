"""Average and band at each signal, and at each trade of a backtest."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

TABLES = (("signals", "trading"), ("backtest_trades", "research"))
COLUMNS = ("mean_price", "band_price")


def upgrade() -> None:
    """Add the columns."""
    for table, schema in TABLES:
        for name in COLUMNS:
            op.add_column(table, sa.Column(name, sa.Double(), nullable=True), schema=schema)


def downgrade() -> None:
    """Remove the columns and what they held."""
    for table, schema in TABLES:
        for name in COLUMNS:
            op.drop_column(table, name, schema=schema)
