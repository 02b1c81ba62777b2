"""How long the store and the features take for 19 symbols and 12 years. `make bench` runs it; no test waits for a clock.

Goals: the first load under 3 s, a second load of the same bars writes nothing.
"""

from __future__ import annotations

import datetime as dt
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pandas as pd
from rich.console import Console
from rich.table import Table

from core.frames import BARS
from core.settings import Settings
from features.build import build_features
from storage.engine import open_engine
from storage.market.bars import BarStore
from tests.standins.feed import walk

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
START, END, SYMBOLS = dt.date(2010, 1, 4), dt.date(2021, 12, 31), 19
NOW = dt.datetime(2022, 1, 1, tzinfo=dt.UTC)


def main() -> None:
    """Measure each step once on a fresh embedded database and print a table."""
    table = Table("Step", "Seconds", "Outcome", title=f"{SYMBOLS} symbols, {START} to {END}")

    def timed(name: str, step: Callable[[], T]) -> T:
        started = time.perf_counter()
        outcome = step()
        shown = f"{len(outcome):,} rows" if isinstance(outcome, pd.DataFrame) else str(outcome)
        table.add_row(name, f"{time.perf_counter() - started:.2f}", shown)
        return outcome

    bars = BARS.coerce(pd.concat([walk(f"S{n:02}", START, END) for n in range(SYMBOLS)]))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        engine = open_engine(Settings.of(data_dir=Path(folder), database__url=None))
        store = BarStore(engine)
        timed("first load", lambda: store.write(bars, source="bench", ingested_at=NOW, backfilled=True))
        timed("the same bars again", lambda: store.write(bars, source="bench", ingested_at=NOW, backfilled=True))
        revised = bars.assign(volume=bars["volume"].where(bars["session"] < "2021-12-01", 1.0))
        timed("a revised month", lambda: store.write(revised, source="bench", ingested_at=NOW))
        stored = timed("read all", store.read)
        timed("read as of mid 2015", lambda: store.read(as_of=dt.datetime(2015, 7, 1, tzinfo=dt.UTC)))
        timed("features", lambda: build_features(stored, None))
        engine.dispose()
    Console().print(table)


if __name__ == "__main__":
    main()
