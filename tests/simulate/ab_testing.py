"""Simulates A/B tests with and without a difference and writes the tables of docs/ab-testing.md. `make simulate-ab` runs it.

`python -m tests.simulate.ab_testing [TESTS]`; 4,000 tests a cell take about five minutes on two cores.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from ml.ab_testing.ab_test import AbTestTerms
from ml.ab_testing.simulate import WORLDS, World, judged, promotions
from tests.simulate.tables import percent, write_table

DOCUMENT = Path(__file__).parents[2] / "docs" / "ab-testing.md"
TERMS = AbTestTerms(resamples=1000)
BUSY, SPARSE = 0.3, 0.046  # candidates a symbol and session: 500 symbols would have more, the 19 of the corpus have 0.046
USUAL = "lasting dislikes"
EFFECTS = (0.0, 0.001, 0.0025, 0.005, 0.01, 0.02)
LENGTHS = (5, 10, 20, 40, 60, 120)


def false_promotions(tests: int) -> str:
    """How often a challenger that is no better is promoted, by rule and by world, after a fixed number of sessions."""
    names = ("World", "Sessions", "Pairs", "t-test of candidates", "Bootstrap alone", "Sign flip alone", "The judge")
    rows = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for name, world in WORLDS.items():
        for sessions in (5, 20, 60):
            found = promotions(world, sessions, TERMS, tests=tests)
            shown = " | ".join(percent(rate) for rate in (found.naive, found.bootstrap, found.flip, found.judge))
            rows.append(f"| {name} | {sessions} | {found.pairs:.0f} | {shown} |")
    return "\n".join(rows)


def as_done(tests: int) -> str:
    """The same for the whole procedure: extended until the samples suffice, the champion kept when they never do."""
    head = "| World | Candidates | Promoted without a difference | Decided | Mean sessions |\n|---|---|---|---|---|"
    rows = []
    for name, world in WORLDS.items():
        for label, chance in (("5.7 a session", BUSY), ("0.9 a session", SPARSE)):
            found = judged(replace(world, chance=chance), TERMS, tests=tests)
            rows.append(f"| {name} | {label} | {percent(found.promoted)} | {percent(found.decided)} | {found.sessions:.0f} |")
    return "\n".join([head, *rows])


def power(tests: int) -> str:
    """How often a challenger that is better by so much is promoted, by number of samples."""
    head = "| Candidates | Sessions | Pairs | " + " | ".join(f"{effect * 1e4:.0f} bps" for effect in EFFECTS) + " |"
    rows = [head, "|---" * (3 + len(EFFECTS)) + "|"]
    for label, chance in (("5.7 a session", BUSY), ("0.9 a session", SPARSE)):
        world = replace(WORLDS[USUAL], chance=chance)
        rows += [f"| {label} | {sessions} | {_power_row(world, sessions, tests)} |" for sessions in LENGTHS]
    return "\n".join(rows)


def power_as_done(tests: int) -> str:
    """How often the whole procedure promotes, by effect."""
    rows = [
        "| Candidates | " + " | ".join(f"{effect * 1e4:.0f} bps" for effect in EFFECTS) + " |",
        "|---" * (1 + len(EFFECTS)) + "|",
    ]
    for label, chance in (("5.7 a session", BUSY), ("0.9 a session", SPARSE)):
        world = replace(WORLDS[USUAL], chance=chance)
        rates = [judged(world, TERMS, effect=effect, tests=tests).promoted for effect in EFFECTS]
        rows.append(f"| {label} | {' | '.join(map(percent, rates))} |")
    return "\n".join(rows)


def main() -> None:
    tests = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    for step in (as_done, power_as_done, false_promotions, power):
        with Console().status(f"{step.__name__}, {tests:,} tests a cell ..."):
            write_table(DOCUMENT, step.__name__.replace("_", "-"), step(tests))
        Console().print(f"{step.__name__}: written to {DOCUMENT.name}")


def _power_row(world: World, sessions: int, tests: int) -> str:
    found = [promotions(world, sessions, TERMS, effect=effect, tests=tests) for effect in EFFECTS]
    return f"{found[0].pairs:.0f} | " + " | ".join(percent(each.judge) for each in found)


if __name__ == "__main__":
    main()
