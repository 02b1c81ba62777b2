"""Comparison of champion and fresh model, at a training, on the rows after the champion's own training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import structlog

from core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml.entry_filter.train import TrainResult
    from ml.next_day.next_day import NextDayFit, Signals
    from ml.tracking.next_day_log import RegisteredNextDay
    from ml.tracking.registry import Registry

log = structlog.get_logger()
FILE = "fresh_window.csv"


def compare_entry_filters(
    registry: Registry, result: TrainResult, dataset: pd.DataFrame, *, model_name: str, stake: float
) -> pd.DataFrame:
    """Compare the entry filter's champion with the chosen model; return no row when no champion can be loaded.

    Parameters
    ----------
    stake
        Part of the capital in one trade.
    """
    from ml.tracking.fresh_window import compare_entry_filters as compare

    try:
        return compare(registry.champion(), result.out_of_sample, dataset, stake)
    except (ConfigError, DataError) as error:  # none yet, or one of an older code
        log.info("no_fresh_window", model=model_name, reason=str(error))
        return pd.DataFrame()


def compare_next_days(
    registry: Registry,
    load: Callable[[str], RegisteredNextDay],
    fit: NextDayFit,
    dataset: pd.DataFrame,
    signals: Signals,
    *,
    model_name: str,
) -> pd.DataFrame:
    """Compare the next-day champion with the chosen model; return no row when no champion can be loaded."""
    from ml.tracking.fresh_window import compare_next_days as compare

    version = registry.champion_version()
    if version is None:
        return pd.DataFrame()
    try:
        return compare(load(version), fit, dataset, signals)
    except (ConfigError, DataError) as error:
        log.info("no_fresh_window", model=model_name, reason=str(error))
        return pd.DataFrame()


def as_json(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the table's rows, undefined figures as None."""
    return [{str(name): None if value != value else value for name, value in row.items()} for row in table.to_dict("records")]  # noqa: PLR0124
