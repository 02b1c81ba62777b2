"""The tables of a backtest report, as values without mark-up, and the text of a figure."""

from __future__ import annotations

import html
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd

from research.charts import label

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


DASH: Final = "-"
MOST_NAMES: Final = 40
SHARPE: Final = ("sharpe_se", "sharpe_low", "sharpe_high", "probabilistic_sharpe", "deflated_sharpe", "trials")
COMPARED: Final = ("total_return", "annual_return", "volatility", "max_drawdown", "sharpe", *SHARPE)
GROUPS: Final = {
    "Return and risk": (
        "total_return", "annual_return", "volatility", "sharpe", "sortino", "max_drawdown", "exposure",
        "final_equity_usd", "sessions",
    ),
    "Trades": (
        "trade_count", "win_rate", "profit_per_trade", "average_winner", "average_loser", "win_rate_adjusted_profit",
        "profit_factor", "trades_per_month", "avg_hold_days", "cost_usd",
    ),
}  # fmt: skip
PERCENT: Final = re.compile(
    "return|volatility|drawdown|depth|win_rate|winner|loser|exposure|share|profit_per_trade|adjusted_profit|random_entry_mean|^mean$"
)
PROBABILITIES: Final = ("_p", "probabilistic_sharpe", "deflated_sharpe")
NAMES: Final = {
    "sharpe_se": "Standard error",
    "sharpe_low": "95 % low",
    "sharpe_high": "95 % high",
    "probabilistic_sharpe": "Probabilistic Sharpe",
    "deflated_sharpe": "Deflated Sharpe",
    "random_entry_p": "p against random entries",
    "random_entry_mean": "Random entries, profit per trade",
    "avg_hold_days": "Sessions held",
    "cost_usd": "Costs (USD)",
    "pnl_usd": "Profit (USD)",
    "mean_price": "Average at the decision",
    "band_price": "Band at the decision",
}


@dataclass(frozen=True)
class Report:
    """The contents of a backtest report.

    Attributes
    ----------
    title
        Headline.
    meta
        What the run was made of: strategy, params, symbols, first_session, last_session, costs, ... in the order shown.
    metrics
        Figures of the run; None where one is not defined.
    evidence
        How far the figures are to be believed: `SHARPE` of the run, `COMPARED` of each benchmark
        under the prefix of its name, random_entry_p and random_entry_mean.
    trades
        TRADES, and `core.frames.BAND_COLUMNS` where they are known.
    equity
        Columns session, equity_usd, drawdown.
    benchmarks
        Such a frame by name, e.g. ``buy_and_hold``.
    """

    title: str
    meta: Mapping[str, Any]
    metrics: Mapping[str, Any]
    evidence: Mapping[str, Any]
    trades: pd.DataFrame
    equity: pd.DataFrame
    benchmarks: Mapping[str, pd.DataFrame] = field(default_factory=dict)


class Cell(NamedTuple):
    """A value and the name of the figure it is, which says how it is written."""

    name: str
    value: Any


class Sheet(NamedTuple):
    """A table: a heading, the columns' labels, and rows of a label and cells."""

    title: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Cell]]]


