"""No sequence of decisions, fills, prices, halts and crashes breaks a limit or makes money out of nothing.

The desk lives in memory: the real decision, risk manager, pre-send check, paper broker and flattening, over a book that can die
before or after any of its calls. After a crash the day is run again, as Airflow would, or given up.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from core.frames import ACTIONS
from core.models import FINAL, Leg, OrderState, Side
from core.sessions import sessions_between
from pipeline.accounts.trading_account import TradingAccount
from pipeline.risk.exit_orders import ExitOrders
from pipeline.risk.flatten import flatten_account
from tests.properties import examples
from tests.standins.memory_book import MemoryBook
from trading.brokers.base import unfenced
from trading.brokers.paper import PaperBroker, PaperRules
from trading.brokers.placing import Patience, place
from trading.costs import Costs
from trading.decide import Holdings, decide
from trading.drawdown import DrawdownLimits, Level
from trading.orders import entry_order, exit_order
from trading.portfolio import account
from trading.risk import Limits
from trading.risk_manager import RiskManager, RiskRules
from trading.risk_situation import Situation, lines_of
from trading.strategies.registry import make_strategy

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.models import OrderIntent
    from trading.brokers.base import Fence

SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
SESSIONS = [stamp.date() for stamp in sessions_between(dt.date(2018, 11, 1), dt.date(2018, 12, 31))]
CASH = 100_000.0
LIMITS = Limits(risk_per_trade_pct=2.0, max_position_pct=30.0, max_positions=3, max_exposure_pct=70.0)
RULES = RiskRules(max_symbol_pct=25.0, max_net_pct=50.0, max_entries_a_day=2, max_volume_pct=5.0, scale_high_pct=120.0)
DRAWDOWN = DrawdownLimits(1.0, 2.0)
STRATEGY = make_strategy("bollinger", {"max_sessions": 3})
VOLUME = 3_000.0
PHASES = (Phase.reuse, Phase.generate, Phase.shrink)  # explaining a failure takes minutes here


class Crash(BaseException):
    """The process is gone."""


class Fuse:
    """Burns down with each call and then kills; never while it is not lit."""

    left: int | None = None

    def burn(self) -> None:
        if self.left is None:
            return
        if self.left == 0:
            self.left = None
            raise Crash
        self.left -= 1


class Fragile:
    """Passes every call on, and may die before it or after it."""

    def __init__(self, inner: Any, fuse: Fuse) -> None:
        self._inner, self._fuse = inner, fuse

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            self._fuse.burn()
            answer = found(*args, **kwargs)
            self._fuse.burn()
            return answer

        return call


class Watched(Fragile):
    """A venue that sees what a halted desk sends."""

    def __init__(self, inner: Any, fuse: Fuse, world: World) -> None:
        super().__init__(inner, fuse)
        self._world = world

    def submit(self, order: OrderIntent, fence: Fence = unfenced) -> Any:
        assert order.leg is Leg.EXIT or not self._world.halted, "an entry was sent by a halted desk"
        self._fuse.burn()
        return self._inner.submit(order, fence)


@dataclass(frozen=True)
class Script:
    """What happens on one day."""

    moves: tuple[tuple[float, float, float], ...]  # open, low and high against the last close, close between the two
    entries: tuple[int, ...]
    exits: tuple[bool, ...]
    crashes: tuple[int, ...]
    again: bool  # whether the day is run again after its last crash
    halt_at: int | None  # the call of the pre-send check at which a person halts
    resume: bool


@dataclass
class World:
    """A desk in memory, and what was seen of it."""

    fuse: Fuse = field(default_factory=Fuse)
    store: MemoryBook = field(default_factory=MemoryBook)
    halted: bool = False
    asked: int = 0
    halt_at: int | None = None
    peak: float = CASH
    closes: dict[str, float] = field(default_factory=lambda: dict.fromkeys(SYMBOLS, 100.0))

    def __post_init__(self) -> None:
        self.book: Any = Fragile(self.store, self.fuse)
        self.paper = PaperBroker(self.book, Costs(1.0, 2.0), initial_cash_usd=CASH, rules=PaperRules(volume_share=0.04))
        self.broker: Any = Watched(self.paper, self.fuse, self)

    def pre_send(self, order: OrderIntent) -> str | None:
        self.asked += 1
        if self.halt_at is not None and self.asked >= self.halt_at:
            self.halted, self.halt_at = True, None
        return "halted" if self.halted and order.leg is Leg.ENTRY else None

    def live(self, day: dt.date, script: Script) -> None:
        """One day, with its crashes."""
        bars = self.bars(day, script)
        self.halt_at = None if script.halt_at is None else self.asked + script.halt_at
        if script.resume:
            self.halted, self.peak = False, 0.0
        for crash in (*script.crashes, None):
            if crash is None and not script.again and script.crashes:
                break
            self.fuse.left = crash
            try:
                self.run(day, bars, script)
            except Crash:
                event("crashed")
                self.check()
            else:
                break
        self.fuse.left = None
        self.paper.advance(day, bars)  # the market does not wait for the desk
        self.closes = dict(zip(bars["symbol"], bars["close"], strict=True))
        self.check()

    def run(self, day: dt.date, bars: pd.DataFrame, script: Script) -> None:
        """The daily run: settle, decide, review, place; sell everything instead when the drawdown says so."""
        self.broker.advance(day, bars)
        self.closes = dict(zip(bars["symbol"], bars["close"], strict=True))
        equity = self.paper.account(self.closes).equity_usd
        self.peak = max(self.peak, equity)
        if DRAWDOWN.level(equity, self.peak) is Level.HALT:
            event("drawdown")
            self.halted = True
            no_bars = SimpleNamespace(last_sessions=lambda: {"AAA": day}, actions=lambda _symbols: ACTIONS.empty())
            patience = Patience(deadline_seconds=0.0)
            account = TradingAccount("main", self.book, self.broker, no_bars, patience, CASH)  # type: ignore[arg-type]
            exits = ExitOrders(account, clock=lambda: dt.datetime(2018, 1, 1, tzinfo=dt.UTC), historical=True)
            flatten_account(exits, "drawdown", day=day)
            return
        orders = self.orders(day, script)
        states = place(self.book, self.broker, orders, pre_send=self.pre_send)
        self.check_limits(day, states)

    def orders(self, day: dt.date, script: Script) -> tuple[OrderIntent, ...]:
        """The day's orders, which are decided once: what is on record stands."""
        known = [order for order, _ in self.store.orders.values() if order.decision_session == day]
        if any(order.session > day for order in known):
            return tuple(known)
        rows = pd.DataFrame(
            {
                "symbol": SYMBOLS,
                "session": pd.Timestamp(day),
                "close": [self.closes[symbol] for symbol in SYMBOLS],
                "entry": script.entries,
                "exit_long": script.exits,
                "exit_short": script.exits,
                "stop_pct": 2.0,
                "target_pct": 3.0,
                "strength": 0.0,
            }
        )
        positions, waiting = self.store.positions("main"), [order for order, _ in self.store.open_orders("main")]
        cash = self.paper.cash_usd()
        decided = decide(
            day,
            rows.assign(strategy=STRATEGY.name),
            [STRATEGY],
            Holdings("main", positions, waiting, cash, self.closes),
            LIMITS,
        ).intents
        situation = Situation(
            account(cash, positions, waiting, self.closes).equity_usd, CASH, self.closes,
            lines_of(positions, waiting, self.closes), volume=dict.fromkeys(SYMBOLS, VOLUME),
        )  # fmt: skip
        return RiskManager(LIMITS, RULES).review(decided, situation).orders

    def bars(self, day: dt.date, script: Script) -> pd.DataFrame:
        rows = []
        for symbol, (gap, down, up) in zip(SYMBOLS, script.moves, strict=True):
            start = self.closes[symbol] * (1 + gap)
            low, high = start * (1 - down), start * (1 + up)
            prices = {"open": start, "high": high, "low": low, "close": (low + high) / 2}
            rows.append({"symbol": symbol, "session": pd.Timestamp(day), "volume": VOLUME, **prices})
        return pd.DataFrame(rows)

    def check_limits(self, day: dt.date, states: dict[str, OrderState]) -> None:
        """Once the day's orders are placed: every limit holds at the prices they were decided on."""
        positions = self.store.positions("main")
        waiting = [order for order, state in self.store.orders.values() if state not in FINAL and order.leg is Leg.ENTRY]
        new = [order for order in waiting if order.client_order_id in states and order.decision_session == day]
        if not new:
            return
        event("ordered")
        lines = lines_of(positions, waiting, self.closes)
        equity = self.paper.account(self.closes).equity_usd
        slack = 1e-6 + equity * 1e-9
        assert len(lines) <= LIMITS.max_positions
        assert sum(abs(line.usd) for line in lines) <= equity * LIMITS.max_exposure_pct / 100 + slack
        signed = sum(line.usd for line in lines)
        sides = {order.side for order in new}
        if len(sides) == 1:
            toward = 1 if sides == {Side.BUY} else -1
            assert toward * signed <= equity * RULES.max_net_pct / 100 + slack  # type: ignore[operator]
        assert len(new) <= 2
        for order in new:
            assert float(order.quantity) * self.closes[order.symbol] <= equity * 25.0 / 100 + slack
            assert float(order.quantity) <= VOLUME * 0.05

    def check(self) -> None:
        """Whatever happened: cash, positions and orders follow from the fills, and no order was sent or filled twice over."""
        fills = [fill for _, fill in self.store.executions.values()]
        signed = [(fill.quantity if fill.side is Side.BUY else -fill.quantity, fill) for fill in fills]
        flow = sum((-quantity * fill.price - fill.commission_usd for quantity, fill in signed), Decimal(0))
        assert self.paper.cash_usd() == Decimal(repr(CASH)) + flow
        held: Counter[str] = Counter()
        for quantity, fill in signed:
            held[fill.symbol] += quantity  # type: ignore[assignment]
        positions = {position.symbol: position.quantity for position in self.store.positions("main")}
        assert positions == {symbol: quantity for symbol, quantity in held.items() if quantity}
        gained = sum(
            float(quantity) * (self.closes[fill.symbol] - float(fill.price)) - float(fill.commission_usd)
            for quantity, fill in signed
        )
        assert self.paper.account(self.closes).equity_usd == pytest.approx(CASH + gained, abs=1e-5)
        for client_order_id, (order, state) in self.store.orders.items():
            assert self.store.filled(client_order_id) <= order.quantity
            assert (state is OrderState.FILLED) == (self.store.filled(client_order_id) == order.quantity)


