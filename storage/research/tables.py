"""Tables of the schema `research`: backtest runs, trials, portfolios and their validations.

The migrations create them, and a test compares the two. Tables that are evidence only grow.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from core.frames import TRADES
from storage.columns import INSTANT, NOW, column, columns_of, key, metadata

backtest_runs = sa.Table(
    "backtest_runs",
    metadata,
    key("run_id", sa.Text),
    column("kind", sa.Text),
    column("created_at", INSTANT, server_default=NOW),
    column("meta", JSONB),
    column("metrics", JSONB),
    schema="research",
)

backtest_trades = sa.Table(
    "backtest_trades",
    metadata,
    sa.Column("run_id", sa.Text, sa.ForeignKey("research.backtest_runs.run_id"), primary_key=True),
    *columns_of(TRADES),
    schema="research",
)

backtest_equity = sa.Table(
    "backtest_equity",
    metadata,
    sa.Column("run_id", sa.Text, sa.ForeignKey("research.backtest_runs.run_id"), primary_key=True),
    key("session", sa.Date),
    column("equity_usd", sa.Double),
    column("drawdown", sa.Double),
    schema="research",
)

# Every backtest that was ever tried, of a sweep or an optimisation too; the count deflates what was found.
trials = sa.Table(
    "trials",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    column("key", sa.Text, index=True),
    column("strategy", sa.Text, index=True),
    column("symbol", sa.Text),
    column("params", JSONB),
    column("kind", sa.Text),
    column("first_session", sa.Date),
    column("last_session", sa.Date),
    sa.Column("metrics", JSONB(none_as_null=True)),
    sa.Column("error", sa.Text),
    column("created_at", INSTANT, server_default=NOW),
    schema="research",
)

# Portfolios that research chose, and what the limits said about each. `session` is the last one that either had seen.
portfolios = sa.Table(
    "portfolios",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    column("session", sa.Date),
    column("created_at", INSTANT, server_default=NOW),
    column("method", sa.Text),
    column("members", JSONB),
    column("figures", JSONB),
    schema="research",
)

validations = sa.Table(
    "validations",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("portfolio_id", sa.BigInteger, sa.ForeignKey("research.portfolios.id"), nullable=False, index=True),
    column("session", sa.Date),
    column("created_at", INSTANT, server_default=NOW),
    column("status", sa.Text),
    column("report", JSONB),
    schema="research",
)
