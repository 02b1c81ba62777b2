"""The charts of a backtest report: frames in, Plotly figures out.

Colours are those of Okabe and Ito (2008), told apart by the colour-blind; each exit reason has a mark of its own besides. Names
that come from data are escaped, since Plotly reads its labels as HTML.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    import plotly.graph_objects as go

BLUE, VERMILLION, GREY, INK = "#0072B2", "#D55E00", "#707070", "#222222"
PALETTE = (BLUE, VERMILLION, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", GREY)
MARKS = ("circle", "x", "diamond", "square", "triangle-up", "triangle-down", "cross")
DASHES = ("dash", "dot", "dashdot")
LOG_FROM_RATIO = 3  # curves further apart than this start on a logarithmic axis
MOST_SYMBOLS = 60  # more bars than that cannot be read: the best and the worst are shown
MOST_BINS = 80
CONFIG = {"responsive": True, "displaylogo": False, "plotlyServerURL": "", "modeBarButtonsToRemove": ["lasso2d", "select2d"]}


def chart_html(figure: go.Figure, name: str) -> str:
    """A figure as an HTML fragment that expects plotly.js on its page; `name` is the id of its element."""
    from plotly.io import to_html

    height = f"{figure.layout.height}px"
    text: str = to_html(figure, CONFIG, full_html=False, include_plotlyjs=False, div_id=name, default_height=height)
    return text


def equity_chart(equity: pd.DataFrame, benchmarks: Mapping[str, pd.DataFrame]) -> go.Figure:
    """Equity of the run and of each benchmark, and beneath on the same sessions how far each is under water.

    Parameters
    ----------
    equity, benchmarks
        Columns session, equity_usd, drawdown.
    """
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=2, shared_xaxes=True, row_heights=[0.66, 0.34], vertical_spacing=0.05)
    for number, (name, curve) in enumerate(benchmarks.items()):
        _add_curve(figure, label(name), curve, {"color": GREY, "width": 1.2, "dash": DASHES[number % len(DASHES)]})
    _add_curve(figure, "This run", equity, {"color": BLUE, "width": 2}, filled=True)
    figure.update_yaxes(title_text="Equity (USD)", tickformat="~s", type=_scale(equity, benchmarks), row=1, col=1)
    figure.update_yaxes(title_text="Under water", tickformat=".0%", row=2, col=1)
    figure.update_layout(updatemenus=[_scale_menu(_scale(equity, benchmarks))])
    return _dressed(figure, 560, hovermode="x unified")


def trade_chart(trades: pd.DataFrame) -> go.Figure:
    """Each trade at its exit: net return, coloured by the reason it was left for, larger the longer it was held."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for number, reason in enumerate(trades["reason"].value_counts().index):
        some = trades[trades["reason"] == reason]
        about = [
            [html.escape(str(row.symbol)), row.entry_session.date().isoformat(), row.holding_sessions]
            for row in some.itertuples()
        ]
        figure.add_scatter(
            x=some["exit_session"],
            y=some["net_return"],
            name=label(str(reason)),
            mode="markers",
            marker={
                "color": PALETTE[number % len(PALETTE)],
                "symbol": MARKS[number % len(MARKS)],
                "size": np.minimum(6 + 3 * np.sqrt(some["holding_sessions"]), 20),
                "opacity": 0.7,
            },
            customdata=about,
            hovertemplate="%{customdata[0]}: %{y:.2%}<br>in %{customdata[1]}, out %{x|%Y-%m-%d}, held %{customdata[2]}",
        )
    figure.update_yaxes(title_text="Net return", tickformat=".1%", zeroline=True)
    return _dressed(figure, 380)


def distribution_chart(trades: pd.DataFrame) -> go.Figure:
    """Return the histogram of net returns; a bin ends at zero, so that no bar mixes losses with gains."""
    import plotly.graph_objects as go

    net = trades["net_return"].to_numpy(dtype=np.float64)
    edges = bins_around_zero(net)
    counts, _ = np.histogram(net, edges)
    middles, width = (edges[1:] + edges[:-1]) / 2, edges[1] - edges[0]
    colours = np.where(middles > 0, BLUE, VERMILLION)
    figure = go.Figure(
        go.Bar(x=middles, y=counts, width=width, marker_color=colours, hovertemplate="%{x:.2%}: %{y}<extra></extra>")
    )
    mean = float(net.mean())
    figure.add_vline(x=mean, line={"color": INK, "dash": "dot"}, annotation_text=f"mean {mean:.2%}")
    figure.update_xaxes(title_text="Net return of a trade", tickformat=".1%")
    figure.update_yaxes(title_text="Trades")
    return _dressed(figure, 340, showlegend=False)


