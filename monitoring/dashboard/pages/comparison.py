"""Live against backtest: each strategy beside its backtest, the gap between both curves by cause, and the promised range."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import TYPE_CHECKING, Any

import streamlit as st

from monitoring.dashboard import chart, csv_file, figures, table
from monitoring.dashboard.chart import Band, Between, Line, Pane
from monitoring.dashboard.parts import report
from monitoring.dashboard.reading import api, environment, reading
from monitoring.dashboard.table import Column, Tone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitoring.dashboard.palette import Colour

PATH, POINTS = "/live-vs-backtest", 1_000
LIGHTS: dict[str, Tone] = {"green": "good", "yellow": "caution", "red": "bad", "not enough": ""}
LEGEND = (
    "Green: live is at or above the backtest. Yellow: below it. Red: below 0.8 of it. Not enough: the last column has the "
    "reason. Intervals are of 95 %."
)
CAUSES: dict[str, tuple[str, str, Colour, tuple[int, ...]]] = {  # of a gap: label, explanation, colour, dash
    "signal_usd": ("signal", "other signals", "purple", (6, 3)),
    "fill_usd": ("fill", "other prices or sizes", "blue", (2, 2)),
    "cost_usd": ("cost", "other slippage or commission", "green", (8, 3, 2, 3)),
    "missed_usd": ("missed", "fills that one of the two has", "orange", (10, 4)),
    "carried_usd": ("carried", "later sessions of earlier gaps", "yellow", (1, 3)),
}


def draw(book: str | None) -> None:
    """Draw the page, and again whenever the interval of refreshes has passed."""
    st.title("Live against backtest")
    st.fragment(_refreshed, run_every=environment().refresh_seconds)(book)
    name = f"live-against-backtest-{book or 'desk'}"
    with st.container(horizontal=True):
        table.download("Figures as CSV", f"{name}.csv", partial(_figures_file, book), key="comparison-figures-csv")
        table.download("Curves as CSV", f"{name}-curves.csv", partial(_curves_file, book), key="comparison-curves-csv")
        report_name = f"performance-{book or 'desk'}.html"
        table.download(
            "Performance report (HTML, prints to PDF)", report_name, partial(_report, book), "comparison-report", "text/html"
        )


def _refreshed(book: str | None) -> None:
    with reading() as reader:
        found = reader.content(PATH, book=book, points=POINTS)
        if found is None:
            table.draw(COLUMNS, None, caption="Live against backtest", empty="")
            return
        if not found["promised"]:
            st.html(f'<p class="desk-notice">▲ No promise: {figures.escaped(found["reason"])}</p>')
        table.draw(COLUMNS, found["rows"], caption="Live against backtest, net of costs", empty="The book has no strategy.")
        st.html(f'<p class="desk-notice">{LEGEND}</p>')
        _draw_curves(found)


def _draw_curves(found: Mapping[str, Any]) -> None:
    curve = found["curve"]
    sessions = [dt.date.fromisoformat(each) for each in curve["session"]]
    if not sessions:
        st.html('<p class="desk-notice">No close is on record yet, so there is no curve.</p>')
        return
    known = found["source"] != "nothing"
    if known:
        _draw_causes(curve)
    st.html(f'<p class="desk-notice">{figures.escaped(source_of(found))}</p>')
    panes = [_equity(curve, known), *([_gap(curve)] if known else []), *([_promise(curve)] if found["promised"] else [])]
    chart.draw("comparison-curves", sessions, panes)


def _draw_causes(curve: Mapping[str, list[float | None]]) -> None:
    since = f"since {curve['session'][0]}"
    table.cards(
        [
            ("Live less backtest", f"{figures.signed(curve['gap_usd'][-1])} USD", since),
            *(
                (f"of it {label}", f"{figures.signed(curve[name][-1])} USD", about)
                for name, (label, about, _, _) in CAUSES.items()
                if name != "carried_usd" or _is_moved(curve[name])
            ),
        ]
    )


def source_of(found: Mapping[str, Any]) -> str:
    """Return a sentence about the backtest's curve: what it is made of, and what it leaves out."""
    span = f"Closes from {found['first']} to {found['last']}."
    if found["source"] == "nothing":
        return f"{span} No session was measured against its backtest, so there is only the live curve."
    missing = found["unmeasured"]
    left_out = f" {missing:,} sessions were not measured and add nothing to the gap." if missing else ""
    made_of = {"parity days": "each session decided again from what the book held"}.get(found["source"], found["source"])
    return f"{span} Backtest: {made_of}.{left_out}"


