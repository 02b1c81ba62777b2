"""The watch over stops and targets that rest at no venue: compares prices with them in a session, and orders the exits.

Alpaca keeps no stop for fractions of a share and for crypto pairs, nor with `VENUE__ALPACA__BRACKETS=0`. A check takes the
portfolio's lock, brings in what the venue filled, leaves alone what is covered by stops there or has an exit on its way, and
sends the exits of the rest as every order is sent. It concerns the present alone: one for a session that is over does nothing.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from core.errors import DeskError, ExecutorBusy, RetryLater
from core.models import FINAL, SENT, OrderState
from core.sessions import calendar, calendar_name, open_of, session_at
from pipeline import sessions
from pipeline.accounts.corporate_actions import collect_fills
from pipeline.resources import Resources, live
from pipeline.risk.exit_orders import WATCH, ExitOrders, end_entry, working_exits
from pipeline.risk.pre_send import pre_send_checks
from pipeline.risk.split_guard import suspected_splits
from storage.locks import executor_lock
from trading.brokers.intake import collect
from trading.brokers.placing import place
from trading.brokers.protection import uncovered
from trading.watch import NO_PRICE, REACHED_STOP, STALE_PRICE, Bounds, doubt, reached

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Collection, Mapping

    from core.models import OrderIntent, Position
    from monitoring.alerts import Alerts
    from pipeline.accounts.trading_account import TradingAccount
    from pipeline.sessions import SessionChoice
    from trading.brokers.base import Fence
    from trading.brokers.placing import PreSendCheck
    from trading.watch import PriceSeen

log = structlog.get_logger()
LOOK_BACK = dt.timedelta(days=7)  # reading a fill twice does no harm
EXIT_REFUSED, NOT_AT_VENUE = "watch_exit_refused", "watch_not_at_venue"
SUSPECTED_SPLIT = "watch_suspected_split"
ELSEWHERE = {
    "paper": "VENUE__KIND=paper fills stops and targets on each session's bar: nothing to watch",
    "ib": "VENUE__KIND=ib keeps stops and targets at the venue: nothing to watch",
}


class Prices(Protocol):
    """A source of last prices."""

    def prices(self, symbols: Collection[str]) -> Mapping[str, PriceSeen]:
        """Return the last price of each symbol that has one. Raises `RetryLater` without a readable answer."""
        ...


@dataclass
class PositionCheck:
    """Outcome of one check of the positions.

    Attributes
    ----------
    at_venue
        Symbols whose stop or target rests at the venue.
    leaving
        Symbols whose exit is on its way already.
    within
        Symbols whose price is between their barriers.
    exits
        Orders that this check sent or followed up, with the state of each.
    refused
        Symbols that could not be judged or sold, and why.
    reason
        Why nothing was checked; empty otherwise.
    """

    at: dt.datetime
    at_venue: list[str] = field(default_factory=list)
    leaving: list[str] = field(default_factory=list)
    within: list[str] = field(default_factory=list)
    exits: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return counts, exits and refusals as JSON types, for a message between tasks."""
        counts = {name: len(getattr(self, name)) for name in ("at_venue", "leaving", "within")}
        return {"at": self.at.isoformat(), **counts, "exits": self.exits, "refused": self.refused, "reason": self.reason}


@dataclass(frozen=True)
class WatchParts:
    """The parts that a check of the positions uses.

    Attributes
    ----------
    last_close
        Last close of a symbol on record, None without one.
    pre_send
        Asked before an exit is sent, as for every order.
    fence
        That of the lock, asked at the last moment before an exit is sent.
    working_exits
        Returns the exits whose life is not over, by strategy and symbol.
    exit_of
        Returns a position's exit, new or on its way; None when the venue does not hold it.
    """

    account: TradingAccount
    prices: Prices
    bounds: Bounds
    clock: Callable[[], dt.datetime]
    alerts: Alerts
    last_close: Callable[[str], float | None]
    pre_send: PreSendCheck
    fence: Fence
    working_exits: Callable[[], Mapping[tuple[str, str], tuple[OrderIntent, OrderState]]]
    exit_of: Callable[[Position], OrderIntent | None]


