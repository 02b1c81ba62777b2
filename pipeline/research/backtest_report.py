"""The report of a backtest: put together from its result, written to a folder. Owns the files, and computes no figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from backtest.engine import Result
    from pipeline.resources import Resources
    from research.report_tables import Report


def report_of(
    result: Result,
    title: str,
    *,
    meta: Mapping[str, Any] | None = None,
    evidence: Mapping[str, Any] | None = None,
    benchmarks: Mapping[str, pd.DataFrame] | None = None,
    trials: int | None = None,
    sharpe_variance: float | None = None,
) -> Report:
    """A report of a backtest, with what qualifies its Sharpe ratio and its benchmarks'.

    Parameters
    ----------
    meta
        What else the run was made of (params, costs, source of the bars), after what the result itself knows.
    evidence
        Figures that come from elsewhere, e.g. random_entry_p; they go before those computed here.
    benchmarks
        Columns session, equity_usd, drawdown by name, on the run's sessions and from the same cash.
    trials, sharpe_variance
        Backtests the run was chosen from, by the ledger, and the variance of their annualised Sharpe ratios. Without them no
        deflated Sharpe ratio is shown.
    """
    from research.evidence import benchmark_evidence, sharpe_evidence
    from research.report_tables import Report

    cash, bars_a_year = result.initial_cash_usd, result.panel.bars_a_year
    computed = sharpe_evidence(
        result.equity_usd, cash, trials=trials, sharpe_variance=sharpe_variance, periods_a_year=bars_a_year
    )
    for name, curve in (benchmarks or {}).items():
        computed |= benchmark_evidence(name, curve, cash, periods_a_year=bars_a_year)
    return Report(
        title=title,
        meta={**_known(result), **(meta or {})},
        metrics=result.metrics,
        evidence={**computed, **(evidence or {})},
        trades=result.trades,
        equity=result.equity,
        benchmarks=benchmarks or {},
    )


def write_report(report: Report, folder: Path) -> tuple[Path, Path]:
    """Write `report.html`, `report.md`, `trades.csv` and `equity.csv`, over those of an earlier report.

    Returns
    -------
    tuple[Path, Path]
        The page and the summary.
    """
    from research.report import to_html, to_markdown

    page, summary = folder / "report.html", folder / "report.md"
    folder.mkdir(parents=True, exist_ok=True)
    page.write_text(to_html(report), encoding="utf-8")
    summary.write_text(to_markdown(report), encoding="utf-8")
    report.trades.to_csv(folder / "trades.csv", index=False)
    report.equity.to_csv(folder / "equity.csv", index=False)
    return page, summary


def stored_report(resources: Resources, run_id: str) -> Report:
    """The report of a stored run, from what was stored and the bars of its symbols."""
    from research.report_tables import Report
    from storage.research.runs import find_run, frames_of

    run = find_run(resources.engine, run_id)
    trades, equity = frames_of(resources.engine, run.run_id)
    meta = {name: value for name, value in run.meta.items() if name not in {"evidence", "verdict"}}
    return Report(
        title=f"{run.meta['strategy']}, {run.kind}, {run.created_at:%Y-%m-%d %H:%M} UTC",
        meta={"run_id": run.run_id, **meta},
        metrics=run.metrics,
        evidence=run.meta.get("evidence") or run.meta.get("verdict") or {},
        trades=trades,
        equity=equity,
        benchmarks=_benchmark(resources, run.meta),
    )


def write_stored(resources: Resources, run_id: str) -> tuple[Path, Path]:
    """Write the report of a stored run beside its files, and return the page and the summary."""
    report = stored_report(resources, run_id)
    return write_report(report, resources.data_dir / "runs" / report.meta["run_id"])


def compare(resources: Resources, run_ids: Sequence[str]) -> tuple[pd.DataFrame, list[tuple[str, pd.DataFrame]]]:
    """Figures of some runs side by side, and the equity curve of each."""
    import pandas as pd

    from storage.research.runs import find_run, frames_of

    runs = [find_run(resources.engine, run_id) for run_id in run_ids]
    figures = {
        run.run_id: {
            "strategy": run.meta["strategy"],
            "kind": run.kind,
            "from": run.meta["first_session"],
            "to": run.meta["last_session"],
            **run.metrics,
            **(run.meta.get("evidence") or {}),
        }
        for run in runs
    }
    table = pd.DataFrame(figures).rename_axis("figure")
    return table, [(run.run_id, frames_of(resources.engine, run.run_id)[1]) for run in runs]


def _benchmark(resources: Resources, meta: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Buy and hold of a run's symbols on its sessions; nothing when their bars are not stored any more."""
    import datetime as dt

    from backtest.benchmarks import buy_and_hold
    from backtest.panel import prepare
    from pipeline.bars import bars_by_symbol
    from pipeline.research.backtest_evidence import BENCHMARK

    bars = bars_by_symbol(resources.bars, meta["last_session"], resources.universe())
    known = {symbol: bars[symbol] for symbol in meta["symbols"] if symbol in bars}
    if not known:
        return {}
    start = dt.date.fromisoformat(meta["first_session"])
    return {BENCHMARK: buy_and_hold(prepare(known), resources.costs, float(meta["initial_cash_usd"]), start).equity}


def _known(result: Result) -> dict[str, Any]:
    """What a result says of its own making."""
    sessions = result.equity["session"]
    ends = (sessions.iloc[0], sessions.iloc[-1]) if len(sessions) else (None, None)
    first, last = (None if end is None else end.date().isoformat() for end in ends)
    return {
        "strategy": ", ".join(result.strategies),
        "symbols": list(result.panel.symbols),
        "first_session": first,
        "last_session": last,
        "initial_cash_usd": result.initial_cash_usd,
    }
