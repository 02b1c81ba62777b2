"""Tables of alerts, in the schema `trading`: one row an alert, which follows its life, and events that are only added."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from storage.columns import INSTANT, column, metadata

# One alert. `notice` counts what was to be sent about it: 1 when it was raised, one more for each reminder and each higher
# severity; `noticed_at` is when the last of them became due. `pending` until every channel has it, or none is set.
alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    *(column(name, sa.Text) for name in ("key", "kind", "book", "severity", "subject", "body")),
    column("details", JSONB),
    *(column(name, INSTANT) for name in ("raised_at", "last_seen_at")),
    column("repeats", sa.Integer),
    column("state", sa.Text),
    column("notice", sa.Integer),
    column("noticed_at", INSTANT),
    column("pending", sa.Boolean),
    *(sa.Column(name, sa.Text) for name in ("acknowledged_by", "acknowledged_reason")),
    sa.Column("acknowledged_at", INSTANT),
    *(sa.Column(name, sa.Text) for name in ("resolved_by", "resolved_reason")),
    sa.Column("resolved_at", INSTANT),
    sa.Index("uq_trading_alerts_open_key", "key", unique=True, postgresql_where=sa.text("state <> 'resolved'")),
    sa.Index("ix_trading_alerts_pending", "id", postgresql_where=sa.text("pending")),
    schema="trading",
)

# Each move of an alert and each attempt to send it. `channel` is empty for a move.
alert_events = sa.Table(
    "alert_events",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    column("alert_id", sa.BigInteger),
    column("event", sa.Text),
    column("notice", sa.Integer),
    *(column(name, sa.Text) for name in ("channel", "author", "reason")),
    column("at", INSTANT),
    sa.Index("ix_trading_alert_events_alert_id", "alert_id"),
    schema="trading",
)
