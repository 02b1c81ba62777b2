"""Sessions a second of the daily path in fast-forward: 19 symbols, 12 years of bars, four years replayed. `make bench` runs it.

Goal: at least 100 sessions a second. The first replay of a process also loads compiled code; the second does not. Both read
every version of every bar out of PostgreSQL. The table goes into docs/parity.md.
"""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from core.frames import BARS
from core.settings import Settings
from pipeline.audit import replay
from pipeline.bars import VIX
from pipeline.resources import Resources
from tests.bench.peers.document import measured_on, table, write_section
from tests.standins.feed import walk

PAGE = Path(__file__).parents[2] / "docs" / "parity.md"
START, FIRST, LAST, SYMBOLS = dt.date(2010, 1, 4), dt.date(2018, 1, 2), dt.date(2021, 12, 31), 19
NOW = dt.datetime(2022, 1, 1, tzinfo=dt.UTC)
COLUMNS = ("Replay", "Sessions", "Trades", "Wall seconds", "Processor seconds", "Sessions a second, wall", "processor")
VARIABLE = "REPLAY_BENCH_DATA"


def fill(settings: Settings) -> None:
    """19 random walks and a VIX that lets entries pass, known at their closes."""
    desk = Resources(settings)
    walks = pd.concat([walk(f"S{n:02}", START, LAST) for n in range(SYMBOLS)], ignore_index=True)
    prices = ["open", "high", "low", "close", "adj_close"]
    vix = walk(VIX, START, LAST).assign(**dict.fromkeys(prices, 20.0))
    for bars in (walks, vix):
        desk.bars.write(BARS.coerce(bars), source="bench", ingested_at=NOW, backfilled=True)
    desk.engine.dispose()


def measure(settings: Settings) -> None:
    """Two replays in this process; prints a line each for `main`."""
    symbols = tuple(f"S{n:02}" for n in range(SYMBOLS))
    for name in ("first in its process", "second in its process"):
        desk = Resources(settings.model_copy(update={"universe": symbols}))
        desk.bars.symbols()  # the connection is there
        wall, used = time.perf_counter(), time.process_time()
        outcome = replay.run_replay(FIRST, LAST, resources=desk)
        wall, used = time.perf_counter() - wall, time.process_time() - used
        print(name, len(outcome.equity), len(outcome.trades), wall, used, sep="|")  # noqa: T201
        desk.engine.dispose()


def main() -> None:
    """Measure in a fresh process and write the table."""
    if VARIABLE in os.environ:
        measure(Settings(_env_file=None, data_dir=Path(os.environ[VARIABLE]), database_url=None))
        return
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        fill(Settings(_env_file=None, data_dir=Path(folder), database_url=None))
        load = os.getloadavg()[0]
        environment = os.environ | {VARIABLE: folder}
        command = [sys.executable, "-m", "tests.bench.replay"]
        said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    rows = []
    for line in said.splitlines():
        if line.count("|") == len(COLUMNS) - 3:
            name, sessions, trades, wall, used = line.split("|")
            speeds = [f"{int(sessions) / float(seconds):.0f}" for seconds in (wall, used)]
            rows.append([name, sessions, trades, f"{float(wall):.1f}", f"{float(used):.1f}", *speeds])
    shown = table(COLUMNS, rows)
    write_section("bench-replay", f"{measured_on()} Load average at the start: {load:.1f}.\n\n{shown}", PAGE)
    print(shown)  # noqa: T201


if __name__ == "__main__":
    main()
