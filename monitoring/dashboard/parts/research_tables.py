"""Tables of the page of research: columns, and figures with the units in which they are shown."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from monitoring.dashboard import figures
from monitoring.dashboard.table import Column

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SHOWN: Final = {  # of the API's units: unit, factor, decimals
    "fraction": ("%", 100.0, 2),
    "ratio": ("", 1.0, 2),
    "usd": ("USD", 1.0, 2),
    "count": ("", 1.0, 0),
    "sessions": ("sessions", 1.0, 1),
    "probability": ("", 1.0, 3),
}
FIGURES: Final = {  # of a heat map
    name: SHOWN[unit]
    for name, unit in {
        "sharpe": "ratio",
        "profit_per_trade": "fraction",
        "win_rate": "fraction",
        "profit_factor": "ratio",
        "total_return": "fraction",
        "annual_return": "fraction",
        "volatility": "fraction",
        "sortino": "ratio",
        "max_drawdown": "fraction",
        "exposure": "fraction",
        "trade_count": "count",
        "avg_hold_days": "sessions",
        "cost_usd": "usd",
    }.items()
}
NAMES: Final = {
    "deflated_sharpe": "Deflated Sharpe ratio",
    "probabilistic_sharpe": "Probabilistic Sharpe ratio",
    "avg_hold_days": "Average hold",
    "cost_usd": "Cost",
    "final_equity_usd": "Final equity",
    "sharpe": "Sharpe ratio",
    "sharpe_se": "Sharpe ratio, standard error",
    "sharpe_low": "Sharpe ratio, low end",
    "sharpe_high": "Sharpe ratio, high end",
    "profit_per_trade": "Profit a trade",
    "trade_count": "Trades",
    "trades_per_month": "Trades a month",
}
RANKINGS: Final = {"sweep": "Newest sweep", "shortlist": "Shortlists of the research chain"}


def figure_label(name: str) -> str:
    """Return the name of a figure for people.

    >>> figure_label("max_drawdown"), figure_label("cost_usd")
    ('Max drawdown', 'Cost')
    """
    return NAMES.get(name) or name.replace("_", " ").capitalize()


def run_label(row: Mapping[str, Any]) -> str:
    """Return a run for a list to choose from."""
    return f"{row['run_id']} · {row['strategy'] or 'no strategy'} · {row['kind']} · Sharpe {figures.number(row['sharpe'], 2)}"


def short(run: Mapping[str, Any]) -> str:
    """Return a run for a legend and a header: its strategy, and the end of its id, which no other of these shares."""
    return f"{run['strategy'] or run['kind']} {str(run['run_id'])[-8:]}"


def compared_columns(runs: Sequence[Mapping[str, Any]]) -> list[Column]:
    """Return a column for the figures' names, and one for each run."""
    columns = [Column("label", "Figure"), Column("unit", "Unit", text=lambda row: row["unit"])]
    for place, run in enumerate(runs):
        columns.append(Column(str(place), f"{short(run)}, {run['kind']}", kind="number", text=partial(_at, place)))
    return columns


def compared_rows(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the spans of the runs, and every figure that one of them has."""
    spans = ["n/a" if run["first"] is None else f"{run['first']} to {run['last']}" for run in found["runs"]]
    rows: list[dict[str, Any]] = [{"label": "Sessions from and to", "unit": "", "texts": spans}]
    for figure in found["figures"]:
        unit, scale, decimals = SHOWN[figure["unit"]]
        values = [None if each is None else each * scale for each in figure["values"]]
        if any(each is not None for each in values):
            texts = [figures.number(each, decimals) for each in values]
            rows.append({"label": figure_label(figure["name"]), "unit": unit, "texts": texts})
    return rows


def _at(place: int, row: Mapping[str, Any]) -> str:
    return str(row["texts"][place])


def _symbols(row: Mapping[str, Any]) -> str:
    return ", ".join(row["symbols"]) or "none"


def _params(row: Mapping[str, Any]) -> str:
    return "in its sweep" if row["params"] is None else ", ".join(f"{k}={json.dumps(v)}" for k, v in row["params"].items())


RUNS = (
    Column("run_id", "Run"),
    Column("strategy", "Strategy"),
    Column("kind", "Kind"),
    Column("sharpe", "Sharpe", "a year", kind="number"),
    Column("total_return_pct", "Return", "%", kind="signed"),
    Column("annual_return_pct", "Return", "% a year", kind="signed"),
    Column("max_drawdown_pct", "Drawdown", "%", kind="number"),
    Column("trades", "Trades", kind="number", decimals=0),
    Column("win_rate_pct", "Won", "%", kind="number", decimals=1),
    Column("profit_per_trade_pct", "Profit", "% a trade", kind="signed", decimals=3),
    Column("deflated_sharpe", "Deflated Sharpe", "probability", kind="number", decimals=3),
    Column("cost_usd", "Cost", "USD", kind="number"),
    Column("first", "From"),
    Column("last", "To"),
    Column("symbols", "Symbols", text=_symbols),
    Column("dataset", "Dataset", text=lambda row: row["dataset"] or "live bars"),
    Column("created_at", "Made", kind="instant"),
)
RANKED = (
    Column("rank", "Rank", kind="number", decimals=0),
    Column("strategy", "Strategy"),
    Column("symbol", "Symbol"),
    Column("profit_per_trade_pct", "Profit", "% a trade", kind="signed", decimals=3),
    Column("win_rate_pct", "Won", "%", kind="number", decimals=1),
    Column("sharpe", "Sharpe", "a year", kind="number"),
    Column("max_drawdown_pct", "Drawdown", "%", kind="number"),
    Column("trades", "Trades", kind="number", decimals=0),
    Column("avg_hold_sessions", "Hold", "sessions", kind="number", decimals=1),
    Column("params", "Parameters", text=_params, wraps=True),
    Column("session", "Seen through"),
    Column("key", "Of"),
    Column("dataset", "Dataset", text=lambda row: row["dataset"] or "live bars"),
)
