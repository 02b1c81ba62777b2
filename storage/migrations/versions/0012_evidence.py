"""What each order was decided on, linked by foreign keys; the entry that an exit closes; the arm of a test."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
ENTRY_OF_EXIT = """
UPDATE trading.order_intents AS leaving SET entry_order_id = (
    SELECT entry.client_order_id FROM trading.order_intents AS entry
    LEFT JOIN trading.fills ON fills.client_order_id = entry.client_order_id AND fills.session <= leaving.session
    WHERE entry.leg = 'entry' AND (entry.portfolio, entry.strategy, entry.symbol)
        = (leaving.portfolio, leaving.strategy, leaving.symbol)
    ORDER BY fills.filled_at DESC NULLS LAST, entry.created_at DESC LIMIT 1
) WHERE leaving.leg = 'exit'
"""


def upgrade() -> None:
    """Create the table and the links; an exit from before gets the entry that was filled last before it."""
    op.add_column("predictions", sa.Column("ab_arm", sa.Text(), server_default="", nullable=False), schema="trading")
    op.create_table(
        "evidence",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("leg", "strategy", "symbol")),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("timeframe", sa.Text(), nullable=False),
        sa.Column("bar_ts", INSTANT, nullable=False),
        sa.Column("bar_ingested_at", INSTANT, nullable=False),
        sa.Column("validation_run_id", sa.BigInteger(), nullable=False),
        sa.Column("model_version", sa.Text()),
        sa.Column("feature_event", INSTANT),
        sa.Column("feature_created", INSTANT),
        sa.Column("created_at", INSTANT, server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["validation_run_id"], ["market.validation_runs.id"]),
        _link("signal", ("strategy", "symbol", "session"), "trading.signals", ("strategy", "symbol", "session")),
        _link(
            "bar",
            ("symbol", "timeframe", "bar_ts", "bar_ingested_at"),
            "market.raw_prices",
            ("symbol", "timeframe", "ts", "ingested_at"),
        ),
        _link("prediction", KEY := ("strategy", "symbol", "session", "model_version"), "trading.predictions", KEY),
        _link(
            "features",
            ("symbol", "feature_event", "feature_created"),
            "features.market_features",
            ("symbol", "event_timestamp", "created_timestamp"),
        ),
        sa.CheckConstraint(
            "leg = 'exit' OR (model_version IS NOT NULL AND feature_event IS NOT NULL AND feature_created IS NOT NULL)",
            name="ck_evidence_entry",
        ),
        schema="trading",
    )
    op.add_column("order_intents", sa.Column("origin", sa.Text(), server_default="other", nullable=False), schema="trading")
    op.add_column("order_intents", sa.Column("entry_order_id", sa.Text()), schema="trading")
    op.add_column("order_intents", sa.Column("evidence_id", sa.BigInteger()), schema="trading")
    op.execute(ENTRY_OF_EXIT)
    op.create_unique_constraint("order_intents_evidence_id_key", "order_intents", ["evidence_id"], schema="trading")
    for column, table, there in (("entry_order_id", "order_intents", "client_order_id"), ("evidence_id", "evidence", "id")):
        op.create_foreign_key(
            f"order_intents_{column}_fkey",
            "order_intents",
            table,
            [column],
            [there],
            source_schema="trading",
            referent_schema="trading",
        )
    for name, rule in (
        ("evidence", "(origin = 'signal') = (evidence_id IS NOT NULL)"),
        ("entry", "(leg = 'exit') = (entry_order_id IS NOT NULL)"),
    ):
        op.create_check_constraint(f"ck_order_intents_{name}", "order_intents", rule, schema="trading")


def downgrade() -> None:
    """Remove the links."""
    for name in ("evidence", "entry"):
        op.drop_constraint(f"ck_order_intents_{name}", "order_intents", schema="trading")
    for name in ("evidence_id", "entry_order_id", "origin"):
        op.drop_column("order_intents", name, schema="trading")
    op.drop_table("evidence", schema="trading")
    op.drop_column("predictions", "ab_arm", schema="trading")


def _link(name: str, here: tuple[str, ...], table: str, there: tuple[str, ...]) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(list(here), [f"{table}.{column}" for column in there], name=f"fk_evidence_{name}")
