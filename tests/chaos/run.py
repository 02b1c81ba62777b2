"""Kill the day at every failpoint and on random schedules, and write what came of it to `docs/exactly-once.md`.

Run it: `make chaos`, or `python -m tests.chaos.run --schedules 10000 --minutes 60`.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import logging
import sys
import tempfile
import time
import uuid
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from pydantic import SecretStr

from core.failpoints import FAILPOINTS
from core.settings import Settings
from storage.engine import cluster_url
from tests.chaos.schedule import AT_THE_VENUE, ON_PAPER, Outcome, Schedule, draw, run, warm
from tests.chaos.world import World, build, venue

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PAGE = Path(__file__).resolve().parents[2] / "docs" / "exactly-once.md"
MARK = "<!-- results: written by tests/chaos/run.py -->"
VISITS = (1, 1, 2)
SUMS = (
    "kills", "killed_by_venue", "hung", "intents", "orders", "lost", "doubled", "attempts", "turned_away", "refused_twice",
    "fills",
)  # fmt: skip


@dataclass
class Tally:
    """Sums over days."""

    days: int = 0
    kills: int = 0
    killed_by_venue: int = 0
    hung: int = 0
    intents: int = 0
    orders: int = 0
    lost: int = 0
    doubled: int = 0
    attempts: int = 0
    turned_away: int = 0
    refused_twice: int = 0
    fills: int = 0
    killed_at: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, name: str, outcome: Outcome) -> None:
        """Count one day."""
        self.days += 1
        for what in SUMS:
            setattr(self, what, getattr(self, what) + getattr(outcome, what))
        self.killed_at.update(outcome.killed_at)
        self.wrong += [f"{name}: {each}" for each in outcome.wrong]

    def merge(self, other: Tally) -> None:
        """Count another's days."""
        for what in ("days", *SUMS):
            setattr(self, what, getattr(self, what) + getattr(other, what))
        self.killed_at.update(other.killed_at)
        self.wrong += other.wrong


def at_failpoint(world: World, failpoint: str, repeats: int, visits: Sequence[int]) -> Tally:
    """The whole day, killed at one failpoint, at these of its visits one after the other; so many days."""
    tally, on_paper = Tally(), failpoint.startswith("settle.")
    before = ["send.answered:1"] if failpoint.startswith("lookup.") else []
    before = ["send.claimed:1"] if failpoint == "lookup.absent" else before
    for number in range(repeats):
        name = f"f-{failpoint}-{number}-{uuid.uuid4().hex[:6]}"
        kills = [*before, *(f"{failpoint}:{visit}" for visit in visits)]
        tasks = ON_PAPER if on_paper else AT_THE_VENUE
        split = 1 if on_paper else 2
        tally.add(name, run(world, Schedule(name, number, kills, stubborn=True, paper=on_paper, split=split, tasks=tasks)))
    return tally


def random_days(world: World, seeds: Sequence[int], deadline: float) -> Tally:
    """Random schedules until there are enough or the time is over."""
    tally = Tally()
    for seed in seeds:
        if time.monotonic() > deadline:
            break
        schedule = draw(seed)
        schedule.name = f"r-{seed}-{uuid.uuid4().hex[:6]}"
        tally.add(f"seed {seed}", run(world, schedule))
        if tally.days % 100 == 0:
            print(f"{tally.days} schedules, {tally.kills} kills, {len(tally.wrong)} wrong", file=sys.stderr, flush=True)  # noqa: T201
    return tally


@contextlib.contextmanager
def fresh_world() -> Iterator[World]:
    """A world on a new database of a temporary cluster."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        cluster = Settings.of(data_dir=Path(folder), database__url=None)
        url = cluster_url(cluster, "chaos")
        with venue() as venue_url:
            world = build(cluster.with_changes(database__url=SecretStr(url), database__name="chaos"), venue_url)
            warm(world)
            yield world


def page(failpoints: dict[str, Tally], days: Tally, seconds: float) -> str:
    """The results as Markdown."""
    rows = [
        f"| `{name}` | {each.killed_at[name]} | {each.intents} | {each.orders} | {each.lost} | {each.doubled} |"
        for name, each in failpoints.items()
    ]
    wrong = [line for each in (*failpoints.values(), days) for line in each.wrong]
    summary = (
        f"**Random schedules: {days.days}** in {seconds / 60:.0f} minutes: {days.attempts} processes, {days.kills} killed "
        f"({days.killed_by_venue} by the venue in the middle of a request), {days.turned_away} turned away while another "
        f"held the portfolio. {days.intents} intents, {days.orders} orders, **{days.lost} lost, {days.doubled} doubled**, "
        f"{days.fills} fills. {days.refused_twice} requests came under an id the venue had, as the first was still on its way. "
        f"{days.hung} processes hung and were ended."
    )
    return "\n".join(
        [
            MARK,
            f"Measured on {dt.datetime.now(dt.UTC):%Y-%m-%d}.",
            "",
            "| Killed at | Kills | Intents | Orders | Lost | Doubled |",
            "|---|---:|---:|---:|---:|---:|",
            *rows,
            "",
            summary,
            "",
            f"Books that differed from the venue's in anything: {len(wrong)}.",
            *(f"* {line}" for line in wrong[:20]),
            "",
        ]
    )


def main() -> int:
    """Run both parts and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=10_000, help="random schedules at most")
    parser.add_argument("--minutes", type=float, default=30.0, help="time for them at most")
    parser.add_argument("--repeats", type=int, default=10, help="days for each failpoint")
    parser.add_argument("--first", type=int, default=0, help="seed of the first random schedule")
    parser.add_argument("--workers", type=int, default=2, help="days at the same time")
    parser.add_argument("--once", action="store_true", help="kill at the first visit of each failpoint only")
    parser.add_argument("--no-page", action="store_true", help="print the results and leave the page")
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    visits = VISITS[:1] if asked.once else VISITS
    seeds = range(asked.first, asked.first + asked.schedules)
    with fresh_world() as world, ProcessPoolExecutor(asked.workers, mp_context=get_context("fork")) as pool:
        tallies = pool.map(at_failpoint, repeat(world), FAILPOINTS, repeat(asked.repeats), repeat(visits))
        failpoints = dict(zip(FAILPOINTS, tallies, strict=True))
        began = time.monotonic()
        shares = [seeds[worker :: asked.workers] for worker in range(asked.workers)]
        days = Tally()
        for part in pool.map(random_days, repeat(world), shares, repeat(began + asked.minutes * 60)):
            days.merge(part)
        text = page(failpoints, days, time.monotonic() - began)
    if asked.no_page:
        print(text)  # noqa: T201
    else:
        PAGE.write_text(PAGE.read_text().split(MARK)[0] + text)
    return 1 if any(each.wrong for each in (*failpoints.values(), days)) else 0


if __name__ == "__main__":
    sys.exit(main())
