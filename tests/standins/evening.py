"""The tasks of `trading_execution` as functions, in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.audit import parity_day
from pipeline.deployments import validity
from pipeline.execution import daily_report, daily_trade, reconcile

if TYPE_CHECKING:
    from collections.abc import Callable

EVENING: dict[str, Callable[..., Any]] = {
    "settle": daily_trade.settle,
    "reconcile_before": reconcile.reconcile,
    "renew_validation": validity.renew_validation,
    "find_candidates": daily_trade.candidates,
    "predict": daily_trade.predict,
    "place": daily_trade.place,
    "confirm": daily_trade.confirm,
    "reconcile_after": reconcile.reconcile,
    "record": daily_trade.record,
    "mail": daily_report.send,
    "measure_gap": parity_day.record_day,
}
