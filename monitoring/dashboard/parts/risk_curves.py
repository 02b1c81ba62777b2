"""Drawdown and value at risk over time, as the risk worker measured them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from monitoring.dashboard import chart, figures
from monitoring.dashboard.chart import Level, Line, Pane

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

POINTS: Final = 2_000
STOPS: Final = {"drawdown_halt": "emergency stop", "drawdown_alert": "alert"}


def draw(beats: Sequence[Mapping[str, Any]], limits: Sequence[Mapping[str, Any]]) -> None:
    """Draw the heartbeats' curves, with the limits of the drawdown as lines."""
    chart.draw("risk-curves", instants(beats), panes(beats, limits))


def instants(beats: Sequence[Mapping[str, Any]]) -> list[dt.datetime]:
    """Return the times of the heartbeats."""
    return [at for each in beats if (at := figures.parsed(each["at"])) is not None]


def panes(beats: Sequence[Mapping[str, Any]], limits: Sequence[Mapping[str, Any]]) -> list[Pane]:
    """Return the panes of drawdown and of value at risk."""
    drawdown = Line("drawdown", [each["drawdown_pct"] for each in beats], "orange", fill=True)
    historical = Line("historical", [each["var_historical_usd"] for each in beats])
    parametric = Line("variance-covariance", [each["var_parametric_usd"] for each in beats], "purple", dash=(6, 3))
    levels = [
        Level(row["limit_value"], STOPS[row["limit"]], "purple" if row["limit"] == "drawdown_halt" else "grey")
        for row in limits
        if row["limit"] in STOPS and row["limit_value"] is not None
    ]
    return [
        Pane("Drawdown under the peak since the last resumption", "%", [drawdown], levels=levels, zero=True, down=True),
        Pane("Value at risk of a session, 95 %", "USD", [historical, parametric], height=170, zero=True),
    ]
