"""Orders for the next open.

Starts when `daily_market_data` announces the features of a session: settle what is open on that session's bar, reconcile with
the broker, renew a portfolio's validation that is nearly too old, find the strategy's candidates, ask the prediction API for
each, decide, size and check the limits, place the orders, confirm them at the broker, reconcile again, record the day, and mail
what it came to.

* **Broker:** paper, on the session's real bars; no money moves.
* **Run again:** an intent has one client order id, written before anything is sent; a second run places nothing twice.
* **The API must answer** at `API__URL`; without a champion model `predict` fails and says to run `model_training` first.
* **The broker has what the ledger does not:** what a rule resolves is brought in; anything else halts trading and is mailed.
* **Too late:** an order that cannot reach the next open any more is not sent.
* **Clear any task at any time**, of an old session too: what is on record stands, and nothing is sent. `mail` tells what has
  changed the same evening, and nothing otherwise; `mail_again` sends it in any case.
* **Deployments:** the whole evening is mapped over the deployments that trade; one that fails stops no other.
* **Manual run:** set `session`, or leave it empty for the newest.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from airflow.sdk import Param, chain, dag, task, task_group

from common import DAILY_FEATURES, DEFAULT_ARGS, SESSION_PARAM, session_or_skip

MAIL_AGAIN_PARAM = Param(False, type="boolean", title="Mail again", description="Send the evening's mail although it was sent.")


BOOK = "{{ task.op_kwargs['book'] }}"  # names the mapped tasks of a deployment in the UI


@task(map_index_template=BOOK)
def settle(session: str, book: str) -> dict[str, Any]:
    """Fill pending orders, stops, targets and time exits on that session's bar."""
    from pipeline.execution import daily_trade
    from pipeline.execution.recorded_steps import run_step

    return run_step("settle", daily_trade.settle, session, book).as_dict()


@task(map_index_template=BOOK)
def reconcile_before(session: str, book: str) -> dict[str, Any]:
    """Compare the broker's orders, fills, positions and cash with the ledger; halt where no rule resolves a difference."""
    from pipeline.execution import reconcile
    from pipeline.execution.recorded_steps import run_step

    return run_step("reconcile_before", reconcile.reconcile, session, book).as_dict()


@task(map_index_template=BOOK)
def renew_validation(session: str, book: str) -> dict[str, Any]:
    """Validate the deployment's portfolio again before its last validation is too old; a FAIL stops its entries alone."""
    from pipeline.deployments import validity
    from pipeline.execution.recorded_steps import run_step

    return run_step("renew_validation", validity.renew_validation, session, book).as_dict()


@task(map_index_template=BOOK)
def find_candidates(session: str, book: str) -> dict[str, Any]:
    """Entries the strategy proposes at the close of the session."""
    from pipeline.execution import daily_trade
    from pipeline.execution.recorded_steps import run_step

    return run_step("find_candidates", daily_trade.candidates, session, book).as_dict()


@task(map_index_template=BOOK)
def predict(session: str, book: str) -> dict[str, Any]:
    """Request a prediction for each candidate."""
    from pipeline.execution import daily_trade
    from pipeline.execution.recorded_steps import run_step

    return run_step("predict", daily_trade.predict, session, book).as_dict()


@task(map_index_template=BOOK)
def place(session: str, book: str) -> dict[str, Any]:
    """Decide, size, check the limits, write the intents, then send them."""
    from pipeline.execution import daily_trade
    from pipeline.execution.recorded_steps import run_step

    return run_step("place", daily_trade.place, session, book).as_dict()


@task(map_index_template=BOOK)
def confirm(session: str, book: str) -> dict[str, Any]:
    """Fetch the state of the orders at the broker."""
    from pipeline.execution import daily_trade
    from pipeline.execution.recorded_steps import run_step

    return run_step("confirm", daily_trade.confirm, session, book).as_dict()


@task(map_index_template=BOOK)
def reconcile_after(session: str, book: str) -> dict[str, Any]:
    """Reconcile again once the orders are placed."""
    from pipeline.execution import reconcile
    from pipeline.execution.recorded_steps import run_step

    return run_step("reconcile_after", reconcile.reconcile, session, book).as_dict()


@task(map_index_template=BOOK)
def record(session: str, book: str) -> dict[str, Any]:
    """Mark the portfolio to market and store the day."""
    from pipeline.execution import daily_trade
    from pipeline.execution.recorded_steps import run_step

    return run_step("record", daily_trade.record, session, book).as_dict()


@task(map_index_template=BOOK)
def mail(session: str, book: str, params: Any = None) -> dict[str, Any]:
    """Mail what was done, what was refused and why, what is held, how far the limits are."""
    from pipeline.execution import daily_report
    from pipeline.execution.recorded_steps import run_step

    return run_step("mail", daily_report.send, session, book, again=params["mail_again"]).as_dict()


@task(map_index_template=BOOK)
def measure_gap(session: str, book: str) -> dict[str, Any]:
    """Replay the day beside the backtest and split the gap by its cause; a signal gap is mailed."""
    from pipeline.audit import parity_day
    from pipeline.execution.recorded_steps import run_step

    return run_step("measure_gap", parity_day.record_day, session, book).as_dict()


@dag(
    schedule=[DAILY_FEATURES],
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=dt.timedelta(hours=1),
    default_args=DEFAULT_ARGS,
    params={"session": SESSION_PARAM, "mail_again": MAIL_AGAIN_PARAM},
    tags=["desk", "trading", "daily"],
    doc_md=__doc__,
)
def trading_execution() -> None:
    @task
    def choose_session(dag_run: Any = None, params: Any = None, triggering_asset_events: Any = None) -> str:
        """The newest session announced, or the one asked for."""
        from pipeline import sessions

        announced = [event.extra["session"] for event in (triggering_asset_events or {}).get(DAILY_FEATURES, [])]
        given = params["session"] or max(announced, default=None)
        return session_or_skip(sessions.newest_before(given, dag_run.logical_date))

    @task
    def list_books() -> list[str]:
        """One mapped evening for each deployment that trades, the default one first; a failed one stops no other."""
        from pipeline.deployments import books

        return books.trading_books()

    @task_group
    def evening(session: str, book: str) -> None:
        """Every step of one deployment."""
        chain(
            settle(session=session, book=book),
            reconcile_before(session=session, book=book),
            renew_validation(session=session, book=book),
            find_candidates(session=session, book=book),
            predict(session=session, book=book),
            place(session=session, book=book),
            confirm(session=session, book=book),
            reconcile_after(session=session, book=book),
            record(session=session, book=book),
            mail(session=session, book=book),
            measure_gap(session=session, book=book),
        )

    evening.partial(session=choose_session()).expand(book=list_books())


trading_execution()
