"""Reading times of the views of money and risk over ten years of three books and 100,000 fills: `make bench-views`.

Goal: p99 under 20 ms for everything but `risk`, which measures every limit of every book. Each case is read as a route reads
it, JSON included, in one process with a warm database. Beside the time on the clock, which others on the machine lengthen,
stands the processor time of this process and of its server process together.
"""

from __future__ import annotations

import datetime as dt
import gc
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa
from rich.console import Console
from rich.table import Table

from core.settings import Settings
from pipeline.resources import Resources
from pipeline.views.money.exposure import EXPOSURE, ExposureFilter
from pipeline.views.money.pnl import PNL, PnlFilter
from pipeline.views.money.positions import POSITIONS, PositionFilter
from pipeline.views.money.prices import PRICES, PriceFilter
from pipeline.views.risk.correlation import CORRELATION, CorrelationFilter
from pipeline.views.risk.heartbeats import HEARTBEATS, HeartbeatFilter
from pipeline.views.risk.limits import RISK, RiskFilter
from tests.standins.traded_years import CASH, Shape, write_record

if TYPE_CHECKING:
    from pipeline.views.view import Filter, View

ROUNDS, WARM = 100, 5
CASES: tuple[tuple[str, View[Any, Any], Filter, int], ...] = (
    ("pnl, a book", PNL, PnlFilter(book="main"), 500),
    ("pnl, a book by symbol", PNL, PnlFilter(book="main", by="symbol"), 500),
    ("pnl, a book without the start", PNL, PnlFilter(book="main", period="month"), 500),
    ("pnl, every book by symbol", PNL, PnlFilter(by="symbol"), 500),
    ("positions, every book", POSITIONS, PositionFilter(), 500),
    ("exposure, every book", EXPOSURE, ExposureFilter(), 500),
    ("prices, 100 bars", PRICES, PriceFilter(symbol="BAX", first=dt.date(2018, 8, 1)), 100),
    ("prices, 500 bars", PRICES, PriceFilter(symbol="BAX", first=dt.date(2017, 1, 3)), 500),
    ("prices, 2,000 bars", PRICES, PriceFilter(symbol="BAX"), 2_000),
    ("heartbeats, a month of 700", HEARTBEATS, HeartbeatFilter(first=dt.date(2018, 12, 1)), 2_000),
    ("heartbeats, 2,000 of 88,000", HEARTBEATS, HeartbeatFilter(), 2_000),
    ("correlation, a book", CORRELATION, CorrelationFilter(book="main"), 500),
    ("risk, a book", RISK, RiskFilter(book="main"), 500),
    ("risk, every book", RISK, RiskFilter(), 500),
)


def main() -> None:
    """Write the record, read each case again and again, and print the times."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        rules = ",".join(Shape().rules)
        desk = Resources(Settings.of(data_dir=Path(folder), database__url=None, strategies=rules, initial_cash_usd=CASH))
        rows = write_record(desk.engine)
        gc.collect()
        gc.freeze()  # as the API does after its start
        table = Table(
            "View", "Rows", "Bytes", "CPU ms", "p50 ms", "p99 ms", title=", ".join(f"{n:,} {name}" for name, n in rows.items())
        )
        for name, view, wanted, limit in CASES:
            body, times, cpu = measured(desk, view, wanted, limit)
            figures = [f"{each:.1f}" for each in (cpu, *np.percentile(times, [50, 99]))]
            table.add_row(name, f"{len(view.rows_adapter.validate_json(body)):,}", f"{len(body):,}", *figures)
        desk.engine.dispose()
    Console().print(table)


def measured(desk: Resources, view: View[Any, Any], wanted: Filter, limit: int) -> tuple[bytes, list[float], float]:
    """Return a page as JSON, the milliseconds of each reading, and the mean processor time (ms) of both processes."""
    body, times, used = b"", [], 0.0
    with desk.engine.connect() as connection:  # the pool's only one: one thread reads
        server = connection.execute(sa.select(sa.func.pg_backend_pid())).scalar_one()
    for number in range(WARM + ROUNDS):
        if number == WARM:
            gc.collect()
            used = processor_ms(server)
        started = time.perf_counter()
        page = view.page(wanted, limit=limit, resources=desk)
        body = view.rows_adapter.dump_json(list(page.rows))
        if number >= WARM:
            times.append(1_000 * (time.perf_counter() - started))
    return body, times, (processor_ms(server) - used) / ROUNDS


def processor_ms(server: int) -> float:
    """Return the processor time (ms) of this process and of a server process so far."""
    on_cpu = int(Path(f"/proc/{server}/schedstat").read_text().split()[0])  # nanoseconds
    return 1_000 * time.process_time() + on_cpu / 1e6


if __name__ == "__main__":
    main()
