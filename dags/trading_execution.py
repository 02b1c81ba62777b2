"""Orders for the next open.

Starts when `daily_market_data` announces the features of a session: settle what is open on that session's bar, reconcile with
the broker, find the strategy's candidates, ask the prediction API for each, decide, size and check the limits, place the
orders, confirm them at the broker, reconcile again, record the day, and mail what it came to.

* **Broker:** paper, on the session's real bars; no money moves.
* **Run again:** an intent has one client order id, written before anything is sent; a second run places nothing twice.
* **The API must answer** at `API_URL`; without a champion model `predict` fails and says to run `model_training` first.
* **The broker has what the ledger does not:** what a rule resolves is brought in; anything else halts trading and is mailed.
* **Too late:** an order that cannot reach the next open any more is not sent.
* **Clear any task at any time**, of an old session too: what is on record stands, and nothing is sent. `mail` tells what has
  changed the same evening, and nothing otherwise; `mail_again` sends it in any case.
* **Manual run:** set `session`, or leave it empty for the newest.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from airflow.sdk import Param, chain, dag, task

from common import DAILY_FEATURES, DEFAULT_ARGS, SESSION_PARAM, session_or_skip

MAIL_AGAIN_PARAM = Param(False, type="boolean", title="Mail again", description="Send the evening's mail although it was sent.")


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
def trading_execution() -> None:  # noqa: C901  # one function a task
    @task
    def choose_session(dag_run: Any = None, params: Any = None, triggering_asset_events: Any = None) -> str:
        """The newest session announced, or the one asked for."""
        from pipeline import sessions

        announced = [event.extra["session"] for event in (triggering_asset_events or {}).get(DAILY_FEATURES, [])]
        given = params["session"] or max(announced, default=None)
        return session_or_skip(sessions.newest_before(given, dag_run.logical_date))

    @task
    def settle(session: str) -> dict[str, Any]:
        """Fill pending orders, stops, targets and time exits on that session's bar."""
        from pipeline.execution import daily_trade

        return daily_trade.settle(session).as_dict()

    @task
    def reconcile_before(session: str) -> dict[str, Any]:
        """Compare the broker's orders, fills, positions and cash with the ledger; halt where no rule resolves a difference."""
        from pipeline.execution import reconcile

        return reconcile.reconcile(session).as_dict()

    @task
    def find_candidates(session: str) -> dict[str, Any]:
        """Entries the strategy proposes at the close of the session."""
        from pipeline.execution import daily_trade

        return daily_trade.candidates(session).as_dict()

    @task
    def predict(session: str) -> dict[str, Any]:
        """Request a prediction for each candidate."""
        from pipeline.execution import daily_trade

        return daily_trade.predict(session).as_dict()

    @task
    def place(session: str) -> dict[str, Any]:
        """Decide, size, check the limits, write the intents, then send them."""
        from pipeline.execution import daily_trade

        return daily_trade.place(session).as_dict()

    @task
    def confirm(session: str) -> dict[str, Any]:
        """Fetch the state of the orders at the broker."""
        from pipeline.execution import daily_trade

        return daily_trade.confirm(session).as_dict()

    @task
    def reconcile_after(session: str) -> dict[str, Any]:
        """Reconcile again once the orders are placed."""
        from pipeline.execution import reconcile

        return reconcile.reconcile(session).as_dict()

    @task
    def record(session: str) -> dict[str, Any]:
        """Mark the portfolio to market and store the day."""
        from pipeline.execution import daily_trade

        return daily_trade.record(session).as_dict()

    @task
    def mail(session: str, params: Any = None) -> dict[str, Any]:
        """Mail what was done, what was refused and why, what is held, how far the limits are."""
        from pipeline.execution import daily_report

        return daily_report.send(session, again=params["mail_again"]).as_dict()

    @task
    def measure_gap(session: str) -> dict[str, Any]:
        """Replay the day beside the backtest and split the gap by its cause; a signal gap is mailed."""
        from pipeline.audit import parity_day

        return parity_day.record_day(session).as_dict()

    session = choose_session()
    chain(
        settle(session=session),
        reconcile_before(session=session),
        find_candidates(session=session),
        predict(session=session),
        place(session=session),
        confirm(session=session),
        reconcile_after(session=session),
        record(session=session),
        mail(session=session),
        measure_gap(session=session),
    )


trading_execution()
