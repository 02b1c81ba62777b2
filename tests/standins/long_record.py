"""A record of many sessions, written by SQL: orders, fills, trades, closes, signals and answers of books."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import sqlalchemy as sa

from core.sessions import sessions_between

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

# Each of `width` symbols has a trade of five sessions at a time: an entry at session i, an exit at i + 4.
LEGS = """
WITH days AS (SELECT d, i FROM unnest(CAST(:days AS date[])) WITH ORDINALITY AS t(d, i)),
legs AS (
  SELECT e.d AS decided, f.d AS session, x.d AS leaves, e.i, s.n, 'SYM' || s.n AS symbol, b.book,
         100 + (e.i * 7 + s.n * 13) % 40 AS price, ((e.i + s.n) % 11) - 4 AS gain
  FROM days e JOIN days f ON f.i = e.i + 1 JOIN days x ON x.i = e.i + 5
  CROSS JOIN generate_series(0, :width - 1) AS s(n) CROSS JOIN unnest(CAST(:books AS text[])) AS b(book)
  WHERE (e.i + s.n) % 5 = 0
)
"""
SIGNALS = """
INSERT INTO trading.signals (strategy, symbol, session, entry, exit_long, exit_short, stop_pct, target_pct, strength, close,
                             filtered)
SELECT book || '/bollinger', symbol, decided, 1, false, false, 5, 10, 0.5, price, false FROM legs ON CONFLICT DO NOTHING
"""
INTENTS = """
INSERT INTO trading.order_intents (client_order_id, portfolio, strategy, symbol, session, decision_session, leg, side, quantity,
                                   order_type, stop_pct, target_pct, created_at, entry_order_id,
                                   code_commit)
SELECT book || '-' || symbol || '-' || decided || '-' || leg, book, book || '/bollinger', symbol,
       CASE leg WHEN 'entry' THEN session ELSE leaves END, CASE leg WHEN 'entry' THEN decided ELSE session END, leg,
       CASE leg WHEN 'entry' THEN 'buy' ELSE 'sell' END, 10, 'market', 5, 10,
       CASE leg WHEN 'entry' THEN decided ELSE leaves END + time '22:00' AT TIME ZONE 'UTC',
       CASE leg WHEN 'exit' THEN book || '-' || symbol || '-' || decided || '-entry' END, 'unknown'
FROM legs CROSS JOIN (VALUES ('entry'), ('exit')) AS l(leg) ORDER BY leg
"""
ORDERS = """
INSERT INTO trading.orders (client_order_id, state) SELECT client_order_id, 'filled' FROM trading.order_intents;
INSERT INTO trading.order_events (client_order_id, state, reason)
SELECT client_order_id, state, reason FROM trading.order_intents
CROSS JOIN (VALUES ('intent', 'decided'), ('filled', 'at the open')) AS e(state, reason)
"""
FILLS = """
INSERT INTO trading.fills (fill_id, client_order_id, symbol, side, quantity, price, raw_price, commission_usd, session,
                           filled_at, reason)
SELECT client_order_id || '-1', client_order_id, symbol, side, quantity, 100.05, 100, 0.5, session,
       session + time '14:30' AT TIME ZONE 'UTC', 'open'
FROM trading.order_intents
"""
TRADES = """
INSERT INTO trading.trades (portfolio, symbol, strategy, side, decision_session, entry_session, exit_session, entry_price,
                            exit_price, quantity, gross_return, net_return, pnl_usd, cost_usd, holding_sessions, reason)
SELECT book, symbol, book || '/bollinger', 1, decided, session, leaves, price, price + gain, 10, gain / price::float,
       gain / price::float - 0.001, gain * 10 - 1, 1, 5, CASE WHEN gain < 0 THEN 'stop' ELSE 'target' END FROM legs
"""
EQUITY = """
INSERT INTO trading.equity (portfolio, session, cash_usd, equity_usd, exposure_usd, positions)
SELECT book, d, 50000, 100000 + 5 * i + 2000 * sin(i / 40.0), 40000, 3
FROM unnest(CAST(:days AS date[])) WITH ORDINALITY AS t(d, i) CROSS JOIN unnest(CAST(:books AS text[])) AS b(book)
"""


def write_long_record(
    engine: sa.Engine, first: dt.date, last: dt.date, *, books: Sequence[str] = ("main",), width: int = 20
) -> list[dt.date]:
    """Write the record of books from a session to another; return the sessions.

    Each book has `width` symbols with a trade of five sessions at a time, so `width` / 5 trades a session.
    """
    days = [pd.Timestamp(day).date() for day in sessions_between(first, last)]
    values = {"days": days, "books": list(books), "width": width}
    with engine.begin() as connection:
        for statement in (SIGNALS, INTENTS, TRADES):
            connection.execute(sa.text(LEGS + statement), values)
        for statement in (*ORDERS.split(";"), FILLS):
            connection.execute(sa.text(statement))
        connection.execute(sa.text(EQUITY), {"days": days, "books": list(books)})
        connection.execute(sa.text("ANALYZE"))
    return days
