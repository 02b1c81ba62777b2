"""Training of the entry filter and of the next-day model: monthly, when drift asks for it, and by hand.

On the first of the month at 06:00 New York, and whenever `model_monitoring` announces `model_drift`, side by side: `train`
learns from every candidate trade up to the last closed session, compares two models walk-forward, registers the better one, and
stores the out-of-sample backtests with and without the filter. `train_next_day` does the same for the return of every symbol's
next session, without a backtest. Of each the first model ever is champion; a later one that passes its gates challenges the
champion (`model_ab_judge`). One that fails leaves the other alone.

* **Where to look:** MLflow, experiments and models `entry-filter` and `next-day-return`; `GET /models` and
  `GET /backtest-metrics` of the prediction API.
* **Run again:** the same data and seed give the same model.
* **Manual run:** set `session` to train on everything up to that date; leave it empty for the newest.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, dag, task

from common import DEFAULT_ARGS, MODEL_DRIFT, SESSION_PARAM, TIMEZONE, choose_session


@dag(
    schedule=AssetOrTimeSchedule(timetable=CronTriggerTimetable("0 6 1 * *", timezone=TIMEZONE), assets=[MODEL_DRIFT]),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=dt.timedelta(hours=6),
    default_args=DEFAULT_ARGS,
    params={"session": SESSION_PARAM},
    tags=["desk", "models", "monthly"],
    doc_md=__doc__,
)
def model_training() -> None:
    @task(execution_timeout=dt.timedelta(hours=4), retries=1)
    def train(session: str) -> dict[str, Any]:
        """Train, compare, register, and backtest the filter out of sample."""
        from pipeline.training import train_entry_filter

        return train_entry_filter.train_entry_filter(session).as_dict()

    @task(execution_timeout=dt.timedelta(hours=4), retries=1)
    def train_next_day(session: str) -> dict[str, Any]:
        """Train both next-day models, compare them, and register the better one."""
        from pipeline.training import train_next_day as step

        return step.train_next_day(session).as_dict()

    session = choose_session()
    train(session=session)
    train_next_day(session=session)


model_training()
