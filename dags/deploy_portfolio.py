"""Deploy a portfolio that research stored, once a person agrees.

`plan` backtests its sleeves, sizes their first orders and asks the venue what it takes: what would be deployed, and what to
know about it, is in its return value and in the question. `approve` waits in *Required Actions*. `deploy` then stores the
deployment, which trades from the next evening on, in a book of its own. By hand only.

* **A person must agree, always:** `approve` is never skipped; rejected or not answered in three days, nothing is deployed.
* **Real money:** `stage` live needs a validation of PASS, a record on paper, both switches, and a person as the author.
* **It cannot be deployed** (no such portfolio, a draft, a failed validation, a taken name, capital that buys no unit): `plan`
  is red and says why. `desk portfolios` lists the portfolios.
* **Run again:** a name is deployed once; a second run with it is red and changes nothing.
* **Manual run:** give every parameter. `session` is not used: the newest bars size the first orders.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param, dag, task

from common import AUTHOR_PARAM, DEFAULT_ARGS, DEPLOYMENT_PARAM, REASON_PARAM, SESSION_PARAM

PORTFOLIO_PARAM = Param(1, type="integer", minimum=1, title="Portfolio", description="Id; `desk portfolios` lists them.")
STAGE_PARAM = Param("paper", enum=["paper", "live"], title="Stage", description="`live` is real money.")
CAPITAL_PARAM = Param(None, type=["null", "number"], title="Capital", description="USD to share. Empty: the portfolio's own.")
PROFILE_PARAM = Param(
    None,
    type=["null", "string"],
    title="Risk profile",
    description="Empty: RISK__PROFILE, and `director` for real money.",
)
FILTER_PARAM = Param(False, type="boolean", title="Entry filter", description="The champion must accept each entry.")
QUESTION = """\
{% set planned = ti.xcom_pull(task_ids='plan') -%}
Deploy portfolio {{ planned['portfolio'] }} as {{ planned['deployment'] }} ({{ planned['stage'] }})?"""
EVIDENCE = """\
{% set planned = ti.xcom_pull(task_ids='plan') -%}
{{ planned['author'] }}: {{ planned['reason'] }}

{{ '{:,.2f}'.format(planned['capital_usd']) }} USD, risk profile {{ planned['profile'] }}: {{ planned['sleeves'] | join(', ') }}
{% for note in planned['notes'] %}
* {{ note }}
{%- endfor %}
"""


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=dt.timedelta(days=4),
    default_args=DEFAULT_ARGS,
    params={
        "session": SESSION_PARAM,
        "portfolio": PORTFOLIO_PARAM,
        "name": DEPLOYMENT_PARAM,
        "stage": STAGE_PARAM,
        "capital": CAPITAL_PARAM,
        "profile": PROFILE_PARAM,
        "filter": FILTER_PARAM,
        "reason": REASON_PARAM,
        "author": AUTHOR_PARAM,
    },
    tags=["desk", "deployments"],
    doc_md=__doc__,
)
def deploy_portfolio() -> None:
    @task
    def plan(params: Any = None) -> dict[str, Any]:
        """Return the deployment as it would be made, with notes for whoever approves it; stores nothing."""
        from pipeline.deployments import deploy as step

        return step.plan_deployment(step.DeployRequest.of(params)).as_dict()

    approve = ApprovalOperator(
        task_id="approve",
        subject=QUESTION,
        body=EVIDENCE,
        defaults="Reject",
        response_timeout=dt.timedelta(days=3),
        doc_md="A person agrees to the deployment, or not.",
    )

    @task
    def deploy(params: Any = None) -> dict[str, Any]:
        """Store the deployment; everything is checked once more."""
        from pipeline.deployments import deploy as step

        return step.deploy(step.DeployRequest.of(params)).as_dict()

    plan() >> approve >> deploy()


deploy_portfolio()
