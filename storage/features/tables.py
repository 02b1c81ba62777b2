"""Tables of the schema `features`: feature rows by version and what became of them.

The migrations create them, and a test compares the two. Tables that are evidence only grow.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from core.frames import FEATURES
from storage.columns import INSTANT, NOW, column, key, metadata

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
