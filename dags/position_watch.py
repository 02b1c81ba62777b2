"""Stops and targets that no venue keeps, every five minutes of a session.

From 09:30 to 16:00 New York on weekdays, to 13:00 on half days: look at the last price of each position whose stop or target
rests nowhere at the venue (Alpaca with `ALPACA_BRACKETS=0`, fractions of a share, crypto pairs), and order its exit when the
price has reached one.

* **Weekend, holiday, before the open, after the close:** `choose_session` is skipped, its log says why.
* **Paper and Interactive Brokers:** skipped; there stops are filled on the session's bar, or rest at the venue.
* **A price that is old, or far from the last close:** not traded on. A person is mailed, once a session and position.
* **Run again:** an exit has one id, written before anything is sent. A run for a session that is over does nothing.
* **Crypto pairs** trade at all hours, and this runs in those above: keep `desk watch-positions` running for them.
* **Manual run:** leave `session` empty. Another than the one in progress is skipped.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from airflow.sdk import CronTriggerTimetable, dag, task

from common import DEFAULT_ARGS, SESSION_PARAM, TIMEZONE, session_or_skip


@dag(
    schedule=CronTriggerTimetable("*/5 9-16 * * 1-5", timezone=TIMEZONE),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=dt.timedelta(minutes=9),
    default_args={**DEFAULT_ARGS, "retries": 1, "retry_delay": dt.timedelta(seconds=20)},
    params={"session": SESSION_PARAM},
    tags=["desk", "trading"],
    doc_md=__doc__,
)
def position_watch() -> None:
    @task(execution_timeout=dt.timedelta(minutes=2))
    def choose_session(dag_run: Any = None, params: Any = None) -> str:
        """The session in progress; skips the run, with the reason, when there is none or nothing to watch in it."""
        from pipeline.execution import position_watch

        return session_or_skip(position_watch.choose_session(params["session"], dag_run.logical_date))

    @task(execution_timeout=dt.timedelta(minutes=4))
    def watch(session: str) -> dict[str, Any]:
        """Compare each position's price with its stop and target, and order the exit where one is reached."""
        from pipeline.execution import position_watch

        return {"session": session, **position_watch.watch(session).as_dict()}

    watch(session=choose_session())


position_watch()
