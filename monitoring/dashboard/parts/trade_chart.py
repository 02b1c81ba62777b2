"""A trade on the bars of its symbol: bands and mean of its strategy, signal, entry, exit, stop and target."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from monitoring.dashboard import chart, figures
from monitoring.dashboard.chart import Band, Candles, Level, Line, Marker, Pane

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from monitoring.dashboard.reading import Reader

Rows = list[dict[str, Any]]
BEFORE, AFTER = dt.timedelta(days=75), dt.timedelta(days=25)  # of the calendar: some 50 bars and 15
NO_BARS: Final = "No bar of {symbol} is stored for these sessions: the trade cannot be drawn."
NO_LINES: Final = "The lines of {sleeve} cannot be drawn: the desk has no such strategy any more."


def draw(reader: Reader, trade: Mapping[str, Any], entry: Mapping[str, Any] | None) -> None:
    """Draw the chart of a trade.

    Parameters
    ----------
    entry
        What stands behind its entry, as `GET /orders/{id}` tells it; None when no order is on record.
    """
    rows, has_lines = bars(reader, trade)
    if not rows:
        st.text(NO_BARS.format(symbol=trade["symbol"]))
        return
    sessions = [dt.date.fromisoformat(row["session"]) for row in rows]
    chart.draw("trades-prices", sessions, panes(trade, rows, entry, has_lines=has_lines))
    if not has_lines:
        st.text(NO_LINES.format(sleeve=trade["sleeve"]))


def bars(reader: Reader, trade: Mapping[str, Any]) -> tuple[Rows | None, bool]:
    """Return the bars around a trade, and True when they carry the lines of its strategy."""
    first = dt.date.fromisoformat(trade["entry_session"]) - BEFORE
    last = dt.date.fromisoformat(trade["exit_session"]) + AFTER
    span = {"symbol": trade["symbol"], "first": first.isoformat(), "last": last.isoformat(), "limit": 2_000}
    if (rows := reader.optional_rows("/prices", strategy=trade["sleeve"], **span)) is not None:
        return rows, True
    return reader.optional_rows("/prices", **span), False


def panes(trade: Mapping[str, Any], rows: Rows, entry: Mapping[str, Any] | None, *, has_lines: bool) -> list[Pane]:
    """Return the panes: prices with what the desk did, and the indicators that the strategy has."""
    prices = Pane(
        f"{trade['symbol']}, daily bars in today's split terms",
        "USD",
        [*(_bands(rows) if has_lines else []), _candles(rows)],
        markers=markers(trade, rows),
        levels=levels(trade, rows, entry),
        height=380,
    )
    indicators = [("zscore", "Distance from the mean", "standard deviations"), ("rsi", "Relative strength index, 0 to 100", "")]
    shown = [
        Pane(title, unit, [Line(name, _column(rows, name))], height=110)
        for name, title, unit in indicators
        if has_lines and any(row[name] is not None for row in rows)
    ]
    return [prices, *shown]


def markers(trade: Mapping[str, Any], rows: Rows) -> list[Marker]:
    """Return signal, entry and exit of a trade, at the prices of the bars' terms."""
    found = [_signal(trade, row) for row in rows if row["session"] == trade["decision_session"]]
    marks = [mark for row in rows for mark in row["marks"] if mark["kind"] in {"entry", "exit"}]
    return [*found, *(_executed(mark) for mark in marks if _is_of(trade, mark))]


def levels(trade: Mapping[str, Any], rows: Rows, entry: Mapping[str, Any] | None) -> list[Level]:
    """Return stop and target: their distances from the raw price of the entry, in the terms of the bars."""
    raw = raw_price(trade, rows, entry)
    if raw is None:
        return []
    side = 1 if trade["side"] == "long" else -1
    stop, target = trade["stop_pct"], trade["target_pct"]
    stops = [] if stop is None else [Level(raw * (1 - side * stop / 100), f"stop {stop:g} %", "purple")]
    targets = [] if target is None else [Level(raw * (1 + side * target / 100), f"target {target:g} %", "green", (2, 4))]
    return [*stops, *targets]


def raw_price(trade: Mapping[str, Any], rows: Rows, entry: Mapping[str, Any] | None) -> float | None:
    """Return the entry's price before slippage, in the terms of the bars; None where no fill of it is on record."""
    fills = (entry or {}).get("fills") or []
    marks = [mark for row in rows for mark in row["marks"] if mark["kind"] == "entry" and _is_of(trade, mark)]
    if not fills or not marks:
        return None
    price, raw = float(fills[0]["price"]), float(fills[0].get("raw_price") or fills[0]["price"])
    return float(marks[0]["price"]) * raw / price if price else None


def _is_of(trade: Mapping[str, Any], mark: Mapping[str, Any]) -> bool:
    """Return whether a mark is a fill of the trade's entry or exit."""
    if (mark["book"], mark["sleeve"]) != (trade["book"], trade["sleeve"]):
        return False
    if mark["kind"] == "entry":
        return bool(mark["client_order_id"] == trade["entry_order_id"])
    return bool(mark["session"] == trade["exit_session"])


def _signal(trade: Mapping[str, Any], row: Mapping[str, Any]) -> Marker:
    at = dt.date.fromisoformat(row["session"])
    return Marker(at, row["close"], "signal", f"signal {trade['side']} at the close, {figures.number(row['close'], 2)} USD")


def _executed(mark: Mapping[str, Any]) -> Marker:
    words = f"{mark['kind']}: {mark['side']} {figures.quantity(mark['quantity'])} at {figures.number(mark['price'], 2)} USD"
    text = f"{words} ({mark['reason']})" if mark["reason"] else words
    return Marker(dt.date.fromisoformat(mark["session"]), mark["price"], mark["kind"], text)


def _bands(rows: Rows) -> list[Band | Line]:
    parts: list[Band | Line] = []
    if any(row["band_upper"] is not None for row in rows):
        parts.append(Band("band", _column(rows, "band_lower"), _column(rows, "band_upper")))
    if any(row["band_mean"] is not None for row in rows):
        parts.append(Line("mean", _column(rows, "band_mean"), "purple", dash=(6, 3)))
    return parts


def _candles(rows: Rows) -> Candles:
    return Candles(*(_column(rows, name) for name in ("open", "high", "low", "close")))


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> list[float | None]:
    return [row[name] for row in rows]
