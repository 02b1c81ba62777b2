"""Charts with uPlot, in panes over one axis of time, mounted through `st.components.v2`.

A chart is described here and drawn by `chart.js`. It is drawn again only when its description changes: the browser compares
digests. Times are UTC; a session stands at midnight. Missing values (None, NaN) are gaps.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import streamlit as st

from monitoring.dashboard.palette import PALETTE, Colour

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamlit.components.v2.types import ComponentRenderer

FOLDER = Path(__file__).parent
HTML = '<div class="desk-chart" tabindex="0" role="group"></div>'
NOTHING = "Nothing to draw yet."
MARKER_COLOURS: dict[str, Colour] = {
    "entry": "blue",
    "exit": "orange",
    "stop": "purple",
    "target": "green",
    "signal": "grey",
}


@dataclass(frozen=True)
class Line:
    """A series of values; `fill` shades the area between it and zero."""

    label: str
    values: Sequence[float | None]
    colour: Colour = "blue"
    kind: Literal["line", "step", "bars", "points"] = "line"
    fill: bool = False
    dash: tuple[int, ...] = ()
    width: float = 1.5


@dataclass(frozen=True)
class Band:
    """The area between two series, such as an interval, or a live curve and its backtest."""

    label: str
    low: Sequence[float | None]
    high: Sequence[float | None]
    colour: Colour = "grey"
    names: tuple[str, str] = ("low", "high")


@dataclass(frozen=True)
class Between:
    """Shades the area between two lines that stand before it in the pane, named by their labels."""

    first: str
    second: str
    colour: Colour = "grey"


@dataclass(frozen=True)
class Candles:
    """Prices of bars: hollow where the close is not below the open, filled where it is."""

    open: Sequence[float | None]
    high: Sequence[float | None]
    low: Sequence[float | None]
    close: Sequence[float | None]


@dataclass(frozen=True)
class Marker:
    """An event at a time and a price; its text shows when the cursor is there."""

    at: dt.date | float
    value: float
    shape: Literal["entry", "exit", "stop", "target", "signal"]
    text: str


@dataclass(frozen=True)
class Level:
    """A horizontal line with its label, such as a stop or a limit; always within the visible range."""

    value: float
    label: str
    colour: Colour = "grey"
    dash: tuple[int, ...] = (6, 4)


@dataclass(frozen=True)
class Pane:
    """One plot of a chart: parts that share a unit.

    Attributes
    ----------
    unit
        Shown on the axis' title and beside every value.
    zero
        True shows zero in any case.
    down
        True draws larger values lower, as drawdowns are.
    """

    title: str
    unit: str
    parts: Sequence[Line | Band | Between | Candles]
    markers: Sequence[Marker] = ()
    levels: Sequence[Level] = ()
    height: int = 280
    decimals: int = 2
    zero: bool = False
    down: bool = False


def draw(key: str, x: Sequence[dt.date] | Sequence[float], panes: Sequence[Pane], *, x_label: str = "") -> None:
    """Draw a chart.

    Parameters
    ----------
    key
        Names the chart on its page, so that its data can change in place.
    x
        Ascending: sessions (dates), instants (aware datetimes, shown in UTC) or plain numbers.
    x_label
        Title of that axis; for times it says that they are UTC unless given.
    """
    text = describe(x, panes, x_label=x_label)
    digest = hashlib.sha256(text.encode()).hexdigest()
    component()(key=key, data={"digest": digest, "spec": text})


@cache
def component() -> ComponentRenderer:
    """Return the mounting command of the chart, registered once."""
    script = (FOLDER / "uplot" / "uPlot.iife.min.js").read_text("utf-8") + "\n" + (FOLDER / "chart.js").read_text("utf-8")
    style = (FOLDER / "uplot" / "uPlot.min.css").read_text("utf-8") + "\n" + (FOLDER / "chart.css").read_text("utf-8")
    return st.components.v2.component("desk_chart", html=HTML, css=style, js=script)


def describe(x: Sequence[dt.date] | Sequence[float], panes: Sequence[Pane], *, x_label: str = "") -> str:
    """Return the chart's description as JSON, as `chart.js` reads it.

    Examples
    --------
    >>> json.loads(describe([dt.date(2026, 1, 2)], [Pane("Equity", "USD", [Line("live", [1.5])])]))["x"]
    [1767312000]
    """
    time = bool(x) and isinstance(x[0], dt.date)
    daily = time and not isinstance(x[0], dt.datetime)
    content = {
        "x": [number(each) for each in x],
        "time": time,
        "daily": daily,
        "x_name": "Session" if daily else "Time" if time else x_label or "x",
        "x_label": x_label or ("Session" if daily else "Time, UTC" if time else ""),
        "panes": [_pane(each) for each in panes],
        "summary": _summary(panes),
        "empty": NOTHING,
    }
    return json.dumps(content, allow_nan=False, separators=(",", ":"))


def number(value: dt.date | float) -> float:
    """Return seconds since 1970 of a session's midnight UTC or of an aware instant; a number as it is."""
    if isinstance(value, dt.datetime):
        return value.timestamp()
    if isinstance(value, dt.date):
        return (value.toordinal() - dt.date(1970, 1, 1).toordinal()) * 86_400
    return value


