"""The research chain: sweep, rank, correlate, allocate, validate, and a report of what survives.

Sweep every strategy (one mapped task each) on the sessions up to a split, choose there a portfolio of a few that do not
resemble each other, and hold it against the sessions after the split. By hand only. What trades does not change: a portfolio
trades once somebody deploys it, and it is a draft unless `store` is on.

* **A strategy fails:** its task is red and mailed; the others are ranked without it. Cells on record are not run again.
* **The portfolio fails its validation:** `confirm` is red and mailed, and the report says which rule. It cannot be deployed.
* **Nothing survives deflation:** no failure. The report says it plainly.
* **Manual run:** set `session`, `strategies` or `symbols`, or leave them empty for the newest session, all built-ins and the
  universe. With `dataset` every step reads that frozen research dataset; its last session unless one is set.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from airflow.sdk import Param, TriggerRule, dag, task

from common import DEFAULT_ARGS, SESSION_PARAM, choose_session

HOLDOUT_PARAM = Param(504, type="integer", minimum=1, title="Held-out sessions", description="At the end; no choice sees them.")
STRATEGIES_PARAM = Param([], type="array", items={"type": "string"}, title="Strategies", description="Empty: all built-ins.")
SYMBOLS_PARAM = Param([], type="array", items={"type": "string"}, title="Symbols", description="Empty: the universe.")
DATASET_PARAM = Param(
    None, type=["null", "string"], title="Dataset", description="Name of a frozen research dataset. Empty: the live bars."
)
METHOD_PARAM = Param(
    "risk_parity_profit_weighted",
    enum=["risk_parity_profit_weighted", "inverse_volatility", "equal"],
    title="Allocation",
    description="How the capital is shared.",
)
STORE_PARAM = Param(
    False,
    type="boolean",
    title="Store the portfolio",
    description="Keep it, so that it can be deployed; otherwise it is a draft.",
)


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=dt.timedelta(hours=3),
    default_args=DEFAULT_ARGS,
    params={
        "session": SESSION_PARAM,
        "strategies": STRATEGIES_PARAM,
        "symbols": SYMBOLS_PARAM,
        "holdout_sessions": HOLDOUT_PARAM,
        "method": METHOD_PARAM,
        "store": STORE_PARAM,
        "dataset": DATASET_PARAM,
    },
    tags=["desk", "research"],
    doc_md=__doc__,
)
def strategy_research() -> None:
    @task
    def make_plan(session: str, params: Any = None) -> dict[str, Any]:
        """Plan the sweep, and the split before which every choice is made."""
        from pipeline.research import chain, datasets

        dataset = params["dataset"] or None
        return chain.make_plan(
            params["session"] or datasets.session_of_dataset(dataset) or session,
            params["strategies"],
            params["symbols"],
            holdout_sessions=params["holdout_sessions"],
            dataset=dataset,
        ).as_dict()

    @task
    def list_strategies(plan: dict[str, Any]) -> list[str]:
        """One mapped task of the sweep for each."""
        return list(plan["strategies"])

    @task(
        execution_timeout=dt.timedelta(hours=1),
        doc_md="One strategy on every symbol up to the split; cells on record are not run again.",
    )
    def sweep(plan: dict[str, Any], strategy: str) -> dict[str, int]:
        from pipeline.research import chain

        return chain.sweep(chain.ChainPlan.of({**plan, "strategies": [strategy]})).as_dict()

    @task(trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS)
    def rank(plan: dict[str, Any]) -> dict[str, Any]:
        """Profit per trade, then Sharpe; the best is named."""
        from pipeline.research import chain

        return chain.rank(chain.ChainPlan.of(plan)).as_dict()

    @task
    def correlate(plan: dict[str, Any]) -> dict[str, Any]:
        """Backtest the best once, pick a few that do not resemble each other, and store the shortlist."""
        from pipeline.research import chain

        return chain.correlate(chain.ChainPlan.of(plan)).as_dict()

    @task
    def allocate(plan: dict[str, Any], params: Any = None) -> dict[str, Any]:
        """Share the capital among the picked; the portfolio is a draft unless `store` is on."""
        from pipeline.research import chain

        return chain.allocate(chain.ChainPlan.of(plan), method=params["method"], store=params["store"]).as_dict()

    @task
    def validate_risk(plan: dict[str, Any]) -> dict[str, Any]:
        """Compare the portfolio with its limits, and store the report."""
        from pipeline.research import chain

        return chain.validate(chain.ChainPlan.of(plan)).summary()

    @task(execution_timeout=dt.timedelta(hours=1))
    def report(plan: dict[str, Any]) -> dict[str, Any]:
        """Deflate, test on the held-out sessions, and write the report."""
        from pipeline.research import chain

        return chain.report(chain.ChainPlan.of(plan)).as_dict()

    @task(retries=1)
    def confirm(plan: dict[str, Any]) -> str:
        """Fail when the portfolio failed its validation."""
        from pipeline.research import chain

        return chain.confirm(chain.ChainPlan.of(plan))

    plan = make_plan(session=choose_session())
    swept = sweep.partial(plan=plan).expand(strategy=list_strategies(plan=plan))
    (
        swept
        >> rank(plan=plan)
        >> correlate(plan=plan)
        >> allocate(plan=plan)
        >> validate_risk(plan=plan)
        >> report(plan=plan)
        >> confirm(plan=plan)
    )


strategy_research()
