"""Tables of the schema `market`: bars by version, normalised prices, actions, instruments, validation, earnings.

The migrations create them, and a test compares the two. Tables that are evidence only grow.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from core.frames import PRICES
from storage.columns import INSTANT, NOW, column, key, metadata

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

# What each source says of an instrument, field by field; of one source the newest statement counts. The only such table.
instruments = sa.Table(
    "instruments",
    metadata,
    key("symbol", sa.Text),
    key("field", sa.Text),
    key("source", sa.Text),
    key("recorded_at", INSTANT),
    column("value", sa.Text),
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
