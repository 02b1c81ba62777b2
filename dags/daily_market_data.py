"""Bars, VIX and features of one session.

At 17:00 New York on weekdays: choose the session, load VIX and the bars of each symbol (one mapped task a symbol; each
validates before it stores), compute the features, copy the newest to the online store, and announce them as `daily_features`.

* **Weekend, holiday, or a session that has not closed:** `choose_session` is skipped, its log says why, and nothing else runs.
* **One symbol or VIX fails:** its task is red and mailed; the others go on. Without VIX the filter allows no entry.
* **Run again:** every step writes the same rows once; clear any task at any time.
* **Manual run:** set `session`, or leave it empty for the newest. `full_history` loads everything since
  `INGESTION__HISTORY_START`.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from airflow.sdk import CronTriggerTimetable, TriggerRule, dag, task

from common import DAILY_FEATURES, DEFAULT_ARGS, FULL_HISTORY_PARAM, SESSION_PARAM, TIMEZONE, session_or_skip


@dag(
    schedule=CronTriggerTimetable("0 17 * * 1-5", timezone=TIMEZONE),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=dt.timedelta(hours=3),
    default_args=DEFAULT_ARGS,
    params={"session": SESSION_PARAM, "full_history": FULL_HISTORY_PARAM},
    tags=["desk", "data", "daily"],
    doc_md=__doc__,
)
def daily_market_data() -> None:
    @task
    def choose_session(dag_run: Any = None, params: Any = None) -> str:
        """The session of this run; skips the run, with the reason, when there is none to load."""
        from pipeline import sessions

        return session_or_skip(
            sessions.choose_session(params["session"], dag_run.logical_date, scheduled=dag_run.run_type != "manual")
        )

    @task
    def list_symbols(session: str) -> list[str]:
        """The universe of that session."""
        from pipeline.data import ingest

        return ingest.list_symbols(session)

    @task
    def load_vix(session: str, params: Any = None) -> dict[str, Any]:
        """Fetch, validate and store VIX."""
        from pipeline.data import ingest
        from pipeline.execution.recorded_steps import run_step

        return run_step("load_vix", ingest.fetch_vix, session, full_history=params["full_history"]).as_dict()

    @task(
        max_active_tis_per_dagrun=4,
        map_index_template="{{ task.op_kwargs['symbol'] }}",
        doc_md="Fetch, validate and store the bars of one symbol; bad rows go to the quarantine.",  # mapped: no docstring shown
    )
    def load_bars(symbol: str, session: str, params: Any = None) -> dict[str, Any]:
        from pipeline.data import ingest
        from pipeline.execution.recorded_steps import run_step

        full = params["full_history"]
        return run_step(
            "load_bars", ingest.fetch_symbols, session, symbol=symbol, symbols=[symbol], full_history=full
        ).as_dict()

    @task(trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS)
    def count_loaded(loads: list[dict[str, Any]]) -> dict[str, int]:
        """Add up what the symbols' tasks loaded; a failed symbol is left out, but some must have succeeded."""
        from airflow.sdk.exceptions import AirflowFailException

        counts = list(loads)
        if not counts:
            raise AirflowFailException("No symbol was loaded: see the tasks of load_bars. Features and trading do not run.")
        totals = {name: sum(count[name] for count in counts) for name in ("fetched", "new", "revised", "quarantined")}
        return {"symbols": len(counts), **totals}

    @task(execution_timeout=dt.timedelta(minutes=30))
    def build_features(session: str) -> dict[str, Any]:
        """Compute the features and write what is new to the offline store."""
        from pipeline.data import build_features as step
        from pipeline.execution.recorded_steps import run_step

        return run_step("build_features", step.write_features, session).as_dict()

    @task(outlets=[DAILY_FEATURES])
    def materialise(session: str, outlet_events: Any = None) -> dict[str, Any]:
        """Copy the newest features to the online store and announce the session."""
        from pipeline.data import build_features as step
        from pipeline.execution.recorded_steps import run_step

        written = run_step("materialise", step.materialise, session).as_dict()
        outlet_events[DAILY_FEATURES].extra = {"session": session}
        return written

    session = choose_session()
    vix = load_vix(session=session)
    bars = load_bars.partial(session=session).expand(symbol=list_symbols(session=session))
    counted = count_loaded(bars)
    vix >> counted >> build_features(session=session) >> materialise(session=session)


daily_market_data()
