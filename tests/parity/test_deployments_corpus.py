"""Four years of real bars through the scheduled steps: two deployments at once make the trades of their sleeves' backtests."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from core.sessions import sessions_between
from ingestion.providers.files import FilesProvider
from pipeline.audit import parity
from pipeline.bars import VIX
from pipeline.deployments.books import desk_of
from pipeline.deployments.deploy import DeployRequest, deploy
from pipeline.execution import daily_trade
from pipeline.resources import Resources
from tests.parity.test_deployments import stored_portfolio
from tests.parity.test_ends import CORPUS
from tests.parity.test_parity_day import Mailbox
from tests.standins.evidence import vouch

if TYPE_CHECKING:
    from core.settings import Settings

FIRST, LAST = dt.date(2018, 1, 2), dt.date(2021, 12, 31)
NOW = dt.datetime(2022, 1, 1, tzinfo=dt.UTC)
TRIO = (("bollinger", "AAPL", {}, 400.0), ("rsi", "MSFT", {}, 350.0), ("zscore", "SPY", {}, 250.0))
PAIR = (("zscore", "SPY", {}, 6_000_000.0), ("bollinger", "NVDA", {}, 4_000_000.0))
SYMBOLS = ("AAPL", "MSFT", "NVDA", "SPY")


@pytest.mark.integration
@pytest.mark.corpus
@pytest.mark.deep
@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"needs the real data at {CORPUS}")
def test_two_deployments_at_once_have_parity_over_four_years(database_settings: Settings) -> None:
    settings = database_settings.with_changes(
        provider="files", ingestion__files_dir=CORPUS, universe=SYMBOLS, validation__max_age_days=3650
    )
    desk = Resources(settings, clock=lambda: NOW)
    bars = FilesProvider(CORPUS).fetch([*SYMBOLS, VIX], dt.date(2015, 1, 2), LAST).bars
    desk.bars.write(bars, source="files", ingested_at=NOW, backfilled=True)
    vouch(desk.engine, pd.DataFrame(bars), first=FIRST)
    desk.__dict__["alerts"] = Mailbox()
    deploy(DeployRequest(stored_portfolio(desk, TRIO), "trio", "1,000 USD", "anna"), resources=desk)
    deploy(DeployRequest(stored_portfolio(desk, PAIR), "pair", "10 million USD", "anna"), resources=desk)
    steps = (daily_trade.settle, daily_trade.candidates, daily_trade.predict, daily_trade.place, daily_trade.record)
    for stamp in sessions_between(FIRST, LAST):
        for name in ("trio", "pair"):
            own = desk_of(name, resources=desk)
            for step in steps:
                step(stamp.date().isoformat(), resources=own)

    found = {name: parity.compare_ledger(None, None, resources=desk_of(name, resources=desk)) for name in ("trio", "pair")}

    assert {name: each.differences.to_dict("records") for name, each in found.items()} == {"trio": [], "pair": []}
    assert all(each.holds and each.trades > 30 for each in found.values())
    assert [each.sessions for each in found.values()] == [1008, 1008]
