"""A grid of exits gives, at each point, the figures of a backtest with those exits."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest

from backtest.engine import backtest
from backtest.metrics import FIGURES
from backtest.panel import Panel, prepare
from core.errors import ConfigError
from research.grid import POINTS, grid
from tests.standins.feed import walk
from trading.costs import Costs
from trading.risk import Limits
from trading.strategies.registry import make_strategy

STOPS, TARGETS, TIMES = (None, 0.8, 3.0), (1.5, None), (None, 2, 9)
COSTS = Costs(1.0, 2.0)


@pytest.fixture(scope="module")
def panel() -> Panel:
    return prepare({"AAA": walk("AAA", dt.date(2015, 1, 2), dt.date(2019, 12, 31)).assign(vix=15.0)})


@pytest.mark.parametrize("limits", [None, Limits(1.0, 50.0, 1, max_drawdown_pct=2.0)], ids=["default limits", "own limits"])
@pytest.mark.parametrize("name", ["bollinger", "rsi"])
def test_each_point_has_the_figures_of_a_backtest_with_its_exits(panel: Panel, name: str, limits: Limits | None) -> None:
    frame = grid(panel, make_strategy(name), STOPS, TARGETS, TIMES, COSTS, limits)

    assert len(frame) == len(STOPS) * len(TARGETS) * len(TIMES)
    for row in frame.to_dict("records"):
        params: dict[str, Any] = {key: None if np.isnan(row[key]) else row[key] for key in POINTS}
        params["max_sessions"] = params["max_sessions"] and int(params["max_sessions"])
        alone = backtest(panel, make_strategy(name, params), COSTS, limits=limits).metrics
        expected = [np.nan if alone[figure] is None else alone[figure] for figure in FIGURES]
        np.testing.assert_allclose([row[figure] for figure in FIGURES], expected, rtol=1e-9, atol=1e-12, err_msg=str(params))


def test_the_number_of_threads_changes_nothing(panel: Panel) -> None:
    one, three = (grid(panel, make_strategy("bollinger"), STOPS, TARGETS, TIMES, COSTS, jobs=jobs) for jobs in (1, 3))

    assert one.equals(three)


def test_the_last_axis_runs_fastest(panel: Panel) -> None:
    frame = grid(panel, make_strategy("bollinger"), [1.0, 2.0], [None], [3, 4], COSTS)

    assert frame["stop_pct"].tolist() == [1.0, 1.0, 2.0, 2.0]
    assert frame["max_sessions"].tolist() == [3.0, 4.0, 3.0, 4.0]
    assert frame["target_pct"].isna().all()
    assert frame["trade_count"].dtype == np.int64


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        (([0.0], [1.0], [1]), "stop_pct: expected numbers above 0 and below 100, or None, found 0"),
        (([1.0], [-1.0], [1]), "target_pct: .* found -1"),
        (([1.0], [1.0], [0]), "max_sessions: .* found 0"),
        (([1.0], [], [1]), "target_pct: .* found no value"),
        (([float("nan")], [1.0], [1]), "stop_pct: .* found nan"),
    ],
)
def test_an_axis_out_of_range_is_refused(panel: Panel, axes: tuple[Any, Any, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        grid(panel, make_strategy("bollinger"), *axes, COSTS)


def test_several_symbols_are_refused(panel: Panel) -> None:
    bars = panel.frames["AAA"]
    both = prepare({"AAA": bars, "BBB": bars.assign(symbol="BBB")})

    with pytest.raises(ConfigError, match="expected one symbol, found 2"):
        grid(both, make_strategy("bollinger"), STOPS, TARGETS, TIMES, COSTS)
