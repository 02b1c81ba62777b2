"""Average and band of a strategy at each signal or trade, so that the record shows which price was touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.frames import BAND_COLUMNS
from trading.strategies.base import Prices, Rule
from trading.strategies.per_symbol import base_rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trading.strategies.base import BandLines, Strategy


def with_bands(
    rows: pd.DataFrame, strategies: Iterable[Strategy], bars: Mapping[str, pd.DataFrame], *, on: str
) -> pd.DataFrame:
    """Return rows with the columns of `BAND_COLUMNS`: the strategy's average and band at the bar of each row.

    NaN for a strategy without a band, in its warm-up, and where the bar is not among `bars`.

    Parameters
    ----------
    rows
        Columns strategy, symbol and `on`, in any order.
    bars
        BARS by symbol; in their terms the prices are.
    on
        Column with the session of the decision.
    """
    named = {strategy.name: strategy for strategy in strategies}
    found = np.full((len(rows), len(BAND_COLUMNS)), np.nan)
    for key, part in rows.reset_index(drop=True).groupby(["strategy", "symbol"]):
        name, symbol = (str(each) for each in key)
        rule, own = named.get(name), bars.get(symbol)
        lines = None if rule is None or own is None else lines_of(base_rule(rule, symbol), own)
        if own is not None and lines is not None:
            at = pd.Index(own["session"]).get_indexer(pd.Index(part[on]))
            found[part.index[at >= 0]] = np.column_stack(lines)[at[at >= 0]]
    return rows.assign(**{column: found[:, number] for number, column in enumerate(BAND_COLUMNS)})


def lines_of(rule: Strategy, bars: pd.DataFrame) -> BandLines | None:
    """Return average and band of a rule on the BARS of one symbol; None for a rule without a band."""
    return rule.bands(Prices.of(bars)) if isinstance(rule, Rule) else None
