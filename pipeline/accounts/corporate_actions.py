"""Apply recorded corporate actions to a portfolio's book: positions and open orders follow splits and spin-offs.

A simulated venue follows its bars: a position takes the new terms once the provider has re-scaled the history that it was
entered on, or the bars themselves jump by the ratio. A real venue follows itself: the book takes the new terms once the venue's
quantity is the old one times the ratio. Each action is applied once to a position; what does not fit is left to reconciliation.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

import structlog

from core.errors import RetryLater, StopTrading
from core.models import Side
from core.sessions import calendar_name, next_session
from pipeline.accounts.cash_movements import book_cash_movements
from pipeline.accounts.delisted import pay_out_delisted
from pipeline.accounts.recorded_actions import bar_of, close_before, first_close, jumps, recorded_actions, restated
from pipeline.accounts.valuation import last_recorded_session
from trading.brokers.book_events import apply_event
from trading.brokers.intake import collect
from trading.brokers.paper import PaperBroker
from trading.corporate_actions import event_id, order_split, scaled_position, split_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from core.book_events import BookEvent
    from core.models import OrderIntent, Position
    from pipeline.accounts.recorded_actions import Action, Actions
    from pipeline.accounts.trading_account import TradingAccount
    from storage.market.bars import BarStore

log = structlog.get_logger()
ONE_SHARE = Decimal(1)


@dataclass(frozen=True)
class DueEvent:
    """An event to apply, and the position it was made for; None for an order without a position."""

    event: BookEvent
    position: Position | None


def apply_corporate_actions(account: TradingAccount, day: dt.date) -> list[BookEvent]:
    """Apply what is due by a session to the book, and return the events applied; a second call applies nothing.

    Call it under the portfolio's lock, before a price of the bars or of the venue is compared with the book.
    """
    applied = [due.event for due in due_events(account, day) if apply_event(account.ledger, due.event, due.position)]
    pay_out_delisted(account, day)
    for event in applied:
        log.info(
            "corporate_action_applied",
            kind=str(event.kind),
            symbol=event.symbol,
            strategy=event.strategy,
            ratio=str(event.ratio),
            cash_usd=str(event.cash_usd),
        )
    return applied


def collect_fills(account: TradingAccount, since: dt.datetime, day: dt.date) -> int:
    """Take the venue's fills and order states into the ledger, in the terms of their sessions; return how many fills were new.

    Fills before a split come first, then the split, then those after it. Where several books share the venue account, those of
    every book are taken: one that a book has not taken yet would look like a loss of another.

    Parameters
    ----------
    since
        Start of the fill query (aware).
    day
        The present session: actions up to it are applied.

    Raises
    ------
    core.errors.StopTrading
        When a fill does not fit the book, and no recorded action explains it.
    """
    ask = partial(account.patience.retrying(), collect, account.ledger, account.venue, account.portfolio, since)
    try:
        book_cash_movements(account, day)
    except RetryLater as error:  # a sale must not wait for a statement: what it lists is booked the next time
        log.warning("cash_movements_unanswered", reason=str(error))
    try:
        fresh: int = ask()
    except StopTrading:
        if not apply_corporate_actions(account, day):
            raise
        return ask()
    return fresh + ask() if apply_corporate_actions(account, day) else fresh


def due_events(account: TradingAccount, day: dt.date) -> list[DueEvent]:
    """Return the events by which the book must follow the actions recorded up to a session; usually none."""
    positions = account.ledger.positions(account.portfolio)
    held = {(position.strategy, position.symbol) for position in positions}
    orders = [order for order, _ in account.ledger.open_orders(account.portfolio) if (order.strategy, order.symbol) not in held]
    symbols = sorted({position.symbol for position in positions} | {order.symbol for order in orders})
    actions = recorded_actions(account.bars, symbols, day) if symbols else {}
    if not actions:
        return []
    known = {event.event_id for event in account.ledger.book_events(account.portfolio)}
    if isinstance(account.broker, PaperBroker):
        follow = _BarFollower(account, account.broker, actions, known, last_recorded_session(account.ledger, account.portfolio))
        return [due for position in positions for due in follow.position(position)] + [
            due for order in orders for due in follow.order(order)
        ]
    return _at_venue(account, positions, actions, known)


@dataclass(frozen=True)
class _BarFollower:
    """A simulated venue, whose positions and orders follow the stored bars.

    Attributes
    ----------
    last
        Last session on record: sessions up to it were processed in the old terms.
    """

    account: TradingAccount
    paper: PaperBroker
    actions: Actions
    known: Collection[str]
    last: dt.date | None

    def position(self, position: Position) -> list[DueEvent]:
        """Return the events of a position."""
        waiting = waiting_actions(self.actions, position, position.entry_session, self.known)
        due = self._due(position, waiting, float(position.entry_price), position.entry_session)
        return chained(self.account.bars, position, due, self.paper.instrument(position.symbol).quantity_step)

    def order(self, order: OrderIntent) -> list[DueEvent]:
        """Return the events of an order without a position: an entry decided before the split, for an open after it."""
        decided = order.decision_session
        waiting = waiting_actions(self.actions, order, decided, self.known)
        if not waiting:
            return []
        signals = self.account.ledger.signals(decided, order.strategy)
        closes = signals.loc[signals["symbol"] == order.symbol, "close"]
        price = float(closes.iloc[0]) if len(closes) else first_close(self.account.bars, order.symbol, decided)
        due = self._due(order, waiting, price, decided) if price is not None else []
        step = self.paper.instrument(order.symbol).quantity_step
        events = [
            order_split(order, action.kind, action.value, effective=action.session, session=session, step=step)
            for action, session in due
        ]
        return [DueEvent(event, None) for event in events]

    def _due(
        self, each: Position | OrderIntent, waiting: Sequence[Action], price: float, session: dt.date
    ) -> list[tuple[Action, dt.date]]:
        """Return the actions that the bars show, each with the first session that the book processes in the new terms."""
        if not waiting:
            return []
        first = None if self.last is None else next_session(self.last, calendar_name(each.symbol))
        done = restated(price, bar_of(self.account.bars, each.symbol, session), [action.value for action in waiting])
        due = [(action, first or action.session) for action in waiting[:done]]
        shown = [action for action in waiting[done:] if jumps(self.account.bars, each.symbol, action)]
        return due + [(action, max(first or action.session, action.session)) for action in shown]


def _at_venue(
    account: TradingAccount, positions: Sequence[Position], actions: Actions, known: Collection[str]
) -> list[DueEvent]:
    """Return the events of a real venue: of symbols whose quantity there is the books' in the new terms.

    Several books may hold a symbol: the venue's one quantity is the sum of theirs, of which some may have followed already.
    """
    waiting = {
        position.symbol: action.session
        for position in positions
        for action in waiting_actions(actions, position, position.entry_session, known)[:1]
    }
    if not waiting:
        return []
    there = _quantities_without_new_fills(account, min(waiting.values()))
    ledger, due = account.ledger, []
    others = [position for book in account.books[1:] for position in ledger.positions(book)]
    followed = {*known, *(event.event_id for book in account.books[1:] for event in ledger.book_events(book))}
    for symbol in waiting:
        mine = [position for position in positions if position.symbol == symbol]
        chains = [_venue_chain(account.bars, position, actions, known) for position in mine]
        after = sum((_quantity_after(position, chain) for position, chain in zip(mine, chains, strict=True)), Decimal(0))
        for position in others:
            if position.symbol == symbol:
                after += _quantity_after(position, _venue_chain(account.bars, position, actions, followed))
        if after == there.get(symbol, Decimal(0)):
            due += [each for chain in chains for each in chain]
    return due


def _quantities_without_new_fills(account: TradingAccount, since: dt.date) -> dict[str, Decimal]:
    """Return the account's quantities by symbol, less the fills since a session that are not in the ledger yet."""
    known = {fill.fill_id for book in account.books for _, fill in account.ledger.fills(book)}
    there = {position.symbol: position.quantity for position in account.patience.retrying()(account.venue.positions)}
    for fill in account.patience.retrying()(account.venue.fills, dt.datetime.combine(since, dt.time(), dt.UTC)):
        if fill.fill_id not in known:
            signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
            there[fill.symbol] = there.get(fill.symbol, Decimal(0)) - signed
    return there


