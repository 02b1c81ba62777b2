"""The read of training features from a store of 500 symbols, beside Feast's own join. `make bench` runs it.

Goal: 60,000 decisions under 20 s on two cores. Both sides answer the same questions on the same database and must give the
same frame to the last bit: `FeastStore.training_frame`, and the same with Feast's own PostgreSQL store asked a year at a time.
They take turns; the best turn counts, in wall time and in processor time of this process and of the database's processes, for
the machine may have other work. What the writes take is measured once, on the way.
"""

from __future__ import annotations

import atexit
import datetime as dt
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import psutil
import sqlalchemy as sa
from rich.console import Console
from rich.table import Table

from core.frames import BARS
from core.settings import Settings
from features.build import build_features
from storage.features.feature_store import FeastStore
from tests.bench.peers.document import measured_on, table, write_section
from tests.bench.peers.workload import random_bars
from tests.standins.feasts_own import FeastsOwn

if TYPE_CHECKING:
    from collections.abc import Callable

SYMBOLS, FEW, SESSIONS, TURNS = 500, 19, 3021, 3  # 3,021 sessions are twelve years
READS = ((2_650, FEW), (46_000, FEW), (60_000, SYMBOLS))  # decisions of so many symbols
REVISED, LATE = 0.02, 0.3  # share of the rows with a second version, share of those that came too late to be seen
NOW = dt.datetime(2022, 1, 3, tzinfo=dt.UTC)
GOAL = "Goal: 60,000 decisions of 500 symbols under 20 s on two cores."
READ_COLUMNS = ("Decisions", "s", "processor", "database", "Feast's join, s", "processor", "database", "ratio")
STEP_COLUMNS = ("Step", "s", "processor", "database", "outcome")
console = Console()


class Spent(NamedTuple):
    """Seconds of one call: on the wall, and of processor here and in the database."""

    wall: float
    here: float
    database: float

    @property
    def processor(self) -> float:
        """Of both."""
        return self.here + self.database

    def cells(self) -> list[str]:
        """Wall, processor of both, and the database's part of it."""
        return [f"{value:.2f}" for value in (self.wall, self.processor, self.database)]


class Watch:
    """Times calls, the database's processes included."""

    def __init__(self, store: FeastStore) -> None:
        with store._engine.connect() as connection:
            backend = connection.execute(sa.select(sa.func.pg_backend_pid())).scalar_one()
        self._server = psutil.Process(backend).parent()
        self.steps: list[list[str]] = []

    def spent(self, step: Callable[[], object]) -> tuple[Spent, object]:
        """What a call took, and its outcome."""
        before = (time.perf_counter(), time.process_time(), self._database())
        outcome = step()
        after = (time.perf_counter(), time.process_time(), self._database())
        return Spent(*(end - start for start, end in zip(before, after, strict=True))), outcome

    def step(self, name: str, step: Callable[[], object]) -> None:
        """Time one step once, and say so."""
        console.print(f"  {name} ...")
        spent, outcome = self.spent(step)
        self.steps.append([name, *spent.cells(), "" if outcome is None else f"{outcome:,} rows"])

    def _database(self) -> float:
        """Processor time of the server, of its processes that ended and of those that run."""
        ended = self._server.cpu_times()
        total = ended.user + ended.system + ended.children_user + ended.children_system
        for process in self._server.children():
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:  # between the list and the look
                continue
            total += times.user + times.system
        return float(total)


def fill(store: FeastStore, watch: Watch) -> pd.DataFrame:
    """Write features of random walks, then revisions; returns the first versions' keys."""
    bars = BARS.coerce(pd.concat(random_bars(SYMBOLS, SESSIONS).values()))
    frame = build_features(bars, bars[bars["symbol"] == "S000"][["session"]].assign(close=20.0))
    watch.step("features written to the empty store", lambda: store.write_offline(frame))
    watch.step("the same written again", lambda: store.write_offline(frame))
    rng = np.random.default_rng(7)
    revised, late = rng.random(len(frame)) < REVISED, rng.random(len(frame)) < LATE
    wait = pd.to_timedelta(np.where(late, "5D", "1h"))
    newer = frame.assign(rsi_14=frame["rsi_14"] + revised, created_timestamp=frame["created_timestamp"] + wait)
    watch.step("one row in fifty revised", lambda: store.write_offline(newer))
    watch.step("newest rows copied to the online store", lambda: store.materialise(NOW))
    return frame[["symbol", "event_timestamp"]]


def entities(keys: pd.DataFrame, count: int, symbols: int) -> pd.DataFrame:
    """Decisions drawn from the first so many symbols, in the order of a training."""
    rows = keys[keys["symbol"] < f"S{symbols:03}"]
    return rows.sample(count, random_state=count).sort_values(["event_timestamp", "symbol"], ignore_index=True)


def compare(watch: Watch, ours: FeastStore, theirs: FeastStore, asked: pd.DataFrame) -> tuple[Spent, Spent]:
    """Best of each side's turns."""
    turns = []
    for _ in range(TURNS):
        here, found = watch.spent(lambda: ours.training_frame(asked))
        there, expected = watch.spent(lambda: theirs.training_frame(asked))
        pd.testing.assert_frame_equal(found, expected, check_exact=True)
        turns.append((here, there))
    best = [Spent(*np.min([turn[side] for turn in turns], axis=0)) for side in range(2)]
    return best[0], best[1]


def show(title: str, columns: tuple[str, ...], rows: list[list[str]]) -> str:
    """Print a table; returns it for the page."""
    shown = Table(*columns, title=title)
    for row in rows:
        shown.add_row(*row)
    console.print(shown)
    return table(columns, rows)


def main() -> None:
    """Build the store on an embedded database of its own, time it, print the tables and write them to docs/benchmarks.md."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)  # runs after what stops the server, for that is registered later
    folder.chmod(0o755)
    settings = Settings.of(data_dir=folder, database__url=None)
    ours, theirs = FeastStore(settings, clock=lambda: NOW), FeastsOwn(settings)
    console.print(f"A store of {SYMBOLS} symbols and {SESSIONS:,} sessions:")
    ours.apply()
    watch = Watch(ours)
    keys = fill(ours, watch)
    reads = []
    for count, symbols in READS:
        name = f"{count:,} of {symbols} symbols"
        console.print(f"  {name}, {TURNS} turns ...")
        here, there = compare(watch, ours, theirs, entities(keys, count, symbols))
        reads.append([name, *here.cells(), *there.cells(), f"{there.processor / here.processor:.1f}"])
    for store in (ours, theirs):
        store.close()
    body = [measured_on(), GOAL, show("Reads", READ_COLUMNS, reads), show("Writes", STEP_COLUMNS, watch.steps)]
    write_section("feast", "\n\n".join(body))


if __name__ == "__main__":
    main()
