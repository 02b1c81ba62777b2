"""The fan-out of a sweep: threads and a real Dask cluster make the same table, and nothing that fails is lost."""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from core.errors import RetryLater
from research.sweep import Cell, Outcome, cells, sweep
from tests.standins.feed import walk
from trading.costs import Costs
from trading.risk import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]
COSTS = Costs(1.0, 2.0)
BARS = {name: walk(name, dt.date(2016, 1, 4), dt.date(2018, 12, 31)).assign(vix=20.0) for name in ("AAA", "BBB", "CCC")}
GRID = cells(["bollinger", "rsi", "bollinger"], list(BARS))


def table(outcomes: list[Outcome]) -> dict[tuple[str, str], object]:
    return {(each.cell.strategy, each.cell.symbol): each.metrics or each.error for each in outcomes}


def run(**options: object) -> list[Outcome]:
    return [each for some in sweep(GRID, BARS, COSTS, Limits(), **options) for each in some]  # type: ignore[arg-type]


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def dask_cluster() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A scheduler and two workers, each a process of its own on loopback; yields the address and the scheduler."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", *arguments, "--host", "127.0.0.1", "--no-dashboard"]
        return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    started = [start("distributed.cli.dask_scheduler", "--port", str(port))]
    try:
        deadline = time.monotonic() + 30
        while not listens(port) and time.monotonic() < deadline:
            time.sleep(0.1)
        started += [start("distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny") for _ in range(2)]
        yield address, started[0]
    finally:
        for process in started:
            process.kill()  # it holds nothing, and a worker asked to leave waits for its scheduler
        for process in started:
            process.wait(20)


def test_threads_make_the_table_that_one_thread_makes() -> None:
    assert len(GRID) == 6, "a strategy named twice is one"
    assert table(run(jobs=2)) == table(run(jobs=1))


def test_a_dask_cluster_of_two_processes_makes_the_same_table() -> None:
    with dask_cluster() as (address, _):
        assert table(run(scheduler=address)) == table(run(jobs=1))


def test_when_the_scheduler_goes_in_the_middle_every_unfinished_cell_is_named() -> None:
    with dask_cluster() as (address, scheduler):
        found = []
        for some in sweep(GRID, BARS, COSTS, Limits(), scheduler=address):
            if not found:
                scheduler.kill()
            found += some

    assert set(table(found)) == {(cell.strategy, cell.symbol) for cell in GRID}
    lost = [each.error for each in found if each.error]
    assert all("sweep again" in error for error in lost)
    assert found[0].metrics is not None, "what was finished before is kept"


def test_where_no_scheduler_answers_it_says_how_to_start_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("research.sweep.CONNECT_SECONDS", 1)

    with pytest.raises(RetryLater, match="dask scheduler"):
        run(scheduler="tcp://127.0.0.1:9")


def test_bad_bars_of_one_symbol_are_reported_and_the_others_swept() -> None:
    stray = BARS["BBB"].assign(session=BARS["BBB"]["session"] + dt.timedelta(days=1))
    found = [
        each for some in sweep(cells(["rsi"], ["AAA", "BBB"]), {**BARS, "BBB": stray}, COSTS, Limits(), jobs=1) for each in some
    ]

    by_symbol = {each.cell.symbol: each for each in found}
    assert by_symbol["AAA"].error is None
    assert "expected sessions" in (by_symbol["BBB"].error or "")


def test_the_same_backtest_has_the_same_key_and_another_one_another() -> None:
    cell, terms = Cell("rsi", "AAA", {"oversold": 30.0}), {"bars": 1, "costs": "x"}

    assert cell.key(terms) == Cell("rsi", "AAA", {"oversold": 30.0}).key(dict(reversed(terms.items())))
    assert len({cell.key(terms), cell.key({**terms, "bars": 2}), Cell("rsi", "AAA").key(terms)}) == 3
