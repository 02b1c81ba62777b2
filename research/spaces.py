"""Search spaces of the strategies' parameters: a sensible range for each; a strategy itself decides what is valid.

The bounds in a strategy's types say what is valid; a search over them would try averages of a thousand sessions. The ranges
here say what is worth trying. They were written down before any optimisation was run; to change one is a new search.
"""

from __future__ import annotations

import math
import types
import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import ConfigError
from trading.strategies.registry import STRATEGIES, make_strategy, split_preset

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optuna import Trial

FEWEST_POINTS, MOST_POINTS = 2, 50
STEPS = 20  # of a range that is only bounded


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included, in steps of `step`; whole numbers when all three are.

    Parameters
    ----------
    off
        None is tried as well: no stop, no target, no time limit.
    """

    low: float
    high: float
    step: float
    off: bool = False

    def __post_init__(self) -> None:
        numbers = (self.low, self.high, self.step)
        if not all(math.isfinite(number) for number in numbers) or self.low > self.high or self.step <= 0:
            raise ConfigError(f"Range: expected low <= high and a step above 0, all finite, found {self}.")

    @property
    def whole(self) -> bool:
        """True when the values are integers."""
        return all(isinstance(number, int) for number in (self.low, self.high, self.step))

    def suggest(self, trial: Trial, name: str) -> float | None:
        """Ask the trial for a value; whether the parameter is on is a choice of its own, so that numbers keep their order."""
        if self.off and not trial.suggest_categorical(f"{name}.on", [True, False]):
            return None
        if self.whole:
            return trial.suggest_int(name, int(self.low), int(self.high), step=int(self.step))
        return round(trial.suggest_float(name, self.low, self.high, step=self.step), 10)  # 0.93, not 0.9299999999999999

    def points(self, count: int) -> list[float | None]:
        """At most `count` values over the whole range, on its steps, and None when it may be off.

        >>> Range(10, 50, 5).points(3), Range(1.0, 2.0, 0.5, off=True).points(9)
        ([10, 30, 50], [1.0, 1.5, 2.0, None])
        """
        steps = math.floor((self.high - self.low) / self.step + 1e-9)
        at = np.unique(np.rint(np.linspace(0, steps, min(count, steps + 1))).astype(int)).tolist()
        values = [self.low + step * self.step for step in at]
        return [*(int(value) if self.whole else round(value, 10) for value in values), *([None] if self.off else [])]


@dataclass(frozen=True)
class Choice:
    """One of a few values without an order."""

    values: tuple[Any, ...]

    def suggest(self, trial: Trial, name: str) -> Any:  # noqa: ANN401  # whatever the strategy takes
        """Ask the trial for a value."""
        return trial.suggest_categorical(name, self.values)

    def points(self, count: int) -> list[Any]:  # noqa: ARG002  # each is tried, however many are wanted
        """Every value."""
        return list(self.values)


Space = dict[str, "Range | Choice"]

STOP, TARGET, HELD = Range(1.0, 10.0, 0.5, off=True), Range(1.0, 10.0, 0.5, off=True), Range(2, 20, 1, off=True)

SPACES: dict[str, Space] = {
    "bollinger": {
        "band_sessions": Range(10, 50, 2),
        "deviations": Range(1.5, 3.0, 0.125),
        "max_sessions": HELD,
        "stop_pct": STOP,
        "target_pct": TARGET,
    },
    "rsi": {
        "rsi_sessions": Range(2, 21, 1),
        "oversold": Range(10.0, 35.0, 2.5),
        "recovered": Range(40.0, 70.0, 2.5),
        "max_sessions": HELD,
        "stop_pct": STOP,
        "target_pct": TARGET,
    },
    "gap": {
        "gap_pct": Range(0.5, 5.0, 0.25),
        "filled": Range(0.25, 1.0, 0.25),
        "direction": Choice(("both", "down", "up")),
        "max_sessions": Range(1, 5, 1),  # never off: nothing else would end a trade whose gap stays open
        "stop_pct": Range(0.5, 6.0, 0.5, off=True),
    },
    "compression": {
        "short_sessions": Range(5, 15, 1),
        "long_sessions": Range(18, 60, 2),
        "compressed": Range(0.75, 0.99, 0.02),
        "expanded": Range(1.0, 1.2, 0.02),
        "quiet_sessions": Range(2, 6, 1),
        "within_sessions": Range(3, 15, 1),
        "max_sessions": HELD,
        "stop_pct": STOP,
        "target_pct": TARGET,
    },
    "zscore": {
        "sessions": Range(20, 120, 10),
        "entry_z": Range(-2.5, -0.75, 0.25),
        "exit_z": Range(-0.5, 0.5, 0.25),
        "stop_z": Range(3.0, 5.0, 0.5),
        "rsi_low": Range(10.0, 35.0, 5.0),
        "adx_below": Range(20.0, 50.0, 5.0),
        "max_sessions": Range(5, 40, 5, off=True),
        "stop_pct": STOP,
        "target_pct": TARGET,
    },
    "trend": {
        "fast_sessions": Range(5, 40, 5),
        "slow_sessions": Range(50, 250, 10),
        "adx_least": Range(10.0, 35.0, 2.5),
        "body_least": Range(0.1, 0.7, 0.1, off=True),
        "max_sessions": Range(20, 120, 10, off=True),
    },
}


def space_of(strategy: str) -> Space:
    """The search space of a strategy: declared here, declared by its class as `space`, or the bounds of its parameters.

    Parameters
    ----------
    strategy
        Name of a built-in, with or without a preset, or `path/to/file.py:Class`.

    Raises
    ------
    ConfigError
        When there is no such strategy, its space names what is no parameter, or nothing in it is bounded on both sides.
    """
    kind = type(make_strategy(strategy))
    fields: Mapping[str, Any] = getattr(kind, "model_fields", {})
    name, _ = split_preset(strategy)
    space: Space = SPACES[name] if name in STRATEGIES else getattr(kind, "space", None) or _bounded(fields)
    for name, dimension in space.items():
        if (fields and name not in fields) or not isinstance(dimension, Range | Choice):
            known = ", ".join(fields)
            raise ConfigError(
                f"Space of {strategy}: expected a Range or Choice for each of {known}; found {name}={dimension!r}."
            )
    if not space:
        raise ConfigError(
            f"{strategy} has nothing to optimise: expected a numeric parameter with a lower and an upper bound, found none. "
            "Bound one, e.g. Field(20, ge=5, le=60), or give the class a `space` of Range and Choice."
        )
    return space


def grid(space: Space, trials: int) -> dict[str, list[Any]]:
    """Values to try for each parameter: as fine as a full grid of at most `trials` cells allows, two each at the coarsest."""
    for count in range(MOST_POINTS, FEWEST_POINTS, -1):
        found = {name: dimension.points(count) for name, dimension in space.items()}
        if math.prod(len(values) for values in found.values()) <= trials:
            return found
    return {name: dimension.points(FEWEST_POINTS) for name, dimension in space.items()}


def _bounded(fields: Mapping[str, Any]) -> Space:
    """A range for each numeric field with a finite bound on both sides."""
    found = {name: _range_of(field) for name, field in fields.items()}
    return {name: dimension for name, dimension in found.items() if dimension is not None}


def _range_of(field: Any) -> Range | None:  # noqa: ANN401  # pydantic's FieldInfo
    kinds = _kinds(field.annotation)
    bounds = {name: getattr(rule, name) for rule in field.metadata for name in ("ge", "gt", "le", "lt") if hasattr(rule, name)}
    low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    if low is None or high is None or not kinds & {int, float}:
        return None
    if float in kinds:
        step = (high - low) / STEPS  # an open bound is one step away
        return Range(
            float(low + step * ("ge" not in bounds)), float(high - step * ("le" not in bounds)), step, type(None) in kinds
        )
    low, high = low + ("ge" not in bounds), high - ("le" not in bounds)
    return Range(low, high, max((high - low) // STEPS, 1), type(None) in kinds)


def _kinds(annotation: Any) -> set[Any]:  # noqa: ANN401  # any type expression
    """The types that an annotation allows."""
    if typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        return set(typing.get_args(annotation))
    return {annotation}
