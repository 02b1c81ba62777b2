"""Tables of what was observed, computed and researched, and of what became of models, each named once.

Owns columns and keys of the schemas `market`, `features`, `research` and `ml`; `storage.trading_tables` has `trading`. The
migrations create them, a test compares the two. Tables that are evidence only grow.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from core.frames import FEATURES, PRICES, TRADES
from storage.columns import INSTANT, NOW, column, columns_of, key, metadata

# One row for each version of a bar that was ever seen. `ts` opens the bar (midnight UTC of the session for daily bars);
# `known_at` is when it could have been known, `ingested_at` when it was written.
raw_prices = sa.Table(
    "raw_prices",
    metadata,
    key("symbol", sa.Text),
    key("timeframe", sa.Text),
    key("ts", INSTANT),
    key("ingested_at", INSTANT),
    column("known_at", INSTANT),
    *(column(name, sa.Double) for name in (*PRICES, "adj_close", "volume")),
    column("source", sa.Text),
    column("backfilled", sa.Boolean),
    schema="market",
)

# Close with its 20-session moving average, standard deviation and z-score, newest revision only.
normalized_prices = sa.Table(
    "normalized_prices",
    metadata,
    key("symbol", sa.Text),
    key("session", sa.Date),
    column("close", sa.Double),
    *(sa.Column(name, sa.Double) for name in ("sma_20", "std_20", "zscore_20")),
    schema="market",
)

corporate_actions = sa.Table(
    "corporate_actions",
    metadata,
    key("symbol", sa.Text),
    key("session", sa.Date),
    key("kind", sa.Text),
    key("recorded_at", INSTANT),
    column("value", sa.Double),
    schema="market",
)

validation_runs = sa.Table(
    "validation_runs",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    column("session", sa.Date),
    column("passed", sa.Boolean),
    column("results", JSONB),
    column("created_at", INSTANT, server_default=NOW),
    schema="market",
)

# `digest` makes a row that is refused again and again appear once.
quarantine = sa.Table(
    "quarantine",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("validation_run_id", sa.BigInteger, sa.ForeignKey("market.validation_runs.id"), nullable=False),
    column("symbol", sa.Text),
    sa.Column("session", sa.Date),
    column("reason", sa.Text),
    column("detail", sa.Text),
    column("payload", JSONB),
    column("digest", sa.Text, unique=True),
    column("created_at", INSTANT, server_default=NOW),
    schema="market",
)

# Dates on which companies announce results. `ingested_at` is when a date was first known here; a date is never updated.
earnings = sa.Table(
    "earnings",
    metadata,
    key("symbol", sa.Text),
    key("announced", sa.Date),
    column("source", sa.Text),
    column("ingested_at", INSTANT, server_default=NOW),
    schema="market",
)

market_features = sa.Table(
    "market_features",
    metadata,
    key("symbol", sa.Text),
    column("session", sa.Date),
    key("event_timestamp", INSTANT),
    key("created_timestamp", INSTANT),
    *(sa.Column(name, sa.Double) for name in FEATURES),
    schema="features",
)

# One row for each time the online store was brought up to a moment. Whoever keeps online rows in memory compares the newest id.
materialisations = sa.Table(
    "materialisations",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    column("until", INSTANT),
    column("created_at", INSTANT, server_default=sa.func.clock_timestamp()),
    schema="features",
)

# What the numbers of a stored feature vector are called, in their order.
feature_sets = sa.Table(
    "feature_sets",
    metadata,
    key("digest", sa.Text),
    column("names", ARRAY(sa.Text)),
    column("created_at", INSTANT, server_default=NOW),
    schema="features",
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

# An A/B test, with the terms that were agreed before its first outcome.
experiments = sa.Table(
    "experiments",
    metadata,
    key("name", sa.Text),
    column("model_name", sa.Text),
    column("champion", sa.Text),
    column("challengers", ARRAY(sa.Text)),
    column("terms", JSONB),
    column("first_session", sa.Date),
    column("created_at", INSTANT, server_default=sa.func.clock_timestamp()),
    schema="ml",
)

# Which version decided a candidate, and what every version said of it; written before the outcome. `scores` holds for each
# version probability, predicted_return and accept.
ab_assignments = sa.Table(
    "ab_assignments",
    metadata,
    sa.Column("experiment", sa.Text, sa.ForeignKey("ml.experiments.name"), primary_key=True),
    key("strategy", sa.Text),
    key("symbol", sa.Text),
    key("session", sa.Date),
    column("arm", sa.Text),
    column("scores", JSONB),
    column("created_at", INSTANT, server_default=sa.func.clock_timestamp()),
    schema="ml",
)

# One judgement of an experiment: promote, keep or extend. `report` has effects, intervals, samples and what blocked it.
ab_decisions = sa.Table(
    "ab_decisions",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("experiment", sa.Text, sa.ForeignKey("ml.experiments.name"), nullable=False),
    column("session", sa.Date),
    column("kind", sa.Text),
    sa.Column("challenger", sa.Text),
    column("reason", sa.Text),
    column("report", JSONB),
    column("created_at", INSTANT, server_default=sa.func.clock_timestamp()),
    schema="ml",
)

# Every move of the champion's alias.
promotions = sa.Table(
    "promotions",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    column("model_name", sa.Text),
    column("kind", sa.Text),
    sa.Column("from_version", sa.Text),
    column("to_version", sa.Text),
    column("reason", sa.Text),
    column("author", sa.Text),
    sa.Column("decision_id", sa.BigInteger, sa.ForeignKey("ml.ab_decisions.id")),
    column("created_at", INSTANT, server_default=sa.func.clock_timestamp()),
    schema="ml",
)

# How far features, scores and outcomes of a session's window have moved from those of the training; `family` says which, and
# `skew` counts served vectors that recomputation does not give again.
drift = sa.Table(
    "drift",
    metadata,
    key("session", sa.Date),
    key("family", sa.Text),
    key("name", sa.Text),
    *(sa.Column(name, sa.Double) for name in ("psi", "statistic", "p_value", "reference_mean", "recent_mean")),
    column("reference_count", sa.BigInteger),
    column("recent_count", sa.BigInteger),
    column("alert", sa.Boolean),
    column("detail", sa.Text),
    column("created_at", INSTANT, server_default=sa.func.clock_timestamp()),
    schema="ml",
)
