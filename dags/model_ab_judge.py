"""Champion against challenger, judged once a day.

At 20:00 New York on weekdays, after the day's trade: settle what the assigned candidates came to, compare the entry filters on
all of them, store the decision with its reason, and carry out a promotion. Beside it, `judge_next_day` compares the next-day
models on the sessions that neither learnt from, and does the same.

* **Nothing to compare:** `judge` says so and the promotion is skipped.
* **Too few samples:** the test goes on. Not significant after enough: the champion stays.
* **A person must agree:** with `AB_APPROVAL=1` the promotion waits in *Required Actions* for three days; rejected or not
  answered, the champion stays. That of a next-day model is mailed and waits for `desk models promote`.
* **Taken back:** `desk models rollback --reason WHY`, with `--model next-day-return` for the other.
* **Run again:** a judgement is added, a promotion happens once.
* **Manual run:** set `session`, or leave it empty for the newest.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import CronTriggerTimetable, TriggerRule, dag, task

from common import DEFAULT_ARGS, SESSION_PARAM, TIMEZONE, choose_session

QUESTION = "Promote version {{ ti.xcom_pull(task_ids='judge')['challenger'] }} to champion?"
EVIDENCE = """\
{{ ti.xcom_pull(task_ids='judge')['reason'] }}

Experiment {{ ti.xcom_pull(task_ids='judge')['experiment'] }}; champion now is version
{{ ti.xcom_pull(task_ids='judge')['champion'] }}. Everything on record: `desk models show VERSION`.
"""


@dag(
    schedule=CronTriggerTimetable("0 20 * * 1-5", timezone=TIMEZONE),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=dt.timedelta(days=4),
    default_args=DEFAULT_ARGS,
    params={"session": SESSION_PARAM},
    tags=["desk", "models", "daily"],
    doc_md=__doc__,
)
def model_ab_judge() -> None:
    @task
    def judge(session: str) -> dict[str, Any]:
        """Settle, compare, and store the decision."""
        from pipeline.training import ab_test

        return ab_test.judge_ab_test(session).as_dict()

    @task
    def judge_next_day(session: str) -> dict[str, Any]:
        """Compare the next-day models, store the decisions, and move the champion's alias where one is better."""
        from pipeline.training import next_day_judge

        return next_day_judge.judge_next_day(session).as_dict()

    @task.branch
    def route(judgement: dict[str, Any]) -> list[str]:
        """Branch to a promotion, to a person first where the settings require one, or to nothing."""
        if judgement["decision"] != "promote":
            return []
        return ["approve"] if judgement["approval"] else ["promote"]

    approve = ApprovalOperator(
        task_id="approve",
        subject=QUESTION,
        body=EVIDENCE,
        defaults="Reject",
        response_timeout=dt.timedelta(days=3),
        doc_md="A person agrees to the promotion, or not.",
    )

    @task(trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)
    def promote(judgement: dict[str, Any]) -> dict[str, Any]:
        """Move the champion's alias."""
        from pipeline.training import ab_test

        return ab_test.promote_judged(ab_test.AbJudgement.of(judgement)).as_dict()

    session = choose_session()
    judge_next_day(session=session)
    judgement = judge(session=session)
    routed, promoted = route(judgement=judgement), promote(judgement=judgement)
    routed >> [approve, promoted]
    approve >> promoted


model_ab_judge()
