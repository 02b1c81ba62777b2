"""The shortlist of a choice: the best candidates with their curves, and the diversified pick among them.

`make_shortlist` backtests the candidates once; `save_shortlist` and `load_shortlist` carry the curves to the later steps.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from core.errors import DataError
from pipeline.research.backtest_terms import BacktestTerms
from pipeline.research.candidates import MIN_TRADES, Candidate, backtest_each, candidates_of, rank_swept
from pipeline.research.datasets import ResearchData
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from backtest.engine import Result
    from backtest.metrics import Figures
    from research.portfolio.selection import Pick
    from storage.research.shortlists import Shortlists
    from storage.research.trials import Trials

TOP = 20


@dataclass(frozen=True)
class Curve:
    """The backtest of one candidate, as far as a choice needs it.

    Attributes
    ----------
    equity
        Columns session, equity_usd.
    metrics
        Figures of `backtest.metrics`.
    """

    equity: pd.DataFrame
    metrics: Figures
    initial_cash_usd: float
    bars_a_year: float

    @classmethod
    def of(cls, result: Result) -> Curve:
        """Return the curve of a backtest."""
        equity = result.equity[["session", "equity_usd"]]
        return cls(equity, result.metrics, result.initial_cash_usd, result.panel.bars_a_year)

    @property
    def equity_usd(self) -> NDArray[np.float64]:
        """Equity at each close, shape (sessions,)."""
        return self.equity["equity_usd"].to_numpy(dtype=np.float64)


@dataclass(frozen=True)
class Selection:
    """Rules of a choice.

    Parameters
    ----------
    top
        Ranked candidates that are backtested.
    min_trades
        Fewest trades of a candidate.
    flag_above, below
        Correlations of daily returns: pairs above the one are flagged, the picked stay below the other.
    at_most
        Most candidates that are picked.
    """

    top: int = TOP
    min_trades: int = MIN_TRADES
    flag_above: float = 0.7
    below: float = 0.5
    at_most: int = 3


@dataclass(frozen=True)
class Shortlist:
    """The best of a sweep: `table` as `research.portfolio.selection.rank`, the curve of each, and a diversified pick of them.

    `dataset` is the research dataset that was swept (NAME@SHA256); None: the live bars.
    """

    table: pd.DataFrame
    candidates: dict[str, Candidate]
    curves: dict[str, Curve]
    returns: pd.DataFrame
    correlation: pd.DataFrame
    flagged: pd.DataFrame
    pick: Pick
    dataset: str | None = None


def make_shortlist(
    session: str,
    selection: Selection | None = None,
    *,
    among: Collection[str] | None = None,
    dataset: str | None = None,
    resources: Resources | None = None,
) -> Shortlist:
    """Rank the newest sweep up to `session`, backtest the best again, and pick those that do not resemble each other.

    Parameters
    ----------
    among
        Labels of candidates; others are left out. None: all.
    dataset
        Name of the research dataset that was swept; the live bars unless given.
    """
    resources = resources or live()
    selection = selection or Selection()
    data = ResearchData.of(resources, dataset)
    table = rank_swept(resources.trials, session, min_trades=selection.min_trades, among=among, dataset=data.reference).head(
        selection.top
    )
    results = backtest_each(candidates_of(table), data.by_symbol(session), BacktestTerms.of(resources))
    curves = {name: Curve.of(result) for name, result in results.items()}
    return _assemble(table, curves, selection, data.reference)


def shortlist_key(plan: Mapping[str, Any], selection: Selection) -> str:
    """Return the natural key of a stored shortlist: a hash of the plan and of the rules of the choice."""
    text = json.dumps([dict(plan), asdict(selection)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def save_shortlist(store: Shortlists, key: str, session: str, shortlist: Shortlist) -> None:
    """Store a shortlist's curves under a key, for the steps that follow."""
    members = [
        {
            "label": name,
            "metrics": curve.metrics,
            "initial_cash_usd": curve.initial_cash_usd,
            "bars_a_year": curve.bars_a_year,
        }
        for name, curve in shortlist.curves.items()
    ]
    equity = pd.concat([curve.equity.assign(label=name) for name, curve in shortlist.curves.items()], ignore_index=True)
    day = dt.date.fromisoformat(session)
    store.save(key, session=day, members=members, equity=equity, dataset=shortlist.dataset)


def load_shortlist(
    store: Shortlists,
    key: str,
    trials: Trials,
    session: str,
    selection: Selection,
    *,
    among: Collection[str],
    dataset: str | None = None,
) -> Shortlist:
    """Return the shortlist that `save_shortlist` stored, without a backtest.

    Raises
    ------
    DataError
        When none is stored under the key, or another sweep has changed the ranking since.
    """
    table = rank_swept(trials, session, min_trades=selection.min_trades, among=among, dataset=dataset).head(selection.top)
    stored = store.get(key)
    labels = [each.label for each in candidates_of(table)]
    if stored is None or [member["label"] for member in stored.members] != labels:
        count = "none" if stored is None else "one of another ranking"
        raise DataError(
            f"Shortlist up to {session}: expected the stored curves of {', '.join(labels)}, found {count}. "
            "Run the task `correlate` of the DAG strategy_research, or the whole chain: `desk research`."
        )
    frames = dict(tuple(stored.equity.groupby("label", sort=False)))
    curves = {member["label"]: _curve(member, frames[member["label"]]) for member in stored.members}
    return _assemble(table, curves, selection, dataset)


def _curve(member: Mapping[str, Any], frame: pd.DataFrame) -> Curve:
    equity = frame[["session", "equity_usd"]].reset_index(drop=True)
    return Curve(equity, member["metrics"], member["initial_cash_usd"], member["bars_a_year"])


def _assemble(table: pd.DataFrame, curves: Mapping[str, Curve], selection: Selection, dataset: str | None) -> Shortlist:
    """Correlate the curves and pick."""
    from research.portfolio.selection import correlations, diversify, flagged, returns_of

    candidates: Sequence[Candidate] = candidates_of(table)
    returns = returns_of({name: curve.equity for name, curve in curves.items()})
    correlation = correlations(returns)
    labels = {each.label: each for each in candidates}
    pick = diversify(correlation, list(labels), below=selection.below, at_most=selection.at_most)
    pairs = flagged(correlation, selection.flag_above)
    return Shortlist(table, labels, dict(curves), returns, correlation, pairs, pick, dataset)
