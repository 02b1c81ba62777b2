"""The search on one training window: it sees no later bar, says what rejected what, and comes out the same each time."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from backtest.engine import backtest
from core.errors import ConfigError
from research.search import METRICS, Best, Constraints, Refused, Task, Tried, choose_best, optimise_window, size_of
from research.spaces import SPACES, Choice, Range, grid, space_of
from tests.standins.feed import walk
from trading.costs import Costs
from trading.risk import Limits
from trading.strategies.registry import STRATEGIES, make_strategy

if TYPE_CHECKING:
    from pathlib import Path

    from research.spaces import Space

FIRST, LAST, END = dt.date(2016, 1, 4), dt.date(2017, 12, 29), dt.date(2018, 12, 31)
FREE = Constraints(None, None, None)
COSTS, LIMITS = Costs(commission_bps=1.0, slippage_bps=2.0), Limits()


@pytest.fixture(scope="module")
def bars() -> dict[str, pd.DataFrame]:
    return {name: walk(name, dt.date(2015, 1, 2), END).assign(vix=20.0) for name in ("AAA", "BBB", "CCC")}


def task(**changes: Any) -> Task:
    return replace(Task("bollinger", FIRST, LAST, COSTS, LIMITS, constraints=FREE), **changes)


def spoilt(bars: dict[str, pd.DataFrame], after: dt.date) -> dict[str, pd.DataFrame]:
    """The same past; noise for a future."""
    rng = np.random.default_rng(3)
    found = {}
    for symbol, original in bars.items():
        frame = original.copy()
        late = frame["session"] > pd.Timestamp(after)
        close = 500 * np.exp(np.cumsum(rng.normal(0, 0.05, int(late.sum()))))
        frame.loc[late, ["open", "close", "adj_close"]] = np.column_stack([close] * 3)
        frame.loc[late, "high"], frame.loc[late, "low"] = close * 1.02, close * 0.98
        found[symbol] = frame
    return found


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_noise_for_a_future_changes_no_trial(bars: dict[str, pd.DataFrame], strategy: str) -> None:
    here: list[Tried] = []
    there: list[Tried] = []

    chosen = optimise_window(bars, task(strategy=strategy), trials=8, seed=5, on_trial=here.append)
    again = optimise_window(spoilt(bars, LAST), task(strategy=strategy), trials=8, seed=5, on_trial=there.append)

    assert len(here) == 8
    assert here == there
    assert chosen == again


@pytest.mark.parametrize("sampler", ["tpe", "grid"])
def test_the_same_seed_finds_the_same(bars: dict[str, pd.DataFrame], sampler: Any) -> None:
    first = optimise_window(bars, task(), trials=32, sampler=sampler, seed=7)

    assert isinstance(first, Best)
    assert optimise_window(bars, task(), trials=32, sampler=sampler, seed=7) == first


def test_the_best_is_what_the_engine_says_and_no_trial_is_better(bars: dict[str, pd.DataFrame]) -> None:
    seen: list[Tried] = []
    best = optimise_window(bars, task(metric="sharpe"), trials=20, seed=1, on_trial=seen.append)

    assert isinstance(best, Best)
    assert best.value == max(one.value for one in seen if one.value is not None and not one.rejected_by)
    trained = {symbol: frame[frame["session"] <= pd.Timestamp(LAST)] for symbol, frame in bars.items()}
    alone = backtest(trained, make_strategy("bollinger", best.params), COSTS, limits=LIMITS, start=FIRST)
    assert best.metrics["sharpe"] == pytest.approx(alone.metrics["sharpe"])
    assert best.metrics["trade_count"] == alone.metrics["trade_count"]


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_can_be_asked_for(bars: dict[str, pd.DataFrame], metric: Any) -> None:
    assert isinstance(optimise_window(bars, task(metric=metric), trials=5, seed=2), Best)


def test_an_unknown_metric_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"expected one of profit_per_trade, .* found 'sharp'"):
        task(metric="sharp")


def test_nothing_feasible_says_which_constraint_rejected_how_many(bars: dict[str, pd.DataFrame]) -> None:
    seen: list[Tried] = []
    refused = optimise_window(bars, task(constraints=Constraints(50.0, None, 1.5)), trials=12, seed=1, on_trial=seen.append)

    assert isinstance(refused, Refused)
    assert refused.trials == 12
    assert refused.rejected["min_profit_per_trade_pct"] == 12, "nothing earns 50 % a trade"
    lost_nothing = [one for one in seen if one.metrics and one.metrics["profit_factor"] is None and one.value]
    reached = [one for one in seen if one.metrics and (one.metrics["profit_factor"] or 0) >= 1.5]
    assert refused.rejected["min_profit_factor"] == 12 - len(reached) - len(lost_nothing)
    assert "All 12 trials rejected: min_profit_per_trade_pct 12" in str(refused)


def test_constraints_fall_short_by_shares_of_what_they_ask() -> None:
    figures: dict[str, Any] = {"profit_per_trade": 0.005, "trades_per_month": 6.0, "profit_factor": 3.0}

    short = Constraints().violations(figures)

    assert short == pytest.approx({"min_profit_per_trade_pct": 0.5, "min_trades_a_month": -0.5, "min_profit_factor": -1.0})
    assert Constraints(None, 4.0, None).violations(figures) == pytest.approx({"min_trades_a_month": -0.5})


def test_no_loss_meets_any_profit_factor_and_no_trade_meets_none() -> None:
    spotless: dict[str, Any] = {"profit_per_trade": 0.02, "trades_per_month": 6.0, "profit_factor": None}
    idle: dict[str, Any] = {"profit_per_trade": None, "trades_per_month": 0.0, "profit_factor": None}

    assert Constraints().violations(spotless)["min_profit_factor"] < 0
    assert all(shortfall > 0 for shortfall in Constraints().violations(idle).values())


def test_of_equals_the_earliest_is_chosen() -> None:
    seen = [Tried(0, {"a": 1}, {}, 1.0), Tried(1, {"a": 2}, {}, 2.0), Tried(2, {"a": 3}, {}, 2.0)]
    best = choose_best(seen)

    assert isinstance(best, Best)
    assert best.params == {"a": 2}


def test_a_strategy_that_raises_is_a_refusal_that_quotes_it(bars: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text(
        "from pydantic import Field\n"
        "from trading.strategies.base import Parameters\n"
        "class Broken(Parameters):\n"
        "    name, entry, exit = 'broken', 'next_open', 'next_open'\n"
        "    max_sessions: int = Field(3, ge=1, le=9)\n"
        "    def signals(self, bars):\n"
        "        raise ArithmeticError('no idea')\n"
    )

    refused = optimise_window(bars, task(strategy=f"{own}:Broken"), trials=3, seed=1)

    assert isinstance(refused, Refused)
    assert refused.rejected == {"failed": 3}
    assert "ArithmeticError: no idea" in str(refused)


def test_a_study_goes_on_where_it_stopped(bars: dict[str, pd.DataFrame]) -> None:
    from optuna.storages import InMemoryStorage

    kept, numbers = InMemoryStorage(), []
    terms: dict[str, Any] = {"storage": kept, "study_name": "w1", "total": 10, "seed": 3}
    optimise_window(bars, task(), trials=4, **terms)
    found = optimise_window(bars, task(), trials=10, on_trial=lambda one: numbers.append(one.number), **terms)

    assert numbers == [4, 5, 6, 7, 8, 9]
    assert isinstance(found, Best)
    assert found.trials == 10


def test_a_grid_is_as_fine_as_its_trials_allow() -> None:
    space: Space = {"a": Range(10, 50, 10), "b": Choice(("x", "y")), "c": Range(1.0, 2.0, 0.5, off=True)}

    assert grid(space, 40) == {"a": [10, 20, 30, 40, 50], "b": ["x", "y"], "c": [1.0, 1.5, 2.0, None]}
    assert grid(space, 8)["a"] == [10, 50]
    assert size_of("gap", "grid", 24) == 24
    assert size_of("gap", "tpe", 24) == 24


@pytest.mark.parametrize("strategy", sorted(SPACES))
def test_every_point_of_a_space_is_a_valid_strategy(strategy: str) -> None:
    for name, dimension in space_of(strategy).items():
        for value in dimension.points(50):
            assert make_strategy(strategy, {name: value}).describe()[name] == value


def test_what_cannot_be_searched_is_said(tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text(
        "from trading.strategies.base import Parameters\n"
        "class Fixed(Parameters):\n"
        "    name, entry, exit = 'fixed', 'next_open', 'next_open'\n"
        "    label: str = 'x'\n"
    )
    with pytest.raises(ConfigError, match="nothing to optimise"):
        space_of(f"{own}:Fixed")
    with pytest.raises(ConfigError, match="Did you mean 'bollinger'"):
        space_of("bolinger")
    with pytest.raises(ConfigError, match="low <= high"):
        Range(2, 1, 1)
    with pytest.raises(ConfigError, match="trials: expected 1 or more, found 0"):
        size_of("rsi", "tpe", 0)


def test_steps_are_numbers_that_a_person_would_write() -> None:
    import optuna

    stepped = Range(0.75, 0.99, 0.02)
    trial = optuna.trial.FixedTrial({"compressed": 0.9299999999999999})

    assert stepped.suggest(trial, "compressed") == 0.93  # type: ignore[arg-type]  # a trial but in name
    assert 0.93 in stepped.points(50)
