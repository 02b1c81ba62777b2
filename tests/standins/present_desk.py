"""Rows of the present beside a record: bars, open positions of the default book, heartbeats."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

import pandas as pd
import sqlalchemy as sa

from core.sessions import close_of
from storage.market.bars import BarStore
from storage.trading.control_tables import risk_heartbeats
from storage.trading.tables import positions
from tests.standins.feed import walk

if TYPE_CHECKING:
    from collections.abc import Sequence

HELD: Final = ("SYM0", "SYM1", "SYM2")


def write_present(engine: sa.Engine, first: dt.date, last: dt.date, symbols: Sequence[str] = ()) -> None:
    """Write bars of the symbols held and of others over a span, a position in each symbol held, and five heartbeats."""
    bars = pd.concat([walk(symbol, first, last) for symbol in dict.fromkeys([*HELD, *symbols])], ignore_index=True)
    BarStore(engine).write(bars, source="walk", ingested_at=close_of(last) + dt.timedelta(hours=1), backfilled=True)
    held = [
        {
            "portfolio": "main", "strategy": "bollinger_vix", "symbol": symbol, "quantity": 10, "entry_session": last,
            "entry_price": 100, "stop_price": 95, "target_price": 110, "max_sessions": 5, "entry_order_id": f"entry-{symbol}",
        }
        for symbol in HELD
    ]  # fmt: skip
    figures = ("equity_usd", "peak_usd", "drawdown_pct", "gross_usd", "net_usd")
    beats = [
        {"portfolio": "main", "at": close_of(last) + dt.timedelta(minutes=minute), "mode": "log", "level": "ok", "positions": 3}
        | dict.fromkeys(figures, 1.0)
        | {"breaches": {}}
        for minute in range(5)
    ]
    with engine.begin() as connection:
        connection.execute(sa.insert(positions), held)
        connection.execute(sa.insert(risk_heartbeats), beats)