def _equity(curve: Mapping[str, Any], known: bool) -> Pane:
    live = Line("live", curve["live_usd"], "blue", width=2)
    backtest = Line("backtest", curve["backtest_usd"], "orange", dash=(6, 3))
    parts: list[Line | Between] = [live, backtest, Between("live", "backtest", "yellow")] if known else [live]
    return Pane("Equity, without deposits, withdrawals and dividends", "USD", parts, height=260)


def _gap(curve: Mapping[str, Any]) -> Pane:
    gap = Line("live less backtest", curve["gap_usd"], "grey", fill=True, width=2)
    causes = [
        Line(label, curve[name], colour, dash=dash)
        for name, (label, _, colour, dash) in CAUSES.items()
        if name != "carried_usd" or _is_moved(curve[name])
    ]
    return Pane("Live less backtest, added up, by cause", "USD", [gap, *causes], height=220, zero=True)


def _promise(curve: Mapping[str, Any]) -> Pane:
    band = Band("95 %", curve["low_usd"], curve["high_usd"], "green", ("low", "high"))
    middle = Line("promised", curve["expected_usd"], "green", dash=(2, 2))
    live = Line("live equity", curve["live_usd"], "blue", width=2)
    return Pane("Live within what the promise allows in 95 of 100 cases", "USD", [band, middle, live], height=220)


def _is_moved(values: list[float | None]) -> bool:
    return any(abs(value or 0.0) >= 0.005 for value in values)  # a cent, rounded  # noqa: PLR2004


def _live(name: str, unit: str, decimals: int, row: Mapping[str, Any]) -> str:
    """Return a live figure with its interval."""
    figure, low, high = (row[f"{name}{part}{unit}"] for part in ("", "_low", "_high"))
    if figure is None or low is None or high is None:
        return figures.number(figure, decimals)
    return f"{figures.number(figure, decimals)} ({figures.number(low, decimals)} to {figures.number(high, decimals)})"


def _delta(name: str, light: str, row: Mapping[str, Any]) -> str:
    """Return live less backtest with the word of its light."""
    return str(row[light]) if row[name] is None else f"{figures.signed(row[name])} {row[light]}"


def _tone(name: str, row: Mapping[str, Any]) -> Tone:
    return LIGHTS.get(str(row[name]), "")


def _figures_file(book: str | None) -> bytes:
    return csv_file.of_rows(api().read(PATH, book=book, points=POINTS).content["rows"])


def _report(book: str | None) -> bytes:
    return report.report(api(), book, COLUMNS, dt.datetime.now(dt.UTC))


def _curves_file(book: str | None) -> bytes:
    return csv_file.of_columns(api().read(PATH, book=book, points=2_000).content["curve"])


COLUMNS = (
    Column("label", "Strategy", text=lambda row: row["label"] if row["sleeve"] else "whole book"),
    Column("light", "Light", tone=partial(_tone, "light")),
    Column("backtest_sharpe", "Backtest Sharpe", "a year", kind="number"),
    Column("live_sharpe", "Live Sharpe, interval", "a year", kind="number", text=partial(_live, "live_sharpe", "", 2)),
    Column("sharpe_delta", "Delta", text=partial(_delta, "sharpe_delta", "sharpe_light"), tone=partial(_tone, "sharpe_light")),
    Column("backtest_profit_pct", "Backtest profit", "% a trade", kind="number"),
    Column(
        "live_profit_pct", "Live profit, interval", "% a trade", kind="number", text=partial(_live, "live_profit", "_pct", 2)
    ),
    Column(
        "profit_delta_pct",
        "Delta",
        "points",
        text=partial(_delta, "profit_delta_pct", "profit_light"),
        tone=partial(_tone, "profit_light"),
    ),
    Column("trades", "Trades", kind="number", decimals=0),
    Column("reason", "Reason", text=lambda row: row["reason"], wraps=True),
)
