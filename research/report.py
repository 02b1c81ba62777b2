"""The report of one run: frames in, HTML or Markdown out.

The HTML is one file that loads nothing: plotly.js is inside, and the page's content policy forbids the network. Every text that
comes from data is escaped. A figure stands in the page with the digits a reader needs and, in the element's `value`, in full.
"""

from __future__ import annotations

import html
import math
import re
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from research.charts import MOST_SYMBOLS, chart_html, distribution_chart, equity_chart, symbol_chart, trade_chart
from research.report_tables import (
    DASH,
    Cell,
    Report,
    Sheet,
    comparison,
    drawdown_sheet,
    exit_reasons,
    figure_label,
    figure_sheets,
    figure_text,
    largest_trades,
    meta_text,
    monthly_returns,
    years,
)
from research.statistics import SURVIVES

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
CARDS: Final = ("total_return", "annual_return", "sharpe", "deflated_sharpe", "max_drawdown", "trade_count", "profit_per_trade")


def to_html(report: Report) -> str:
    """The report as one self-contained page."""
    from plotly.offline import get_plotlyjs

    template = Template(Path(__file__).with_name("report.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=html.escape(report.title),
        plotly=get_plotlyjs(),
        meta=_meta_html(report.meta),
        verdict=html.escape(verdict(report)),
        cards=_cards_html({**report.metrics, **report.evidence}),
        body="\n".join((*_curve_html(report), *_trades_html(report), *_figures_html(report))),
    )


def to_markdown(report: Report) -> str:
    """The report's summary: what was run, what it came to, how far to believe it."""
    about = [f"- {_md(figure_label(name))}: {_md(meta_text(value))}" for name, value in report.meta.items()]
    sheets = [
        comparison(report),
        *figure_sheets(report),
        years(report),
        exit_reasons(report.trades),
        largest_trades(report.trades),
        drawdown_sheet(report.equity),
    ]
    parts = [
        f"# {_md(report.title)}",
        "\n".join(about),
        _md(verdict(report)),
        *(_sheet_md(sheet) for sheet in sheets if sheet.rows),
    ]
    return "\n\n".join(parts) + "\n"


def verdict(report: Report) -> str:
    """In one or two sentences, whether the result survives the number of trials it was chosen from."""
    trades, sharpe, deflated, trials = (
        {**report.metrics, **report.evidence}.get(name) for name in ("trade_count", "sharpe", "deflated_sharpe", "trials")
    )
    if not trades:
        return "No trade was made. Figures that need one are not defined."
    if deflated is None:
        return "The deflated Sharpe ratio is not defined here, so nothing says whether this result is more than luck."
    counted = f"{trials:,} trial{'' if trials == 1 else 's'}" if trials else "the trials counted"
    down = math.floor(deflated * 1000) / 1000  # never rounded up to the bar it misses
    judged = f"Sharpe {figure_text('sharpe', sharpe)}, deflated {down:.3f} after {counted}"
    if deflated >= SURVIVES:
        return f"Survives deflation: {judged}, at or above {SURVIVES}."
    return f"Does not survive deflation: {judged}, below {SURVIVES}. Luck is not ruled out."


def _curve_html(report: Report) -> list[str]:
    note = (
        "Probabilistic Sharpe: probability that the true Sharpe ratio is above zero. Deflated: above what the best of that many"
        " trials would show by luck. Every backtest ever run on the strategy counts as a trial."
    )
    months = monthly_returns(report.equity, report.meta.get("initial_cash_usd"))
    return [
        "<section><h2>How far to believe it</h2>",
        _sheet_html(comparison(report)),
        f"<p class='note'>{note}</p></section>",
        "<section><h2>Equity</h2>",
        _chart(equity_chart(report.equity, report.benchmarks), "equity"),
        "</section><section><h2>Monthly returns</h2>",
        _months_html(months),
        "</section>",
    ]


def _trades_html(report: Report) -> list[str]:
    if report.trades.empty:
        return ["<section><h2>Trades</h2><p>There are none.</p></section>", *_tables(drawdown_sheet(report.equity))]
    count = report.trades["symbol"].nunique()
    shown = f" The best and the worst {MOST_SYMBOLS // 2} are shown." if count > MOST_SYMBOLS else ""
    return [
        "<section><h2>Trades by exit</h2>",
        _chart(trade_chart(report.trades), "trades"),
        "<p class='note'>A larger mark was held longer.</p></section><section><h2>Distribution of returns</h2>",
        _chart(distribution_chart(report.trades), "distribution"),
        f"</section><section><h2>Symbols</h2><p class='note'>{count:,} traded.{shown}</p>",
        _chart(symbol_chart(report.trades), "symbols"),
        "</section>",
        *_tables(exit_reasons(report.trades), largest_trades(report.trades), drawdown_sheet(report.equity)),
    ]


def _figures_html(report: Report) -> list[str]:
    sheets = "".join(f"<div><h3>{html.escape(sheet.title)}</h3>{_sheet_html(sheet)}</div>" for sheet in figure_sheets(report))
    return [f"<section><h2>All figures</h2><div class='columns'>{sheets}</div></section>"]


def _tables(*sheets: Sheet) -> list[str]:
    return [f"<section><h2>{html.escape(sheet.title)}</h2>{_sheet_html(sheet) or '<p>None.</p>'}</section>" for sheet in sheets]


def _chart(figure: Any, name: str) -> str:  # noqa: ANN401  # plotly is imported on use
    return f"<div class='chart'>{chart_html(figure, name)}</div>"


def _meta_html(meta: Mapping[str, Any]) -> str:
    pairs = (
        f"<dt>{html.escape(figure_label(name))}</dt><dd>{html.escape(meta_text(value))}</dd>" for name, value in meta.items()
    )
    return f"<dl>{''.join(pairs)}</dl>"


def _cards_html(known: Mapping[str, Any]) -> str:
    cards = (
        f"<div class='card'><span>{html.escape(figure_label(name))}</span>{_cell_html(Cell(name, known.get(name)))}</div>"
        for name in CARDS
    )
    return f"<div class='cards'>{''.join(cards)}</div>"


def _sheet_html(sheet: Sheet) -> str:
    if not sheet.rows:
        return ""
    head = "".join(f"<th scope='col'>{html.escape(column)}</th>" for column in ("", *sheet.columns))
    rows = (
        f"<tr><th scope='row'>{html.escape(name)}</th>{''.join(f'<td>{_cell_html(cell)}</td>' for cell in cells)}</tr>"
        for name, cells in sheet.rows
    )
    return f"<div class='scroll'><table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"


def _cell_html(cell: Cell) -> str:
    text = html.escape(figure_text(cell.name, cell.value))
    if text == DASH or not isinstance(cell.value, (int, float, np.number)):
        return f"<data data-figure='{html.escape(cell.name)}' value=''>{text}</data>"
    return f"<data data-figure='{html.escape(cell.name)}' value='{cell.value}'>{text}</data>"


def _months_html(months: pd.DataFrame) -> str:
    """The months as a table, gains on blue and losses on vermillion; the deepest colour is the largest move of any month."""
    if months.empty:
        return "<p>None.</p>"
    largest = np.nanmax(np.abs(months[list(range(1, 13))].to_numpy()), initial=0.0) or 1.0
    head = "".join(f"<th scope='col'>{name}</th>" for name in ("", *MONTHS, "Year"))
    rows = []
    for year, values in months.iterrows():
        cells = "".join(_heat_html(value, largest) for value in values.iloc[:12])
        rows.append(f"<tr><th scope='row'>{year}</th>{cells}<td>{_percent(values.iloc[12])}</td></tr>")
    return f"<div class='scroll'><table class='heat'><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"


def _heat_html(value: float, largest: float) -> str:
    if not math.isfinite(value):
        return f"<td>{DASH}</td>"
    colour = "0, 114, 178" if value > 0 else "213, 94, 0"
    strength = 0.6 * min(abs(value) / largest, 1)  # not darker: the text stays readable
    return f"<td style='background: rgba({colour}, {strength:.2f})'>{_percent(value)}</td>"


def _percent(value: float) -> str:
    return f"{value:z.1%}" if math.isfinite(value) else DASH


def _sheet_md(sheet: Sheet) -> str:
    head = f"| | {' | '.join(_md(column) for column in sheet.columns)} |\n|---|{'---:|' * len(sheet.columns)}"
    rows = (f"| {_md(name)} | {' | '.join(_md(figure_text(*cell)) for cell in cells)} |" for name, cells in sheet.rows)
    return f"## {_md(sheet.title)}\n\n{head}\n" + "\n".join(rows)


def _md(text: str) -> str:
    """Text without what Markdown or HTML would act on, on one line."""
    flat = re.sub(r"([\\`*_\[\]|])", r"\\\1", " ".join(text.split()))
    return html.escape(flat, quote=False)