@dataclass
class _Parts:
    """The series of a pane, as uPlot takes them: flat, with bands and candles naming their columns."""

    series: list[dict[str, Any]] = field(default_factory=list)
    bands: list[dict[str, Any]] = field(default_factory=list)
    candles: dict[str, Any] | None = None

    def add(self, part: Line | Band | Between | Candles) -> None:
        """Add the series of one part."""
        if isinstance(part, Line):
            self._line(part)
        elif isinstance(part, Band):
            at = len(self.series)
            for name, values in zip(part.names, (part.low, part.high), strict=True):
                self._line(Line(f"{part.label} {name}", values, part.colour, width=0.75, dash=(2, 3)))
            self.bands.append({"low": at, "high": at + 1, "colour": PALETTE[part.colour]})
        elif isinstance(part, Between):
            labels = [each["label"] for each in self.series]
            ends = {"low": labels.index(part.first), "high": labels.index(part.second)}
            self.bands.append({**ends, "colour": PALETTE[part.colour]})
        else:
            columns = list(range(len(self.series), len(self.series) + 4))
            for name in ("open", "high", "low", "close"):
                self._line(Line(name, getattr(part, name), "grey"), kind="none")
            self.candles = {"columns": columns, "rises": PALETTE["blue"], "falls": PALETTE["orange"]}

    def _line(self, line: Line, kind: str | None = None) -> None:
        self.series.append(
            {
                "label": line.label,
                "values": [_finite(value) for value in line.values],
                "colour": PALETTE[line.colour],
                "kind": kind or line.kind,
                "fill": line.fill,
                "dash": line.dash,
                "width": line.width,
            }
        )


def _pane(pane: Pane) -> dict[str, Any]:
    parts = _Parts()
    for part in pane.parts:
        parts.add(part)
    markers = [
        {
            "x": number(each.at),
            "value": each.value,
            "shape": each.shape,
            "text": each.text,
            "colour": PALETTE[MARKER_COLOURS[each.shape]],
        }
        for each in sorted(pane.markers, key=lambda marker: number(marker.at))
    ]
    levels = [
        {"value": each.value, "label": each.label, "colour": PALETTE[each.colour], "dash": each.dash} for each in pane.levels
    ]
    return {
        "title": pane.title,
        "unit": pane.unit,
        "height": pane.height,
        "decimals": pane.decimals,
        "zero": pane.zero,
        "down": pane.down,
        "series": parts.series,
        "bands": parts.bands,
        "candles": parts.candles,
        "markers": markers,
        "levels": levels,
    }


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value


def _summary(panes: Sequence[Pane]) -> str:
    """Return what a screen reader says of the chart: its titles, and the keys that move in it."""
    titles = ", ".join(f"{pane.title} in {pane.unit}" if pane.unit else pane.title for pane in panes)
    return f"Chart: {titles}. Arrow keys move the cursor, plus and minus zoom, Escape shows all."
