"""The permutation test: by hand on a few sessions, on markets without an edge, and on a planted one."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
import pytest

from backtest.engine import backtest
from backtest.panel import Panel, prepare, rules_of
from core.errors import ConfigError, DataError
from core.frames import TRADES
from core.sessions import sessions_between
from research.random_entries import _outcomes, _places, random_entries
from trading.costs import Costs
from trading.risk import Limits
from trading.strategies.base import Strategy, to_signals
from trading.strategies.registry import make_strategy

FREE = Costs(0.0, 0.0)
ALL = Limits(max_positions=1000)


@dataclass(frozen=True)
class Marked:
    """Enters at the open of the sessions with these numbers, on the side given, and leaves at the close."""

    entries: dict[int, int] = field(hash=False)
    stop_pct: float | None = None
    short_stop_pct: float | None = None

    name: ClassVar[str] = "marked"
    entry: ClassVar[Literal["open"]] = "open"
    exit: ClassVar[Literal["close"]] = "close"
    max_sessions: ClassVar[int | None] = 1

    def signals(self, bars: pd.DataFrame) -> pd.DataFrame:
        entry = np.array([self.entries.get(i, 0) for i in range(len(bars))])
        stop_pct = np.where(entry > 0, self.stop_pct or np.nan, np.where(entry < 0, self.short_stop_pct or np.nan, np.nan))
        return to_signals(bars, entry=entry, stop_pct=stop_pct)

    def describe(self) -> dict[str, Any]:
        return {}


def days_that_return(*percent: float, symbol: str = "A") -> pd.DataFrame:
    """Bars that open at 100 and return so much until the close."""
    close = 100 + np.array(percent, dtype=np.float64)
    days = sessions_between(dt.date(2017, 1, 3), dt.date(2018, 12, 31))[: len(close)]
    high, low = np.maximum(close, 100), np.minimum(close, 100)
    frame = {"symbol": symbol, "session": days, "open": 100.0, "high": high, "low": low, "close": close}
    return pd.DataFrame(frame).assign(volume=1e6, vix=20.0)


def market(seed: int, *, symbols: int = 8, common: float = 0.7) -> Panel:
    """Seven years of random walks that share most of their moves, day and night."""
    days = sessions_between(dt.date(2012, 1, 3), dt.date(2018, 12, 31))
    rng = np.random.default_rng(seed)

    def moves(spread: float) -> np.ndarray:
        own, shared = rng.normal(0, spread, (symbols, len(days))), rng.normal(0, spread, len(days))
        return common**0.5 * shared + (1 - common) ** 0.5 * own

    night, day = moves(0.008), moves(0.01)
    close = 100 * np.exp(np.cumsum(night + day, axis=1))
    open_ = close / np.exp(day)
    high, low = np.maximum(open_, close) * 1.003, np.minimum(open_, close) * 0.997
    columns = zip(open_, high, low, close, strict=True)
    return prepare(
        {
            f"S{n}": pd.DataFrame(
                {"symbol": f"S{n}", "session": days, "open": o, "high": h, "low": lo, "close": c, "volume": 1e6, "vix": 20.0}
            )
            for n, (o, h, lo, c) in enumerate(columns)
        }
    )


def trades_of(panel: Panel, strategy: Strategy, costs: Costs = FREE, start: dt.date | None = None) -> pd.DataFrame:
    return backtest(panel, strategy, costs, limits=ALL, start=start).trades


# ---- by hand


def test_two_entries_are_moved_together_round_the_end() -> None:
    panel, strategy = prepare({"A": days_that_return(1, 2, 3, 4, 5)}), Marked({0: 1, 1: 1})

    found = random_entries(trades_of(panel, strategy), panel, strategy, FREE, draws=200)

    assert found is not None
    assert set(found.draws.round(9)) == {0.025, 0.035, 0.045, 0.03}  # 2 and 3, 3 and 4, 4 and 5, 5 and 1
    assert found.mean == pytest.approx(found.draws.mean())


def test_the_best_session_is_beaten_by_none_and_the_worst_by_all() -> None:
    for percent, expected in (((5, 1, 2, 0, -1), 1 / 101), ((-5, 1, 2, 0, -1), 1.0)):
        panel, strategy = prepare({"A": days_that_return(*percent)}), Marked({0: 1})

        found = random_entries(trades_of(panel, strategy), panel, strategy, FREE, draws=100)

        assert found is not None
        assert found.p_value == pytest.approx(expected)


def test_shorts_stay_shorts() -> None:
    panel, strategy = prepare({"A": days_that_return(1, 2, 3)}), Marked({0: 1, 1: -1})

    found = random_entries(trades_of(panel, strategy), panel, strategy, FREE, draws=50)

    assert found is not None
    assert set(found.draws.round(9)) == {-0.005, 0.01}  # long 2 short 3, long 3 short 1


def test_no_entry_is_moved_before_the_first_signal_or_before_the_start() -> None:
    panel = prepare({"A": days_that_return(90, 80, 1, 1, 1, 1)})
    early, late = Marked({0: 1, 3: 1}), Marked({3: 1})
    started = random_entries(
        trades_of(panel, early, start=panel.sessions[2].date()), panel, early, FREE, start=panel.sessions[2]
    )
    warmed = random_entries(trades_of(panel, late), panel, late, FREE)

    for found in (started, warmed):
        assert found is not None
        assert set(found.draws.round(9)) == {0.01}


def test_sessions_without_a_bar_are_not_entered() -> None:
    frame = days_that_return(1, 2, 50, 4, 5)
    panel, strategy = prepare({"A": frame.drop(index=2)}), Marked({0: 1})

    found = random_entries(trades_of(panel, strategy), panel, strategy, FREE, draws=100)

    assert found is not None
    assert set(found.draws.round(9)) == {0.02, 0.04, 0.05}


def test_a_stop_that_stands_beside_signals_alone_is_that_of_every_entry() -> None:
    panel, strategy = prepare({"A": days_that_return(3, -10, -20, -30)}), Marked({0: 1}, stop_pct=2.0)

    found = random_entries(trades_of(panel, strategy), panel, strategy, FREE, draws=50)

    assert found is not None
    assert set(found.draws.round(9)) == {-0.02}


def test_the_stop_of_a_long_is_not_that_of_a_short() -> None:
    panel = prepare({"A": days_that_return(-9, 9, *[-9, 9] * 10)})
    strategy = Marked({0: 1, 1: -1}, stop_pct=1.0, short_stop_pct=5.0)

    found = random_entries(trades_of(panel, strategy), panel, strategy, FREE, draws=50)

    assert found is not None
    assert set(found.draws.round(9)) == {-0.03, 0.09}  # both stopped: -1 % and -5 %; both right: 9 % each


def test_each_line_keeps_its_number_of_entries_and_its_costs() -> None:
    """Three entries in A, which always returns 1 %, and one in B, which returns nothing, each at a cost of about 0.06 %."""
    panel = prepare({"A": days_that_return(*[1] * 9), "B": days_that_return(*[0] * 9, symbol="B")})
    strategy = Marked({0: 1, 2: 1, 5: 1})
    trades = trades_of(panel, strategy, Costs(1.0, 2.0))

    found = random_entries(trades.iloc[:4], panel, strategy, Costs(1.0, 2.0), draws=20)

    assert trades["symbol"].tolist() == ["A"] * 3 + ["B"] * 3
    assert found is not None
    assert found.draws == pytest.approx([0.0075 - 0.0006] * 20, abs=1e-5)
    assert found.p_value == 1.0, "all alike: nothing is better"


def test_an_entry_that_is_not_moved_returns_what_the_backtest_says() -> None:
    panel, strategy, costs = market(1, symbols=3), make_strategy("bollinger"), Costs()
    trades = trades_of(panel, strategy, costs)
    rules = rules_of(panel, [strategy])

    line, decision = _places(trades, panel, rules, ["bollinger"])
    known = _outcomes(panel, rules, costs, 1, np.random.default_rng(0))

    assert len(trades) > 200
    assert known[line, decision] == pytest.approx(trades["net_return"].to_numpy())


def test_a_seed_gives_the_same_draws_and_the_order_of_trades_does_not_matter() -> None:
    panel, strategy = market(2, symbols=3), make_strategy("bollinger")
    trades = trades_of(panel, strategy)
    first, again = (random_entries(trades, panel, strategy, FREE, seed=5, draws=50) for _ in range(2))
    shuffled = random_entries(trades.sample(frac=1, random_state=1), panel, strategy, FREE, seed=5, draws=50)
    other = random_entries(trades, panel, strategy, FREE, seed=6, draws=50)

    assert first is not None
    assert again is not None
    assert shuffled is not None
    assert other is not None
    assert (first.draws == again.draws).all()
    assert shuffled.draws == pytest.approx(first.draws)
    assert (first.draws != other.draws).any()


def test_several_strategies_are_tested_together() -> None:
    panel, both = market(3, symbols=2), [make_strategy("gap"), make_strategy("bollinger")]
    trades = backtest(panel, both, FREE, limits=ALL).trades

    found = random_entries(trades, panel, both, FREE, draws=100)

    assert found is not None
    assert 0 < found.p_value <= 1


# ---- undefined and refused


def test_without_trades_or_another_session_there_is_no_test() -> None:
    panel, strategy = prepare({"A": days_that_return(1)}), Marked({0: 1})

    assert random_entries(TRADES.empty(), panel, strategy, FREE) is None
    assert random_entries(trades_of(panel, strategy), panel, strategy, FREE) is None


def test_trades_of_another_strategy_or_panel_are_refused() -> None:
    panel, strategy = prepare({"A": days_that_return(1, 2, 3)}), Marked({0: 1})
    trades = trades_of(panel, strategy)

    with pytest.raises(DataError, match=r"signals of marked on the panel, found one in A on 2017-01-03 that is none"):
        random_entries(trades, panel, Marked({1: 1}), FREE)
    with pytest.raises(DataError, match="found one in X"):
        random_entries(trades.assign(symbol="X"), panel, strategy, FREE)


def test_no_draws_are_refused() -> None:
    panel, strategy = prepare({"A": days_that_return(1, 2)}), Marked({0: 1})

    with pytest.raises(ConfigError, match="1 or more, found 0"):
        random_entries(trades_of(panel, strategy), panel, strategy, FREE, draws=0)


# ---- without an edge, and with one


@pytest.mark.parametrize("name", ["bollinger", "gap", "zscore"])
def test_on_random_walks_that_fall_together_p_values_are_spread_evenly(name: str) -> None:
    """Entries drawn one by one put 8, 13 and 18 % of these p-values under 0.05."""
    strategy = make_strategy(name)
    found = []
    for seed in range(60):
        panel = market(seed + 10, symbols=5)
        tested = random_entries(trades_of(panel, strategy), panel, strategy, FREE, draws=200)
        found.append(tested.p_value if tested else 0.0)
    values = np.array(found)

    assert np.sum(values <= 0.05) <= 8  # three are expected; more than eight come once in 250 times
    assert np.sum(values >= 0.95) <= 8
    assert np.mean(values) == pytest.approx(0.5, abs=0.13)


def test_a_planted_edge_is_found() -> None:
    """Days return 1 % more than others after the sessions that are marked."""
    rng = np.random.default_rng(8)
    percent = rng.normal(0, 1, 500)
    marked = rng.choice(500, 60, replace=False)
    percent[marked] += 1.0
    panel = prepare({"A": days_that_return(*percent)})
    strategy = Marked(dict.fromkeys(marked.tolist(), 1))

    found = random_entries(trades_of(panel, strategy), panel, strategy, FREE)

    assert found is not None
    assert found.p_value < 0.01