def scripts() -> st.SearchStrategy[list[Script]]:
    size = len(SYMBOLS)
    moves = st.tuples(st.sampled_from([0.0, -0.15, 0.15]) | st.floats(-0.06, 0.06), st.floats(0, 0.08), st.floats(0, 0.08))
    day: Callable[..., st.SearchStrategy[Script]] = st.builds
    one = day(
        Script,
        moves=st.tuples(*[moves] * size),
        entries=st.tuples(*[st.sampled_from([-1, 0, 1, 1])] * size),
        exits=st.tuples(*[st.booleans()] * size),
        crashes=st.lists(st.integers(0, 60), max_size=3).map(tuple),
        again=st.booleans(),
        halt_at=st.none() | st.integers(1, 4),
        resume=st.booleans(),
    )
    return st.lists(one, min_size=1, max_size=10)


@settings(max_examples=examples(60), deadline=None, phases=PHASES, suppress_health_check=[HealthCheck.too_slow])
@given(scripts())
def test_nothing_that_happens_breaks_a_limit_or_makes_money(days: list[Script]) -> None:
    world = World()
    for day, script in zip(SESSIONS, days, strict=False):
        world.live(day, script)


@settings(max_examples=examples(30), deadline=None, phases=PHASES, suppress_health_check=[HealthCheck.too_slow])
@given(scripts(), st.lists(st.integers(0, 80), max_size=3))
def test_flattening_ends_with_nothing_held_wherever_it_dies(days: list[Script], crashes: list[int]) -> None:
    """From any state, with crashes on the way: called until it is through, it leaves no position and no double sale."""
    world, number = World(), 0
    for day, script in zip(SESSIONS, days, strict=False):
        world.live(day, script)
        number += 1
    world.halted, world.peak = True, 1e12  # a drawdown by any measure
    quiet = Script(((0.0, 0.001, 0.001),) * 4, (0,) * 4, (False,) * 4, (), again=True, halt_at=None, resume=False)
    for day in SESSIONS[number : number + 15]:
        script = Script(quiet.moves, (1,) * 4, quiet.exits, tuple(crashes), again=True, halt_at=None, resume=False)
        world.live(day, script)
        crashes = []

    assert world.store.positions("main") == []
    assert [order for order, _ in world.store.open_orders("main") if order.leg is Leg.ENTRY] == []


def test_a_stop_that_is_hit_while_an_exit_waits_unsent() -> None:
    """A run that died between writing an exit down and sending it, and was not run again before the stop was hit."""
    world = World()
    day, opens, after = SESSIONS[:3]
    bought = entry_order(
        "main", STRATEGY.name, "AAA", decision_session=day, session=opens, signed_quantity=1.0, stop_pct=2.0,
        target_pct=50.0, max_sessions=None,
    )  # fmt: skip
    place(world.store, world.paper, [bought])
    flat = Script(((0.0, 0.0, 0.0),) * 4, (0,) * 4, (False,) * 4, (), again=True, halt_at=None, resume=False)
    world.paper.advance(opens, world.bars(opens, flat))
    [held] = world.store.positions("main")
    world.store.record_intents([exit_order(held, decision_session=opens, session=after)])

    falls = Script(((-0.1, 0.0, 0.0),) * 4, (0,) * 4, (False,) * 4, (), again=True, halt_at=None, resume=False)
    world.paper.advance(after, world.bars(after, falls))

    assert world.store.positions("main") == []
