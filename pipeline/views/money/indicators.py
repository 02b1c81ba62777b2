"""Lines that a price chart draws for a strategy: its bands, its z-score, its RSI, with the parameters in force."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from features.indicators import bollinger, rsi, sma, zscore
from pipeline.resources import Resources, live
from pipeline.sleeves import sleeve_strategy
from pipeline.strategies import rule_of
from trading.strategies.base import Strategy
from trading.strategies.bollinger import BollingerReversal
from trading.strategies.per_symbol import base_rule
from trading.strategies.registry import STRATEGIES, make_strategy
from trading.strategies.rsi import RsiReversion
from trading.strategies.vix_filter import rule_name
from trading.strategies.zscore import ZScoreReversion

Floats = NDArray[np.float64]


class Lines(NamedTuple):
    """Lines of one symbol, one value a bar; NaN during warm-up, None where the strategy has no such line."""

    band_upper: Floats | None
    band_mean: Floats | None
    band_lower: Floats | None
    zscore: Floats | None
    rsi: Floats


def lines_of(rule: Strategy, close: Floats) -> Lines:
    """Return the lines of a rule on the closes of one symbol, all of them from its first bar on.

    RSI is over 14 sessions, unless the rule has its own number.

    >>> lines = lines_of(BollingerReversal(band_sessions=3, deviations=1.0), np.array([1.0, 2.0, 3.0]))
    >>> [round(float(band[-1]), 4) for band in lines[:3]], lines.zscore
    ([2.8165, 2.0, 1.1835], None)
    """
    index = rsi(close, rule.rsi_sessions) if isinstance(rule, RsiReversion) else rsi(close)
    if isinstance(rule, BollingerReversal):
        return Lines(*bollinger(close, rule.band_sessions, rule.deviations), None, index)
    if isinstance(rule, ZScoreReversion):
        return Lines(None, sma(close, rule.sessions), None, zscore(close, rule.sessions), index)
    return Lines(None, None, None, None, index)


def shown_rule(name: str | None, symbol: str, *, resources: Resources | None = None) -> Strategy:
    """Return the rule of a strategy in a symbol, with the parameters in force.

    Parameters
    ----------
    name
        A strategy, `name:preset`, or a sleeve of a deployment; None for the first of `STRATEGIES`. A file of a user's own
        strategy only as `STRATEGIES` has it: nobody runs a file by asking for a chart.

    Raises
    ------
    ConfigError
        When there is no such strategy or sleeve.
    """
    resources = resources or live()
    listed = resources.settings.strategies
    wanted = rule_name(name or listed[0])
    if wanted in STRATEGIES:
        return base_rule(rule_of(wanted, resources.parameters.as_of(None)), symbol)
    for deployment in resources.deployments.all():
        for sleeve in deployment.sleeves:
            if sleeve.name == name:
                return base_rule(sleeve_strategy(sleeve), symbol)
    if ".py" in wanted and wanted not in listed:
        raise ConfigError(f"Strategy {wanted!r}: expected a name of `desk strategies`, or a file that STRATEGIES lists.")
    return make_strategy(wanted)


def optional(values: Floats | None, first: int, last: int) -> list[Any]:
    """Return values of some bars as numbers, None where there is none.

    >>> optional(np.array([np.nan, 1.5, 2.0]), 0, 2), optional(None, 0, 2)
    ([None, 1.5], [None, None])
    """
    if values is None:
        return [None] * (last - first)
    return [None if value != value else value for value in values[first:last].tolist()]  # noqa: PLR0124  # NaN alone differs from itself
