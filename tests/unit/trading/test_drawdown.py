"""The levels of a drawdown and what a limit that contradicts itself says."""

from __future__ import annotations

import math

import pytest

from core.errors import ConfigError
from trading.drawdown import DrawdownLimits, Level, drawdown_pct


@pytest.mark.parametrize(
    ("equity", "level"),
    [
        (100_500.0, Level.OK),
        (99_000.01, Level.OK),
        (99_000.0, Level.ALERT),
        (98_000.01, Level.ALERT),
        (98_000.0, Level.HALT),
        (0.01, Level.HALT),
        (0.0, Level.ALERT),
        (-5.0, Level.ALERT),
        (math.nan, Level.ALERT),
        (math.inf, Level.ALERT),
        (-math.inf, Level.ALERT),
        (1.8e308, Level.ALERT),
    ],
)
def test_a_limit_is_broken_when_it_is_reached(equity: float, level: Level) -> None:
    assert DrawdownLimits(1.0, 2.0).level(equity, 100_000.0) is level


def test_the_depth_is_in_percent_of_the_peak_and_never_negative() -> None:
    assert drawdown_pct(98_500.0, 100_000.0) == pytest.approx(1.5)
    assert drawdown_pct(101_000.0, 100_000.0) == 0.0


@pytest.mark.parametrize(
    ("equity", "level", "depth"), [(0.0, Level.OK, 0.0), (-500.0, Level.ALERT, 100.0), (10.0, Level.OK, 0.0)]
)
def test_an_account_that_never_had_money_has_lost_none_unless_it_owes_some(equity: float, level: Level, depth: float) -> None:
    assert DrawdownLimits(1.0, 2.0).level(equity, 0.0) is level
    assert drawdown_pct(equity, 0.0) == depth


@pytest.mark.parametrize("limits", [(2.0, 1.0), (0.0, 2.0), (-1.0, 2.0)])
def test_an_alert_after_the_halt_is_refused(limits: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match="expected 0 < alert <= halt"):
        DrawdownLimits(*limits)
