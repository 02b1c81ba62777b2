"""Statements of `storage.views.book_figures`, built once a process."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on

from core.models import FINAL, Leg
from storage.trading.book_rows import PRESENT_COLUMNS
from storage.trading.deployment_tables import deployments
from storage.trading.tables import book_events, equity, fills, order_intents, orders, positions, trades
from storage.views.places import one_of, places

ENTRY_LAG_DAYS: Final = 10  # from the decision of an entry to its fill, at most
MOST: Final = 1_000_000  # a limit keeps the planner from reading a whole table for a few rows

_deployment = deployments.c
_versions = (
    sa.select(
        _deployment.name,
        _deployment.capital_usd,
        _deployment.sleeves,
        sa.func.min(_deployment.id).over(partition_by=_deployment.name).label("first"),
    )
    .ext(distinct_on(_deployment.name))
    .order_by(_deployment.name, _deployment.version.desc())
    .subquery("versions")
)
DEPLOYED: Final = (
    sa.select(_versions.c.name, _versions.c.capital_usd)
    .where(sa.func.jsonb_array_length(_versions.c.sleeves) > 0)
    .order_by(_versions.c.first)
)

fill, intent, trade, close, event = fills.c, order_intents.c, trades.c, equity.c, book_events.c
signed = sa.case((fill.side == "buy", fill.quantity), else_=-fill.quantity)
figures = (
    fill.symbol,
    fill.session,
    signed.label("quantity"),
    (-signed * fill.price - fill.commission_usd).label("cash_usd"),
    fill.commission_usd,
    (signed * (fill.price - fill.raw_price)).label("slippage_usd"),
)
after, until = sa.bindparam("after", type_=sa.Date), sa.bindparam("until", type_=sa.Date)

book_days = places(book=sa.Text, day=sa.Date)
_before = (
    sa.select(close.session, close.equity_usd)
    .where(close.portfolio == book_days.c.book, close.session < book_days.c.day)
    .order_by(close.session.desc())
    .limit(1)
    .lateral("newest")
)
CLOSES_BEFORE: Final = sa.select(*book_days.c, *_before.c).select_from(book_days.join(_before, sa.true()))

CLOSES: Final = (
    sa.select(close.session, close.equity_usd)
    .where(close.portfolio == sa.bindparam("book", type_=sa.Text))
    .order_by(close.session)
)

books = places(book=sa.Text)
_first = (
    sa.select(close.session, close.equity_usd)
    .where(close.portfolio == books.c.book)
    .order_by(close.session)
    .limit(1)
    .lateral("first")
)
FIRST_CLOSES: Final = sa.select(*books.c, *_first.c).select_from(books.join(_first, sa.true()))

POSITIONS: Final = (
    sa.select(positions)
    .where(one_of(positions.c.portfolio, "books"))
    .order_by(positions.c.portfolio, positions.c.strategy, positions.c.symbol)
)
POSITIONS_IN: Final = (
    sa.select(positions)
    .where(positions.c.symbol == sa.bindparam("symbol", type_=sa.Text))
    .order_by(positions.c.portfolio, positions.c.strategy)
)
EVENTS: Final = sa.select(book_events).where(one_of(event.portfolio, "books")).order_by(event.session, event.event_id)
WAITING_ENTRIES: Final = (
    sa.select(order_intents, orders.c.state, *PRESENT_COLUMNS)
    .join(orders)
    .where(one_of(intent.portfolio, "books"), intent.session >= sa.bindparam("first", type_=sa.Date), intent.leg == Leg.ENTRY)
    .where(orders.c.state.not_in(FINAL))
    .order_by(intent.session, intent.client_order_id)
)

_order = (
    sa.select(intent.portfolio.label("book"), intent.strategy.label("sleeve"))
    .where(intent.client_order_id == fill.client_order_id)
    .limit(1)
    .lateral("of_order")
)
FILLS: Final = (
    sa.select(*_order.c, *figures)
    .select_from(fills.join(_order, sa.true()))
    .where(fill.session > after, fill.session <= until, one_of(_order.c.book, "books"))
)
_intent = (
    sa.select(intent.portfolio.label("book"), intent.strategy.label("sleeve"), intent.leg)
    .where(intent.client_order_id == fill.client_order_id)
    .limit(1)
    .lateral("of_order")
)
FILLS_OF_SYMBOL: Final = (
    sa.select(*_intent.c, fill.session, fill.side, fill.quantity, fill.price, fill.client_order_id, fill.reason)
    .select_from(fills.join(_intent, sa.true()))
    .where(fill.symbol == sa.bindparam("symbol", type_=sa.Text), fill.session > after, fill.session <= until)
    .order_by(fill.session, fill.filled_at, fill.fill_id)
)
NET_QUANTITIES: Final = (
    sa.select(intent.portfolio, intent.strategy, fill.symbol, sa.func.sum(signed))
    .join_from(fills, order_intents)
    .where(fill.session > after, one_of(intent.portfolio, "books"))
    .group_by(intent.portfolio, intent.strategy, fill.symbol)
)

open_trades = places(number=sa.Integer, book=sa.Text, sleeve=sa.Text, symbol=sa.Text, first=sa.Date, until=sa.Date)
_orders = (
    sa.select(intent.client_order_id)
    .where(
        intent.strategy == open_trades.c.sleeve,
        intent.symbol == open_trades.c.symbol,
        intent.portfolio == open_trades.c.book,
        intent.decision_session >= open_trades.c.first - ENTRY_LAG_DAYS,
    )
    .limit(MOST)
    .lateral("orders_since")
)
_fills = (
    sa.select(*figures)
    .where(fill.client_order_id == _orders.c.client_order_id)
    .where(fill.session >= open_trades.c.first, fill.session <= open_trades.c.until)
    .limit(MOST)
    .lateral("fills_since")
)
FILLS_SINCE: Final = sa.select(open_trades.c.number, open_trades.c.book, open_trades.c.sleeve, *_fills.c).select_from(
    open_trades.join(_orders, sa.true()).join(_fills, sa.true())
)

windows = places(number=sa.Integer, book=sa.Text, first=sa.Date, until=sa.Date)
_finished = (
    sa.select(
        trade.strategy,
        trade.symbol,
        sa.func.count().label("trades"),
        sa.func.count().filter(trade.net_return > 0).label("winners"),
        sa.func.sum(trade.pnl_usd).label("pnl_usd"),
        sa.func.sum(trade.cost_usd).label("cost_usd"),
    )
    .where(trade.portfolio == windows.c.book, trade.exit_session > windows.c.first, trade.exit_session <= windows.c.until)
    .group_by(trade.strategy, trade.symbol)
    .lateral("finished")
)
TRADES: Final = sa.select(windows.c.number, *_finished.c).select_from(windows.join(_finished, sa.true()))

_was_open = sa.and_(
    trade.portfolio == book_days.c.book, trade.exit_session > book_days.c.day, trade.entry_session <= book_days.c.day
)
FINISHED_LATER: Final = sa.select(
    book_days.c.book, trade.strategy, trade.symbol, trade.entry_session, book_days.c.day
).select_from(book_days.join(trades, _was_open))

ENTRIES_ORDERED: Final = (
    sa.select(intent.portfolio, intent.strategy, intent.session, sa.func.count())
    .where(one_of(intent.portfolio, "books"), intent.session > after, intent.leg == Leg.ENTRY)
    .group_by(intent.portfolio, intent.strategy, intent.session)
)
LAST_LOSSES: Final = (
    sa.select(trade.portfolio, trade.strategy, trade.symbol, sa.func.max(trade.exit_session))
    .where(one_of(trade.portfolio, "books"), trade.exit_session > after, trade.pnl_usd < 0)
    .group_by(trade.portfolio, trade.strategy, trade.symbol)
)
ENTERED: Final = (
    sa.select(trade.portfolio, trade.strategy, trade.entry_session)
    .where(one_of(trade.portfolio, "books"), trade.exit_session > after, trade.entry_session > after)
    .order_by(trade.entry_session)
)
