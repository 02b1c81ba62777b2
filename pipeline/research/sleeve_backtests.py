"""The backtest of a deployment: each sleeve alone on its symbols, with its capital and the desk's costs and limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from core.errors import UnknownSymbol
from pipeline.bars import bars_by_symbol
from trading.delistings import actions_until

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping

    from backtest.engine import Result
    from pipeline.sleeves import TradedSleeve
    from storage.market.bars import BarStore
    from trading.costs import Costs
    from trading.risk import Limits


def backtest_sleeves(
    sleeves: Iterable[TradedSleeve],
    bars: BarStore,
    costs: Costs,
    limits: Limits,
    *,
    first: dt.date | None = None,
    last: dt.date,
) -> dict[str, Result]:
    """Return the backtest of each sleeve with capital of its own, by the sleeve's name; entries from `first` on.

    Raises
    ------
    UnknownSymbol
        When a symbol has no bars.
    """
    from backtest.engine import backtest

    results = {}
    for sleeve in sleeves:
        if sleeve.capital_usd is None:
            continue
        own = bars_by_symbol(bars, last.isoformat(), sleeve.symbols)
        for symbol in sleeve.symbols:
            if symbol not in own:
                raise UnknownSymbol(symbol, own)
        results[sleeve.strategies[0].name] = backtest(
            own,
            sleeve.strategies,
            costs,
            limits=limits,
            initial_cash_usd=sleeve.capital_usd,
            start=first,
            actions=actions_until(bars.actions(list(sleeve.symbols)), last),
        )
    return results


def joint_equity(results: Mapping[str, Result]) -> pd.DataFrame:
    """Return the equity of sleeves held together: session, equity_usd; a sleeve without bars yet is worth its capital."""
    curves = {name: result.equity.set_index("session")["equity_usd"] for name, result in results.items()}
    joint = pd.DataFrame(curves).sort_index().ffill()
    total = joint.fillna({name: result.initial_cash_usd for name, result in results.items()}).sum(axis=1)
    return pd.DataFrame({"session": total.index, "equity_usd": total.to_numpy()})
