"""An evening at the stand-in of TWS with a split in it: the book follows the venue, and nothing is lost or sold."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from pipeline.execution import daily_trade, reconcile
from pipeline.resources import Resources
from pipeline.risk.monitor import check_portfolio
from tests.standins.alpaca_corporate import split
from tests.standins.alpaca_desk import Mailbox
from tests.standins.feed import walk
from tests.standins.tws import TwsStandIn
from trading.brokers.intake import collect
from trading.brokers.placing import place
from trading.drawdown import Level
from trading.orders import entry_order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.settings import Settings

pytestmark = pytest.mark.integration
FRIDAY, MONDAY, TUESDAY = dt.date(2026, 11, 20), dt.date(2026, 11, 23), dt.date(2026, 11, 24)
NOON, EVENING = dt.datetime(2026, 11, 23, 17, tzinfo=dt.UTC), dt.datetime(2026, 11, 24, 22, tzinfo=dt.UTC)
PRICES = ["open", "high", "low", "close", "adj_close"]


@pytest.fixture
def tws() -> Iterator[TwsStandIn]:
    with TwsStandIn() as stand_in:
        stand_in.exchange.list_asset("AAPL", "100")
        yield stand_in


def history(end: dt.date, ratio: float = 1.0) -> pd.DataFrame:
    """Bars that end at 100, over the ratio."""
    bars = walk("AAPL", FRIDAY - dt.timedelta(days=60), end)
    bars.loc[bars.index[-2:], PRICES] = 100.0
    return bars.assign(**{name: bars[name] / ratio for name in PRICES})


def at(tws: TwsStandIn, moment: dt.datetime) -> None:
    tws.exchange.clock_ahead = moment - dt.datetime.now(dt.UTC)


@pytest.mark.parametrize(
    ("ratio", "quantity", "children"), [(2.0, 100.0, "scaled"), (1.5, 101.0, "scaled"), (0.5, 100.0, "cancelled")]
)
def test_an_evening_with_a_split_leaves_equal_books(
    database_settings: Settings, tws: TwsStandIn, ratio: float, quantity: float, children: str
) -> None:
    at(tws, NOON)
    values: dict[str, Any] = {"provider": "yfinance", "universe": "AAPL", "venue__kind": "ib", "venue__ib__port": tws.port}
    desk = Resources(database_settings.with_changes(**values, venue__timeout_seconds=1.0), clock=tws.exchange.now)
    desk.alerts = Mailbox()  # type: ignore[assignment]
    desk.bars.write(history(MONDAY), source="test", ingested_at=NOON, backfilled=True)
    bought = entry_order(
        "main", "bollinger", "AAPL", decision_session=FRIDAY, session=MONDAY, signed_quantity=quantity, stop_pct=5.0,
        target_pct=10.0, max_sessions=5,
    )  # fmt: skip
    place(desk.ledger, desk.broker, [bought], patience=desk.patience)
    tws.exchange.trade("AAPL", "100")
    collect(desk.ledger, desk.broker, "main", NOON - dt.timedelta(days=1))
    cash = float(tws.exchange.cash)
    value = {"cash_usd": cash, "equity_usd": cash + 100 * quantity, "exposure_usd": 0.0, "positions": 1}
    desk.ledger.save_equity({"portfolio": "main", "session": MONDAY, **value})

    at(tws, EVENING)
    split(tws.exchange, "AAPL", str(ratio), TUESDAY, children=children)
    desk.bars.write(history(TUESDAY, ratio), source="test", ingested_at=EVENING)
    row = {"symbol": "AAPL", "session": pd.Timestamp(TUESDAY), "kind": "split", "value": ratio}
    desk.bars.write_actions(pd.DataFrame([row]), EVENING)
    daily_trade.settle(TUESDAY.isoformat(), resources=desk)
    found = reconcile.reconcile(TUESDAY.isoformat(), resources=desk)
    heartbeat, sold = check_portfolio(mode="enforce", resources=desk)

    (held,) = desk.ledger.positions("main")
    assert held.quantity == tws.exchange.held["AAPL"][0] == int(quantity * ratio)
    assert held.stop_price == Decimal(95) / Decimal(str(ratio))
    assert [each.rule for each in found.differences if each.halts] == []
    assert (heartbeat.level, sold) == (Level.OK, None)
    desk.ib.wire.disconnect()
    desk.engine.dispose()
