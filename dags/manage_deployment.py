"""Pause, unpause or retire a deployment.

* **pause:** it opens nothing until it is unpaused; what it holds is left by its rules.
* **unpause:** it may enter again.
* **retire:** it opens nothing any more, and its evening runs on until it holds nothing. A retired one stays retired.
* **Everything at once, at once:** that is `desk halt`, or `POST /trading/halt`.
* **Run again:** the state it has already is no change. Every change is a version with its author and reason
  (`desk deployments --history NAME`), and is mailed.
* **Manual run:** give every parameter. `session` is not used: a change counts from the next step that starts.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from airflow.sdk import Param, dag, task

from common import AUTHOR_PARAM, DEFAULT_ARGS, DEPLOYMENT_PARAM, REASON_PARAM, SESSION_PARAM

ACTION_PARAM = Param("pause", enum=["pause", "unpause", "retire"], title="Action", description="What becomes of it.")


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=dt.timedelta(hours=1),
    default_args=DEFAULT_ARGS,
    params={
        "session": SESSION_PARAM,
        "name": DEPLOYMENT_PARAM,
        "action": ACTION_PARAM,
        "reason": REASON_PARAM,
        "author": AUTHOR_PARAM,
    },
    tags=["desk", "deployments"],
    doc_md=__doc__,
)
def manage_deployment() -> None:
    @task
    def change(params: Any = None) -> dict[str, Any]:
        """Store the change as a new version."""
        from pipeline.deployments import changes

        return changes.turn(params["name"], params["action"], reason=params["reason"], author=params["author"]).as_dict()

    change()


manage_deployment()
