"""Reports of stored backtests: put together from the run and its bars, written to a folder, compared side by side."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.research.datasets import ResearchData
from pipeline.resources import Resources, live
from trading.delistings import actions_until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from research.report_tables import Report
    from storage.research.runs import Run, Runs
    from trading.costs import Costs


@dataclass(frozen=True)
class RunComparison:
    """Runs side by side: `figures` has a column a run, `curves` the equity of each."""

    figures: pd.DataFrame
    curves: tuple[tuple[str, pd.DataFrame], ...]


def write_stored_report(run_id: str, *, resources: Resources | None = None) -> tuple[Path, Path]:
    """Write the report of a stored run beside its files, and return the page and the summary."""
    resources = resources or live()
    run = resources.runs.find(run_id)
    data = ResearchData.of(resources, run.meta.get("dataset", "").partition("@")[0] or None)
    report = stored_report(run, runs=resources.runs, data=data, costs=resources.costs)
    return write_report(report, resources.runs.folder_of(report.meta["run_id"]))


def compare_runs(run_ids: Sequence[str], *, resources: Resources | None = None) -> RunComparison:
    """Return the figures of some runs side by side, and the equity curve of each."""
    store = (resources or live()).runs
    runs = [store.find(run_id) for run_id in run_ids]
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
    return RunComparison(table, tuple((run.run_id, store.frames(run.run_id)[1]) for run in runs))


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


def stored_report(run: Run, *, runs: Runs, data: ResearchData, costs: Costs) -> Report:
    """Return the report of a stored run, from its rows and the bars of its symbols.

    Parameters
    ----------
    data
        A symbol of the run that it does not hold has no part in the benchmark.
    """
    from research.report_tables import Report

    bars, actions = data.by_symbol(run.meta["last_session"]), data.bars.actions(data.symbols)
    trades, equity = runs.frames(run.run_id)
    meta = {name: value for name, value in run.meta.items() if name not in {"evidence", "verdict"}}
    return Report(
        title=f"{run.meta['strategy']}, {run.kind}, {run.created_at:%Y-%m-%d %H:%M} UTC",
        meta={"run_id": run.run_id, **meta},
        metrics=run.metrics,
        evidence=run.meta.get("evidence") or run.meta.get("verdict") or {},
        trades=trades,
        equity=equity,
        benchmarks=_benchmark(run.meta, bars, actions, costs),
    )


def _benchmark(
    meta: Mapping[str, Any], bars: Mapping[str, pd.DataFrame], actions: pd.DataFrame, costs: Costs
) -> dict[str, pd.DataFrame]:
    """Return buy and hold of a run's symbols on its sessions; nothing when their bars are no longer stored."""
    from backtest.benchmarks import buy_and_hold
    from backtest.panel import prepare
    from pipeline.research.backtest_evidence import BENCHMARK

    stored = {symbol: bars[symbol] for symbol in meta["symbols"] if symbol in bars}
    if not stored:
        return {}
    first, last = (dt.date.fromisoformat(meta[name]) for name in ("first_session", "last_session"))
    panel = prepare(stored, actions=actions_until(actions, last))
    return {BENCHMARK: buy_and_hold(panel, costs, float(meta["initial_cash_usd"]), first).equity}
