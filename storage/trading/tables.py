"""Tables of what the desk meant, asked, did and holds: the schema `trading`, each table named once.

Owns columns, keys and the rules that bind them; the migrations create them, a test compares the two.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from core.frames import BAND_COLUMNS, TRADES
from storage.columns import INSTANT, NOW, column, columns_of, key, metadata
from storage.features import tables as features_tables  # noqa: F401  # foreign keys lead there
from storage.market import tables as market_tables  # noqa: F401

signals = sa.Table(
    "signals",
    metadata,
    key("strategy", sa.Text),
    key("symbol", sa.Text),
    key("session", sa.Date),
    column("entry", sa.SmallInteger),
    column("exit_long", sa.Boolean),
    column("exit_short", sa.Boolean),
    *(sa.Column(name, sa.Double) for name in ("stop_pct", "target_pct", "strength")),
    column("close", sa.Double),
    column("filtered", sa.Boolean, server_default=sa.true()),  # the entry filter must accept an entry
    *(sa.Column(name, sa.Double) for name in BAND_COLUMNS),  # NULL: a strategy without a band, or a row from before
    column("created_at", INSTANT, server_default=NOW),
    sa.Index("ix_trading_signals_newest", "session", "strategy", "symbol"),
    sa.Index("ix_trading_signals_symbol_newest", "symbol", "session", "strategy"),
    schema="trading",
)

predictions = sa.Table(
    "predictions",
    metadata,
    key("strategy", sa.Text),
    key("symbol", sa.Text),
    key("session", sa.Date),
    key("model_version", sa.Text),
    column("model_name", sa.Text),
    column("probability", sa.Double),
    column("predicted_return", sa.Double),
    column("signal", sa.Text),
    sa.Column("feature_timestamp", INSTANT),
    column("ab_arm", sa.Text, server_default=""),
    column("created_at", INSTANT, server_default=NOW),
    schema="trading",
)

# What an order was decided on, one row an order of origin `signal`: the signal, the version of the bar, and the validation run
# that let it in; of a filtered entry also the answer of the filter and the version of the features. An exit has those of its
# entry.
evidence = sa.Table(
    "evidence",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    column("leg", sa.Text),
    column("strategy", sa.Text),
    column("symbol", sa.Text),
    column("session", sa.Date),
    column("timeframe", sa.Text),
    column("bar_ts", INSTANT),
    column("bar_ingested_at", INSTANT),
    sa.Column("validation_run_id", sa.BigInteger, sa.ForeignKey("market.validation_runs.id"), nullable=False),
    sa.Column("model_version", sa.Text),
    sa.Column("feature_event", INSTANT),
    sa.Column("feature_created", INSTANT),
    column("filtered", sa.Boolean, server_default=sa.true()),
    column("created_at", INSTANT, server_default=NOW),
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
        "leg = 'exit' OR NOT filtered OR "
        "(model_version IS NOT NULL AND feature_event IS NOT NULL AND feature_created IS NOT NULL)",
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
    column("served_at", INSTANT),
    column("kind", sa.Text, server_default="entry"),
    column("strategy", sa.Text, server_default=""),
    column("symbol", sa.Text),
    column("session", sa.Date),
    column("for_session", sa.Date),
    column("arm", sa.Text),
    column("model_name", sa.Text),
    column("model_version", sa.Text),
    sa.Column("probability", sa.Double),
    column("predicted_return", sa.Double),
    *(sa.Column(name, sa.Double) for name in ("low", "high", "confidence")),
    column("signal", sa.Text),
    column("source", sa.Text),
    sa.Column("feature_timestamp", INSTANT),
    column("feature_set", sa.Text),
    column("feature_hash", sa.Text),
    column("features", ARRAY(sa.Double)),
    column("latency_us", sa.Integer),
    sa.CheckConstraint("(kind = 'entry') = (probability IS NOT NULL)", name="ck_served_predictions_kind"),
    sa.Index("ix_trading_served_predictions_served_at", "served_at"),
    schema="trading",
)

# Money, prices and quantities of orders are `numeric` without a scale: what was decided is given back to the last digit.
# `code_commit` is that of the code which decided, "unknown" in rows from before it was kept; `dag_run` is NULL for a terminal.
# `entry_order_id` is the entry that an exit closes; `evidence_id` is what an order of origin `signal` was decided on.
order_intents = sa.Table(
    "order_intents",
    metadata,
    key("client_order_id", sa.Text),
    column("portfolio", sa.Text),
    column("strategy", sa.Text),
    column("symbol", sa.Text),
    column("session", sa.Date),
    column("decision_session", sa.Date),
    column("leg", sa.Text),
    column("side", sa.Text),
    column("quantity", sa.Numeric),
    column("order_type", sa.Text),
    sa.Column("limit_price", sa.Numeric),
    sa.Column("stop_price", sa.Numeric),
    sa.Column("stop_pct", sa.Double),
    sa.Column("target_pct", sa.Double),
    sa.Column("max_sessions", sa.Integer),
    column("arm", sa.Text, server_default=""),
    column("origin", sa.Text, server_default="other"),
    sa.Column("entry_order_id", sa.Text, sa.ForeignKey("trading.order_intents.client_order_id")),
    sa.Column("evidence_id", sa.BigInteger, sa.ForeignKey("trading.evidence.id"), unique=True),
    column("created_at", INSTANT, server_default=NOW),
    column("code_commit", sa.Text),
    sa.Column("dag_run", sa.Text),
    sa.CheckConstraint("(origin = 'signal') = (evidence_id IS NOT NULL)", name="ck_order_intents_evidence"),
    sa.CheckConstraint("(leg = 'exit') = (entry_order_id IS NOT NULL)", name="ck_order_intents_entry"),
    sa.Index("ix_trading_order_intents_newest", "session", "created_at", "client_order_id"),
    sa.Index("ix_trading_order_intents_portfolio_newest", "portfolio", "session", "created_at", "client_order_id"),
    sa.Index("ix_trading_order_intents_symbol_newest", "symbol", "session", "created_at", "client_order_id"),
    sa.Index("ix_trading_order_intents_candidate", "strategy", "symbol", "decision_session"),
    schema="trading",
)

# `quantity` and the prices are those of an order that was open over a split, in its new terms; NULL where the intent's hold.
orders = sa.Table(
    "orders",
    metadata,
    sa.Column("client_order_id", sa.Text, sa.ForeignKey("trading.order_intents.client_order_id"), primary_key=True),
    column("state", sa.Text),
    column("updated_at", INSTANT, server_default=NOW),
    *(sa.Column(name, sa.Numeric) for name in ("quantity", "limit_price", "stop_price")),
    schema="trading",
)

order_events = sa.Table(
    "order_events",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("client_order_id", sa.Text, sa.ForeignKey("trading.order_intents.client_order_id"), nullable=False),
    column("state", sa.Text),
    column("reason", sa.Text),
    column("created_at", INSTANT, server_default=NOW),
    sa.Index("ix_trading_order_events_client_order_id", "client_order_id", "id"),
    schema="trading",
)

fills = sa.Table(
    "fills",
    metadata,
    key("fill_id", sa.Text),
    sa.Column("client_order_id", sa.Text, sa.ForeignKey("trading.order_intents.client_order_id"), nullable=False, index=True),
    column("symbol", sa.Text),
    column("side", sa.Text),
    column("quantity", sa.Numeric),
    column("price", sa.Numeric),
    column("raw_price", sa.Numeric),
    column("commission_usd", sa.Numeric),
    column("session", sa.Date),
    column("filled_at", INSTANT),
    column("reason", sa.Text),
    column("created_at", INSTANT, server_default=NOW),
    sa.Index("ix_trading_fills_created_at", "created_at"),
    sa.Index("ix_trading_fills_symbol", "symbol", "session"),
    sa.Index("ix_trading_fills_newest", "session", "filled_at", "fill_id"),
    sa.Index("ix_trading_fills_symbol_newest", "symbol", "session", "filled_at", "fill_id"),
    schema="trading",
)

positions = sa.Table(
    "positions",
    metadata,
    key("portfolio", sa.Text),
    key("strategy", sa.Text),
    key("symbol", sa.Text),
    column("quantity", sa.Numeric),
    column("entry_session", sa.Date),
    column("entry_price", sa.Numeric),
    sa.Column("stop_price", sa.Numeric),
    sa.Column("target_price", sa.Numeric),
    sa.Column("max_sessions", sa.Integer),
    column("entry_order_id", sa.Text),
    schema="trading",
)

# Changes of a book that no fill explains (`core.book_events`): splits, renames, dividends, deposits. `session` is the first in
# the new terms: fills of earlier sessions are in the terms before.
book_events = sa.Table(
    "book_events",
    metadata,
    key("event_id", sa.Text),
    column("portfolio", sa.Text),
    column("kind", sa.Text),
    column("session", sa.Date),
    column("strategy", sa.Text, server_default=""),
    column("symbol", sa.Text, server_default=""),
    *(column(name, sa.Numeric) for name in ("ratio", "price_ratio", "fraction", "cash_usd")),
    sa.Column("new_symbol", sa.Text),
    column("author", sa.Text),
    column("reason", sa.Text),
    column("created_at", INSTANT, server_default=NOW),
    sa.CheckConstraint("ratio > 0 AND price_ratio > 0", name="ck_book_events_ratio"),
    sa.Index("ix_trading_book_events_portfolio_session", "portfolio", "session"),
    schema="trading",
)

trades = sa.Table(
    "trades",
    metadata,
    key("portfolio", sa.Text),
    *columns_of(TRADES),
    sa.Index("ix_trading_trades_newest", "exit_session", "entry_session", "portfolio", "strategy", "symbol"),
    sa.Index(
        "ix_trading_trades_totals",
        *("portfolio", "strategy", "symbol", "exit_session"),
        postgresql_include=["net_return", "pnl_usd", "cost_usd"],
    ),
    sa.Index("ix_trading_trades_portfolio_newest", "portfolio", "exit_session", "entry_session", "strategy", "symbol"),
    schema="trading",
)

equity = sa.Table(
    "equity",
    metadata,
    key("portfolio", sa.Text),
    key("session", sa.Date),
    column("cash_usd", sa.Double),
    column("equity_usd", sa.Double),
    column("exposure_usd", sa.Double),
    column("positions", sa.Integer),
    sa.Index("ix_trading_equity_session", "session"),
    schema="trading",
)

# Every version of a strategy's parameters; symbol NULL = all symbols. A change is a new row, never an update. The clock, not
# the start of the transaction, dates a row: a writer that waited for another comes after it.
strategy_params = sa.Table(
    "strategy_params",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    column("strategy", sa.Text),
    sa.Column("symbol", sa.Text),
    column("version", sa.Integer),
    column("params", JSONB),
    column("enabled", sa.Boolean),
    sa.Column("preset", sa.Text),
    column("author", sa.Text),
    column("reason", sa.Text),
    column("created_at", INSTANT, server_default=sa.func.clock_timestamp()),
    sa.UniqueConstraint(
        "strategy",
        "symbol",
        "version",
        name="strategy_params_strategy_symbol_version_key",
        postgresql_nulls_not_distinct=True,
    ),
    schema="trading",
)

# Who works on a portfolio: `token` rises each time an executor takes it, so that one which was overtaken can tell.
executor_leases = sa.Table(
    "executor_leases",
    metadata,
    sa.Column("portfolio", sa.Text, primary_key=True),
    column("token", sa.BigInteger),
    column("holder", sa.Text),
    column("taken_at", INSTANT, server_default=sa.func.clock_timestamp()),
    schema="trading",
)

# The rule that an entry was decided by, so that its position is left by it after STRATEGIES, a preset or a parameter changed:
# what `make_strategy` takes. Written before the order is sent; an order without a row was decided before there was this table.
entry_rules = sa.Table(
    "entry_rules",
    metadata,
    sa.Column("entry_order_id", sa.Text, primary_key=True),
    column("source", sa.Text),
    column("params", JSONB),
    column("created_at", INSTANT, server_default=sa.func.clock_timestamp()),
    schema="trading",
)

# Positions handed to a person (`person` is not empty) or to another rule (`source` and `params`); the newest row counts.
hand_overs = sa.Table(
    "hand_overs",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    column("portfolio", sa.Text),
    column("strategy", sa.Text),
    column("symbol", sa.Text),
    sa.Column("entry_order_id", sa.Text, nullable=False, index=True),
    column("person", sa.Text),
    column("source", sa.Text),
    column("params", JSONB),
    column("author", sa.Text),
    column("reason", sa.Text),
    column("created_at", INSTANT, server_default=sa.func.clock_timestamp()),
    schema="trading",
)