def choose_session(given: str | None, logical_date: dt.datetime | None, *, resources: Resources | None = None) -> SessionChoice:
    """Return the session to watch now, with the reason when there is nothing to watch."""
    resources = resources or live()
    chosen = sessions.session_in_progress(given, logical_date, resources=resources)
    elsewhere = ELSEWHERE.get(resources.settings.venue.kind)
    return chosen if elsewhere is None else replace(chosen, trades=False, reason=elsewhere)


def watch(session: str, *, resources: Resources | None = None) -> PositionCheck:
    """Check the positions for the scheduled run of a session; a session not in progress any more is only reported."""
    resources = resources or live()
    chosen = choose_session(session, None, resources=resources)
    if not chosen.trades:
        return PositionCheck(resources.clock(), reason=chosen.reason)
    return check_positions(resources=resources)


def check_positions(*, resources: Resources | None = None, prices: Prices | None = None) -> PositionCheck:
    """Check every position of every book in the account whose market is open now, once.

    Raises
    ------
    core.errors.RetryLater
        When the venue, or another executor, did not let it finish; what could be done has been done, and it may be run again.
    """
    resources = resources or live()
    done = PositionCheck(resources.clock(), reason=ELSEWHERE.get(resources.settings.venue.kind, ""))
    if done.reason:
        return done
    unanswered: list[DeskError] = []
    for book in resources.account.books:
        try:
            check_book(done, prices, resources=resources.for_portfolio(book))
        except DeskError as error:  # of one book: the others are watched all the same
            unanswered.append(error)
    log.info("watched", **done.as_dict())
    if unanswered:
        raise unanswered[0]
    return done


def check_book(done: PositionCheck, prices: Prices | None = None, *, resources: Resources | None = None) -> None:
    """Check the positions of one book, and add what became of them to `done`."""
    resources = resources or live()
    settings = resources.settings
    with executor_lock(resources.engine, settings.portfolio) as lock:
        parts = WatchParts(
            account=resources.account,
            prices=prices or resources.alpaca_data,
            bounds=Bounds(settings.position_watch.max_price_age_seconds, settings.position_watch.max_price_move_pct),
            clock=resources.clock,
            alerts=resources.alerts,
            last_close=resources.last_close,
            pre_send=pre_send_checks(lock, resources=resources),
            fence=lock.require,
            working_exits=partial(working_exits, resources.ledger, settings.portfolio),
            exit_of=partial(ExitOrders.of(resources).exit_for, arm=WATCH),
        )
        _Watch(parts, done).run()


def run_watch(
    stop: threading.Event,
    *,
    interval_seconds: float,
    on_check: Callable[[PositionCheck], None] = lambda _: None,
    resources: Resources | None = None,
) -> int:
    """Check the positions until `stop` is set; a failure is logged, mailed once and tried again. Return the successes."""
    from sqlalchemy.exc import SQLAlchemyError

    resources = resources or live()
    checks, failed = 0, ""
    while not stop.is_set():
        try:
            done = check_positions(resources=resources)
        except ExecutorBusy as busy:
            log.info("watch_waits", reason=str(busy))
        except (DeskError, SQLAlchemyError, OSError) as error:
            failed = _report_failure(resources.alerts, error, failed)
        else:
            checks, failed = checks + 1, ""
            on_check(done)
        stop.wait(interval_seconds)
    return checks


def _report_failure(alerts: Alerts, error: Exception, before: str) -> str:
    """Log a failed check; mail it unless the one before failed in the same way. Return the kind of failure."""
    kind = type(error).__name__
    log.error("watch_failed", error=kind, says=str(error))
    if kind != before:
        alerts.send("Stops and targets are not watched", f"{kind}: {error}\nIt goes on trying.", "critical")
    return kind


