"""Tables of the schema `research`: datasets, backtest runs, trials, shortlists, portfolios and their validations.

The migrations create them, and a test compares the two. Tables that are evidence only grow.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from core.frames import BAND_COLUMNS, TRADES
from storage.columns import INSTANT, NOW, column, columns_of, key, metadata

# Bars pinned for research: `parts` holds the digest of each symbol's bars by month, `sha256` covers them all. Only grows.
datasets = sa.Table(
    "datasets",
    metadata,
    key("name", sa.Text),
    column("sha256", sa.Text),
    column("as_of", INSTANT),
    column("frozen_at", INSTANT),
    column("first_session", sa.Date),
    column("last_session", sa.Date),
    column("symbols", JSONB),
    column("bars", sa.BigInteger),
    column("parts", JSONB),
    schema="research",
)

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
    *(sa.Column(name, sa.Double) for name in BAND_COLUMNS),  # NULL: a strategy without a band, or a run that did not say
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

# Every backtest ever tried, those of sweeps and optimisations included; their count deflates the Sharpe ratio of the best.
# `dataset` (here and below) is the research dataset it was made from, as NAME@SHA256; NULL: the live bars.
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
    sa.Column("dataset", sa.Text),
    schema="research",
)

# Candidates of a choice with their curves, between the steps of the research chain; replaced when the choice is made again.
shortlists = sa.Table(
    "shortlists",
    metadata,
    key("key", sa.Text),
    column("session", sa.Date),
    column("created_at", INSTANT, server_default=NOW),
    column("members", JSONB),
    sa.Column("dataset", sa.Text),
    schema="research",
)

shortlist_equity = sa.Table(
    "shortlist_equity",
    metadata,
    sa.Column("key", sa.Text, sa.ForeignKey("research.shortlists.key", ondelete="CASCADE"), primary_key=True),
    key("label", sa.Text),
    key("session", sa.Date),
    column("equity_usd", sa.Double),
    schema="research",
)

# Portfolios that research chose, and the validations of each. `session` is the last one that either has seen. A draft is the
# outcome of a look: nobody asked for it to be kept, and it cannot be deployed.
portfolios = sa.Table(
    "portfolios",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    column("session", sa.Date),
    column("created_at", INSTANT, server_default=NOW),
    column("method", sa.Text),
    column("members", JSONB),
    column("figures", JSONB),
    column("draft", sa.Boolean, server_default=sa.false()),
    sa.Column("dataset", sa.Text),
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
    sa.Column("dataset", sa.Text),
    schema="research",
)
