"""Backtests on stored bars: run, count, save, return the figures. Never simulates by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.errors import DataError
from pipeline.bars import bars_by_symbol
from pipeline.resources import Resources, live
from pipeline.signals import joint_name
from trading.strategies.vix_filter import rule_name

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    import pandas as pd

    from backtest.engine import Result
    from research.leakage import Compute, Leak
    from trading.strategies.base import Strategy


EXPERIMENT = "backtests"


def run_backtest(
    resources: Resources,
    bars: dict[str, pd.DataFrame],
    *,
    kind: str,
    accept: pd.DataFrame | None = None,
    start: dt.date | None = None,
    strategies: Sequence[Strategy] = (),
) -> Result:
    """Backtest strategies that share a portfolio, the desk's own unless given, store the run, and count it as a trial.

    Parameters
    ----------
    kind
        Name of the run's purpose, e.g. ``unfiltered`` or ``filtered``.
    accept
        See `backtest.engine.backtest`; None trades every entry.
    start
        First session on which an entry may be decided.
    """
    traded = tuple(strategies) or resources.strategies
    result = _simulate(resources, bars, traded, accept, start)
    _count(resources, bars, traded, result, kind=kind, accept=accept)
    _save(resources, traded, result, kind=kind)
    return result


def run(session: str, *, resources: Resources | None = None, strategy: Strategy | None = None) -> dict[str, Any]:
    """Backtest a strategy, or the desk's own together, without the filter on everything up to `session`.

    The report is written to disk and to MLflow.

    Returns
    -------
    dict
        The figures, what qualifies them, `run_id` and `report` (the page).
    """
    from pipeline.research.backtest_evidence import evidence_of
    from pipeline.research.backtest_report import write_stored

    resources = resources or live()
    bars = bars_by_symbol(resources.bars, session, resources.universe())
    traded = (strategy,) if strategy else resources.strategies
    result = _simulate(resources, bars, traded, None, None)
    _count(resources, bars, traded, result, kind="unfiltered", accept=None)
    evidence = evidence_of(resources, result, traded)
    run_id = _save(resources, traded, result, kind="unfiltered", evidence=evidence)
    page, summary = write_stored(resources, run_id)
    given = {"run_id": run_id, "symbols": ",".join(result.panel.symbols), **_described(traded)}
    with resources.tracking.run(EXPERIMENT, f"{joint_name(traded)} {session}", given) as tracked:
        resources.tracking.figures(tracked, {**result.metrics, **evidence})
        for path in (page, summary):
            resources.tracking.file(tracked, path)
    return {**result.metrics, **evidence, "run_id": run_id, "report": str(page)}


def _simulate(
    resources: Resources,
    bars: dict[str, pd.DataFrame],
    strategies: Sequence[Strategy],
    accept: pd.DataFrame | None,
    start: dt.date | None,
) -> Result:
    from backtest.engine import backtest

    return backtest(
        bars,
        strategies,
        resources.costs,
        limits=resources.limits,
        initial_cash_usd=resources.settings.initial_cash_usd,
        accept=accept,
        start=start,
    )


def _count(
    resources: Resources,
    bars: dict[str, pd.DataFrame],
    strategies: Sequence[Strategy],
    result: Result,
    *,
    kind: str,
    accept: pd.DataFrame | None,
) -> None:
    """Write the backtest into the trial ledger, under the rule without its gates; the same one again is no other trial."""
    from pipeline.research.sweep import rule_of, terms_of
    from research.sweep import Cell

    symbols = ",".join(sorted(bars))
    family = "+".join(sorted(rule_name(strategy.name) for strategy in strategies))
    asked = {"start": str(result.equity["session"].min()), "accept": None if accept is None else _digest(accept)}
    rules = [rule_of(strategy) for strategy in strategies]
    terms = {**terms_of(resources, *(bars[symbol] for symbol in sorted(bars))), **_single(rules, "rules"), **asked}
    resources.trials.record(
        [
            {
                "key": Cell(joint_name(strategies), symbols).key(terms),
                "strategy": family,
                "symbol": symbols,
                "params": _described(strategies),
                "kind": kind,
                "first_session": result.panel.sessions[0].date(),
                "last_session": result.panel.sessions[-1].date(),
                "metrics": result.metrics,
                "error": None,
            }
        ]
    )


def _digest(accept: pd.DataFrame) -> int:
    from pandas.util import hash_pandas_object

    columns = [name for name in ("strategy", "symbol", "session", "accept", "probability") if name in accept]
    return int(hash_pandas_object(accept[columns], index=False).sum())


def _save(
    resources: Resources,
    strategies: Sequence[Strategy],
    result: Result,
    *,
    kind: str,
    evidence: dict[str, Any] | None = None,
) -> str:
    from storage.research.runs import save_run

    settings = resources.settings
    meta = {
        "strategy": joint_name(strategies),
        "params": _described(strategies),
        "symbols": list(result.panel.symbols),
        "first_session": str(result.panel.sessions[result.first].date()),
        "last_session": str(result.panel.sessions[-1].date()),
        "commission_bps": settings.commission_bps,
        "slippage_bps": settings.slippage_bps,
        "initial_cash_usd": settings.initial_cash_usd,
        **({} if evidence is None else {"evidence": evidence}),
    }
    return save_run(
        resources.engine,
        kind=kind,
        meta=meta,
        metrics=result.metrics,
        trades=result.trades,
        equity=result.equity,
        directory=resources.data_dir / "runs",
    )


def _described(strategies: Sequence[Strategy]) -> dict[str, Any]:
    """Parameters of one strategy, or those of each of several under its name."""
    if len(strategies) == 1:
        return strategies[0].describe()
    return {strategy.name: strategy.describe() for strategy in strategies}


def _single(found: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    """The only one itself, or several as a list under a name."""
    return found[0] if len(found) == 1 else {name: list(found)}


def check_leakage(
    session: str, strategy: Strategy | None, *, cuts: int = 1000, resources: Resources | None = None
) -> list[Leak]:
    """Look for look-ahead in a strategy, or in every feature when None is given, on the stored bars up to `session`."""
    from research.leakage import DECIDED_AT_OPEN, find_leaks

    resources = resources or live()
    bars = bars_by_symbol(resources.bars, session, resources.universe())
    at_open = DECIDED_AT_OPEN if strategy is not None and strategy.entry == "open" else ()
    return find_leaks(_computation(strategy), bars, cuts=cuts, decided_at_open=at_open)


def warm_up(session: str, strategy: Strategy | None, *, resources: Resources | None = None) -> dict[str, int]:
    """Bars that each column of a strategy, or of the features, needs to settle: the most of any stored symbol."""
    from research.leakage import WARM_UP_SKIP
    from research.leakage import warm_up as needed

    resources = resources or live()
    bars = bars_by_symbol(resources.bars, session, resources.universe())
    long = [frame for frame in bars.values() if len(frame) > 2 * WARM_UP_SKIP]
    if not long:
        raise DataError(
            f"Warm-up: expected a symbol with more than {2 * WARM_UP_SKIP} bars, found none."
            " Load more: `desk ingest --full-history`."
        )
    each = [needed(_computation(strategy), frame) for frame in long]
    return {column: max(found[column] for found in each) for column in each[0]}


def _computation(strategy: Strategy | None) -> Compute:
    """What is checked: a strategy's signals, or every feature."""
    from core.frames import BARS, FEATURES
    from features.build import build_features

    if strategy is not None:
        return strategy.signals

    def compute(frame: pd.DataFrame) -> pd.DataFrame:
        vix = frame[["session", "vix"]].rename(columns={"vix": "close"})
        return build_features(frame[list(BARS.columns)], vix)[list(FEATURES)]

    return compute