class _Watch:
    """One check, under the portfolio's lock."""

    def __init__(self, parts: WatchParts, done: PositionCheck) -> None:
        self.parts, self.account, self.done = parts, parts.account, done
        self.sold: list[str] = []
        self.unanswered: list[RetryLater] = []

    def run(self) -> None:
        """Bring the ledger up to date, judge, sell, mail; a venue that did not answer is raised at the end."""
        since = self.parts.clock() - LOOK_BACK
        collect_fills(self.account, since, sessions.new_york_date(self.parts.clock()))
        watched = self._unprotected()
        seen = self.parts.prices.prices({position.symbol for position, _ in watched}) if watched else {}
        prices = {symbol: float(each.price) for symbol, each in seen.items()}
        today = sessions.new_york_date(self.parts.clock())
        suspects = suspected_splits(self.account, today, prices, self.parts.last_close) if watched else {}
        for position, standing in watched:
            try:
                if (why := suspects.get(position.symbol)) is not None:
                    self._refuse(position, SUSPECTED_SPLIT, {"says": why}, f"no judgement, {why}")
                    continue
                self._judge(position, standing, seen.get(position.symbol))
            except ExecutorBusy:
                raise
            except RetryLater as error:  # one order without an answer does not keep the other positions waiting
                self.unanswered.append(error)
                self.done.refused[position.symbol] = f"no answer yet: {error}"
        if self.done.exits:
            collect(self.account.ledger, self.account.broker, self.account.portfolio, since)
            self.done.exits = {order_id: self._state(order_id) for order_id in self.done.exits}
        self._mail()
        if self.unanswered:
            raise self.unanswered[0]

    def _unprotected(self) -> list[tuple[Position, OrderIntent | None]]:
        """Return the positions to judge: with a barrier, in an open market, not covered by stops or an exit at the venue.

        An exit written down or sent without an answer comes along: it goes on under its own id.
        """
        account, now, watched = self.account, self.parts.clock(), []
        resting = account.patience.retrying()(account.broker.open_orders)
        working = self.parts.working_exits()
        for position in account.ledger.positions(account.portfolio):
            if (position.stop_price is None and position.target_price is None) or not is_open(position.symbol, now):
                continue
            order, state = working.get((position.strategy, position.symbol), (None, None))
            if not uncovered(position, resting):
                self.done.at_venue.append(position.symbol)
            elif state is None or state is OrderState.INTENT or state in SENT:
                watched.append((position, order))
            else:
                self.done.leaving.append(position.symbol)
        return watched

    def _judge(self, position: Position, standing: OrderIntent | None, seen: PriceSeen | None) -> None:
        """Sell what has reached a barrier, and go on with an exit of the watch's own whatever the price says now."""
        if standing is not None and standing.arm.startswith(WATCH):
            self._send(position, standing, f"its exit {standing.client_order_id} goes on")
            return
        now, bounds = self.parts.clock(), self.parts.bounds
        opened = _opened(position.symbol, now)
        objection = doubt(seen, now, opened, self.parts.last_close(position.symbol), bounds)
        if objection is not None and objection.reason in {NO_PRICE, STALE_PRICE} and now - opened < bounds.max_age:
            self.done.refused[position.symbol] = "no price since the open yet"
        elif objection is not None:
            self._refuse(position, objection.reason, objection.details, f"no judgement, {objection.reason} {objection.details}")
        elif seen is None or (barrier := reached(position, seen.price)) is None:
            self.done.within.append(position.symbol)
        else:
            self._leave(position, standing, barrier, seen)

    def _leave(self, position: Position, standing: OrderIntent | None, barrier: str, seen: PriceSeen) -> None:
        """Order the exit of a position whose barrier is reached: one that waits to be sent, else one of the watch's own."""
        now = self.parts.clock()
        now_held = end_entry(self.account, position, now - LOOK_BACK, sessions.new_york_date(now))
        if now_held is None:
            self.done.refused[position.symbol] = f"the rest of {position.entry_order_id} is being cancelled"
            return
        position = now_held
        order = standing or self.parts.exit_of(position)
        if order is None:
            self._refuse(position, NOT_AT_VENUE, {"quantity": str(position.quantity)}, "the venue does not hold it")
            return
        level = position.stop_price if barrier == REACHED_STOP else position.target_price
        numbers = {"limit": str(level), "found": str(seen.price), "unit": "USD", "at": seen.at.isoformat()}
        self._save(position, barrier, {**numbers, "client_order_id": order.client_order_id})
        kind = "stop" if barrier == REACHED_STOP else "target"
        why = f"{kind} {level:.2f} reached at {seen.price} ({seen.at:%H:%M:%S} UTC)"
        if self.account.ledger.order(order.client_order_id) is None and (held_back := self.parts.pre_send(order)) is not None:
            self._refuse(position, EXIT_REFUSED, {"says": held_back}, f"{why}, and its exit is held back: {held_back}")
            return
        self._send(position, order, why)

    def _send(self, position: Position, order: OrderIntent, why: str) -> None:
        """Send an exit, or follow up one sent before."""
        account, parts, symbol = self.account, self.parts, position.symbol
        states = place(
            account.ledger, account.broker, [order], pre_send=parts.pre_send, fence=parts.fence, patience=account.patience
        )
        state = states[order.client_order_id]
        if state in FINAL - {OrderState.FILLED}:
            self._refuse(
                position, EXIT_REFUSED, {"state": str(state)}, f"{why}, and its exit {order.client_order_id} is {state}"
            )
            return
        self.done.exits[order.client_order_id] = str(state)
        self.sold.append(f"{symbol}: {order.side} {order.quantity.normalize():f}, {why}")

    def _refuse(self, position: Position, reason: str, details: Mapping[str, Any], words: str) -> None:
        """Record what could not be done; mail it the first time in a session, for nothing protects the position."""
        self.done.refused[position.symbol] = words
        log.error("position_not_watched", symbol=position.symbol, reason=reason, **details)
        if self._save(position, reason, details):
            barriers = f"stop {position.stop_price}, target {position.target_price}"
            self.parts.alerts.send(
                f"{position.symbol} is not protected: {reason}",
                f"{position.quantity.normalize():f} {position.symbol} of {position.portfolio}, {barriers}: {words}.\n"
                "The watch looks again at its next turn, and mails this once a session.",
                "critical",
            )

    def _save(self, position: Position, reason: str, details: Mapping[str, Any]) -> bool:
        """Store the finding; return False when the session has it already."""
        row = {
            "portfolio": position.portfolio,
            "strategy": position.strategy,
            "symbol": position.symbol,
            "session": _today(position.symbol, self.parts.clock()),
            "reason": reason,
            "details": dict(details),
        }
        return self.account.ledger.save_risk_events([row]) > 0

    def _mail(self) -> None:
        """Mail what was sold, with the state of each order."""
        if not self.sold:
            return
        states = [f"  {order_id}: {state}" for order_id, state in self.done.exits.items()]
        body = "\n".join([*self.sold, "", "Orders:", *states])
        symbols = ", ".join(line.partition(":")[0] for line in self.sold)
        self.parts.alerts.send(f"Stops and targets reached: {symbols}", body)

    def _state(self, order_id: str) -> str:
        stored = self.account.ledger.order(order_id)
        return "unknown" if stored is None else str(stored[1])


def is_open(symbol: str, now: dt.datetime) -> bool:
    """Return True while the symbol's market trades, by its calendar."""
    return session_at(now, calendar_name(symbol)) is not None


def _opened(symbol: str, now: dt.datetime) -> dt.datetime:
    """Return the open of the day's session; the earliest moment there is for a market that never closes."""
    name = calendar_name(symbol)
    return dt.datetime.min.replace(tzinfo=dt.UTC) if name == "24/7" else open_of(_today(symbol, now), name)


def _today(symbol: str, now: dt.datetime) -> dt.date:
    """Return the date in the time zone of the symbol's market."""
    name = calendar_name(symbol)
    return session_at(now, name) or now.astimezone(calendar(name).tz).date()
