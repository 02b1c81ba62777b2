"""The same life under fire: each evening and session goes wrong in ways drawn from a seed, and each evening the books agree.

Requests are lost, answered late, twice or with nonsense; the stream repeats, shuffles and breaks; entries fill in part and are
cancelled; the listener is away for whole sessions. Shares are split overnight, their stops scaled or cancelled; cash is
withdrawn; the account is blocked for an evening; the desk's clock jumps. The listener runs in the evenings too.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import pytest

from core.models import Leg
from core.sessions import open_of, sessions_between
from pipeline.risk import kill_switch
from tests.standins.alpaca import Fault
from tests.standins.alpaca_corporate import move_cash
from tests.standins.desk_life import Life, life, market

if TYPE_CHECKING:
    from core.settings import Settings

pytestmark = pytest.mark.integration
END = dt.date(2018, 12, 31)
DAYS = [stamp.date() for stamp in sessions_between(dt.date(2018, 12, 19), END)]
SEEDS, DEEP_SEEDS = (1,), tuple(range(2, 31))  # every third life trades fractions
WRONG = [
    ("POST", "/v2/orders", Fault.no_answer(performs=True)),
    ("POST", "/v2/orders", Fault.no_answer(performs=False)),
    ("POST", "/v2/orders", Fault.dropped(performs=True)),
    ("POST", "/v2/orders", Fault.dropped(performs=False)),
    ("POST", "/v2/orders", Fault.too_many()),
    ("POST", "/v2/orders", Fault.broken(502, performs=True)),
    ("POST", "/v2/orders", Fault.broken(503)),
    ("POST", "/v2/orders", Fault.garbage()),
    ("DELETE", "/v2/orders", Fault.no_answer(performs=True)),
    ("DELETE", "/v2/orders", Fault.broken(503)),
    ("PATCH", "/v2/orders", Fault.broken(500, performs=True)),
    ("PATCH", "/v2/orders", Fault.dropped(performs=False)),
    ("GET", "/v2/orders", Fault.no_answer(performs=False)),
    ("GET", "/v2/orders", Fault.broken(500)),
    ("GET", "/v2/account/activities", Fault.broken(503)),
    ("GET", "/v2/account/activities", Fault.dropped(performs=False)),
    ("GET", "/v2/account", Fault.too_many()),
    ("GET", "/v2/positions", Fault.garbage()),
    ("GET", "/v2/assets", Fault.broken(504)),
]
STREAM = ("quiet", "repeated", "shuffled", "cut", "away")


@dataclass
class Trouble:
    """What goes wrong, drawn from a seed, and how often it did."""

    found: Life
    rng: np.random.Generator
    streams: list[str] = field(default_factory=list)
    parts: int = 0
    splits: int = 0
    withdrawals: int = 0
    refusals: int = 0
    jumps: int = 0
    blocked: bool = False
    waiting: tuple[str, int] | None = None  # a split that nobody has recorded yet

    def night(self, day: dt.date) -> None:
        """Before the open: a split of something held, recorded before the listener starts or in the evening; a withdrawal."""
        found, exchange = self.found, self.found.alpaca.exchange
        found.floor.turn(open_of(day) - dt.timedelta(hours=1))
        if exchange.held and self.rng.random() < 1 / 3:
            symbol, ratio = str(self.rng.choice(sorted(exchange.held))), int(self.rng.choice((2, 3)))
            found.split(symbol, ratio, day, children=str(self.rng.choice(("scaled", "cancelled"))))
            self.splits, self.waiting = self.splits + 1, (symbol, ratio)
        if day > DAYS[0] and self.rng.random() < 1 / 4:  # what the account starts with is no withdrawal
            move_cash(exchange, "CSW", Decimal(-1000), day)
            self.withdrawals += 1

    def record(self, day: dt.date) -> None:
        """Record the split that waits, if one does."""
        if self.waiting is not None:
            self.found.record_split(*self.waiting, day)
            self.waiting = None

    def requests(self) -> None:
        """Some of the next requests go wrong."""
        for place in self.rng.integers(0, len(WRONG), self.rng.integers(1, 6)):
            self.found.alpaca.fail(*WRONG[place])

    def session(self, day: dt.date) -> None:
        """A session in which the stream, the requests and the fills go wrong."""
        found, alpaca, kind = self.found, self.found.alpaca, str(self.rng.choice(STREAM))
        self.streams += [kind] if kind != "quiet" else []
        if kind == "away":
            self.live(day)
            return
        self.record(day)  # a listener that hears fills in terms that nobody has recorded halts the desk, as it should
        with found.listening(poll_seconds=3600 if kind in {"repeated", "shuffled"} else 0.1):
            alpaca.repeat, alpaca.hold_events = (3 if kind == "repeated" else 1), kind == "shuffled"
            self.live(day)
            if kind == "shuffled":
                alpaca.release_events([int(place) for place in self.rng.permutation(len(alpaca.held_events))])
            elif kind == "cut":
                alpaca.drop_streams()
            alpaca.repeat = 1
            alpaca.recover()
            found.until(found.books.caught_up)

    def live(self, day: dt.date) -> None:
        """One entry in three fills in part and is cancelled; then the session's path."""
        floor, exchange = self.found.floor, self.found.alpaca.exchange
        ledger = self.found.process().ledger
        entries = [order for order, _ in ledger.open_orders("main") if order.leg is Leg.ENTRY and order.session == day]
        thin = {order.symbol: int(order.quantity // 3) for order in entries if self.rng.random() < 1 / 3}
        self.requests()
        floor.open(day, thin)
        for order in entries:
            if order.symbol in thin:
                exchange.cancel(exchange.by_client_id(order.client_order_id).id)
                self.parts += 1
        floor.trade_through(day)
        floor.close(day)

    def evening(self, day: dt.date) -> None:
        """An evening with faults, the listener at work or not."""
        exchange = self.found.alpaca.exchange
        self.found.floor.turn_to_evening(day)
        self.record(day)
        self.found.load(day)
        self.blocked = exchange.trading_blocked = bool(self.rng.random() < 1 / 6)  # nothing can be protected meanwhile
        self.refusals += self.blocked
        jumps = self.rng.random() < 1 / 4
        self.found.clock_off, self.jumps = dt.timedelta(seconds=int(self.rng.integers(-90, 90)) * jumps), self.jumps + jumps
        with self.found.listening() if self.rng.random() < 1 / 2 else contextlib.nullcontext():
            self.requests()
            self.found.run(day)
        self.found.alpaca.recover()
        exchange.trading_blocked, self.found.clock_off = False, dt.timedelta(0)


@pytest.mark.parametrize("seed", [*SEEDS, *(pytest.param(seed, marks=pytest.mark.deep) for seed in DEEP_SEEDS)])
def test_whatever_goes_wrong_each_evening_ends_with_equal_books(database_settings: Settings, seed: int) -> None:
    brackets = seed % 3 > 0
    with life(
        database_settings, market(END), DAYS[0], stops=brackets, venue__alpaca__brackets=brackets, venue__timeout_seconds=0.5
    ) as found:
        trouble = Trouble(found, np.random.default_rng(seed))
        bare = {}
        for day in DAYS:
            trouble.night(day)
            trouble.session(day)
            trouble.evening(day)
            bare[day] = found.unprotected() if brackets and not trouble.blocked else {}

        assert {day: missing for day, missing in bare.items() if missing} == {}
        assert {day: evening.differences for day, evening in found.evenings.items()} == dict.fromkeys(DAYS, ())
        assert kill_switch.halt_reason(resources=found.process()) is None
        assert (found.books.doubled(), found.books.late(), found.listener_error) == ([], [], None)
        told = [each for evening in found.evenings.values() for each in evening.said["reconcile.reconcile again"].differences]
        assert [each for each in told if not each.resolved] == []
        assert all(evening.mails for evening in found.evenings.values())
        fills = found.process().ledger.fills("main")
        assert len(fills) == len(found.alpaca.exchange.activities) > 10
        assert found.alpaca.faults_served > 10
        assert len(trouble.streams) > 2
        counts = {name: getattr(trouble, name) for name in ("parts", "splits", "withdrawals", "refusals", "jumps")}
        found.tell(seed=seed, streams=len(trouble.streams), **counts)
