"""Simulates comparisons of next-day models and writes their table into docs/training.md: `python -m tests.simulate.next_day`.

Returns, in units of their volatility, are half a market's and half a symbol's own, with fat tails and weeks that are wilder
than others. Both models' predictions spread by a twentieth of that and stay for days; the challenger's are worth something, or
nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from core.sessions import sessions_between
from ml.next_day.next_day_compare import NextDayTerms, decide_next_day
from tests.bench.peers.document import table, write_section

PAGE = Path(__file__).parents[2] / "docs" / "training.md"
SESSIONS = sessions_between(pd.Timestamp("2015-01-02").date(), pd.Timestamp("2016-12-30").date())
SYMBOLS, SPREAD, STAYS, DEGREES = 19, 0.05, 0.9, 4
SAVED = (0.0, 0.001, 0.002, 0.005, 0.01)
LENGTHS = (20, 60, 120)


def errors(rng: np.random.Generator, sessions: int, saved: float) -> pd.DataFrame:
    """Squared errors of both models; `saved` is the part of the champion's that the challenger saves on average."""
    market, own = (rng.standard_t(DEGREES, (sessions, width)) for width in (1, SYMBOLS))
    wild = np.exp(_lasting(rng, sessions, 1) / 2)
    moved = wild * (market + own) / 2 / np.exp(0.25)  # variance 1: each part has 2, and the squared lognormal a mean of e^0.5
    champion, challenger = (SPREAD * _lasting(rng, sessions, SYMBOLS) for _ in range(2))
    worth = saved / (2 * SPREAD**2)  # of the challenger's predictions: E[(y - a)^2] - E[(y - b)^2] = 2 * worth * SPREAD^2
    returns = moved + worth * challenger
    apart = {"champion": (returns - champion) ** 2, "challenger": (returns - challenger) ** 2}
    frame = {"session": np.repeat(SESSIONS[:sessions], SYMBOLS), **{name: each.ravel() for name, each in apart.items()}}
    return pd.DataFrame(frame)


def promoted(sessions: int, saved: float, tests: int) -> float:
    """Share of the comparisons that end in a promotion."""
    rng = np.random.default_rng([sessions, int(saved * 1e4)])
    terms = NextDayTerms(sessions=sessions, resamples=1000)
    return float(np.mean([decide_next_day(errors(rng, sessions, saved), terms).kind == "promote" for _ in range(tests)]))


def main() -> None:
    tests = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    rows = []
    for sessions in LENGTHS:
        with Console().status(f"{sessions} sessions, {tests:,} comparisons a cell ..."):
            rows.append([sessions, *(f"{promoted(sessions, saved, tests):.1%}" for saved in SAVED)])
    columns = ["Sessions", "no difference", *(f"saves {saved:.1%}" for saved in SAVED[1:])]
    said = f"{SYMBOLS} symbols, {tests:,} comparisons a cell."
    write_section("next-day-judge", f"{said}\n\n{table(columns, rows)}", PAGE)


def _lasting(rng: np.random.Generator, sessions: int, width: int) -> np.ndarray:
    """Normal numbers of variance 1 that keep nine tenths of yesterday's."""
    found = rng.normal(size=(sessions, width))
    for place in range(1, sessions):
        found[place] = STAYS * found[place - 1] + np.sqrt(1 - STAYS**2) * found[place]
    return found


if __name__ == "__main__":
    main()
