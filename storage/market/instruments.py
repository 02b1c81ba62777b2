"""Store what each source says of an instrument. Nothing is updated: a source that changes its mind adds a statement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on, insert

from core.instruments import InstrumentRecord, Statement, resolve
from storage.market.tables import instruments

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping, Sequence


class InstrumentStore:
    """Rows of `market.instruments`."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def record(self, symbol: str, values: Mapping[str, str], *, source: str, recorded_at: dt.datetime) -> int:
        """Add what a source says of a symbol, as far as it is new; return how many fields that were."""
        said = {each.field: each.value for each in self.statements([symbol]) if each.source == source}
        rows = [
            {"symbol": symbol, "field": field, "source": source, "recorded_at": recorded_at, "value": value}
            for field, value in values.items()
            if said.get(field) != value
        ]
        if rows:
            with self._engine.begin() as connection:
                connection.execute(insert(instruments).on_conflict_do_nothing(), rows)
        return len(rows)

    def statements(self, symbols: Sequence[str] | None = None) -> list[Statement]:
        """Return the newest statement of each source on each field, of some symbols or of all."""
        table = instruments.c
        query = (
            sa.select(table.symbol, table.field, table.value, table.source, table.recorded_at)
            .ext(distinct_on(table.symbol, table.field, table.source))
            .order_by(table.symbol, table.field, table.source, table.recorded_at.desc())
        )
        if symbols is not None:
            query = query.where(table.symbol.in_(list(symbols)))
        with self._engine.connect() as connection:
            return [Statement(*row) for row in connection.execute(query)]

    def read(self, symbols: Iterable[str] | None = None) -> list[InstrumentRecord]:
        """Return what is known of these symbols, or of all that some source spoke of, sorted."""
        wanted = None if symbols is None else sorted(set(symbols))
        by_symbol: dict[str, list[Statement]] = {}
        for each in self.statements(wanted):
            by_symbol.setdefault(each.symbol, []).append(each)
        names = sorted(by_symbol) if wanted is None else wanted
        return [resolve(name, by_symbol.get(name, ())) for name in names]
