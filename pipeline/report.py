"""The report of a backtest: put together from its result, written to a folder. Owns the files, and computes no figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

    from backtest.engine import Result
    from backtest.report import Report


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
    from backtest.evidence import benchmark_evidence, sharpe_evidence
    from backtest.report import Report

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
    from backtest.report import to_html, to_markdown

    page, summary = folder / "report.html", folder / "report.md"
    folder.mkdir(parents=True, exist_ok=True)
    page.write_text(to_html(report), encoding="utf-8")
    summary.write_text(to_markdown(report), encoding="utf-8")
    report.trades.to_csv(folder / "trades.csv", index=False)
    report.equity.to_csv(folder / "equity.csv", index=False)
    return page, summary


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
