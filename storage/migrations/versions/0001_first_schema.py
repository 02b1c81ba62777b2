"""First schema: market, features, research, trading."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMAS = ("market", "features", "research", "trading")

# Researchers read prices here, away from the live tables: the newest revision of each daily bar.
HISTORICAL_PRICES = """
CREATE VIEW research.historical_prices AS
SELECT DISTINCT ON (symbol, ts)
    symbol, (ts AT TIME ZONE 'UTC')::date AS session, open, high, low, close, adj_close, volume, known_at, source
FROM market.raw_prices
WHERE timeframe = '1d'
ORDER BY symbol, ts, ingested_at DESC
"""


def upgrade() -> None:
    """Create everything."""
    for schema in SCHEMAS:
        op.execute(sa.schema.CreateSchema(schema))
    op.create_table(
        "market_features",
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("event_timestamp", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_timestamp", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rsi_14", sa.Double(), nullable=True),
        sa.Column("macd_pct", sa.Double(), nullable=True),
        sa.Column("macd_signal_pct", sa.Double(), nullable=True),
        sa.Column("macd_hist_pct", sa.Double(), nullable=True),
        sa.Column("adx_14", sa.Double(), nullable=True),
        sa.Column("plus_di_14", sa.Double(), nullable=True),
        sa.Column("minus_di_14", sa.Double(), nullable=True),
        sa.Column("bb_position_20", sa.Double(), nullable=True),
        sa.Column("bb_width_20", sa.Double(), nullable=True),
        sa.Column("bb_ema_position_20", sa.Double(), nullable=True),
        sa.Column("atr_14_pct", sa.Double(), nullable=True),
        sa.Column("atr_20_pct", sa.Double(), nullable=True),
        sa.Column("atr_ratio_14_20", sa.Double(), nullable=True),
        sa.Column("volatility_20", sa.Double(), nullable=True),
        sa.Column("price_vs_sma_20", sa.Double(), nullable=True),
        sa.Column("volume_ratio_20", sa.Double(), nullable=True),
        sa.Column("uptrend_50", sa.Double(), nullable=True),
        sa.Column("slope_3", sa.Double(), nullable=True),
        sa.Column("slope_5", sa.Double(), nullable=True),
        sa.Column("slope_9", sa.Double(), nullable=True),
        sa.Column("slope_14", sa.Double(), nullable=True),
        sa.Column("zscore_20", sa.Double(), nullable=True),
        sa.Column("zscore_60", sa.Double(), nullable=True),
        sa.Column("return_1", sa.Double(), nullable=True),
        sa.Column("vix", sa.Double(), nullable=True),
        sa.Column("vix_change_1", sa.Double(), nullable=True),
        sa.Column("vix_change_5", sa.Double(), nullable=True),
        sa.Column("vix_high", sa.Double(), nullable=True),
        sa.Column("vix_low", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("symbol", "event_timestamp", "created_timestamp"),
        schema="features",
    )
    op.create_table(
        "corporate_actions",
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("symbol", "session", "kind", "recorded_at"),
        schema="market",
    )
    op.create_table(
        "normalized_prices",
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("close", sa.Double(), nullable=False),
        sa.Column("sma_20", sa.Double(), nullable=True),
        sa.Column("std_20", sa.Double(), nullable=True),
        sa.Column("zscore_20", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("symbol", "session"),
        schema="market",
    )
    op.create_table(
        "raw_prices",
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("timeframe", sa.Text(), nullable=False),
        sa.Column("ts", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ingested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("open", sa.Double(), nullable=False),
        sa.Column("high", sa.Double(), nullable=False),
        sa.Column("low", sa.Double(), nullable=False),
        sa.Column("close", sa.Double(), nullable=False),
        sa.Column("adj_close", sa.Double(), nullable=False),
        sa.Column("volume", sa.Double(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("backfilled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("symbol", "timeframe", "ts", "ingested_at"),
        schema="market",
    )
    op.create_table(
        "validation_runs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("results", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        schema="market",
    )
    op.create_table(
        "backtest_runs",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("meta", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("metrics", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("run_id"),
        schema="research",
    )
    op.create_table(
        "equity",
        sa.Column("portfolio", sa.Text(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("cash_usd", sa.Double(), nullable=False),
        sa.Column("equity_usd", sa.Double(), nullable=False),
        sa.Column("exposure_usd", sa.Double(), nullable=False),
        sa.Column("positions", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("portfolio", "session"),
        schema="trading",
    )
    op.create_table(
        "order_intents",
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("portfolio", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("decision_session", sa.Date(), nullable=False),
        sa.Column("leg", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Numeric(), nullable=False),
        sa.Column("order_type", sa.Text(), nullable=False),
        sa.Column("limit_price", sa.Numeric(), nullable=True),
        sa.Column("stop_pct", sa.Double(), nullable=True),
        sa.Column("target_pct", sa.Double(), nullable=True),
        sa.Column("max_sessions", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("client_order_id"),
        schema="trading",
    )
    op.create_table(
        "positions",
        sa.Column("portfolio", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Numeric(), nullable=False),
        sa.Column("entry_session", sa.Date(), nullable=False),
        sa.Column("entry_price", sa.Numeric(), nullable=False),
        sa.Column("stop_price", sa.Numeric(), nullable=True),
        sa.Column("target_price", sa.Numeric(), nullable=True),
        sa.Column("max_sessions", sa.Integer(), nullable=True),
        sa.Column("entry_order_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("portfolio", "strategy", "symbol"),
        schema="trading",
    )
    op.create_table(
        "predictions",
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("model_name", sa.Text(), nullable=False),
        sa.Column("probability", sa.Double(), nullable=False),
        sa.Column("predicted_return", sa.Double(), nullable=False),
        sa.Column("signal", sa.Text(), nullable=False),
        sa.Column("feature_timestamp", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("strategy", "symbol", "session", "model_version"),
        schema="trading",
    )
    op.create_table(
        "risk_events",
        sa.Column("portfolio", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("portfolio", "strategy", "symbol", "session", "reason"),
        schema="trading",
    )
    op.create_table(
        "signals",
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("entry", sa.SmallInteger(), nullable=False),
        sa.Column("exit_long", sa.Boolean(), nullable=False),
        sa.Column("exit_short", sa.Boolean(), nullable=False),
        sa.Column("stop_pct", sa.Double(), nullable=True),
        sa.Column("target_pct", sa.Double(), nullable=True),
        sa.Column("strength", sa.Double(), nullable=True),
        sa.Column("close", sa.Double(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("strategy", "symbol", "session"),
        schema="trading",
    )
    op.create_table(
        "trades",
        sa.Column("portfolio", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("side", sa.SmallInteger(), nullable=False),
        sa.Column("decision_session", sa.Date(), nullable=False),
        sa.Column("entry_session", sa.Date(), nullable=False),
        sa.Column("exit_session", sa.Date(), nullable=False),
        sa.Column("entry_price", sa.Double(), nullable=False),
        sa.Column("exit_price", sa.Double(), nullable=False),
        sa.Column("quantity", sa.Double(), nullable=False),
        sa.Column("gross_return", sa.Double(), nullable=False),
        sa.Column("net_return", sa.Double(), nullable=False),
        sa.Column("pnl_usd", sa.Double(), nullable=False),
        sa.Column("cost_usd", sa.Double(), nullable=False),
        sa.Column("holding_sessions", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("portfolio", "symbol", "strategy", "entry_session"),
        schema="trading",
    )
    op.create_table(
        "quarantine",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("validation_run_id", sa.BigInteger(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("session", sa.Date(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["validation_run_id"],
            ["market.validation_runs.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest"),
        schema="market",
    )
    op.create_table(
        "backtest_equity",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("equity_usd", sa.Double(), nullable=False),
        sa.Column("drawdown", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["research.backtest_runs.run_id"],
        ),
        sa.PrimaryKeyConstraint("run_id", "session"),
        schema="research",
    )
    op.create_table(
        "backtest_trades",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("side", sa.SmallInteger(), nullable=False),
        sa.Column("decision_session", sa.Date(), nullable=False),
        sa.Column("entry_session", sa.Date(), nullable=False),
        sa.Column("exit_session", sa.Date(), nullable=False),
        sa.Column("entry_price", sa.Double(), nullable=False),
        sa.Column("exit_price", sa.Double(), nullable=False),
        sa.Column("quantity", sa.Double(), nullable=False),
        sa.Column("gross_return", sa.Double(), nullable=False),
        sa.Column("net_return", sa.Double(), nullable=False),
        sa.Column("pnl_usd", sa.Double(), nullable=False),
        sa.Column("cost_usd", sa.Double(), nullable=False),
        sa.Column("holding_sessions", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["research.backtest_runs.run_id"],
        ),
        sa.PrimaryKeyConstraint("run_id", "symbol", "strategy", "entry_session"),
        schema="research",
    )
    op.create_table(
        "fills",
        sa.Column("fill_id", sa.Text(), nullable=False),
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Numeric(), nullable=False),
        sa.Column("price", sa.Numeric(), nullable=False),
        sa.Column("raw_price", sa.Numeric(), nullable=False),
        sa.Column("commission_usd", sa.Numeric(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("filled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_order_id"],
            ["trading.order_intents.client_order_id"],
        ),
        sa.PrimaryKeyConstraint("fill_id"),
        schema="trading",
    )
    op.create_table(
        "order_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_order_id"],
            ["trading.order_intents.client_order_id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        schema="trading",
    )
    op.create_table(
        "orders",
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_order_id"],
            ["trading.order_intents.client_order_id"],
        ),
        sa.PrimaryKeyConstraint("client_order_id"),
        schema="trading",
    )
    op.execute(HISTORICAL_PRICES)


def downgrade() -> None:
    """Remove everything, data included."""
    for schema in SCHEMAS:
        op.execute(sa.schema.DropSchema(schema, cascade=True))
