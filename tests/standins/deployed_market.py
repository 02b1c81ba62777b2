"""A market of random walks, a desk on paper that deploys portfolios on it, and the evening of a deployment."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pandas as pd

from core.sessions import sessions_between
from pipeline.bars import VIX
from pipeline.resources import Resources
from tests.standins.evening import run_task
from tests.standins.evidence import vouch
from tests.standins.feed import walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from core.settings import Settings

START, END = dt.date(2016, 1, 4), dt.date(2018, 12, 31)
SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
LOADED = dt.datetime(2019, 1, 1, tzinfo=dt.UTC)
Member = tuple[str, str, dict[str, Any], float]  # strategy, symbol, parameters, USD
TRIO: tuple[Member, ...] = (
    ("bollinger", "AAA", {"deviations": 1.0}, 400.0),
    ("rsi", "BBB", {"oversold": 45.0}, 350.0),
    ("zscore", "CCC", {}, 250.0),
)
TRADING = ("settle", "renew_validation", "find_candidates", "predict", "place", "record")  # those of `desk trade`


class Mailbox:
    """Keeps the subjects of what would be mailed."""

    def __init__(self) -> None:
        self.subjects: list[str] = []

    def send(self, subject: str, body: str, severity: str = "warning", **_: Any) -> bool:
        del body, severity
        self.subjects.append(subject)
        return True


def market_desk(settings: Settings, first: dt.date, **changes: object) -> Resources:
    """A desk with every bar of the market stored, whose features count as known from a day on; nothing has traded."""
    made = Resources(settings.with_changes(universe=SYMBOLS, **changes), clock=lambda: LOADED)
    made.__dict__["alerts"] = Mailbox()
    walks = [walk(name, START, END, seed=3) for name in SYMBOLS]
    walks.append(walk(VIX, START, END).assign(**dict.fromkeys(["open", "high", "low", "close", "adj_close"], 20.0)))
    bars = pd.concat(walks, ignore_index=True)
    made.bars.write(bars, source="walk", ingested_at=LOADED, backfilled=True)
    vouch(made.engine, bars, first=first)
    return made


def stored_portfolio(
    desk: Resources, members: Sequence[Member], session: dt.date, status: str | None = "PASS", *, draft: bool = False
) -> int:
    """Store a portfolio of a session with a validation of the same session; None leaves it without one."""
    rows = [
        {"strategy": strategy, "symbol": symbol, "params": params, "vix_gate": False, "usd": usd}
        for strategy, symbol, params, usd in members
    ]
    capital = sum(usd for *_, usd in members)
    number = desk.portfolios.save(session=session, method="equal", members=rows, figures={"capital_usd": capital}, draft=draft)
    if status is not None:
        desk.portfolios.save_validation(portfolio_id=number, session=session, status=status, report={})
    return number


def evening(desk: Resources, name: str, day: dt.date, tasks: Sequence[str] = TRADING) -> dict[str, Any]:
    """Run tasks of a deployment's evening; each has resources of its own, as each is a process in Airflow."""
    return {task: run_task(task, day, desk, name) for task in tasks}


def days_between(first: dt.date, last: dt.date) -> Iterator[dt.date]:
    """The sessions of a span."""
    return (stamp.date() for stamp in sessions_between(first, last))
