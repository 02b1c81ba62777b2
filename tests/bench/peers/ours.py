"""What the engine is timed on, each piece in a process of its own: `python -m tests.bench.peers.ours PIECE`. Owns no peer.

Frames of bars go in and panels are prepared inside the timing; the last line of the output is JSON.
"""

from __future__ import annotations

import json
import resource
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest.engine import backtest
from backtest.panel import prepare
from research.grid import grid
from tests.bench.peers.rules import best_seconds
from tests.bench.peers.workload import SESSIONS, STRATEGIES, random_bars
from trading.costs import Costs
from trading.strategies.registry import make_strategy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
COSTS = Costs(1.0, 2.0)
TARGETS, LIMITS = np.linspace(0.5, 8, 20), range(1, 21)  # with 25 stops, 10,000 points
TIMES = 20  # short runs on a machine that others may use


def sixty() -> dict[str, Any]:
    """Each of four strategies on each of 15 symbols: signals, trades, equity, all metrics; and the same with frames made."""
    bars, strategies = random_bars(15), [make_strategy(name) for name in STRATEGIES]

    def run(*, frames: bool) -> int:
        trades = 0
        for symbol, frame in bars.items():
            panel = prepare({symbol: frame})
            for strategy in strategies:
                result = backtest(panel, strategy, COSTS)
                trades += int(result.metrics["trade_count"] or 0)
                if frames:
                    _ = result.trades, result.equity
        return trades

    wall, seconds, trades = best_seconds(lambda: run(frames=False), TIMES)
    _, with_frames, _ = best_seconds(lambda: run(frames=True), TIMES)
    return {"wall": wall, "seconds": seconds, "with_frames": with_frames, "runs": len(bars) * len(strategies), "trades": trades}


def sweep(points: int = 10_000, jobs: int = 2) -> dict[str, Any]:
    """Stops, targets and time limits of one rule on one symbol: signals and metrics of each point."""
    bars, strategy = random_bars(1), make_strategy(STRATEGIES[0])
    stops = np.linspace(0.5, 5, points // (len(TARGETS) * len(LIMITS)))

    def run() -> int:
        return len(grid(prepare(bars), strategy, stops, TARGETS, LIMITS, COSTS, jobs=jobs))

    wall, seconds, found = best_seconds(run, TIMES)
    return {"wall": wall, "seconds": seconds, "points": found, "peak_mb": _peak_mb()}


def large(sessions: int = SESSIONS) -> dict[str, Any]:
    """500 symbols with one strategy: each alone, and all in one portfolio."""
    bars, strategy = random_bars(500, sessions), make_strategy(STRATEGIES[0])

    def alone() -> None:
        for symbol, frame in bars.items():
            backtest(prepare({symbol: frame}), strategy, COSTS)

    return {
        "alone": best_seconds(alone, 3)[1],
        "portfolio": best_seconds(lambda: backtest(prepare(bars), strategy, COSTS), 3)[1],
        "peak_mb": _peak_mb(),
    }


def _peak_mb() -> float:
    """Most memory this process ever held, interpreter and libraries included."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


PIECES: Mapping[str, Callable[..., dict[str, Any]]] = {"sixty": sixty, "sweep": sweep, "large": large}


def main() -> None:
    """Run one piece; numbers after its name are its arguments."""
    sys.stdout.write(json.dumps(PIECES[sys.argv[1]](*map(int, sys.argv[2:]))) + "\n")


if __name__ == "__main__":
    main()
