"""At a training: how champion and fresh model do on what came after the champion's own. Loads the champion, decides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import structlog

from core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from ml.entry_filter.train import TrainResult
    from ml.next_day.next_day import NextDayFit, Signals
    from pipeline.resources import Resources

log = structlog.get_logger()
FILE = "fresh_window.csv"


def of_entries(resources: Resources, result: TrainResult, dataset: pd.DataFrame) -> pd.DataFrame:
    """Compare the entry filter's champion with the chosen model; no row where no champion can be loaded."""
    from ml.tracking.fresh_window import entries

    try:
        champion = resources.registry.champion()
        return entries(champion, result.out_of_sample, dataset, resources.settings.max_position_pct / 100)
    except (ConfigError, DataError) as error:  # none yet, or one of an older code
        log.info("no_fresh_window", model=resources.settings.model_name, reason=str(error))
        return pd.DataFrame()


def of_next_days(resources: Resources, fit: NextDayFit, dataset: pd.DataFrame, signals: Signals) -> pd.DataFrame:
    """Compare the next-day champion with the chosen model; no row where no champion can be loaded."""
    from ml.tracking.fresh_window import next_days

    version = resources.next_day_registry.champion_version()
    if version is None:
        return pd.DataFrame()
    try:
        return next_days(resources.next_day_model(version), fit, dataset, signals)
    except (ConfigError, DataError) as error:
        log.info("no_fresh_window", model=resources.settings.next_day_model_name, reason=str(error))
        return pd.DataFrame()


def as_json(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The table's rows, undefined figures as None."""
    return [{str(name): None if value != value else value for name, value in row.items()} for row in table.to_dict("records")]  # noqa: PLR0124