def monthly_returns(equity: pd.DataFrame, initial_cash_usd: float | None = None) -> pd.DataFrame:
    """Returns of each calendar month and year.

    Parameters
    ----------
    equity
        Columns session, equity_usd.
    initial_cash_usd
        What the first month starts from; its first close unless given.

    Returns
    -------
    pd.DataFrame
        Fractions; one row a year, columns 1 to 12 and ``year``. NaN for a month without a session.
    """
    columns = [*range(1, 13), "year"]
    if equity.empty:
        return pd.DataFrame(columns=columns, dtype="float64")
    start = equity["equity_usd"].iloc[0] if initial_cash_usd is None else initial_cash_usd
    sessions = pd.DatetimeIndex(equity["session"])
    months = _period_returns(equity["equity_usd"], sessions.year * 12 + sessions.month - 1, start)
    table = pd.DataFrame({"year": months.index // 12, "month": months.index % 12 + 1, "value": months.to_numpy()})
    wide = table.pivot_table(index="year", columns="month", values="value")
    wide["year"] = _period_returns(equity["equity_usd"], sessions.year, start)
    return wide.reindex(columns=columns).rename_axis(index=None, columns=None)


def worst_drawdowns(equity: pd.DataFrame, n: int = 5) -> pd.DataFrame:
    """The deepest falls under an earlier peak, the deepest first.

    Parameters
    ----------
    equity
        Columns session, drawdown (fraction below the peak, 0 or negative).

    Returns
    -------
    pd.DataFrame
        Columns start (the peak's session, or the first one of all), trough, end (first session back at the peak, NaT when there
        is none yet), depth (fraction, negative) and sessions (closes below the peak).
    """
    sessions, depth = equity["session"].to_numpy(), equity["drawdown"].to_numpy(dtype=np.float64)
    below = np.concatenate([[False], depth < 0, [False]])
    change = np.flatnonzero(below[1:] != below[:-1])
    first, after = change[::2], change[1::2]
    if not len(first):
        return pd.DataFrame({"start": [], "trough": [], "end": [], "depth": [], "sessions": []})
    trough = np.array([low + int(np.argmin(depth[low:high])) for low, high in zip(first, after, strict=True)])
    ends = np.append(sessions, np.datetime64("NaT"))
    table = pd.DataFrame(
        {
            "start": sessions[np.maximum(first - 1, 0)],
            "trough": sessions[trough],
            "end": ends[after],
            "depth": depth[trough],
            "sessions": after - first,
        }
    )
    return table.sort_values("depth", kind="stable", ignore_index=True).head(n)


def comparison(report: Report) -> Sheet:
    """The run beside its benchmarks: return, risk, and each Sharpe with what qualifies it."""
    known = {**report.metrics, **report.evidence}
    curves = {"This run": "", **{_plain(name): f"{name}_" for name in report.benchmarks}}
    rows = [(title, [Cell(name, known.get(prefix + name)) for name in COMPARED]) for title, prefix in curves.items()]
    return Sheet("How far to believe it", [figure_label(name) for name in COMPARED], rows)


def figure_sheets(report: Report) -> list[Sheet]:
    """Every figure of the run, and what evidence the comparison does not show, in groups."""
    groups = {title: [name for name in names if name in report.metrics] for title, names in GROUPS.items()}
    grouped = {name for names in groups.values() for name in names}
    rest = [name for name in report.metrics if name not in grouped]
    groups["Candidates not traded"] = [name for name in rest if name.startswith("refused_")]
    groups["Other figures"] = [name for name in rest if not name.startswith("refused_")]
    sheets = [Sheet(title, ["Value"], [_row(name, report.metrics) for name in names]) for title, names in groups.items()]
    compared = {*SHARPE, *(f"{prefix}_{name}" for prefix in report.benchmarks for name in COMPARED)}
    others = [_row(name, report.evidence) for name in report.evidence if name not in compared]
    return [sheet for sheet in (*sheets, Sheet("Other evidence", ["Value"], others)) if sheet.rows]


def exit_reasons(trades: pd.DataFrame) -> Sheet:
    """Return the trades' figures by exit reason, the most frequent first."""
    names = ("trade_count", "share", "win_rate", "profit_per_trade", "pnl_usd", "avg_hold_days")
    groups = sorted(trades.groupby("reason"), key=lambda group: (-len(group[1]), str(group[0])))
    rows = []
    for reason, some in groups:
        net = some["net_return"]
        values = (
            len(some), len(some) / len(trades), (net > 0).mean(), net.mean(), some["pnl_usd"].sum(),
            some["holding_sessions"].mean(),
        )  # fmt: skip
        rows.append((_plain(str(reason)), [Cell(*pair) for pair in zip(names, values, strict=True)]))
    return Sheet("Exit reasons", [figure_label(name) for name in names], rows)


def largest_trades(trades: pd.DataFrame, each: int = 5) -> Sheet:
    """Return the trades that lost and won most, worst first, with the strategy's average and band at the decision."""
    names = (
        "entry_session", "entry_price", "mean_price", "band_price", "exit_session", "exit_price", "reason", "net_return",
        "pnl_usd",
    )  # fmt: skip
    ordered = trades.reindex(columns=["symbol", *names]).sort_values("pnl_usd", kind="stable", ignore_index=True)
    shown = ordered if len(ordered) <= 2 * each else pd.concat([ordered.head(each), ordered.tail(each)])
    rows = [(str(row["symbol"]), [Cell(name, row[name]) for name in names]) for row in shown.astype(object).to_dict("records")]
    return Sheet("Largest trades", [figure_label(name) for name in names], rows)


def drawdown_sheet(equity: pd.DataFrame) -> Sheet:
    """The worst five drawdowns."""
    worst = worst_drawdowns(equity)
    rows = [
        (str(number), [Cell(str(name), value) for name, value in row.items()])
        for number, row in enumerate(worst.astype(object).to_dict("records"), start=1)
    ]
    return Sheet("Worst drawdowns", [figure_label(str(name)) for name in worst], rows)


def years(report: Report) -> Sheet:
    """Return of each year."""
    table = monthly_returns(report.equity, report.meta.get("initial_cash_usd"))
    return Sheet("Years", ["Return"], [(str(year), [Cell("return", value)]) for year, value in table["year"].items()])


def figure_label(name: str) -> str:
    """A figure's name for a reader, not escaped."""
    return NAMES.get(name) or (f"{_plain(name[:-4])} (USD)" if name.endswith("_usd") else _plain(name))


def figure_text(name: str, value: Any) -> str:  # noqa: ANN401  # what a figure may be
    """A figure as a reader wants it; a dash where it is not defined.

    >>> figure_text("total_return", 0.1234), figure_text("sharpe", None), figure_text("cost_usd", 1234.6)
    ('12.34%', '-', '1,235')
    """
    if isinstance(value, pd.Timestamp):
        return value.date().isoformat()
    if isinstance(value, (bool, np.bool_, str)):
        return str(value)
    if not isinstance(value, (int, float, np.number)) or not math.isfinite(value):
        return DASH
    if isinstance(value, (int, np.integer)):
        return f"{value:,}"
    if name.endswith("_usd"):
        return f"{value:z,.0f}"  # z: no minus before a zero
    return f"{value:z.2%}" if PERCENT.search(name) else f"{value:z,.3f}" if name.endswith(PROBABILITIES) else f"{value:z,.2f}"


def meta_text(value: Any) -> str:  # noqa: ANN401  # JSON
    """A part of the run's description as text."""
    if isinstance(value, dict):
        return ", ".join(f"{name} = {DASH if part is None else part}" for name, part in value.items()) or DASH
    if isinstance(value, (list, tuple)):
        more = f" and {len(value) - MOST_NAMES} more" if len(value) > MOST_NAMES else ""
        return f"{len(value)}: {', '.join(map(str, value[:MOST_NAMES]))}{more}" if value else DASH
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return DASH if value is None else f"{value:,}" if type(value) in {int, float} else str(value)


def _period_returns(equity_usd: pd.Series, period: pd.Index, start: float) -> pd.Series:
    """Return of each period from the close before it; `period` numbers the periods in order."""
    last = equity_usd.groupby(np.asarray(period)).last()
    return (last / last.shift(fill_value=start) - 1).where(np.isfinite)


def _row(name: str, values: Mapping[str, Any]) -> tuple[str, list[Cell]]:
    return figure_label(name.removeprefix("refused_") if name.startswith("refused_") else name), [Cell(name, values[name])]


def _plain(name: str) -> str:
    return html.unescape(label(name))
