"""Strategies by name: the one place that builds them from a name and parameters."""

from __future__ import annotations

import importlib.util
from difflib import get_close_matches
from pathlib import Path
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

    Parameters
    ----------
    name
        One of `STRATEGIES`, or `path/to/file.py:Class` for a strategy of the user's own; that file is executed.

    Raises
    ------
    ConfigError
        When the name is unknown, the file does not hold it, or a parameter is unknown or out of range.

    >>> make_strategy("bollinger", {"stop_pct": 0.5}, vix_gate=True).name
    'bollinger_vix'
    """
    if ".py:" in name:
        kind: Any = _from_file(name)
    elif name in STRATEGIES:
        kind = STRATEGIES[name]
    else:
        near = get_close_matches(name, list(STRATEGIES), n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(STRATEGIES)}."
        raise ConfigError(f"Unknown strategy {name!r}. {hint}")
    try:
        strategy = cast("Strategy", kind(**(params or {})))
    except ValidationError as error:
        raise ConfigError(f"Parameters of {name!r}: {error}") from error
    return VixGate(strategy) if vix_gate else strategy


def _from_file(place: str) -> Any:  # noqa: ANN401  # the user's class
    """Load `path/to/file.py:Class`."""
    path, _, wanted = place.rpartition(":")
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    if spec is None or spec.loader is None or not Path(path).is_file():
        raise ConfigError(f"Strategy {place!r}: there is no file {path}.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ConfigError(f"Strategy {place!r}: {path} does not import: {type(error).__name__}: {error}") from error
    if not hasattr(module, wanted):
        classes = [name for name in vars(module) if not name.startswith("_")]
        near = get_close_matches(wanted, classes, n=1)
        raise ConfigError(f"Strategy {place!r}: no {wanted} in it.{f' Did you mean {near[0]}?' if near else ''}")
    return getattr(module, wanted)
