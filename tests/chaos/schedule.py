"""One day under fire: each task in a process of its own, killed as the schedule says and run again as Airflow would.

Then the books are compared: one order for each intent at the venue, none lost, none twice, and the same fills on both sides.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import gc
import os
import random
import signal
import sys
import time
import traceback
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx
import sqlalchemy as sa
import structlog

from core.errors import ExecutorBusy, RetryLater
from core.failpoints import FAILPOINTS, VARIABLE
from core.models import Leg, OrderState
from pipeline.execution import daily_trade
from storage.trading.ledger import Ledger
from tests.chaos.world import DAY, HELD, OPENS, ORDERS
from trading.brokers.placing import cancel

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chaos.world import Desk, World

SESSION = DAY.isoformat()
KILLED, DONE, AGAIN, BUSY, BROKEN = -1, 0, 3, 4, 5
MOST_STARTS, RETRIES = 60, 3
TASK_TIMEOUT_SECONDS = 30
RANDOM_TASKS = ("place", "cancel", "withdraw", "trade", "confirm", "record")
WITHDRAWN_USD = Decimal(3000)
REACHED = tuple(name for name in FAILPOINTS if name.partition(".")[0] not in {"settle", "candidates", "predict"})


def _cancel_one(desk: Desk) -> None:
    """Call off the first entry, as risk does."""
    orders = desk.ledger.orders_decided(desk.settings.portfolio, DAY)
    first = min(order.client_order_id for order, _ in orders if order.leg is Leg.ENTRY)
    cancel(desk.ledger, desk.broker, first, "called off", patience=desk.patience)


def _withdraw(desk: Desk) -> None:
    """Take cash out of the account at the venue, as its owner does; done again it is the same withdrawal."""
    movement = {"id": f"w-{desk.settings.portfolio}", "date": SESSION, "usd": str(-WITHDRAWN_USD)}
    httpx.post(f"{desk.venue_url}/{desk.settings.portfolio}/withdraw", json=movement).raise_for_status()


TASKS: dict[str, Callable[[Desk], Any]] = {
    "candidates": lambda desk: daily_trade.candidates(SESSION, resources=desk),
    "predict": lambda desk: daily_trade.predict(SESSION, resources=desk),
    "place": lambda desk: daily_trade.place(SESSION, resources=desk),
    "cancel": _cancel_one,
    "withdraw": _withdraw,
    "confirm": lambda desk: daily_trade.confirm(SESSION, resources=desk),
    "record": lambda desk: daily_trade.record(SESSION, resources=desk),
    "trade": lambda desk: httpx.post(f"{desk.venue_url}/{desk.settings.portfolio}/trade").raise_for_status(),
    "settle": lambda desk: daily_trade.settle(OPENS.isoformat(), resources=desk),
}
AT_THE_VENUE = ("candidates", "predict", "place", "cancel", "trade", "confirm", "record")
ON_PAPER = ("candidates", "predict", "place", "record", "settle")


@dataclass
class Schedule:
    """What happens to one day. `kills` are failpoints, one for each start of the day until they are used up.

    With `stubborn` each is set again for the next start until it has struck. `twins` starts two executors at once. At the venue
    the shares held are split when `split` is over 1, and a part of the orders is refused; each process has a clock that is off
    by up to `clock_hours`.
    """

    name: str
    seed: int
    kills: list[str]
    faults: int = 0
    unique: bool = True
    twins: bool = False
    stubborn: bool = False
    paper: bool = False
    refusals: float = 0.0
    split: int = 1
    clock_hours: int = 0
    tasks: tuple[str, ...] = AT_THE_VENUE


@dataclass
class Outcome:
    """What came of it. `orders` are those at the venue, `wrong` says what differs from one order for each intent."""

    intents: int = 0
    orders: int = 0
    fills: int = 0
    lost: int = 0
    doubled: int = 0
    kills: int = 0
    killed_by_venue: int = 0
    hung: int = 0
    killed_at: list[str] = field(default_factory=list)
    attempts: int = 0
    turned_away: int = 0
    refused_twice: int = 0
    wrong: list[str] = field(default_factory=list)


def warm(world: World) -> None:
    """Live through a day in this process, so that its children have everything loaded and compiled."""
    for on_paper, tasks in ((False, AT_THE_VENUE), (True, ON_PAPER)):
        name = f"warm-{on_paper}"
        world.open_portfolio(name, seed=0, split=2)
        desk = world.desk(name, on_paper=on_paper)
        for task in tasks:
            TASKS[task](desk)
        desk.engine.dispose()  # a connection must not be shared with a child
    gc.collect()
    gc.freeze()


def draw(seed: int) -> Schedule:
    """A random schedule: up to six kills, up to eight faults of the venue, two executors in every third."""
    dice = random.Random(seed)  # noqa: S311  # a schedule, not a secret
    kills = [f"{dice.choice(REACHED)}:{dice.choice((1, 1, 1, 2, 2, 3))}" for _ in range(dice.randint(0, 6))]
    return Schedule(
        name=f"p{seed}",
        seed=seed,
        kills=kills,
        faults=dice.randint(0, 8),
        unique=dice.random() < 0.5,
        twins=dice.random() < 1 / 3,
        refusals=dice.choice((0.0, 0.3)),
        split=dice.choice((1, 2)),
        clock_hours=dice.choice((0, 30)),
        tasks=RANDOM_TASKS,
    )


def run(world: World, schedule: Schedule) -> Outcome:
    """Live through the day and check it: start it, and when it dies start it again at the task that was not finished."""
    run_at_venue = {name: getattr(schedule, name) for name in ("seed", "faults", "unique", "refusals", "split")}
    world.open_portfolio(schedule.name, **run_at_venue)
    outcome, kills, done = Outcome(), list(schedule.kills), 0
    for _ in range(MOST_STARTS):
        failpoint = kills[0] if kills else ""
        children = [_start(world, schedule, done, point) for point in ([failpoint, ""] if schedule.twins else [failpoint])]
        ends = [_end(child, outcome) for child in children]
        done = max(done, *(progress for progress, _ in ends))
        statuses = {status for _, status in ends}
        if kills and (KILLED in statuses or not schedule.stubborn):
            del kills[0]
        if done == len(schedule.tasks) or BROKEN in statuses:
            break
        time.sleep(0.002)  # Airflow waits longer; PostgreSQL needs a moment to see that a client is dead
    _expect(outcome, "tasks finished", done, len(schedule.tasks))
    _check(world, schedule, outcome)
    return outcome


@dataclass(frozen=True)
class Child:
    """A process that works through the day; it writes a byte for each task it has finished."""

    pid: int
    failpoint: str
    already: int
    pipe: int


def _start(world: World, schedule: Schedule, already: int, failpoint: str) -> Child:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return Child(pid, failpoint, already, reading)
    code = BROKEN
    try:
        signal.alarm(TASK_TIMEOUT_SECONDS)  # as Airflow ends a task that hangs
        gc.disable()  # nor touch what is shared with the parent
        os.environ[VARIABLE] = failpoint
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
        hours = random.Random(os.getpid()).uniform(-schedule.clock_hours, schedule.clock_hours)  # noqa: S311
        desk = world.desk(schedule.name, on_paper=schedule.paper, clock_ahead=dt.timedelta(hours=hours))
        for task in schedule.tasks[already:]:
            _patiently(TASKS[task], desk)
            os.write(writing, b".")
        code = DONE
    except ExecutorBusy:
        code = BUSY
    except RetryLater:
        code = AGAIN
    except BaseException:  # noqa: BLE001  # the child reports and ends, whatever it was
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _patiently(task: Callable[[Desk], Any], desk: Desk) -> None:
    """Run a task; one turned away tries again a few times, as Airflow would, and then has work or finds it done."""
    for _ in range(RETRIES):
        with contextlib.suppress(ExecutorBusy):
            task(desk)
            return
        time.sleep(0.02)
    task(desk)


def _end(child: Child, outcome: Outcome) -> tuple[int, int]:
    """Wait for the child; how far the day is and how the child ended."""
    _, status = os.waitpid(child.pid, 0)
    with os.fdopen(child.pipe, "rb") as pipe:
        done = child.already + len(pipe.read())
    outcome.attempts += 1
    if os.WIFSIGNALED(status):
        outcome.kills += os.WTERMSIG(status) == signal.SIGKILL
        outcome.hung += os.WTERMSIG(status) == signal.SIGALRM
        outcome.killed_at.append(child.failpoint.partition(":")[0])
        return done, KILLED
    code = os.WEXITSTATUS(status)
    outcome.turned_away += code == BUSY
    if code == BROKEN:
        outcome.wrong.append(f"a task failed under {child.failpoint or 'no failpoint'}")
    return done, code


def _check(world: World, schedule: Schedule, outcome: Outcome) -> None:
    """Compare the ledger with the venue, order by order and fill by fill."""
    engine = sa.create_engine(world.url, poolclass=sa.NullPool)
    ledger = Ledger(engine)
    decided = ledger.orders_decided(schedule.name, DAY)
    outcome.intents = len(decided)
    _expect(outcome, "intents", len(decided), ORDERS)
    if schedule.paper:
        _check_paper(ledger, schedule, outcome)
        return
    told = httpx.get(f"{world.venue_url}/{schedule.name}/audit").json()
    outcome.orders, outcome.fills, outcome.refused_twice = len(told["orders"]), len(told["fills"]), told["refused_twice"]
    outcome.killed_by_venue = told["kills"]
    there = [order["client_order_id"] for order in told["orders"]]
    for order, state in decided:
        count = there.count(order.client_order_id)
        outcome.lost, outcome.doubled = outcome.lost + (count == 0), outcome.doubled + (count > 1)
        _expect(outcome, f"orders of {order.client_order_id} at the venue", count, 1)
        if count:
            view = told["orders"][there.index(order.client_order_id)]
            _expect(outcome, f"state of {order.client_order_id}", state, OrderState(view["state"]))
            _expect(
                outcome, f"filled of {order.client_order_id}", ledger.filled(order.client_order_id), Decimal(view["filled"])
            )
    _expect(outcome, "orders nobody meant", set(there) - {order.client_order_id for order, _ in decided}, set())
    mine = {fill.fill_id for _, fill in ledger.fills(schedule.name) if not fill.fill_id.startswith("seed-")}
    _expect(outcome, "fills", mine, {fill["fill_id"] for fill in told["fills"]})
    cash = sum((_flow(fill) for fill in told["fills"]), Decimal(-1000))
    cash += sum((Decimal(each["usd"]) for each in told["movements"]), Decimal(0))
    events = sorted(str(event.kind) for event in ledger.book_events(schedule.name))
    expected = ["split"] * (told["split"] > 1) + ["withdrawal"] * len(told["movements"])
    _expect(outcome, "book events", events, expected)
    _expect(outcome, "cash", ledger.cash_flow_usd(schedule.name), cash)
    sold = all(order["state"] == "filled" for order in told["orders"] if order["symbol"] == HELD)
    held = {position.symbol: position.quantity for position in ledger.positions(schedule.name)}
    _expect(outcome, "held", held.get(HELD), None if sold else 10 * Decimal(told["split"]))
    _expect(outcome, "sessions on record", len(ledger.equity(schedule.name)), 2)


def _check_paper(ledger: Ledger, schedule: Schedule, outcome: Outcome) -> None:
    fills = [fill for _, fill in ledger.fills(schedule.name) if not fill.fill_id.startswith("seed-")]
    entries_and_exit = [fill for fill in fills if fill.session == OPENS and fill.reason in {"entry", "time"}]
    outcome.orders, outcome.fills = len({fill.client_order_id for fill in entries_and_exit}), len(fills)
    _expect(outcome, "fills of the orders", len(entries_and_exit), ORDERS)
    _expect(outcome, "orders filled", outcome.orders, ORDERS)
    _expect(outcome, "open orders", ledger.open_orders(schedule.name), [])


def _flow(fill: dict[str, Any]) -> Decimal:
    worth = Decimal(fill["quantity"]) * Decimal(fill["price"])
    return worth if fill["side"] == "sell" else -worth


def _expect(outcome: Outcome, what: str, found: object, expected: object) -> None:
    if found != expected:
        outcome.wrong.append(f"{what}: expected {expected}, found {found}")
