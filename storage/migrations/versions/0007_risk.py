"""Numbers behind each refusal, heartbeats of the risk worker, findings of data-guard."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the column and the tables."""
    op.add_column("risk_events", sa.Column("details", JSONB(), nullable=True), schema="trading")
    op.create_table(
        "risk_heartbeats",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("portfolio", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("mode", "level")),
        *(
            sa.Column(name, sa.Double(), nullable=False)
            for name in ("equity_usd", "peak_usd", "drawdown_pct", "gross_usd", "net_usd")
        ),
        *(sa.Column(name, sa.Double(), nullable=True) for name in ("var_historical_usd", "var_parametric_usd")),
        sa.Column("positions", sa.Integer(), nullable=False),
        sa.Column("breaches", JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        schema="trading",
    )
    op.create_index("ix_trading_risk_heartbeats_portfolio_at", "risk_heartbeats", ["portfolio", "at"], schema="trading")
    op.create_table(
        "data_guard",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("blocked", sa.Boolean(), nullable=False),
        sa.Column("findings", JSONB(), nullable=False),
        sa.Column("created_at", INSTANT, server_default=sa.func.clock_timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        schema="trading",
    )
    op.create_index("ix_trading_data_guard_session", "data_guard", ["session"], schema="trading")


def downgrade() -> None:
    """Remove them and what they held."""
    op.drop_table("data_guard", schema="trading")
    op.drop_table("risk_heartbeats", schema="trading")
    op.drop_column("risk_events", "details", schema="trading")
