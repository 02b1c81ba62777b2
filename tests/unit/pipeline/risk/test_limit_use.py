"""States and distances of limits."""

from __future__ import annotations

import pytest

from pipeline.risk.limit_use import LimitUse


def use(limit: float | None, used: float | None, **more: object) -> LimitUse:
    return LimitUse("name", "SETTING", "unit", limit, used, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("limit", "used", "more", "state"),
    [
        (40.0, 31.9, {}, "ok"),
        (40.0, 32.0, {}, "warning"),
        (40.0, 40.0, {}, "warning"),  # full, and not beyond
        (40.0, 40.0 + 1e-10, {}, "warning"),  # what was sized to fit it in floats
        (40.0, 40.1, {}, "breach"),
        (2.0, 2.0, {"inclusive": True}, "breach"),  # a drawdown breaks its limit when it reaches it
        (2.0, 1.99, {"inclusive": True, "warned_at": 1.0}, "warning"),
        (2.0, 0.99, {"inclusive": True, "warned_at": 1.0}, "ok"),
        (48.0, 47.9, {"at_least": True}, "breach"),
        (48.0, 48.0, {"at_least": True}, "ok"),
        (2.0, 1.0, {"at_least": True, "pauses": True}, "warning"),
        (0.0, 0.0, {}, "ok"),
        (0.0, 1.0, {}, "breach"),
        (-0.5, -0.6, {}, "ok"),
        (-0.5, -0.4, {}, "breach"),
        (None, 3.0, {}, "off"),
        (3.0, None, {}, "unknown"),
        (3.0, float("nan"), {}, "unknown"),
    ],
)
def test_the_state_of_a_limit(limit: float | None, used: float | None, more: dict[str, object], state: str) -> None:
    assert use(limit, used, **more).state == state


@pytest.mark.parametrize(
    ("limit", "used", "at_least", "distance", "pct"),
    [
        (40.0, 30.0, False, 10.0, 25.0),
        (40.0, 50.0, False, -10.0, -25.0),
        (48.0, 60.0, True, 12.0, 25.0),
        (0.0, 2.0, False, -2.0, None),
        (None, 2.0, False, None, None),
        (2.0, None, False, None, None),
    ],
)
def test_the_distance_in_the_limits_unit_and_in_percent(
    limit: float | None, used: float | None, at_least: bool, distance: float | None, pct: float | None
) -> None:
    found = use(limit, used, at_least=at_least)

    assert (found.distance, found.distance_pct) == (distance, pct)
