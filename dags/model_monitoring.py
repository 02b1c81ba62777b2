"""Drift and skew, once a day.

At 19:00 New York on weekdays: compare the newest sessions' features, scores and outcomes with the champion's training, and
recompute the features of every prediction that was served. Every figure is in `ml.drift`; what has newly drifted is mailed.

* **Drift:** a feature farther from the training than any window of the training was. What has newly drifted announces
  `model_drift`, which starts `model_training`, unless the last training is younger than `DRIFT_TRAINING_GAP_SESSIONS`.
* **Skew:** goal 0. A served vector that its own bars do not give is a fault, and the mail is critical.
* **Run again:** the rows of a session are replaced.
* **Manual run:** set `session`, or leave it empty for the newest.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from airflow.sdk import CronTriggerTimetable, dag, task

from common import DEFAULT_ARGS, MODEL_DRIFT, SESSION_PARAM, TIMEZONE, choose_session


@dag(
    schedule=CronTriggerTimetable("0 19 * * 1-5", timezone=TIMEZONE),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=dt.timedelta(hours=2),
    default_args=DEFAULT_ARGS,
    params={"session": SESSION_PARAM},
    tags=["desk", "models", "daily"],
    doc_md=__doc__,
)
def model_monitoring() -> None:
    @task
    def look_for_drift(session: str) -> dict[str, Any]:
        """Compare features, scores and outcomes with the training's."""
        from pipeline.training import drift

        return drift.measure_drift(session).as_dict()

    @task(outlets=[MODEL_DRIFT])
    def ask_for_training(drift: dict[str, Any], outlet_events: Any = None) -> list[str]:
        """Announce new drift, so that a training starts; skip, with the reason, when none is due."""
        from airflow.sdk.exceptions import AirflowSkipException
        from pipeline.training.drift import DriftMeasured, training_due

        due = training_due(DriftMeasured(**drift))
        if not due.due:
            raise AirflowSkipException(due.reason)
        outlet_events[MODEL_DRIFT].extra = {"session": drift["session"], "drifted": drift["new"]}
        return list(drift["new"])

    @task
    def look_for_skew(session: str) -> dict[str, Any]:
        """Recompute what was served."""
        from pipeline.training import drift

        return drift.check_skew(session).as_dict()

    session = choose_session()
    ask_for_training(drift=look_for_drift(session=session))
    look_for_skew(session=session)


model_monitoring()
