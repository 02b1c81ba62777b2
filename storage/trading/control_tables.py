"""Tables of what watches the desk: halts, risk, data-guard, parity and reconciliations, in the schema `trading`.

Each only grows; the migrations create them, and a test compares the two.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from storage.columns import INSTANT, NOW, column, key, metadata

# The halt switch of each portfolio: the newest row counts, none means that it may trade.
halts = sa.Table(
    "halts",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    column("portfolio", sa.Text),
    column("halted", sa.Boolean),
    column("reason", sa.Text),
    column("author", sa.Text),
    column("created_at", INSTANT, server_default=sa.func.clock_timestamp()),
    schema="trading",
)

# Each refusal of a candidate and each limit that spoke, with its reason; `details` has the rule's numbers. A row without a
# symbol concerns the whole portfolio.
risk_events = sa.Table(
    "risk_events",
    metadata,
    key("portfolio", sa.Text),
    key("strategy", sa.Text),
    key("symbol", sa.Text),
    key("session", sa.Date),
    key("reason", sa.Text),
    column("created_at", INSTANT, server_default=NOW),
    sa.Column("details", JSONB(none_as_null=True)),
    sa.Index("ix_trading_risk_events_candidate", "strategy", "symbol", "session"),
    schema="trading",
)

# One row for each look of the risk worker. Money is marked to the last prices; a figure that is not defined is NULL.
risk_heartbeats = sa.Table(
    "risk_heartbeats",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    column("portfolio", sa.Text),
    column("at", INSTANT),
    column("mode", sa.Text),
    column("level", sa.Text),
    *(column(name, sa.Double) for name in ("equity_usd", "peak_usd", "drawdown_pct", "gross_usd", "net_usd")),
    *(sa.Column(name, sa.Double) for name in ("var_historical_usd", "var_parametric_usd")),
    column("positions", sa.Integer),
    column("breaches", JSONB),
    sa.Index("ix_trading_risk_heartbeats_portfolio_at", "portfolio", "at"),
    schema="trading",
)

# What data-guard found in a symbol's bars for a session; the newest row of both counts.
data_guard = sa.Table(
    "data_guard",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    column("symbol", sa.Text),
    column("session", sa.Date),
    column("blocked", sa.Boolean),
    column("findings", JSONB),
    column("created_at", INSTANT, server_default=sa.func.clock_timestamp()),
    sa.Index("ix_trading_data_guard_session", "session"),
    schema="trading",
)

# How far a traded day was from the backtest, by cause, in differences and in dollars; the newest row of a session counts.
parity_days = sa.Table(
    "parity_days",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    column("portfolio", sa.Text),
    column("strategy", sa.Text),
    column("session", sa.Date),
    *(column(f"{cause}_differences", sa.Integer) for cause in ("signal", "fill", "cost", "missed")),
    *(column(f"{cause}_usd", sa.Double) for cause in ("signal", "fill", "cost", "missed")),
    *(column(name, sa.Double) for name in ("record_usd", "backtest_usd")),
    column("details", JSONB),
    column("created_at", INSTANT, server_default=sa.func.clock_timestamp()),
    sa.Index("ix_trading_parity_days_portfolio_session", "portfolio", "session"),
    schema="trading",
)

# What the desk believed against what the venue said, each time it was asked; `differences` is empty when they agreed.
reconciliations = sa.Table(
    "reconciliations",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    column("portfolio", sa.Text),
    column("session", sa.Date),
    column("broker", sa.Text),
    column("differences", JSONB),
    column("halted", sa.Boolean),
    column("created_at", INSTANT, server_default=sa.func.clock_timestamp()),
    schema="trading",
)
