"""Research: backtest runs and their comparison, heat maps of trials, rankings."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import TYPE_CHECKING, Any

import streamlit as st

from monitoring.dashboard import chart, csv_file, figures, table
from monitoring.dashboard.chart import Line, Pane
from monitoring.dashboard.errors import ApiError
from monitoring.dashboard.parts import heat_map
from monitoring.dashboard.parts import research_tables as tables
from monitoring.dashboard.reading import api, environment, reading

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitoring.dashboard.palette import Colour
    from monitoring.dashboard.reading import Reader

ANY = "any"
FEWEST, MOST = 2, 6  # runs of a comparison
RUNS, POINTS = 200, 1_000
KINDS = (ANY, "unfiltered", "filtered", "walk_forward")
LINES: tuple[tuple[Colour, tuple[int, ...]], ...] = (
    ("blue", ()),
    ("orange", (8, 4)),
    ("green", (2, 3)),
    ("purple", (10, 3, 2, 3)),
    ("yellow", (5, 2)),
    ("grey", (1, 4)),
)
NO_RUN = "No backtest is on record: `desk backtest` makes one."


def draw(_: str | None) -> None:
    """Draw the section that is chosen; research belongs to no book."""
    st.title("Research")
    sections: dict[str, Callable[[], None]] = {"Runs": _runs, "Heat map": _heat_map, "Rankings": _rankings}
    chosen = st.segmented_control(
        "Section", list(sections), default="Runs", key="section", bind="query-params", label_visibility="collapsed"
    )
    sections[chosen or "Runs"]()


def _runs() -> None:
    filters = _run_filters()
    labels = _labels(filters)
    chosen = st.multiselect(
        "Compare two to six runs",
        list(labels),
        max_selections=MOST,
        format_func=lambda run: labels.get(run, run),
        key="research-chosen",
        placeholder="Choose runs",
    )
    _refresh(_draw_runs, filters, tuple(chosen))
    with st.container(horizontal=True):
        table.download("Runs as CSV", "runs.csv", lambda: api().export("/research/runs", **filters), key="research-runs-csv")
        if len(chosen) >= FEWEST:
            content = partial(_comparison_file, tuple(chosen))
            table.download("Comparison as CSV", "comparison.csv", content, key="research-comparison-csv")


def _run_filters() -> dict[str, str | None]:
    kind, strategy, dataset = st.columns(3)
    chosen = {
        "kind": kind.selectbox("Kind", KINDS, key="research-kind"),
        "strategy": strategy.text_input(
            "Strategy", key="research-strategy", max_chars=200, placeholder="rsi, or bollinger+rsi"
        ),
        "dataset": dataset.text_input("Dataset", key="research-dataset", max_chars=200, placeholder="NAME@SHA256"),
    }
    return {name: None if value in {ANY, ""} else value for name, value in chosen.items()}


def _labels(filters: dict[str, str | None]) -> dict[str, str]:
    """Return the runs that can be chosen with their labels; those chosen before stay whatever the filter is."""
    try:
        rows = api().read("/research/runs", **filters, limit=RUNS).rows
    except ApiError:
        rows = []
    before: dict[str, str] = st.session_state.setdefault("research-labels", {})
    found = {row["run_id"]: tables.run_label(row) for row in rows}
    chosen = [run for run in st.session_state.get("research-chosen", []) if run not in found]
    labels = found | {run: before.get(run, run) for run in chosen}
    st.session_state["research-labels"] = labels
    return labels


def _draw_runs(filters: dict[str, str | None], chosen: tuple[str, ...]) -> None:
    with reading() as reader:
        if len(chosen) >= FEWEST:
            _draw_comparison(reader, chosen)
        elif chosen:
            st.html('<p class="desk-notice">Choose one more run to compare.</p>')
        rows = reader.rows("/research/runs", **filters, limit=RUNS)
        table.draw(tables.RUNS, rows, caption=f"Backtests, net of costs, the newest {RUNS} first", empty=NO_RUN, most=RUNS)


def _draw_comparison(reader: Reader, chosen: tuple[str, ...]) -> None:
    found = reader.content("/research/compare", run=chosen, points=POINTS)
    if found is None:
        table.draw((), None, caption="Comparison", empty="")
        return
    runs = found["runs"]
    columns = tables.compared_columns(runs)
    if found["session"]:
        sessions = [dt.date.fromisoformat(each) for each in found["session"]]
        lines = [
            Line(tables.short(run), curve["value"], colour, dash=dash)
            for run, curve, (colour, dash) in zip(runs, found["curves"], LINES, strict=False)
        ]
        chart.draw(
            "research-comparison", sessions, [Pane("Equity on common sessions, 100 at the first", "", lines, height=320)]
        )
    else:
        st.html('<p class="desk-notice">These runs have no session in common, so their curves cannot be drawn together.</p>')
    table.draw(columns, tables.compared_rows(found), caption="Figures side by side, net of costs", empty="No figure is stored.")


def _comparison_file(chosen: tuple[str, ...]) -> bytes:
    found = api().read("/research/compare", run=chosen, points=POINTS).content
    ids = [run["run_id"] for run in found["runs"]]
    return csv_file.of_rows(
        [
            {"name": each["name"], "unit": each["unit"], **dict(zip(ids, each["values"], strict=True))}
            for each in found["figures"]
        ]
    )


def _heat_map() -> None:
    parameters = _parameters()
    strategy, x, y, metric = st.columns(4)
    chosen = strategy.selectbox("Strategy", [ANY, *parameters], key="heat-strategy", accept_new_options=True)
    axes = ["strategy", "symbol", *parameters.get(chosen or ANY, ())]
    across = x.selectbox("Across", axes, index=min(2, len(axes) - 1) if chosen != ANY else 0, key=f"heat-x-{chosen}")
    others = [each for each in axes if each != across]
    down = y.selectbox("Down", others, index=min(2, len(others) - 1) if chosen != ANY else 0, key=f"heat-y-{chosen}-{across}")
    figure = metric.selectbox("Figure", list(tables.FIGURES), format_func=tables.figure_label, key="heat-metric")
    _refresh(_draw_heat_map, None if chosen == ANY else chosen, across, down, figure)


def _parameters() -> dict[str, list[str]]:
    """Return the parameters of each strategy, by name."""
    try:
        return {row["strategy"]: list(row["params"]) for row in api().read("/strategies").rows if row["symbol"] is None}
    except ApiError:
        return {}


def _draw_heat_map(strategy: str | None, x: str, y: str, metric: str) -> None:
    with reading() as reader:
        found = reader.content("/research/heatmap", strategy=strategy, x=x, y=y, metric=metric)
        caption = f"{tables.figure_label(metric)}: mean over the trials of {strategy or 'every strategy'}"
        if found is None:
            table.draw((), None, caption=caption, empty="")
            return
        if not found["total"]:
            st.html(f'<p class="desk-notice">No trial has both {figures.escaped(x)} and {figures.escaped(y)}.</p>')
            return
        unit, scale, decimals = tables.FIGURES[metric]
        heat_map.draw(found, caption=caption, scale=scale, decimals=decimals, unit=unit)
        left_out = f" {found['left_out']:,} of them are of values beyond the 50 tried most." if found["left_out"] else ""
        st.html(f'<p class="desk-notice">{found["total"]:,} trials.{left_out} Axes in bins say from where to where.</p>')


def _rankings() -> None:
    of, trades = st.columns(2)
    kind = of.selectbox("Ranking", tables.RANKINGS, format_func=tables.RANKINGS.__getitem__, key="ranking-of")
    fewest = trades.number_input("Fewest trades, of a sweep", 1, 100_000, 30, key="ranking-trades")
    query: dict[str, Any] = {"of": kind, "min_trades": int(fewest)}
    _refresh(_draw_rankings, query)
    table.download("Ranking as CSV", f"{kind}.csv", lambda: api().export("/research/rankings", **query), key="rankings-csv")


def _draw_rankings(query: dict[str, Any]) -> None:
    with reading() as reader:
        rows = reader.rows("/research/rankings", **query, limit=RUNS)
        empty = "Nothing was swept, or nothing traded so often." if query["of"] == "sweep" else "No shortlist is stored."
        caption = f"{tables.RANKINGS[query['of']]}, the first {RUNS}, by profit a trade and then Sharpe ratio, net of costs"
        table.draw(tables.RANKED, rows, caption=caption, empty=empty, most=RUNS)


def _refresh(part: Callable[..., None], *given: Any) -> None:  # noqa: ANN401  # passed on
    """Draw a part now and whenever the interval of refreshes has passed; choices stand outside of it."""
    st.fragment(part, run_every=environment().refresh_seconds)(*given)
