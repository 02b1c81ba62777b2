"""The desk's health, every 15 minutes of every day.

Check that the services answer, that bars and features are fresh, that no order and no task waits too long, that the disk has
space, and the age of the keys. What is wrong is an alert with a life: sent once, counted while it lasts, sent again after
`ALERTS__REMIND_HOURS` unless somebody acknowledges it (`desk alerts ack`), and resolved once it is over.

* **Something is wrong:** the task is green, for it has done its work; the alerts tell. It is red when the check itself fails.
* **A channel that refused an alert** gets it at the next run.
* **Airflow itself is down:** nothing runs here. Let cron run `desk health --alert` as well.
* **Run again:** alerts that are open are counted once more and not sent again.
* **Manual run:** takes no parameter and looks at this moment.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from airflow.sdk import CronTriggerTimetable, dag, task

from common import DEFAULT_ARGS, TIMEZONE


@dag(
    schedule=CronTriggerTimetable("*/15 * * * *", timezone=TIMEZONE),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=dt.timedelta(minutes=14),
    default_args={**DEFAULT_ARGS, "retries": 1, "retry_delay": dt.timedelta(seconds=30)},
    tags=["desk", "monitoring"],
    doc_md=__doc__,
)
def health_check() -> None:
    @task(execution_timeout=dt.timedelta(minutes=6))
    def check() -> dict[str, Any]:
        """Run every check and bring the alerts of kind `health` in line with what they found."""
        from pipeline.audit import health

        return health.check_health().as_dict()

    check()


health_check()
