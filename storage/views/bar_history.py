"""Closes at many sessions at once, the newest re-scaling of symbols, and whole histories of one symbol as arrays."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from storage.market.tables import corporate_actions, raw_prices
from storage.views.places import arrays_of, one_of, places

if TYPE_CHECKING:
    from collections.abc import Collection

    Quoted = tuple[str, dt.date]  # a symbol, and a day at or before which a close is wanted

bar, action = raw_prices.c, corporate_actions.c
quoted = places(symbol=sa.Text, day=sa.Date)
_newest = (
    sa.select(bar.ts, bar.close)
    .where(bar.symbol == quoted.c.symbol, bar.timeframe == "1d", bar.ts < quoted.c.day + 1)  # ts opens its day in UTC
    .order_by(bar.ts.desc(), bar.ingested_at.desc())
    .limit(1)
    .lateral("newest")
)
CLOSES: Final = sa.select(*quoted.c, *_newest.c).select_from(quoted.join(_newest, sa.true()))
LAST_RESCALED: Final = (
    sa.select(action.symbol, sa.func.max(action.session))
    .where(one_of(action.symbol, "symbols"), action.kind.in_(("split", "spin_off")))
    .group_by(action.symbol)
)


class BarHistory:
    """Reads of the schema `market`; prices are those of the newest version of each bar."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def closes(self, wanted: Collection[Quoted]) -> dict[Quoted, tuple[dt.date, float]]:
        """Return for each symbol and day the newest close at or before it with its session; absent where there is none."""
        if not wanted:
            return {}
        with self._engine.connect() as connection:
            rows = connection.execute(CLOSES, arrays_of(quoted, dict.fromkeys(wanted))).all()
        return {(symbol, day): (ts.astimezone(dt.UTC).date(), float(close)) for symbol, day, ts, close in rows}

    def last_rescaled(self, symbols: Collection[str]) -> dict[str, dt.date]:
        """Return the session of the newest split or spin-off on record of each symbol that has one."""
        with self._engine.connect() as connection:
            rows = connection.execute(LAST_RESCALED, {"symbols": list(symbols)}).all()
        return {symbol: session for symbol, session in rows}
