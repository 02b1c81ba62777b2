"""Every table of the desk's database, named once. Owns columns and keys; the migrations create them, a test compares the two.

Schemas: `market` what was observed, `features` what was computed from it, `research` backtests, `trading` what the desk
meant, did and holds, `ml` what became of models. Tables that are evidence only grow.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from core.frames import FEATURES, PRICES, TRADES

Kind = sa.types.TypeEngine[Any] | type[sa.types.TypeEngine[Any]]
metadata = sa.MetaData()
SCHEMAS = ("market", "features", "research", "trading", "ml")
INSTANT = sa.DateTime(timezone=True)
NOW = sa.func.now()


def _column(name: str, kind: Kind, **options: Any) -> sa.Column[Any]:  # noqa: ANN401  # passed on
    return sa.Column(name, kind, nullable=False, **options)


def _key(name: str, kind: Kind) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=True)


# One row for each version of a bar that was ever seen. `ts` opens the bar (midnight UTC of the session for daily bars);
# `known_at` is when it could have been known, `ingested_at` when it was written.
raw_prices = sa.Table(
    "raw_prices",
    metadata,
    _key("symbol", sa.Text),
    _key("timeframe", sa.Text),
    _key("ts", INSTANT),
    _key("ingested_at", INSTANT),
    _column("known_at", INSTANT),
    *(_column(name, sa.Double) for name in (*PRICES, "adj_close", "volume")),
    _column("source", sa.Text),
    _column("backfilled", sa.Boolean),
    schema="market",
)

# Close with its 20-session moving average, standard deviation and z-score, newest revision only.
normalized_prices = sa.Table(
    "normalized_prices",
    metadata,
    _key("symbol", sa.Text),
    _key("session", sa.Date),
    _column("close", sa.Double),
    *(sa.Column(name, sa.Double) for name in ("sma_20", "std_20", "zscore_20")),
    schema="market",
)

corporate_actions = sa.Table(
    "corporate_actions",
    metadata,
    _key("symbol", sa.Text),
    _key("session", sa.Date),
    _key("kind", sa.Text),
    _key("recorded_at", INSTANT),
    _column("value", sa.Double),
    schema="market",
)

validation_runs = sa.Table(
    "validation_runs",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _column("session", sa.Date),
    _column("passed", sa.Boolean),
    _column("results", JSONB),
    _column("created_at", INSTANT, server_default=NOW),
    schema="market",
)

# `digest` makes a row that is refused again and again appear once.
quarantine = sa.Table(
    "quarantine",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("validation_run_id", sa.BigInteger, sa.ForeignKey("market.validation_runs.id"), nullable=False),
    _column("symbol", sa.Text),
    sa.Column("session", sa.Date),
    _column("reason", sa.Text),
    _column("detail", sa.Text),
    _column("payload", JSONB),
    _column("digest", sa.Text, unique=True),
    _column("created_at", INSTANT, server_default=NOW),
    schema="market",
)

# Dates on which companies announce results. `ingested_at` is when a date was first known here; a date is never updated.
earnings = sa.Table(
    "earnings",
    metadata,
    _key("symbol", sa.Text),
    _key("announced", sa.Date),
    _column("source", sa.Text),
    _column("ingested_at", INSTANT, server_default=NOW),
    schema="market",
)

market_features = sa.Table(
    "market_features",
    metadata,
    _key("symbol", sa.Text),
    _column("session", sa.Date),
    _key("event_timestamp", INSTANT),
    _key("created_timestamp", INSTANT),
    *(sa.Column(name, sa.Double) for name in FEATURES),
    schema="features",
)

# One row for each time the online store was brought up to a moment. Whoever keeps online rows in memory compares the newest id.
materialisations = sa.Table(
    "materialisations",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _column("until", INSTANT),
    _column("created_at", INSTANT, server_default=sa.func.clock_timestamp()),
    schema="features",
)

# What the numbers of a stored feature vector are called, in their order.
feature_sets = sa.Table(
    "feature_sets",
    metadata,
    _key("digest", sa.Text),
    _column("names", ARRAY(sa.Text)),
    _column("created_at", INSTANT, server_default=NOW),
    schema="features",
)

backtest_runs = sa.Table(
    "backtest_runs",
    metadata,
    _key("run_id", sa.Text),
    _column("kind", sa.Text),
    _column("created_at", INSTANT, server_default=NOW),
    _column("meta", JSONB),
    _column("metrics", JSONB),
    schema="research",
)

_TYPES = {"object": sa.Text, "float64": sa.Double, "int64": sa.BigInteger, "int8": sa.SmallInteger, "datetime64[ns]": sa.Date}
TRADE_COLUMNS = tuple(TRADES.columns)

backtest_trades = sa.Table(
    "backtest_trades",
    metadata,
    sa.Column("run_id", sa.Text, sa.ForeignKey("research.backtest_runs.run_id"), primary_key=True),
    *(sa.Column(name, _TYPES[kind], primary_key=name in TRADES.key, nullable=False) for name, kind in TRADES.columns.items()),
    schema="research",
)

backtest_equity = sa.Table(
    "backtest_equity",
    metadata,
    sa.Column("run_id", sa.Text, sa.ForeignKey("research.backtest_runs.run_id"), primary_key=True),
    _key("session", sa.Date),
    _column("equity_usd", sa.Double),
    _column("drawdown", sa.Double),
    schema="research",
)

# Every backtest that was ever tried, of a sweep or an optimisation too; the count deflates what was found.
trials = sa.Table(
    "trials",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _column("key", sa.Text, index=True),
    _column("strategy", sa.Text, index=True),
    _column("symbol", sa.Text),
    _column("params", JSONB),
    _column("kind", sa.Text),
    _column("first_session", sa.Date),
    _column("last_session", sa.Date),
    sa.Column("metrics", JSONB(none_as_null=True)),
    sa.Column("error", sa.Text),
    _column("created_at", INSTANT, server_default=NOW),
    schema="research",
)

# Portfolios that research chose, and what the limits said about each. `session` is the last one that either had seen.
portfolios = sa.Table(
    "portfolios",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _column("session", sa.Date),
    _column("created_at", INSTANT, server_default=NOW),
    _column("method", sa.Text),
    _column("members", JSONB),
    _column("figures", JSONB),
    schema="research",
)

validations = sa.Table(
    "validations",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("portfolio_id", sa.BigInteger, sa.ForeignKey("research.portfolios.id"), nullable=False, index=True),
    _column("session", sa.Date),
    _column("created_at", INSTANT, server_default=NOW),
    _column("status", sa.Text),
    _column("report", JSONB),
    schema="research",
)

signals = sa.Table(
    "signals",
    metadata,
    _key("strategy", sa.Text),
    _key("symbol", sa.Text),
    _key("session", sa.Date),
    _column("entry", sa.SmallInteger),
    _column("exit_long", sa.Boolean),
    _column("exit_short", sa.Boolean),
    *(sa.Column(name, sa.Double) for name in ("stop_pct", "target_pct", "strength")),
    _column("close", sa.Double),
    _column("created_at", INSTANT, server_default=NOW),
    schema="trading",
)

predictions = sa.Table(
    "predictions",
    metadata,
    _key("strategy", sa.Text),
    _key("symbol", sa.Text),
    _key("session", sa.Date),
    _key("model_version", sa.Text),
    _column("model_name", sa.Text),
    _column("probability", sa.Double),
    _column("predicted_return", sa.Double),
    _column("signal", sa.Text),
    sa.Column("feature_timestamp", INSTANT),
    _column("ab_arm", sa.Text, server_default=""),
    _column("created_at", INSTANT, server_default=NOW),
    schema="trading",
)

# What an order was decided on, one row an order of origin `signal`: the signal, the version of the bar, and the validation run
# that let it in; of an entry also the answer of the filter and the version of the features. An exit has those of its entry.
evidence = sa.Table(
    "evidence",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _column("leg", sa.Text),
    _column("strategy", sa.Text),
    _column("symbol", sa.Text),
    _column("session", sa.Date),
    _column("timeframe", sa.Text),
    _column("bar_ts", INSTANT),
    _column("bar_ingested_at", INSTANT),
    sa.Column("validation_run_id", sa.BigInteger, sa.ForeignKey("market.validation_runs.id"), nullable=False),
    sa.Column("model_version", sa.Text),
    sa.Column("feature_event", INSTANT),
    sa.Column("feature_created", INSTANT),
    _column("created_at", INSTANT, server_default=NOW),
    sa.ForeignKeyConstraint(
        ["strategy", "symbol", "session"],
        ["trading.signals.strategy", "trading.signals.symbol", "trading.signals.session"],
        name="fk_evidence_signal",
    ),
    sa.ForeignKeyConstraint(
        ["symbol", "timeframe", "bar_ts", "bar_ingested_at"],
        [f"market.raw_prices.{name}" for name in ("symbol", "timeframe", "ts", "ingested_at")],
        name="fk_evidence_bar",
    ),
    sa.ForeignKeyConstraint(
        ["strategy", "symbol", "session", "model_version"],
        [f"trading.predictions.{name}" for name in ("strategy", "symbol", "session", "model_version")],
        name="fk_evidence_prediction",
    ),
    sa.ForeignKeyConstraint(
        ["symbol", "feature_event", "feature_created"],
        [f"features.market_features.{name}" for name in ("symbol", "event_timestamp", "created_timestamp")],
        name="fk_evidence_features",
    ),
    sa.CheckConstraint(
        "leg = 'exit' OR (model_version IS NOT NULL AND feature_event IS NOT NULL AND feature_created IS NOT NULL)",
        name="ck_evidence_entry",
    ),
    schema="trading",
)

# Every answer of the prediction API, as it was given. `kind` is entry (that a candidate of `strategy` wins: `probability`) or
# next_day (the next session's return with its 90 % interval `low` to `high`, no strategy). `arm` is the alias that answered,
# `source` says whether the features came from the online store or with the request; `features` are in the order of
# `feature_set`, NaN where unknown. Rows from before `kind` was kept are entries, their strategy and confidence unknown.
served_predictions = sa.Table(
    "served_predictions",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _column("served_at", INSTANT),
    _column("kind", sa.Text, server_default="entry"),
    _column("strategy", sa.Text, server_default=""),
    _column("symbol", sa.Text),
    _column("session", sa.Date),
    _column("for_session", sa.Date),
    _column("arm", sa.Text),
    _column("model_name", sa.Text),
    _column("model_version", sa.Text),
    sa.Column("probability", sa.Double),
    _column("predicted_return", sa.Double),
    *(sa.Column(name, sa.Double) for name in ("low", "high", "confidence")),
    _column("signal", sa.Text),
    _column("source", sa.Text),
    sa.Column("feature_timestamp", INSTANT),
    _column("feature_set", sa.Text),
    _column("feature_hash", sa.Text),
    _column("features", ARRAY(sa.Double)),
    _column("latency_us", sa.Integer),
    sa.CheckConstraint("(kind = 'entry') = (probability IS NOT NULL)", name="ck_served_predictions_kind"),
    sa.Index("ix_trading_served_predictions_served_at", "served_at"),
    schema="trading",
)

# The halt switch of each portfolio: the newest row counts, none means that it may trade.
halts = sa.Table(
    "halts",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _column("portfolio", sa.Text),
    _column("halted", sa.Boolean),
    _column("reason", sa.Text),
    _column("author", sa.Text),
    _column("created_at", INSTANT, server_default=sa.func.clock_timestamp()),
    schema="trading",
)

# Money, prices and quantities of orders are `numeric` without a scale: what was decided is given back to the last digit.
# `code_commit` is that of the code which decided, "unknown" in rows from before it was kept; `dag_run` is NULL for a terminal.
# `entry_order_id` is the entry that an exit closes. The newest orders are bound by both checks; rows from before are not.
order_intents = sa.Table(
    "order_intents",
    metadata,
    _key("client_order_id", sa.Text),
    _column("portfolio", sa.Text),
    _column("strategy", sa.Text),
    _column("symbol", sa.Text),
    _column("session", sa.Date),
    _column("decision_session", sa.Date),
    _column("leg", sa.Text),
    _column("side", sa.Text),
    _column("quantity", sa.Numeric),
    _column("order_type", sa.Text),
    sa.Column("limit_price", sa.Numeric),
    sa.Column("stop_price", sa.Numeric),
    sa.Column("stop_pct", sa.Double),
    sa.Column("target_pct", sa.Double),
    sa.Column("max_sessions", sa.Integer),
    _column("arm", sa.Text, server_default=""),
    _column("origin", sa.Text, server_default="other"),
    sa.Column("entry_order_id", sa.Text, sa.ForeignKey("trading.order_intents.client_order_id")),
    sa.Column("evidence_id", sa.BigInteger, sa.ForeignKey("trading.evidence.id"), unique=True),
    _column("created_at", INSTANT, server_default=NOW),
    _column("code_commit", sa.Text),
    sa.Column("dag_run", sa.Text),
    sa.CheckConstraint("(origin = 'signal') = (evidence_id IS NOT NULL)", name="ck_order_intents_evidence"),
    sa.CheckConstraint("(leg = 'exit') = (entry_order_id IS NOT NULL)", name="ck_order_intents_entry"),
    schema="trading",
)

orders = sa.Table(
    "orders",
    metadata,
    sa.Column("client_order_id", sa.Text, sa.ForeignKey("trading.order_intents.client_order_id"), primary_key=True),
    _column("state", sa.Text),
    _column("updated_at", INSTANT, server_default=NOW),
    schema="trading",
)

order_events = sa.Table(
    "order_events",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("client_order_id", sa.Text, sa.ForeignKey("trading.order_intents.client_order_id"), nullable=False),
    _column("state", sa.Text),
    _column("reason", sa.Text),
    _column("created_at", INSTANT, server_default=NOW),
    schema="trading",
)

fills = sa.Table(
    "fills",
    metadata,
    _key("fill_id", sa.Text),
    sa.Column("client_order_id", sa.Text, sa.ForeignKey("trading.order_intents.client_order_id"), nullable=False, index=True),
    _column("symbol", sa.Text),
    _column("side", sa.Text),
    _column("quantity", sa.Numeric),
    _column("price", sa.Numeric),
    _column("raw_price", sa.Numeric),
    _column("commission_usd", sa.Numeric),
    _column("session", sa.Date),
    _column("filled_at", INSTANT),
    _column("reason", sa.Text),
    _column("created_at", INSTANT, server_default=NOW),
    schema="trading",
)

positions = sa.Table(
    "positions",
    metadata,
    _key("portfolio", sa.Text),
    _key("strategy", sa.Text),
    _key("symbol", sa.Text),
    _column("quantity", sa.Numeric),
    _column("entry_session", sa.Date),
    _column("entry_price", sa.Numeric),
    sa.Column("stop_price", sa.Numeric),
    sa.Column("target_price", sa.Numeric),
    sa.Column("max_sessions", sa.Integer),
    _column("entry_order_id", sa.Text),
    schema="trading",
)

trades = sa.Table(
    "trades",
    metadata,
    _key("portfolio", sa.Text),
    *(sa.Column(name, _TYPES[kind], primary_key=name in TRADES.key, nullable=False) for name, kind in TRADES.columns.items()),
    schema="trading",
)

equity = sa.Table(
    "equity",
    metadata,
    _key("portfolio", sa.Text),
    _key("session", sa.Date),
    _column("cash_usd", sa.Double),
    _column("equity_usd", sa.Double),
    _column("exposure_usd", sa.Double),
    _column("positions", sa.Integer),
    schema="trading",
)

# Each refusal of a candidate and each limit that spoke, with its reason; `details` has the rule's numbers. A row without a
# symbol concerns the whole portfolio.
risk_events = sa.Table(
    "risk_events",
    metadata,
    _key("portfolio", sa.Text),
    _key("strategy", sa.Text),
    _key("symbol", sa.Text),
    _key("session", sa.Date),
    _key("reason", sa.Text),
    _column("created_at", INSTANT, server_default=NOW),
    sa.Column("details", JSONB(none_as_null=True)),
    schema="trading",
)

# One row for each look of the risk worker. Money is marked to the last prices; a figure that is not defined is NULL.
risk_heartbeats = sa.Table(
    "risk_heartbeats",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _column("portfolio", sa.Text),
    _column("at", INSTANT),
    _column("mode", sa.Text),
    _column("level", sa.Text),
    *(_column(name, sa.Double) for name in ("equity_usd", "peak_usd", "drawdown_pct", "gross_usd", "net_usd")),
    *(sa.Column(name, sa.Double) for name in ("var_historical_usd", "var_parametric_usd")),
    _column("positions", sa.Integer),
    _column("breaches", JSONB),
    sa.Index("ix_trading_risk_heartbeats_portfolio_at", "portfolio", "at"),
    schema="trading",
)

# What data-guard found in a symbol's bars for a session; the newest row of both counts.
data_guard = sa.Table(
    "data_guard",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _column("symbol", sa.Text),
    _column("session", sa.Date),
    _column("blocked", sa.Boolean),
    _column("findings", JSONB),
    _column("created_at", INSTANT, server_default=sa.func.clock_timestamp()),
    sa.Index("ix_trading_data_guard_session", "session"),
    schema="trading",
)

# How far a traded day was from the backtest, by cause, in differences and in dollars; the newest row of a session counts.
parity_days = sa.Table(
    "parity_days",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _column("portfolio", sa.Text),
    _column("strategy", sa.Text),
    _column("session", sa.Date),
    *(_column(f"{cause}_differences", sa.Integer) for cause in ("signal", "fill", "cost", "missed")),
    *(_column(f"{cause}_usd", sa.Double) for cause in ("signal", "fill", "cost", "missed")),
    *(_column(name, sa.Double) for name in ("record_usd", "backtest_usd")),
    _column("details", JSONB),
    _column("created_at", INSTANT, server_default=sa.func.clock_timestamp()),
    sa.Index("ix_trading_parity_days_portfolio_session", "portfolio", "session"),
    schema="trading",
)

# Every version of a strategy's parameters; symbol NULL = all symbols. A change is a new row, never an update. The clock, not
# the start of the transaction, dates a row: a writer that waited for another comes after it.
strategy_params = sa.Table(
    "strategy_params",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _column("strategy", sa.Text),
    sa.Column("symbol", sa.Text),
    _column("version", sa.Integer),
    _column("params", JSONB),
    _column("enabled", sa.Boolean),
    sa.Column("preset", sa.Text),
    _column("author", sa.Text),
    _column("reason", sa.Text),
    _column("created_at", INSTANT, server_default=sa.func.clock_timestamp()),
    sa.UniqueConstraint(
        "strategy",
        "symbol",
        "version",
        name="strategy_params_strategy_symbol_version_key",
        postgresql_nulls_not_distinct=True,
    ),
    schema="trading",
)

# An A/B test, with the terms that were agreed before its first outcome.
experiments = sa.Table(
    "experiments",
    metadata,
    _key("name", sa.Text),
    _column("model_name", sa.Text),
    _column("champion", sa.Text),
    _column("challengers", ARRAY(sa.Text)),
    _column("terms", JSONB),
    _column("first_session", sa.Date),
    _column("created_at", INSTANT, server_default=sa.func.clock_timestamp()),
    schema="ml",
)

# Which version decided a candidate, and what every version said of it; written before the outcome. `scores` holds for each
# version probability, predicted_return and accept.
ab_assignments = sa.Table(
    "ab_assignments",
    metadata,
    sa.Column("experiment", sa.Text, sa.ForeignKey("ml.experiments.name"), primary_key=True),
    _key("strategy", sa.Text),
    _key("symbol", sa.Text),
    _key("session", sa.Date),
    _column("arm", sa.Text),
    _column("scores", JSONB),
    _column("created_at", INSTANT, server_default=sa.func.clock_timestamp()),
    schema="ml",
)

# What the desk believed against what the venue said, each time it was asked; `differences` is empty when they agreed.
reconciliations = sa.Table(
    "reconciliations",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _column("portfolio", sa.Text),
    _column("session", sa.Date),
    _column("broker", sa.Text),
    _column("differences", JSONB),
    _column("halted", sa.Boolean),
    _column("created_at", INSTANT, server_default=sa.func.clock_timestamp()),
    schema="trading",
)

# One judgement of an experiment: promote, keep or extend. `report` has effects, intervals, samples and what blocked it.
ab_decisions = sa.Table(
    "ab_decisions",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("experiment", sa.Text, sa.ForeignKey("ml.experiments.name"), nullable=False),
    _column("session", sa.Date),
    _column("kind", sa.Text),
    sa.Column("challenger", sa.Text),
    _column("reason", sa.Text),
    _column("report", JSONB),
    _column("created_at", INSTANT, server_default=sa.func.clock_timestamp()),
    schema="ml",
)

# Every move of the champion's alias.
promotions = sa.Table(
    "promotions",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _column("model_name", sa.Text),
    _column("kind", sa.Text),
    sa.Column("from_version", sa.Text),
    _column("to_version", sa.Text),
    _column("reason", sa.Text),
    _column("author", sa.Text),
    sa.Column("decision_id", sa.BigInteger, sa.ForeignKey("ml.ab_decisions.id")),
    _column("created_at", INSTANT, server_default=sa.func.clock_timestamp()),
    schema="ml",
)

# How far features, scores and outcomes of a session's window have moved from those of the training; `family` says which, and
# `skew` counts served vectors that recomputation does not give again.
drift = sa.Table(
    "drift",
    metadata,
    _key("session", sa.Date),
    _key("family", sa.Text),
    _key("name", sa.Text),
    *(sa.Column(name, sa.Double) for name in ("psi", "statistic", "p_value", "reference_mean", "recent_mean")),
    _column("reference_count", sa.BigInteger),
    _column("recent_count", sa.BigInteger),
    _column("alert", sa.Boolean),
    _column("detail", sa.Text),
    _column("created_at", INSTANT, server_default=sa.func.clock_timestamp()),
    schema="ml",
)
