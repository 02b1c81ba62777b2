"""Table of the steps of each evening, in the schema `trading`."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from storage.columns import INSTANT, column, metadata

# One row for each run of a step; a re-run is a new row. A row is written when its step starts and completed once, when it ends.
# `book` is empty for the steps that all books share, `symbol` for a step that is not run symbol by symbol. `detail` is the
# result of the step, or the class and the sentence of its error.
evening_steps = sa.Table(
    "evening_steps",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    column("book", sa.Text),
    column("session", sa.Date),
    *(column(name, sa.Text) for name in ("step", "symbol")),
    column("attempt", sa.Integer),
    column("started_at", INSTANT),
    sa.Column("ended_at", INSTANT),
    column("outcome", sa.Text),
    column("detail", JSONB),
    column("code_commit", sa.Text),
    sa.Column("dag_run", sa.Text),
    sa.CheckConstraint("outcome IN ('running', 'done', 'refused', 'failed')", name="ck_evening_steps_outcome"),
    sa.CheckConstraint("(outcome = 'running') = (ended_at IS NULL)", name="ck_evening_steps_ended"),
    sa.Index("ix_trading_evening_steps_session_book", "session", "book"),
    schema="trading",
)
