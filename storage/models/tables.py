"""Tables of the schema `ml`: A/B tests, promotions and drift.

The migrations create them, and a test compares the two. Tables that are evidence only grow.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from storage.columns import INSTANT, column, key, metadata

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
