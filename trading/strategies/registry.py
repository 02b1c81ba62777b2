"""Strategies by name: the one place that builds them from a name and parameters."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from core.errors import ConfigError
from trading.strategies.bollinger import BollingerReversal
from trading.strategies.gate import VixGate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trading.strategies.base import Strategy

STRATEGIES: dict[str, type[BollingerReversal]] = {BollingerReversal.name: BollingerReversal}


def make_strategy(name: str, params: Mapping[str, Any] | None = None, *, vix_gate: bool = False) -> Strategy:
    """Build a strategy, behind the VIX gate when asked.

    Raises
    ------
    ConfigError
        When the name is unknown or a parameter is unknown or out of range.

    >>> make_strategy("bollinger", {"stop_pct": 0.5}, vix_gate=True).name
    'bollinger_vix'
    """
    if name not in STRATEGIES:
        near = get_close_matches(name, list(STRATEGIES), n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(STRATEGIES)}."
        raise ConfigError(f"Unknown strategy {name!r}. {hint}")
    try:
        strategy: Strategy = STRATEGIES[name](**(params or {}))
    except ValidationError as error:
        raise ConfigError(f"Parameters of {name!r}: {error}") from error
    return VixGate(strategy) if vix_gate else strategy