def _venue_chain(bars: BarStore, position: Position, actions: Actions, known: Collection[str]) -> list[DueEvent]:
    """Return the events of a position at a venue that keeps whole shares of what was whole before."""
    waiting = waiting_actions(actions, position, position.entry_session, known)
    step = ONE_SHARE if position.quantity % 1 == 0 else None
    return chained(bars, position, [(action, action.session) for action in waiting], step)


def _quantity_after(position: Position, chain: Sequence[DueEvent]) -> Decimal:
    if not chain:
        return position.quantity
    last = chain[-1]
    after = None if last.position is None else scaled_position(last.position, last.event)
    return Decimal(0) if after is None else after.quantity


def waiting_actions(actions: Actions, each: Position | OrderIntent, since: dt.date, known: Collection[str]) -> list[Action]:
    """Return the actions after a session that were not applied to a position or order yet, oldest first."""
    return [
        action
        for action in actions.get(each.symbol, [])
        if action.session > since and event_id(each, action.kind, action.session) not in known
    ]


def waiting_by_position(account: TradingAccount, positions: Sequence[Position], day: dt.date) -> list[tuple[Position, Action]]:
    """Return each action recorded up to a session that a position has not followed yet, with the position."""
    actions = recorded_actions(account.bars, sorted({position.symbol for position in positions}), day) if positions else {}
    known = {event.event_id for event in account.ledger.book_events(account.portfolio)} if actions else set()
    return [
        (position, action)
        for position in positions
        for action in waiting_actions(actions, position, position.entry_session, known)
    ]


def chained(bars: BarStore, position: Position, due: Sequence[tuple[Action, dt.date]], step: Decimal | None) -> list[DueEvent]:
    """Return the events of a position, each made for the position after the one before."""
    events, present = [], position
    for action, session in due:
        price = close_before(bars, position.symbol, action.session)
        event = split_of(
            present, action.kind, action.value, effective=action.session, session=session, step=step, last_price=price
        )
        events.append(DueEvent(event, present))
        after = scaled_position(present, event)
        if after is None:
            break
        present = after
    return events
