"""Time the engine and its peers in one run and write sections `engine` and `sweep` of docs/benchmarks.md.

`make bench-peers` runs it. Each piece has a process of its own, one after another; peers run in .venv-peers and time
themselves.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.bench.peers.document import measured_on, table, write_section
from tests.bench.peers.workload import SESSIONS, random_bars, save

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PEER = ROOT / ".venv-peers" / "bin" / "python"
GOALS = {"vectorbt": 10, "backtesting": 400, "backtrader": 2000}
PEERS = (("vectorbt", 20, "six"), ("vectorbt", 20, "same"), ("backtesting", 2), ("backtrader", 1), ("bt", 1))
CHUNK = 500  # columns at a time; larger and smaller ones are slower
console = Console()


def main() -> None:
    """Measure and write the sections named on the command line, or both."""
    asked = sys.argv[1:] or ["engine", "sweep"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bars.npz"
        save(random_bars(15), path)
        if "engine" in asked:
            write_section("engine", f"{measured_on()}\n\n{_engine(path)}\n\n{_large()}\n\n{_start()}")
        if "sweep" in asked:
            write_section("sweep", f"{measured_on()}\n\n{_sweep(path)}\n\n{_memory()}")


def _engine(path: Path) -> str:
    before = _ours("sixty")
    peers = [(_peer(f"with_{name}.py", path, times, *how), name, how) for name, times, *how in PEERS]
    ours = _better(before, _ours("sixty"))
    rows = [["this engine", _ms(ours["seconds"], 60), 1, "", f"{ours['trades']:,}"]]
    rows.append(
        ["this engine, trades and equity as frames", _ms(ours["with_frames"], 60), _ratio(ours["with_frames"], ours), "", ""]
    )
    for found, name, how in peers:
        label = f"{name} {found['version']}" + (f", {found['engine']}, {how[0]} figures" if how else "")
        goal = f"{GOALS[name]:,}" if name in GOALS else ""
        rows.append([label, _ms(found["seconds"], found["runs"]), _ratio(found["seconds"], ours), goal, f"{found['trades']:,}"])
    return table(["60 backtests: 4 strategies, 15 symbols", "processor ms a backtest", "times ours", "goal", "trades"], rows)


def _sweep(path: Path) -> str:
    before = _ours("sweep", 10_000, 2)
    started = [_start_peer("with_vectorbt_sweep.py", path, 2, CHUNK, half) for half in (0, 1)]
    halves = [_finished(process) for process in started]
    whole = _peer("with_vectorbt_sweep.py", path, 2, CHUNK)
    two, one = _better(before, _ours("sweep", 10_000, 2)), _ours("sweep", 10_000, 1)
    both, memory = max(half["wall"] for half in halves), sum(half["peak_mb"] for half in halves)
    twice = sum(half["seconds"] for half in halves)
    rows = [
        _sweep_row("this engine, 2 threads", two["wall"], two["seconds"], two, two["peak_mb"]),
        _sweep_row("this engine, 1 thread", one["wall"], one["seconds"], two, one["peak_mb"]),
        _sweep_row(f"vectorbt, rust, chunks of {CHUNK}, 2 processes", both, twice, two, memory),
        _sweep_row(f"vectorbt, rust, chunks of {CHUNK}", whole["wall"], whole["seconds"], two, whole["peak_mb"]),
    ]
    goal = "Goal: 10,000 points under 100 ms on 2 cores and under 400 MB, the interpreter and its libraries included."
    return f"{goal}\n\n{table(['10,000 points', 'ms', 'processor ms', 'times ours', 'peak MB'], rows)}"


def _sweep_row(name: str, wall: float, processor: float, ours: dict[str, Any], peak_mb: float) -> list[str]:
    return [name, _ms(wall), _ms(processor), _ratio(processor, ours), f"{peak_mb:,.0f}"]


def _large() -> str:
    rows = []
    for sessions in (SESSIONS // 4, SESSIONS // 2, SESSIONS):
        found = _ours("large", sessions)
        each = [f"{found[name] * 1e9 / (500 * sessions):.0f}" for name in ("alone", "portfolio")]
        rows.append(
            [f"500 x {sessions:,}", _ms(found["alone"]), each[0], _ms(found["portfolio"]), each[1], f"{found['peak_mb']:.0f}"]
        )
    columns = ["Symbols x bars", "one by one, processor ms", "ns a bar", "one portfolio, processor ms", "ns a bar", "peak MB"]
    return f"Cost in bars, one strategy. Goal: 500 symbols of 2,520 bars under 1 s.\n\n{table(columns, rows)}"


def _memory() -> str:
    rows = []
    for points in (400, 10_000, 40_000):
        found = _ours("sweep", points, 2)
        rows.append(
            [f"{found['points']:,}", _ms(found["wall"]), f"{found['seconds'] * 1e6 / points:.1f}", f"{found['peak_mb']:.0f}"]
        )
    text = "Cost and memory in points, 2 threads. What grows is the result, 176 bytes a point, copied a few times."
    return f"{text}\n\n{table(['Points', 'ms', 'processor µs a point', 'peak MB'], rows)}"


def _start() -> str:
    taken = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "desk", "strategies"], cwd=ROOT, check=True, capture_output=True)
        taken.append(time.perf_counter() - began)
    return f"`desk strategies`, from nothing to its table: {min(taken):.2f} s, best of five (goal: 1.5 s)."


def _ours(piece: str, *numbers: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.bench.peers.ours", piece, *map(str, numbers)]
    return _finished(_process(command))


def _better(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The faster of two measurements, one before the peers and one after: the machine may have other work."""
    return min(one, other, key=lambda found: found["seconds"])


def _peer(script: str, *arguments: object) -> dict[str, Any]:
    return _finished(_start_peer(script, *arguments))


def _start_peer(script: str, *arguments: object) -> subprocess.Popen[str]:
    return _process([str(PEER), str(HERE / script), *map(str, arguments)])


def _process(command: list[str]) -> subprocess.Popen[str]:
    console.print(" ".join(Path(part).name for part in command), style="dim")
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def _finished(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, _ = process.communicate(timeout=900)
    if process.returncode:
        sys.exit(f"{process.args} failed with {process.returncode}.")
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    console.print(found)
    return found


def _ms(seconds: float, runs: int = 1) -> str:
    each = seconds * 1000 / runs
    return f"{each:.3f}" if each < 1 else f"{each:.1f}" if each < 100 else f"{each:,.0f}"


def _ratio(seconds: float, ours: dict[str, Any]) -> str:
    ratio = seconds / ours["seconds"]
    return f"{ratio:.1f}" if ratio < 100 else f"{ratio:,.0f}"


if __name__ == "__main__":
    main()
