"""A desk whose day can be killed: real PostgreSQL, real market data tables, a venue and an API in another process.

Owns the setting; `tests.chaos.schedule` kills and checks.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import subprocess
import sys
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pandas as pd
import sqlalchemy as sa

from core.models import Fill, OrderState
from core.sessions import next_session, open_of
from pipeline.resources import Resources
from storage.engine import cluster_url, open_engine
from storage.market.bars import BarStore
from storage.trading.ledger import Ledger
from tests.standins.evidence import vouch
from tests.standins.feed import walk
from tests.standins.venue_broker import VenueBroker
from trading.brokers.intake import take_fill
from trading.brokers.paper import PaperBroker
from trading.brokers.placing import Patience
from trading.orders import entry_order
from trading.strategies.registry import make_strategy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.settings import Settings
    from trading.brokers.base import Broker
    from trading.strategies.base import Strategy

ROOT = Path(__file__).resolve().parents[2]
EVE, BEFORE, DAY = dt.date(2018, 12, 14), dt.date(2018, 12, 17), dt.date(2018, 12, 18)
OPENS = next_session(DAY)
FALLING, HELD = ("AAA", "BBB", "CCC", "DDD"), "EEE"
ORDERS = 3  # two entries beside the position held, and its exit


@dataclass
class Desk(Resources):
    """The desk of one schedule: its own portfolio, everything else shared."""

    url: str = ""
    venue_url: str = ""
    on_paper: bool = False

    @cached_property
    def engine(self) -> sa.Engine:
        # What is killed is the desk, not the server: commits need not wait for the disk.
        return sa.create_engine(self.url, connect_args={"options": "-c timezone=utc -c synchronous_commit=off"})

    @cached_property
    def strategies(self) -> tuple[Strategy, ...]:
        return (make_strategy("bollinger", {"deviations": 1.0}),)

    @cached_property
    def broker(self) -> Broker:
        if self.paper is not None:
            return self.paper
        cash, held = Decimal(99_000), {HELD: Decimal(10)}  # bought at 100 of 100,000
        return VenueBroker(self.venue_url, self.settings.portfolio, OPENS, cash, held)

    @cached_property
    def paper(self) -> PaperBroker | None:
        return PaperBroker(self.ledger, self.costs, portfolio=self.settings.portfolio) if self.on_paper else None

    @property
    def patience(self) -> Patience:
        return Patience(deadline_seconds=1.0, first_wait_seconds=0.005, longest_wait_seconds=0.1)


@dataclass
class World:
    """What all schedules share."""

    settings: Settings
    url: str
    venue_url: str

    def desk(self, portfolio: str, *, on_paper: bool = False, clock_ahead: dt.timedelta = dt.timedelta(0)) -> Desk:
        """The resources of a new process, whose clock is off."""
        settings = self.settings.with_changes(portfolio=portfolio, api__url=self.venue_url)
        clock = lambda: dt.datetime.now(dt.UTC) + clock_ahead  # noqa: E731
        return Desk(settings, clock=clock, url=self.url, venue_url=self.venue_url, on_paper=on_paper)

    def open_portfolio(self, portfolio: str, **run: float | bool) -> None:
        """A portfolio that holds one position, due to be left, and its account at the venue, a `tests.standins.venue.Run`."""
        httpx.put(f"{self.venue_url}/{portfolio}", json=run).raise_for_status()
        engine = sa.create_engine(self.url, poolclass=sa.NullPool)
        _hold(Ledger(engine), portfolio)


@contextlib.contextmanager
def venue() -> Iterator[str]:
    """The venue in another process; its address."""
    environment = os.environ | {"VENUE_SESSION": DAY.isoformat()}
    command = [sys.executable, "-m", "tests.standins.venue"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait(timeout=10)


def build(settings: Settings, venue_url: str) -> World:
    """Migrate the database and store the bars: four symbols fall under their band on the day, one is held."""
    settings = settings.with_changes(universe=(*FALLING, HELD))
    engine = open_engine(settings)
    now = dt.datetime(2018, 12, 18, 22, tzinfo=dt.UTC)
    frames = [walk(name, dt.date(2018, 9, 4), OPENS, seed=1) for name in (*FALLING, HELD, "^VIX")]
    for frame in frames[: len(FALLING)]:
        last = frame.index[frame["session"] == pd.Timestamp(DAY)]
        frame.loc[last, ["open", "high", "low", "close", "adj_close"]] *= 0.9
    BarStore(engine).write(pd.concat(frames, ignore_index=True), source="chaos", ingested_at=now)
    vouch(engine, pd.concat(frames), first=DAY)
    split = {"symbol": HELD, "session": pd.Timestamp(DAY), "kind": "split", "value": 2.0}
    BarStore(engine).write_actions(pd.DataFrame([split]), now)  # a venue makes it, or does not
    engine.dispose()
    return World(settings, cluster_url(settings, settings.database.name), venue_url)


def _hold(ledger: Ledger, portfolio: str) -> None:
    """An entry filled the day before, with a time limit of two sessions; that day is on record."""
    order = entry_order(
        portfolio,
        "bollinger",
        HELD,
        decision_session=EVE,
        session=BEFORE,
        signed_quantity=10.0,
        stop_pct=float("nan"),
        target_pct=float("nan"),
        max_sessions=2,
    )
    ledger.record_intents([order])
    ledger.transition(order.client_order_id, OrderState.SUBMITTED)
    ledger.transition(order.client_order_id, OrderState.ACCEPTED)
    price = Decimal(100)
    name = f"seed-{portfolio}"
    take_fill(
        ledger,
        Fill(
            name,
            order.client_order_id,
            HELD,
            order.side,
            Decimal(10),
            price,
            price,
            Decimal(0),
            BEFORE,
            open_of(BEFORE),
            "entry",
        ),
    )
    ledger.save_equity(
        {
            "portfolio": portfolio,
            "session": BEFORE,
            "cash_usd": 99_000.0,
            "equity_usd": 1e5,
            "exposure_usd": 1e3,
            "positions": 1,
        }
    )
