"""Parts that the DAGs share: assets, default arguments, run parameters, the choice of the session, the mail about a failure.

Imports nothing heavy: the DAG processor reads this file again and again.
"""

from __future__ import annotations

import datetime as dt
import os
from typing import TYPE_CHECKING, Any

import structlog
from airflow.sdk import Asset, ExceptionRetryPolicy, Param, RetryAction, RetryRule, task

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from pipeline.sessions import SessionChoice

log = structlog.get_logger()

TIMEZONE = "America/New_York"

# Emitted when the features of a session are in the online store; its events carry {"session": "YYYY-MM-DD"}.
DAILY_FEATURES = Asset(
    name="daily_features",
    uri="desk://features/market_features",
    group="desk",
    extra={"content": "features of one session, offline and online"},
)

# Emitted when drift asks for a training; its events carry {"session": "YYYY-MM-DD", "drifted": [...]}.
MODEL_DRIFT = Asset(
    name="model_drift",
    uri="desk://ml/drift",
    group="desk",
    extra={"content": "features, scores or outcomes that have newly moved away from the training"},
)

SESSION_PARAM = Param(
    None,
    type=["null", "string"],
    format="date",
    title="Session",
    description="Trading session (YYYY-MM-DD). Empty: the session of the schedule, or the newest one in a manual run.",
)
FULL_HISTORY_PARAM = Param(
    False,
    type="boolean",
    title="Load the whole history",
    description="Fetch every bar since INGESTION__HISTORY_START again; bars already stored are not written twice.",
)
DEPLOYMENT_PARAM = Param(
    None,
    type="string",
    pattern="^[A-Za-z0-9_.-]{1,100}$",
    title="Deployment",
    description="Its name, and that of its book; `desk deployments` lists them.",
)
REASON_PARAM = Param(None, type="string", minLength=1, title="Reason", description="Why; it is kept in the history.")
AUTHOR_PARAM = Param(None, type="string", minLength=1, title="Author", description="Who; real money needs a person.")

# The error tree says what the operator must do; only `RetryLater` and errors from outside are worth another try.
RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule("core.errors.DataError", RetryAction.FAIL, reason="The same data would fail again: look at the quarantine"),
        RetryRule("core.errors.ConfigError", RetryAction.FAIL, reason="A setting is wrong: change it, then clear the task"),
        RetryRule(
            "pydantic_core.ValidationError", RetryAction.FAIL, reason="A setting is wrong: change it, then clear the task"
        ),
        RetryRule("core.errors.StopTrading", RetryAction.FAIL, reason="No further orders until a person has looked"),
    ]
)

MAIL_SUBJECT = "[desk] {{ dag.dag_id }}.{{ ti.task_id }} failed for session {{ failed_session }}"
MAIL_BODY = """\
<p>The task <b>{{ ti.task_id }}</b> of the DAG <b>{{ dag.dag_id }}</b> failed.</p>
<table>
<tr><td>Session</td><td>{{ failed_session }}</td></tr>
{% if failed_book %}<tr><td>Deployment</td><td>{{ failed_book | e }}</td></tr>
{% endif %}<tr><td>Run</td><td>{{ ti.run_id }}, try {{ ti.try_number }}</td></tr>
<tr><td>Error</td><td>{{ failed_error | e }}</td></tr>
<tr><td>Log</td><td><a href="{{ ti.log_url }}">{{ ti.log_url }}</a></td></tr>
</table>
<p>Later tasks of this run did not start. When the cause is gone, clear the task in Airflow: every step may run twice.</p>
"""


def session_or_skip(chosen: SessionChoice) -> str:
    """Return the chosen session; skip the run, with the reason, when it does not trade."""
    from airflow.sdk.exceptions import AirflowSkipException

    if not chosen.trades:
        raise AirflowSkipException(chosen.reason)
    return chosen.session


@task
def choose_session(dag_run: Any = None, params: Any = None) -> str:
    """The session asked for, else the newest one closed; skips the run, with the reason, when that is no session."""
    from pipeline import sessions

    return session_or_skip(sessions.newest_before(params["session"], dag_run.logical_date))


def mail_failure(context: MutableMapping[str, Any]) -> None:
    """Mail the operator that a task has failed for good; without a server or a recipient, log that no mail was sent."""
    from desk.ops.airflow import failure_mail

    mail = failure_mail()
    if mail is None:
        log.error(
            "failure_mail_not_sent", reason="MAIL__HOST and MAIL__RECIPIENTS are not both set", task=str(context.get("ti"))
        )
        return

    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    os.environ["AIRFLOW_CONN_SMTP_DEFAULT"] = mail.connection
    notify = SmtpNotifier(
        to=list(mail.to), from_email=mail.sender, subject=MAIL_SUBJECT, html_content=MAIL_BODY, smtp_conn_id="smtp_default"
    )
    error = context.get("exception")
    failed = {"failed_session": session_of(context), "failed_book": book_of(context)}
    notify({**context, **failed, "failed_error": f"{type(error).__name__}: {error}"})
    log.info("failure_mail_sent", recipients=len(mail.to))


def session_of(context: MutableMapping[str, Any]) -> str:
    """The session a task worked on: its own argument, else the run's parameter, else the run's name."""
    candidates = (
        getattr(context.get("task"), "op_kwargs", {}).get("session"),
        (context.get("params") or {}).get("session"),
        getattr(context.get("ti"), "run_id", None),
    )
    return next((value for value in candidates if isinstance(value, str) and value), "unknown")


def book_of(context: MutableMapping[str, Any]) -> str:
    """The deployment a mapped task worked on; empty for a task of none."""
    book = getattr(context.get("task"), "op_kwargs", {}).get("book", "")
    return book if isinstance(book, str) else ""


DEFAULT_ARGS: dict[str, Any] = {
    "owner": "desk",
    "retries": 3,
    "retry_delay": dt.timedelta(seconds=30),
    "retry_exponential_backoff": 2,
    "max_retry_delay": dt.timedelta(minutes=15),
    "retry_policy": RETRY_POLICY,
    "execution_timeout": dt.timedelta(minutes=15),
    "on_failure_callback": mail_failure,
}
