"""An evening at Yahoo's stand-in with a split in it: the history comes re-scaled, and the paper position follows it."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from core.sessions import close_of
from pipeline.data import ingest
from pipeline.execution import daily_trade
from pipeline.resources import Resources
from tests.standins.alpaca_desk import Mailbox
from tests.standins.feed import walk
from tests.standins.yahoo import YahooStandIn
from trading.brokers.placing import place
from trading.orders import entry_order

if TYPE_CHECKING:
    from core.settings import Settings

pytestmark = pytest.mark.integration
START, DECIDED, ENTRY = dt.date(2021, 1, 4), dt.date(2021, 6, 1), dt.date(2021, 6, 2)
EVE, SPLIT = dt.date(2021, 6, 3), dt.date(2021, 6, 4)
PRICES = ["open", "high", "low", "close", "adj_close"]


def served(end: dt.date, ratio: float = 1.0) -> pd.DataFrame:
    """Yahoo's table of AAPL up to a day: after the split all of it is re-scaled, and the split stands beside its day."""
    table = walk("AAPL", START, end, seed=4).set_index("session")[[*PRICES, "volume"]]
    return table.assign(split=0.0, **{name: table[name] / ratio for name in PRICES})


@pytest.mark.parametrize("ratio", [2.0, 7.0, 1.5])
def test_the_evening_of_a_split_sells_nothing_and_keeps_the_value(
    database_settings: Settings, monkeypatch: pytest.MonkeyPatch, ratio: float
) -> None:
    with YahooStandIn({"AAPL": served(EVE)}) as yahoo:
        yahoo.install(monkeypatch)
        now = [close_of(EVE) + dt.timedelta(hours=1)]
        values = {"provider": "yfinance", "universe": "AAPL", "ingestion__history_start": START.isoformat()}
        desk = Resources(database_settings.with_changes(**values), clock=lambda: now[0])
        desk.alerts = Mailbox()  # type: ignore[assignment]
        ingest.fetch_symbols(EVE.isoformat(), ["AAPL"], full_history=True, resources=desk)
        bought = entry_order(
            "main", "bollinger", "AAPL", decision_session=DECIDED, session=ENTRY, signed_quantity=100.0, stop_pct=20.0,
            target_pct=40.0, max_sessions=20,
        )  # fmt: skip
        place(desk.ledger, desk.broker, [bought])
        for day in (ENTRY, EVE):
            daily_trade.settle(day.isoformat(), resources=desk)
            before = daily_trade.record(day.isoformat(), resources=desk)

        whole = served(SPLIT, ratio)
        whole.loc[pd.Timestamp(SPLIT), "split"] = ratio
        yahoo.bars["AAPL"] = whole
        now[0] = close_of(SPLIT) + dt.timedelta(hours=1)
        loaded = ingest.fetch_symbols(SPLIT.isoformat(), ["AAPL"], resources=desk)
        settled = daily_trade.settle(SPLIT.isoformat(), resources=desk)
        after = daily_trade.record(SPLIT.isoformat(), resources=desk)

    (held,) = desk.ledger.positions("main")
    closes = served(SPLIT)["close"]
    moved = 100 * (closes[pd.Timestamp(SPLIT)] - closes[pd.Timestamp(EVE)])
    assert loaded.revised > 100
    assert settled.fills == 0
    assert held.quantity == 100 * Decimal(str(ratio))
    assert before.equity_usd is not None
    assert after.equity_usd == pytest.approx(before.equity_usd + moved, abs=0.01)
