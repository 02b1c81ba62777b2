"""Candidates of a choice: the newest sweep ranked, and its best backtested again, each alone on its symbol."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.errors import DataError, UnknownSymbol
from pipeline.research.datasets import ResearchData
from pipeline.research.sweep import FIGURES, NAMED
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import pandas as pd

    from backtest.engine import Result
    from backtest.panel import Panel
    from pipeline.research.backtest_terms import BacktestTerms
    from storage.research.trials import Trials
    from trading.strategies.base import Strategy

MIN_TRADES = 30  # the mean of fewer says little, and the best of many such means says nothing


@dataclass(frozen=True)
class Candidate:
    """A strategy with parameters on one symbol: `strategy` is a name as `make_strategy` takes it."""

    strategy: str
    symbol: str
    params: Mapping[str, Any]
    vix_gate: bool

    @property
    def label(self) -> str:
        """Its name in tables: strategy@symbol."""
        from research.portfolio.selection import label

        return label(f"{self.strategy}_vix" if self.vix_gate else self.strategy, self.symbol)

    def make(self) -> Strategy:
        """Return the strategy itself."""
        from trading.strategies.registry import make_strategy

        return make_strategy(self.strategy, self.params, vix_filter=self.vix_gate)


def rank_candidates(
    session: str,
    *,
    min_trades: int = MIN_TRADES,
    among: Collection[str] | None = None,
    dataset: str | None = None,
    resources: Resources | None = None,
) -> pd.DataFrame:
    """Rank the newest sweep up to `session`, of a dataset's name or of the live bars; see `rank_swept`."""
    resources = resources or live()
    reference = ResearchData.of(resources, dataset).reference
    return rank_swept(resources.trials, session, min_trades=min_trades, among=among, dataset=reference)


def rank_swept(
    trials: Trials,
    session: str,
    *,
    min_trades: int = MIN_TRADES,
    among: Collection[str] | None = None,
    dataset: str | None = None,
) -> pd.DataFrame:
    """Return the newest sweep by profit per trade, then Sharpe: the columns of `selection.RANKED` and `params`.

    Parameters
    ----------
    among
        Labels of candidates; others are left out. None: all.
    dataset
        NAME@SHA256 of the research dataset that was swept; None: the live bars.

    Raises
    ------
    DataError
        When nothing was swept, or no cell has so many trades.
    """
    from research.portfolio.selection import rank

    swept = trials.swept(FIGURES, dt.date.fromisoformat(session), dataset)
    if swept.empty:
        name = "" if dataset is None else dataset.partition("@")[0]
        where, option = (f" of the dataset {name!r}", f" --dataset {name}") if name else ("", "")
        raise DataError(
            f"Ranking: expected a sweep{where} up to {session}, found none. Run one: `desk sweep --session {session}{option}`."
        )
    named = swept.assign(
        strategy=[params.get(NAMED, rule) for rule, params in zip(swept["strategy"], swept["params"], strict=True)]
    )
    table = rank(named.drop(columns="last_session"), min_trades=min_trades)
    if among is not None:
        inside = [each.label in among for each in candidates_of(table)]
        table = table[inside].reset_index(drop=True).assign(rank=range(1, sum(inside) + 1))
    if table.empty:
        raise DataError(
            f"Ranking: expected a backtest with {min_trades} trades or more, found none among {len(swept)}."
            f" The most is {int(swept['trade_count'].max() or 0)}: lower --min-trades, or sweep more."
        )
    return table


def candidates_of(table: pd.DataFrame) -> list[Candidate]:
    """Return the rows of a ranking as candidates."""
    return [_candidate(*row) for row in table[["strategy", "symbol", "params"]].to_numpy()]


def backtest_each(
    candidates: Sequence[Candidate],
    bars: Mapping[str, pd.DataFrame],
    terms: BacktestTerms,
    *,
    start: dt.date | None = None,
) -> dict[str, Result]:
    """Backtest each candidate on its own, from the initial cash, by label; entries from `start` on."""
    panels = panels_of({each.symbol for each in candidates}, bars)
    return {each.label: terms.run(panels[each.symbol], each.make(), start=start) for each in candidates}


def panels_of(symbols: set[str], bars: Mapping[str, pd.DataFrame]) -> dict[str, Panel]:
    """Return one panel a symbol.

    Raises
    ------
    UnknownSymbol
        When a symbol has no bars.
    """
    from backtest.panel import prepare

    for symbol in symbols - set(bars):
        raise UnknownSymbol(symbol, bars)
    return {symbol: prepare({symbol: bars[symbol]}) for symbol in sorted(symbols)}


def _candidate(strategy: str, symbol: str, stored: Mapping[str, Any]) -> Candidate:
    params = {name: value for name, value in stored.items() if name not in {NAMED, "vix_gate"}}
    return Candidate(strategy, symbol, params, bool(stored.get("vix_gate")))
