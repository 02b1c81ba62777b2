"""Training of the entry filter: monthly, when drift asks for it, and by hand.

On the first of the month at 06:00 New York, and whenever `model_monitoring` announces `model_drift`: train both models on every
candidate trade up to the last closed session, compare them walk-forward, register the better one, and store the out-of-sample
backtests with and without the filter. The first model ever is champion; a later one that passes its gates challenges it
(`model_ab_judge`).

* **Where to look:** MLflow, experiment and model `entry-filter`; `GET /backtest-metrics` of the prediction API.
* **Run again:** the same data and seed give the same model.
* **Manual run:** set `session` to train on everything up to that date; leave it empty for the newest.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, dag, task

from common import DEFAULT_ARGS, MODEL_DRIFT, SESSION_PARAM, TIMEZONE


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
    @task
    def choose_session(dag_run: Any = None, params: Any = None) -> str:
        """The last session whose bars may be learnt from."""
        from airflow.sdk.exceptions import AirflowSkipException
        from pipeline import schedule

        chosen = schedule.newest_before(params["session"], dag_run.logical_date)
        if not chosen["trades"]:
            raise AirflowSkipException(chosen["reason"])
        return chosen["session"]

    @task(execution_timeout=dt.timedelta(hours=4), retries=1)
    def train(session: str) -> dict[str, Any]:
        """Train, compare, register, and backtest the filter out of sample."""
        from pipeline import train

        return train.run(session)

    train(session=choose_session())


model_training()
