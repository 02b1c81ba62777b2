"""Random markets through the kernel and through the copy written for reading, for minutes. Owns the count of bars compared."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rich.progress import track

from backtest.kernel import QUANTITY, CostTerms, simulate
from tests.unit.backtest import reading_copy
from tests.unit.backtest.test_kernel import CASH, random_market, random_rules, random_terms, trades
from trading.fills import REASONS
from trading.risk import VERDICTS

if TYPE_CHECKING:
    from backtest.kernel import LineRules, Market

BARS = 2_000_000  # symbols times sessions, at least
CHUNK = 100  # markets a task


@dataclass(frozen=True)
class Count:
    """What was compared and found equal."""

    markets: int = 0
    bars: int = 0
    lines: int = 0
    trades: int = 0
    refusals: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))


def compare_many(bars: int = BARS, workers: int = 2) -> Count:
    """Compare until at least so many bars were; the first difference raises."""
    chunks = -(-bars // (CHUNK * 150))  # a market has 155 bars on average
    total = Count()
    with ProcessPoolExecutor(workers) as pool:
        first = 0
        while total.bars < bars:
            starts = range(first, first + chunks)
            for found in track(pool.map(_chunk, starts), description="markets compared", total=chunks):
                total += found
            first, chunks = first + chunks, 1 + (bars - total.bars) // (CHUNK * 150)
    return total


def _chunk(number: int) -> Count:
    return sum((_one(number * CHUNK + n) for n in range(CHUNK)), Count())


def _one(seed: int) -> Count:
    rng = np.random.default_rng([seed, 20])
    symbols, strategies, sessions = int(rng.integers(1, 5)), int(rng.integers(1, 4)), int(rng.integers(2, 121))
    market = random_market(rng, symbols, sessions)
    rules, terms = random_rules(rng, market, strategies), random_terms(rng)
    return compare_one(market, rules, terms, seed)


def compare_one(market: Market, rules: LineRules, terms: CostTerms, seed: int) -> Count:
    """Raise unless trades, equity, exposure and refusals are those of the reading copy."""
    log, equity, exposure, refused = simulate(market, rules, terms, CASH)
    copy = reading_copy.run(market, rules, terms, CASH)
    read = sorted(
        (x.line, x.side, x.decision, x.entry, x.exit, REASONS.index(x.reason), x.quantity, x.paid, x.got) for x in copy.done
    )
    made = trades(log)
    where = f"market {seed}"
    assert [row[:6] for row in made] == [row[:6] for row in read], where
    np.testing.assert_allclose([row[6:] for row in made], [row[6:] for row in read], rtol=1e-12, err_msg=where)
    np.testing.assert_allclose(equity, copy.equity, rtol=1e-12, err_msg=where)
    np.testing.assert_allclose(exposure, copy.exposure, rtol=1e-12, err_msg=where)
    assert refused.tolist()[1:] == [copy.refused[verdict] for verdict in VERDICTS[1:]], where
    assert (log.values[QUANTITY, : log.used[0]] > 0).all(), where
    return Count(1, market.open.size, rules.entry.size, len(made), int(refused[1:].sum()))
