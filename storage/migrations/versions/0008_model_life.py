"""A/B experiments, their assignments and decisions, promotions, drift. What is evidence refuses to be changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
EVIDENCE = ("experiments", "ab_assignments", "ab_decisions", "promotions")
REFUSE = """
CREATE FUNCTION ml.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of ml.% are evidence: they are added, never changed or removed', TG_TABLE_NAME;
END
$$
"""


def _created() -> sa.Column[object]:
    return sa.Column("created_at", INSTANT, server_default=sa.func.clock_timestamp(), nullable=False)


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False)


def upgrade() -> None:
    """Create the tables."""
    op.execute(sa.schema.CreateSchema("ml"))
    op.create_table(
        "experiments",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("name", "model_name", "champion")),
        sa.Column("challengers", ARRAY(sa.Text()), nullable=False),
        sa.Column("terms", JSONB(), nullable=False),
        sa.Column("first_session", sa.Date(), nullable=False),
        _created(),
        sa.PrimaryKeyConstraint("name"),
        schema="ml",
    )
    op.create_table(
        "ab_assignments",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("experiment", "strategy", "symbol")),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("arm", sa.Text(), nullable=False),
        sa.Column("scores", JSONB(), nullable=False),
        _created(),
        sa.ForeignKeyConstraint(["experiment"], ["ml.experiments.name"]),
        sa.PrimaryKeyConstraint("experiment", "strategy", "symbol", "session"),
        schema="ml",
    )
    op.create_table(
        "ab_decisions",
        _id(),
        sa.Column("experiment", sa.Text(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("challenger", sa.Text()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("report", JSONB(), nullable=False),
        _created(),
        sa.ForeignKeyConstraint(["experiment"], ["ml.experiments.name"]),
        sa.PrimaryKeyConstraint("id"),
        schema="ml",
    )
    op.create_table(
        "promotions",
        _id(),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("model_name", "kind")),
        sa.Column("from_version", sa.Text()),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("to_version", "reason", "author")),
        sa.Column("decision_id", sa.BigInteger()),
        _created(),
        sa.ForeignKeyConstraint(["decision_id"], ["ml.ab_decisions.id"]),
        sa.PrimaryKeyConstraint("id"),
        schema="ml",
    )
    op.create_table(
        "drift",
        sa.Column("session", sa.Date(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("family", "name")),
        *(sa.Column(name, sa.Double()) for name in ("psi", "statistic", "p_value", "reference_mean", "recent_mean")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("reference_count", "recent_count")),
        sa.Column("alert", sa.Boolean(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        _created(),
        sa.PrimaryKeyConstraint("session", "family", "name"),
        schema="ml",
    )
    op.execute(REFUSE)
    for table in EVIDENCE:
        op.execute(
            f"CREATE TRIGGER evidence BEFORE UPDATE OR DELETE OR TRUNCATE ON ml.{table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION ml.refuse_change()"
        )


def downgrade() -> None:
    """Remove the schema and what it held."""
    for table in ("drift", "promotions", "ab_decisions", "ab_assignments", "experiments"):
        op.drop_table(table, schema="ml")
    op.execute("DROP FUNCTION ml.refuse_change()")
    op.execute(sa.schema.DropSchema("ml"))
