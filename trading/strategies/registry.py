"""Strategies by name: the one place that builds them from a name and parameters."""

from __future__ import annotations

import importlib.util
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel, ValidationError

from core.errors import ConfigError
from trading.strategies.bollinger import BollingerReversal
from trading.strategies.compression import VolatilityCompression
from trading.strategies.earnings_filter import EarningsFilter
from trading.strategies.gap import GapFade
from trading.strategies.presets import PRESETS
from trading.strategies.rsi import RsiReversion
from trading.strategies.trend import EmaAdxTrend
from trading.strategies.vix_filter import VixFilter
from trading.strategies.zscore import ZScoreReversion

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Iterable, Mapping

    from trading.strategies.base import Parameters, Strategy

STRATEGIES: dict[str, type[Parameters]] = {
    kind.name: kind for kind in (BollingerReversal, RsiReversion, GapFade, VolatilityCompression, ZScoreReversion, EmaAdxTrend)
}


def make_strategy(
    name: str,
    params: Mapping[str, Any] | None = None,
    *,
    vix_filter: bool = False,
    earnings: Mapping[str, Collection[dt.date]] | None = None,
) -> Strategy:
    """Build a strategy, with the VIX filter and the earnings filter when requested.

    Parameters
    ----------
    name
        One of `STRATEGIES`; `name:preset` starts from one of its `PRESETS`; `path/to/file.py:Class` is a strategy of the user's
        own, and that file is executed.
    params
        Parameters that differ from the defaults, or from the preset.
    earnings
        Announcement dates by symbol, for the earnings filter; None leaves the filter out.

    Raises
    ------
    ConfigError
        When the name or preset is unknown, the file does not hold it, or a parameter is unknown or out of range.

    >>> make_strategy("bollinger:as_specified", {"stop_pct": 0.5}, vix_filter=True).name
    'bollinger_vix'
    """
    kind, values = _named(name)
    try:
        strategy = cast("Strategy", kind(**{**values, **(params or {})}))
    except ValidationError as error:
        raise ConfigError(f"Parameters of {name!r}: {_explained(kind, error)}") from error
    if vix_filter:
        strategy = VixFilter(strategy)
    return strategy if earnings is None else EarningsFilter(strategy, earnings)


def split_preset(name: str) -> tuple[str, str | None]:
    """Return the strategy and the preset in a name.

    >>> split_preset("bollinger:as_specified"), split_preset("rsi"), split_preset("own.py:Mondays")
    (('bollinger', 'as_specified'), ('rsi', None), ('own.py:Mondays', None))
    """
    if ".py:" in name or ":" not in name:
        return name, None
    strategy, _, preset = name.partition(":")
    return strategy, preset


def _named(name: str) -> tuple[Any, Mapping[str, Any]]:
    """The class that a name stands for, and the parameters of its preset."""
    if ".py:" in name:
        return _from_file(name), {}
    strategy, preset = split_preset(name)
    if strategy not in STRATEGIES:
        raise ConfigError(f"Unknown strategy {strategy!r}. {_suggestion(strategy, STRATEGIES)}")
    if preset is None:
        return STRATEGIES[strategy], {}
    presets = PRESETS.get(strategy, {})
    if preset not in presets:
        raise ConfigError(f"Unknown preset {preset!r} of {strategy!r}. {_suggestion(preset, presets)}")
    return STRATEGIES[strategy], presets[preset]


def _suggestion(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, known := list(known), n=1)
    return f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known) or 'none'}."


def _explained(kind: type[BaseModel], error: ValidationError) -> str:
    """Return the error of each parameter: its name, what was expected, what was found."""
    parts = []
    for problem in error.errors():
        field = ".".join(str(part) for part in problem["loc"]) or "together"
        if problem["type"] == "extra_forbidden":
            parts.append(f"there is no {field!r}. {_suggestion(field, kind.model_fields)}")
        elif problem["type"] == "missing":
            parts.append(f"{field}: expected a value, found none.")
        else:
            expected = problem["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
            parts.append(f"{field}: {expected}, found {problem['input']!r}.")
    return " ".join(parts)


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
