"""The tasks of `trading_execution` as functions, in their order, run on record as the DAG runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.audit import parity_day
from pipeline.deployments import validity
from pipeline.execution import daily_report, daily_trade, reconcile
from pipeline.execution.recorded_steps import run_step

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from pipeline.resources import Resources

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


def run_task(name: str, day: dt.date, resources: Resources, book: str | None = None) -> Any:
    """Run a task of a deployment's evening, of the desk's own unless named, and return its result."""
    return run_step(name, EVENING[name], day.isoformat(), book or resources.settings.portfolio, resources=resources)
