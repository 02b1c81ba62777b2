"""Permutation test of a backtest's entries against the same entries at other times.

Random entries have the strategy's own exits, sides, levels and costs, and each line as many of them as it traded: what is left
to differ is when they were made.

References
----------
- Chung, Romano (2013), Exact and asymptotically robust permutation tests, The Annals of Statistics 41(2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from backtest.engine import cost_terms
from backtest.kernel import DECISION, LINE, NET, simulate_each
from backtest.panel import rules_of
from core.errors import ConfigError, DataError
from research.statistics import NOTHING
from trading.risk import Limits

if TYPE_CHECKING:
    import datetime as dt
    from typing import Self

    from numpy.typing import NDArray

    from backtest.kernel import LineRules
    from backtest.panel import Panel
    from trading.costs import Costs
    from trading.strategies.base import Strategy

    Array = NDArray[np.float64]
    Columns = NDArray[np.int64]


class RandomEntries(NamedTuple):
    """Outcome of the test.

    Attributes
    ----------
    p_value
        `(1 + draws as good or better) / (1 + draws)`: how often entries at other times do as well as the real ones. Good is how
        far a mean is above the usual one, over the spread of the trades behind it.
    mean
        Mean net return of a random trade, a fraction.
    draws
        (draws,) mean net return a trade of each draw.
    """

    p_value: float
    mean: float
    draws: Array


class _Group(NamedTuple):
    """Entries of one line and side: what each session would have brought, in order, and the places of the real ones in it."""

    outcome: Array
    places: Columns

    @classmethod
    def of(cls, outcome: Array, first: int, decided: Columns) -> Self:
        """From outcomes (sessions,), NaN where no entry was possible, from column `first` on, and columns of real decisions."""
        possible = np.flatnonzero(np.isfinite(outcome))
        possible = possible[possible >= first]
        return cls(outcome[possible], np.searchsorted(possible, decided))

    def sums(self, moves: Columns) -> Array:
        """Sums of the net returns of all entries after each move, and of their squares, (2, draws)."""
        found: Array = np.zeros((2, len(moves)))
        for place in self.places:
            moved = self.outcome[(place + moves) % len(self.outcome)]
            found[0] += moved
            found[1] += moved**2
        return found


def random_entries(
    trades: pd.DataFrame,
    panel: Panel,
    strategy: Strategy | Sequence[Strategy],
    costs: Costs,
    *,
    start: dt.date | None = None,
    draws: int = 1000,
    seed: int = 7,
) -> RandomEntries | None:
    """Compare the mean net return of trades with that of the same entries moved to other sessions.

    A draw moves all entries on by the same random number of sessions, round the end of each line's history to its beginning.
    So they keep their clusters, in time and over symbols that fall together. Drawn one by one they would spread that risk, and
    luck on a few common days would pass for skill. Means are compared over their own spread (Chung and Romano 2013): where the
    exit rule holds already, a random trade is over in a session, and many such trades hardly vary.

    Parameters
    ----------
    trades
        TRADES of a backtest of `strategy` on `panel`, all or some.
    start
        Of that backtest; no entry is moved before it, or before the line's first signal, when the rule had warmed up.

    Returns
    -------
    RandomEntries | None
        None without trades, and with no other session to move them to.
    """
    if draws < 1:
        raise ConfigError(f"Draws of random entries: expected 1 or more, found {draws}.")
    if trades.empty:
        return None
    strategies = list(strategy) if isinstance(strategy, Sequence) else [strategy]
    rules, rng = rules_of(panel, strategies), np.random.default_rng(seed)
    line, decision = _places(trades, panel, rules, sorted(each.name for each in strategies))
    side = trades["side"].to_numpy()
    warm = _first_signals(rules, int(panel.sessions.searchsorted(pd.Timestamp(start))) if start else 0)
    known = {each: _outcomes(panel, rules, costs, each, rng) for each in np.unique(side)}
    groups = [
        _Group.of(known[s][i], warm[i], decision[(line == i) & (side == s)])
        for i in np.unique(line)
        for s in np.unique(side[line == i])
    ]
    longest = max(len(group.outcome) for group in groups)
    if longest < 2:  # noqa: PLR2004  # one session cannot be moved
        return None
    moves = rng.integers(1, longest, draws)
    total, squares = np.sum([group.sums(moves) for group in groups], axis=0)
    return _compare(trades["net_return"].to_numpy(dtype=np.float64), total / len(trades), squares / len(trades))


def _compare(real: Array, means: Array, mean_squares: Array) -> RandomEntries:
    """Real net returns (trades,) against the mean, and the mean of squares, of each draw (draws,)."""
    usual = float(means.mean())
    spreads = np.sqrt(np.maximum(mean_squares - means**2, 0.0))
    if real.std() > NOTHING:
        t_real, t_drawn = (real.mean() - usual) / real.std(), (means - usual) / np.maximum(spreads, NOTHING)
    else:  # one trade, or all alike
        t_real, t_drawn = real.mean(), means
    exceeding = int(np.count_nonzero(t_drawn >= t_real - NOTHING))
    return RandomEntries((1 + exceeding) / (1 + len(means)), usual, means)


def _places(trades: pd.DataFrame, panel: Panel, rules: LineRules, names: Sequence[str]) -> tuple[Columns, Columns]:
    """Line and column of each trade's decision, (trades,) each."""
    strategy = pd.Index(names).get_indexer(pd.Index(trades["strategy"]))
    symbol = pd.Index(panel.symbols).get_indexer(pd.Index(trades["symbol"]))
    line, column = (
        strategy * len(panel.symbols) + symbol,
        panel.sessions.get_indexer(pd.DatetimeIndex(trades["decision_session"])),
    )
    known = (strategy >= 0) & (symbol >= 0) & (column >= 0)
    strange = np.flatnonzero(~known | (rules.entry[line, column] != trades["side"].to_numpy()))
    if len(strange):
        odd = trades.iloc[strange[0]]
        raise DataError(
            f"Trades: expected signals of {', '.join(names)} on the panel, found one in {odd['symbol']} on "
            f"{odd['decision_session']:%Y-%m-%d} that is none. Give the panel and the strategies of the backtest."
        )
    return line, column


def _first_signals(rules: LineRules, first: int) -> Columns:
    """Column of each line's first signal, (lines,), `first` at the least; before it the rule may not have warmed up."""
    found: Columns = np.maximum((rules.entry != 0).argmax(axis=1), first)
    return found


def _outcomes(panel: Panel, rules: LineRules, costs: Costs, side: int, rng: np.random.Generator) -> Array:
    """Net return of an entry on `side` at each column of each line, (lines, sessions); NaN where none was possible.

    Stop and target are those of a signal of the line on that side, drawn for each session: most rules have the same for all.
    """
    everywhere = rules._replace(
        entry=np.zeros_like(rules.entry), stop_pct=rules.stop_pct.copy(), target_pct=rules.target_pct.copy()
    )
    for i, entry in enumerate(rules.entry):
        signals = np.flatnonzero(entry == side)
        if len(signals):
            drawn = rng.choice(signals, len(entry))
            everywhere.entry[i] = side
            everywhere.stop_pct[i], everywhere.target_pct[i] = rules.stop_pct[i, drawn], rules.target_pct[i, drawn]
    log = simulate_each(panel.market, everywhere, cost_terms(costs, Limits()))
    n = int(log.used[0])
    found = np.full(rules.entry.shape, np.nan)
    found[log.rows[LINE, :n], log.rows[DECISION, :n]] = log.values[NET, :n]
    return found
