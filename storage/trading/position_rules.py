"""The rules that open positions are left by: the one that each entry was decided by, and hand-overs. Rows are only added."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on, insert

from storage.trading.tables import entry_rules, hand_overs, order_intents

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Iterable, Mapping


@dataclass(frozen=True)
class RuleSource:
    """Source of a rule: a strategy's name, or `path/to/file.py:Class`, and every parameter."""

    source: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class HandOver:
    """A position handed over: to a person, or to another rule when `person` is empty."""

    portfolio: str
    strategy: str
    symbol: str
    entry_order_id: str
    person: str
    source: str
    params: Mapping[str, Any]
    author: str
    reason: str


class PositionRules:
    """Rows of `trading.entry_rules` and `trading.hand_overs`."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def save_entries(self, rules: Mapping[str, RuleSource]) -> None:
        """Store the rule of each entry order, by its id; what is stored stands."""
        rows = [{"entry_order_id": order_id, **asdict(rule)} for order_id, rule in rules.items()]
        if rows:
            with self._engine.begin() as connection:
                connection.execute(insert(entry_rules).on_conflict_do_nothing(), rows)

    def entries(self, order_ids: Iterable[str]) -> dict[str, RuleSource]:
        """Return the stored rule of each entry order that has one."""
        rows = entry_rules.c
        query = sa.select(rows.entry_order_id, rows.source, rows.params).where(rows.entry_order_id.in_(list(order_ids)))
        with self._engine.connect() as connection:
            return {row.entry_order_id: RuleSource(row.source, row.params) for row in connection.execute(query)}

    def decided_at(self, order_ids: Iterable[str]) -> dict[str, dt.datetime]:
        """Return the moment at which each order was written down."""
        rows = order_intents.c
        query = sa.select(rows.client_order_id, rows.created_at).where(rows.client_order_id.in_(list(order_ids)))
        with self._engine.connect() as connection:
            return {row.client_order_id: row.created_at for row in connection.execute(query)}

    def hand_over(self, given: HandOver) -> None:
        """Store a hand-over; it counts from now on."""
        with self._engine.begin() as connection:
            connection.execute(sa.insert(hand_overs).values(asdict(given)))

    def hand_overs(self, order_ids: Collection[str], until: dt.datetime | None = None) -> dict[str, HandOver]:
        """Return the newest hand-over of each position that has one, by its entry order; those up to a moment (aware)."""
        rows = hand_overs.c
        query = (
            sa.select(*(rows[name] for name in HandOver.__dataclass_fields__))
            .ext(distinct_on(rows.entry_order_id))
            .where(rows.entry_order_id.in_(list(order_ids)))
            .order_by(rows.entry_order_id, rows.id.desc())
        )
        if until is not None:
            query = query.where(rows.created_at <= until)
        with self._engine.connect() as connection:
            return {row["entry_order_id"]: HandOver(**row) for row in connection.execute(query).mappings()}
