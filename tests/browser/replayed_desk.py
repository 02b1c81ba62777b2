"""A desk with years on record, for screenshots and timings: real bars, a trained filter, research, two books, every evening.

`python -m tests.browser.replayed_desk FOLDER [FIRST LAST]` makes it, with the steps that verbs and Airflow's tasks call. The
bars are those beside the checkout, the sample's without them. The default book's answers come from the trained filter itself,
on the bars known then: the API answers about the newest session alone.
"""

from __future__ import annotations

import datetime as dt
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import structlog

from core.sessions import close_of, sessions_between
from core.settings import get_settings
from pipeline.audit.session_inputs import session_inputs
from pipeline.audit.vintages import read_vintages
from pipeline.data import build_features, ingest
from pipeline.deployments.books import desk_of
from pipeline.deployments.deploy import DeployRequest, deploy
from pipeline.execution.recorded_steps import run_step
from pipeline.execution.step_results import PredictionsStored
from pipeline.research import chain
from pipeline.resources import live
from pipeline.risk.monitor import check_portfolio
from pipeline.training import train_entry_filter, train_next_day
from tests.standins.evening import EVENING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.resources import Resources

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "data"
FIRST, LAST = dt.date(2016, 1, 4), dt.date(2018, 12, 31)
TRADING = ("settle", "renew_validation", "find_candidates", "predict", "place", "record")  # those of `desk trade`
WHOLE = 60  # evenings at the end with every step; before them those of `desk trade`, and now and then the comparison
MEASURED_EVERY = 20  # sessions: measuring reads every bar again
SYMBOLS = "AAPL,AMD,AMZN,GOOGL,IWM,MSFT,NVDA,QQQ,SPY,UNH"
RULES = ("bollinger", "rsi", "zscore")
ENVIRONMENT = {
    "STRATEGIES": "bollinger,rsi",
    "INGESTION__HISTORY_START": "2013-01-02",
    "RISK__MAX_POSITIONS": "8",
    "API__CONTROL_KEYS": "c" * 20,
    "VALIDATION__MAX_DRAWDOWN_PCT": "99",
    "VALIDATION__MAX_LOSS_AT_RISK_PCT": "99",
    "VALIDATION__MAX_POSITION_PCT": "99",
    "VALIDATION__MAX_CORRELATION": "1",
    "VALIDATION__MAX_TRADES_A_DAY": "99",
    "LOG_LEVEL": "ERROR",
}


def environment_of(folder: Path) -> dict[str, str]:
    """Return the environment of the desk in a folder."""
    files = {"PROVIDER": "files", "INGESTION__FILES_DIR": str(CORPUS), "UNIVERSE": SYMBOLS} if CORPUS.is_dir() else {}
    return {**ENVIRONMENT, "PROVIDER": "sample", **files, "DATA_DIR": str(folder)}


def make(folder: Path, first: dt.date = FIRST, last: dt.date = LAST) -> None:
    """Make the desk: research and training end before `first`, and every evening from then to `last` is traded."""
    os.environ.update(environment_of(folder))
    get_settings.cache_clear()
    live.cache_clear()
    desk = live()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    before = (pd.Timestamp(first) - pd.offsets.BDay(1)).date()
    research_end = [stamp.date() for stamp in sessions_between(before - dt.timedelta(days=7), before)][-1].isoformat()
    step("bars", lambda: load(desk, last.isoformat()))
    step("training", lambda: train_entry_filter.train_entry_filter(research_end))
    step("next-day training", lambda: train_next_day.train_next_day(research_end))
    step("research", lambda: research(research_end))
    answers = step("answers of the filter", lambda: filter_answers(desk, first, last))
    days = [stamp.date() for stamp in sessions_between(first, last)]
    started = time.perf_counter()
    for number, day in enumerate(days, 1):
        for book in (desk.settings.portfolio, "trio"):
            gap = ("measure_gap",) if number % MEASURED_EVERY == 0 else ()
            traded(desk, book, day, answers, tuple(EVENING) if number > len(days) - WHOLE else (*TRADING, *gap))
        if number % 25 == 0:
            check_portfolio(resources=desk)
            print(f"{day}: {number} of {len(days)} evenings, {time.perf_counter() - started:.0f} s", flush=True)  # noqa: T201


def step(name: str, action: Any) -> Any:
    """Run a step and print its time."""
    started = time.perf_counter()
    outcome = action()
    print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)  # noqa: T201
    return outcome


def load(desk: Resources, session: str) -> None:
    """Store bars, VIX and features up to a session."""
    ingest.fetch_vix(session, full_history=True)
    ingest.fetch_symbols(session, desk.universe(), full_history=True)
    build_features.write_features(session)
    build_features.materialise(session)


def research(session: str) -> None:
    """Sweep, rank, allocate, validate and deploy a portfolio as `trio`."""
    plan = chain.ChainPlan.of(chain.make_plan(session, list(RULES), holdout_sessions=1).as_dict())
    chain.sweep(plan, jobs=2)
    chain.rank(plan)
    chain.correlate(plan, min_trades=10)
    made = chain.allocate(plan, method="risk_parity_profit_weighted", store=True, min_trades=10)
    chain.validate(plan)
    deploy(DeployRequest(made.portfolio, "trio", "three rules on their best symbols", "ann", capital_usd=50_000.0))


def filter_answers(desk: Resources, first: dt.date, last: dt.date) -> pd.DataFrame:
    """Return the champion's answer about every candidate of the default book."""
    vintages = read_vintages(desk.bars, first, last, desk.universe())
    found = session_inputs(vintages, desk.strategies, desk.registry.champion()).accept
    assert found is not None
    return found


def traded(desk: Resources, book: str, day: dt.date, answers: pd.DataFrame, steps: Sequence[str]) -> None:
    """Run steps of a book's evening."""
    for name in steps:
        own = desk_of(book, resources=desk)
        run = partial(answered, answers=answers) if name == "predict" and own.deployment is None else EVENING[name]
        run_step(name, run, day.isoformat(), book, resources=own)


def answered(session: str, *, answers: pd.DataFrame, resources: Resources) -> PredictionsStored:
    """Store the filter's answers about the candidates of a session, as the step `predict` stores the API's."""
    desk, day = resources, dt.date.fromisoformat(session)
    signals = desk.ledger.signals(day)
    entries = signals[(signals["entry"] != 0) & ~signals["strategy"].str.contains("/")]
    today = answers[answers["session"] == pd.Timestamp(day)]
    by_key = {(row.strategy, row.symbol): row for row in today.itertuples()}
    version, rows = desk.registry.champion_version(), []
    for row in entries.itertuples():
        answer = by_key.get((str(row.strategy).removesuffix("_vix"), row.symbol))
        if answer is not None:
            rows.append(
                {
                    "strategy": row.strategy,
                    "symbol": row.symbol,
                    "model_version": version,
                    "model_name": desk.settings.training.model_name,
                    "signal": "enter" if answer.accept else "skip",
                    "probability": float(answer.probability),
                    "predicted_return": 0.0,
                    "feature_timestamp": close_of(day),
                }
            )
    desk.ledger.save_predictions(day, rows)
    return PredictionsStored(session, len(rows), sum(row["signal"] == "enter" for row in rows))


if __name__ == "__main__":
    make(Path(sys.argv[1]).absolute(), *map(dt.date.fromisoformat, sys.argv[2:4]))
