"""Backtests on stored bars: run one, count it as a trial, store it, and report it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.research.backtest_terms import BacktestTerms
from pipeline.research.datasets import ResearchData
from pipeline.resources import Resources, live
from pipeline.signals import joint_name
from trading.delistings import actions_until
from trading.strategies.bands import with_bands
from trading.strategies.vix_filter import rule_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from backtest.engine import Result
    from backtest.metrics import Figures
    from ml.tracking.research_runs import Tracking
    from storage.research.runs import Runs
    from storage.research.trials import Trials
    from trading.strategies.base import Strategy


EXPERIMENT = "backtests"


@dataclass(frozen=True)
class ReportedBacktest:
    """A stored backtest with its report.

    Attributes
    ----------
    figures
        The metrics, and the evidence that qualifies them.
    report
        The report's page.
    """

    figures: Figures
    run_id: str
    report: Path

    def as_dict(self) -> dict[str, Any]:
        """Return the figures, `run_id` and `report` as plain values."""
        return {**self.figures, "run_id": self.run_id, "report": str(self.report)}


def run_backtest(  # what is traded, on which terms, and where it goes on record
    bars: dict[str, pd.DataFrame],
    strategies: Sequence[Strategy],
    terms: BacktestTerms,
    *,
    trials: Trials,
    runs: Runs,
    kind: str,
    accept: pd.DataFrame | None = None,
    start: dt.date | None = None,
    dataset: str | None = None,
) -> Result:
    """Backtest strategies that share a portfolio, count the backtest as a trial, and store the run.

    Parameters
    ----------
    kind
        Name of the run's purpose, e.g. ``unfiltered`` or ``filtered``.
    accept
        See `backtest.engine.backtest`; None trades every entry.
    start
        First session on which an entry may be decided.
    dataset
        NAME@SHA256 of the research dataset that the bars are of; None: live bars.
    """
    result = terms.run(bars, strategies, accept=accept, start=start)
    count_trial(trials, bars, strategies, terms, result, kind=kind, accept=accept, dataset=dataset)
    _save(runs, bars, strategies, terms, result, kind=kind, dataset=dataset)
    return result


def run_backtest_report(
    session: str, *, resources: Resources | None = None, strategy: Strategy | None = None, dataset: str | None = None
) -> ReportedBacktest:
    """Backtest a strategy, or the desk's own together, on everything up to `session`, without the entry filter.

    Delistings on record close positions. The report is written to disk and to MLflow.

    Parameters
    ----------
    dataset
        Name of the research dataset whose bars are used, with the parameters, earnings dates and delistings of its moment.
    """
    from pipeline.research.backtest_evidence import evidence_of
    from pipeline.research.backtest_report import write_stored_report

    resources = resources or live()
    terms = BacktestTerms.of(resources)
    data = ResearchData.of(resources, dataset)
    bars = data.by_symbol(session)
    traded = (strategy,) if strategy else resources.at(data.moment).strategies
    actions = actions_until(data.bars.actions(list(bars)), dt.date.fromisoformat(session))
    result = terms.run(bars, traded, actions=actions)
    count_trial(resources.trials, bars, traded, terms, result, kind="unfiltered", accept=None, dataset=data.reference)
    evidence = evidence_of(result, traded, costs=terms.costs, trials=resources.trials)
    run_id = _save(resources.runs, bars, traded, terms, result, kind="unfiltered", evidence=evidence, dataset=data.reference)
    page, summary = write_stored_report(run_id, resources=resources)
    params = {"run_id": run_id, "symbols": ",".join(result.panel.symbols), **_described(traded), **data.tag}
    figures = {**result.metrics, **evidence}
    _track(resources.tracking, f"{joint_name(traded)} {session}", params, figures, (page, summary))
    return ReportedBacktest(figures, run_id, page)


def _track(tracking: Tracking, name: str, params: dict[str, Any], figures: Figures, files: tuple[Path, Path]) -> None:
    """Log a backtest to MLflow with its report."""
    with tracking.run(EXPERIMENT, name, params) as run_id:
        tracking.figures(run_id, figures)
        for path in files:
            tracking.file(run_id, path)


def count_trial(
    trials: Trials,
    bars: dict[str, pd.DataFrame],
    strategies: Sequence[Strategy],
    terms: BacktestTerms,
    result: Result,
    *,
    kind: str,
    accept: pd.DataFrame | None,
    dataset: str | None,
) -> None:
    """Add the backtest to the trial ledger, under the rule without its filters; the same one again is no other trial."""
    from pipeline.research.sweep import rule_key
    from research.sweep import Cell

    symbols = ",".join(sorted(bars))
    family = "+".join(sorted(rule_name(strategy.name) for strategy in strategies))
    request: dict[str, Any] = {
        "start": str(result.equity["session"].min()),
        "accept": None if accept is None else _digest(accept),
    }
    if result.panel.market.delisted.size:
        request["delistings"] = [values.tolist() for values in (result.panel.market.delisted, result.panel.market.payout)]
    rules = [rule_key(strategy) for strategy in strategies]
    key = {**terms.key(*(bars[symbol] for symbol in sorted(bars))), **_single(rules, "rules"), **request}
    trials.record(
        [
            {
                "key": Cell(joint_name(strategies), symbols).key(key),
                "strategy": family,
                "symbol": symbols,
                "params": _described(strategies),
                "kind": kind,
                "first_session": result.panel.sessions[0].date(),
                "last_session": result.panel.sessions[-1].date(),
                "metrics": result.metrics,
                "error": None,
                "dataset": dataset,
            }
        ]
    )


def _digest(accept: pd.DataFrame) -> int:
    from pandas.util import hash_pandas_object

    columns = [name for name in ("strategy", "symbol", "session", "accept", "probability") if name in accept]
    return int(hash_pandas_object(accept[columns], index=False).sum())


def _save(
    runs: Runs,
    bars: Mapping[str, pd.DataFrame],
    strategies: Sequence[Strategy],
    terms: BacktestTerms,
    result: Result,
    *,
    kind: str,
    evidence: dict[str, Any] | None = None,
    dataset: str | None = None,
) -> str:
    meta = {
        "strategy": joint_name(strategies),
        "params": _described(strategies),
        "symbols": list(result.panel.symbols),
        "first_session": str(result.panel.sessions[result.first].date()),
        "last_session": str(result.panel.sessions[-1].date()),
        "commission_bps": terms.costs.commission_bps,
        "slippage_bps": terms.costs.slippage_bps,
        "initial_cash_usd": terms.initial_cash_usd,
        **({} if evidence is None else {"evidence": evidence}),
        **({} if dataset is None else {"dataset": dataset}),
    }
    trades = with_bands(result.trades, strategies, bars, on="decision_session")
    return runs.save(kind=kind, meta=meta, metrics=result.metrics, trades=trades, equity=result.equity)


def _described(strategies: Sequence[Strategy]) -> dict[str, Any]:
    """Return the parameters of one strategy, or those of each of several under its name."""
    if len(strategies) == 1:
        return strategies[0].describe()
    return {strategy.name: strategy.describe() for strategy in strategies}


def _single(rules: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    """Return the only rule itself, or several as a list under a name."""
    return rules[0] if len(rules) == 1 else {name: list(rules)}
