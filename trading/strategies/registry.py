"""Strategies by name: the one place that builds them from a name and parameters."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, cast

from pydantic import ValidationError

from core.errors import ConfigError
from trading.strategies.bollinger import BollingerReversal
from trading.strategies.compression import VolatilityCompression
from trading.strategies.gap import GapFade
from trading.strategies.gate import VixGate
from trading.strategies.rsi import RsiReversion
from trading.strategies.trend import EmaAdxTrend
from trading.strategies.zscore import ZScoreReversion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trading.strategies.base import Parameters, Strategy

STRATEGIES: dict[str, type[Parameters]] = {
    kind.name: kind for kind in (BollingerReversal, RsiReversion, GapFade, VolatilityCompression, ZScoreReversion, EmaAdxTrend)
}


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
        strategy = cast("Strategy", STRATEGIES[name](**(params or {})))
    except ValidationError as error:
        raise ConfigError(f"Parameters of {name!r}: {error}") from error
    return VixGate(strategy) if vix_gate else strategy