def symbol_chart(trades: pd.DataFrame) -> go.Figure:
    """Profit per trade and number of trades of each symbol, the best on top."""
    from plotly.subplots import make_subplots

    by = trades.groupby("symbol")["net_return"].agg(["mean", "count"]).sort_values("mean", kind="stable")
    if len(by) > MOST_SYMBOLS:
        half = MOST_SYMBOLS // 2
        by = by.iloc[[*range(half), *range(len(by) - half, len(by))]]
    names = [html.escape(str(symbol)) for symbol in by.index]
    figure = make_subplots(cols=2, shared_yaxes=True, horizontal_spacing=0.04, column_widths=[0.66, 0.34])
    colours = np.where(by["mean"] > 0, BLUE, VERMILLION)
    figure.add_bar(x=by["mean"], y=names, orientation="h", marker_color=colours, hovertemplate="%{y}: %{x:.2%}<extra></extra>")
    counts = {"marker_color": GREY, "hovertemplate": "%{y}: %{x}<extra></extra>"}
    figure.add_bar(x=by["count"], y=names, orientation="h", row=1, col=2, **counts)
    figure.update_xaxes(title_text="Profit per trade", tickformat=".1%", zeroline=True, row=1, col=1)
    figure.update_xaxes(title_text="Trades", row=1, col=2)
    figure.update_yaxes(type="category", dtick=1)
    return _dressed(figure, 110 + 20 * len(by), showlegend=False)


def bins_around_zero(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Edges of equal bins that cover `values`, one of them at zero; as wide as numpy finds fitting, about `MOST_BINS` at most.

    >>> bins_around_zero(np.array([-0.01, 0.01])).tolist()
    [-0.01, 0.0, 0.01]
    """
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    if low == high:
        return np.array([-0.01, 0.0, 0.01])
    fitting = np.histogram_bin_edges(values, "auto")
    width = max(float(fitting[1] - fitting[0]), (high - low) / MOST_BINS)
    width = min(width, max(-low, high))
    steps: np.ndarray[Any, Any] = np.arange(np.floor(low / width), np.ceil(high / width) + 1)
    return steps * width


def label(name: str) -> str:
    """A name of the code or of data as a label.

    >>> label("stop_gap"), label("<b>")
    ('Stop gap', '&lt;b&gt;')
    """
    words = name.replace("_", " ")
    return html.escape(words[:1].upper() + words[1:])


def _add_curve(figure: go.Figure, name: str, curve: pd.DataFrame, line: dict[str, Any], *, filled: bool = False) -> None:
    mode = "lines" if len(curve) > 1 else "markers"  # a line of one session would not be seen
    shared = {"x": curve["session"], "name": name, "mode": mode, "line": line, "legendgroup": name}
    figure.add_scatter(y=curve["equity_usd"], hovertemplate="%{y:,.0f}", row=1, col=1, **shared)
    fill = {"fill": "tozeroy", "fillcolor": "rgba(0, 114, 178, 0.2)"} if filled else {}
    figure.add_scatter(y=curve["drawdown"], hovertemplate="%{y:.1%}", showlegend=False, row=2, col=1, **fill, **shared)


def _scale(equity: pd.DataFrame, benchmarks: Mapping[str, pd.DataFrame]) -> str:
    """The axis on which every curve can be seen at first."""
    values = np.concatenate([curve["equity_usd"].to_numpy() for curve in (equity, *benchmarks.values())])
    return "log" if len(values) and values.min() > 0 and values.max() / values.min() > LOG_FROM_RATIO else "linear"


def _scale_menu(chosen: str) -> dict[str, Any]:
    scales = ("linear", "log")
    return {
        "type": "buttons",
        "direction": "right",
        "active": scales.index(chosen),
        "x": 1,
        "xanchor": "right",
        "y": 1.02,
        "yanchor": "bottom",
        "pad": {"r": 0, "t": 0, "b": 0, "l": 0},
        "buttons": [{"label": name.capitalize(), "method": "relayout", "args": [{"yaxis.type": name}]} for name in scales],
    }


def _dressed(figure: go.Figure, height: int, **layout: Any) -> go.Figure:  # noqa: ANN401  # passed on
    """The look all charts share."""
    lines = {"gridcolor": "#e6e6e6", "zerolinecolor": "#999999", "linecolor": "#999999", "automargin": True}
    figure.update_xaxes(**lines)
    figure.update_yaxes(**lines)
    figure.update_layout(
        template="none",
        height=height,
        font={"family": "system-ui, sans-serif", "size": 12, "color": INK},
        margin={"l": 8, "r": 8, "t": 36, "b": 8},
        legend={"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom"},
        bargap=0.15,
        **layout,
    )
    return figure
