"""Tables of deployments: the versions of each, and the value of each sleeve."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from storage.columns import INSTANT, column, key, metadata

# Every version of every deployment; a change is a new row, never an update, and the newest counts. `portfolio_id` is NULL for
# the default deployment, which the settings describe.
deployments = sa.Table(
    "deployments",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    column("name", sa.Text),
    column("version", sa.Integer),
    column("stage", sa.Text),
    column("state", sa.Text),
    column("sleeves", JSONB),
    column("capital_usd", sa.Double),
    column("profile", sa.Text),
    sa.Column("portfolio_id", sa.BigInteger, sa.ForeignKey("research.portfolios.id")),
    column("promise", JSONB),
    column("venue", sa.Text),
    column("author", sa.Text),
    column("reason", sa.Text),
    column("created_at", INSTANT, server_default=sa.func.clock_timestamp()),
    sa.UniqueConstraint("name", "version", name="uq_deployments_name_version"),
    sa.CheckConstraint("stage IN ('paper', 'live')", name="ck_deployments_stage"),
    sa.CheckConstraint("state IN ('active', 'paused', 'retired')", name="ck_deployments_state"),
    schema="trading",
)

# The value of each sleeve with capital of its own at a close; the deployment's whole book is in `trading.equity`.
sleeve_equity = sa.Table(
    "sleeve_equity",
    metadata,
    key("portfolio", sa.Text),
    key("strategy", sa.Text),
    key("session", sa.Date),
    column("equity_usd", sa.Double),
    schema="trading",
)
