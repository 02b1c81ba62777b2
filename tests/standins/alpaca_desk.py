"""A desk on PostgreSQL that trades at Alpaca's stand-in, at an hour the test chooses. Owns the setting, not what goes wrong.

The desk's clock is the venue's. Each symbol is a candidate that the entry filter lets pass, so that `trade.place` orders it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from core.models import Leg
from core.sessions import calendar_name, close_of
from pipeline.execution import daily_trade
from pipeline.resources import Resources
from tests.standins.alpaca import KEY, SECRET, AlpacaStandIn
from tests.standins.evidence import vouch
from tests.standins.feed import walk
from tests.standins.mailbox import OneChannel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.models import OrderIntent, OrderState
    from core.settings import Settings

START, YESTERDAY, DAY, NEXT = (dt.date(2018, 7, 2), dt.date(2018, 12, 26), dt.date(2018, 12, 27), dt.date(2018, 12, 28))
NOON = dt.datetime(2018, 12, 27, 17, tzinfo=dt.UTC)  # in New York, in the session DAY
EVENING = dt.datetime(2018, 12, 27, 22, tzinfo=dt.UTC)  # an hour after its close
SYMBOLS = ("AAA", "BBB", "CCC")


@dataclass
class Mailbox(OneChannel):
    """Keeps what would be mailed."""

    mails: list[tuple[str, str, str]] = field(default_factory=list)

    def send(self, subject: str, body: str, severity: str = "warning", **_: Any) -> bool:
        """See `monitoring.alerts.Alerts.send`."""
        self.mails.append((subject, body, severity))
        return True

    def about(self, words: str) -> list[str]:
        """Bodies of the mails whose subject has these words."""
        return [body for subject, body, _ in self.mails if words in subject]


def turn(alpaca: AlpacaStandIn, moment: dt.datetime) -> None:
    """Put the venue's clock at a moment; it runs on from there."""
    alpaca.exchange.clock_ahead = moment - dt.datetime.now(dt.UTC)


def desk_at(
    settings: Settings,
    alpaca: AlpacaStandIn,
    moment: dt.datetime = EVENING,
    *,
    symbols: Sequence[str] = SYMBOLS,
    **changes: Any,
) -> Resources:
    """The desk at a moment, with bars up to the newest session that has closed; shares listed at Alpaca at their last close."""
    turn(alpaca, moment)
    alpaca.exchange.is_open = moment == NOON
    values = {
        "provider": "yfinance",
        "universe": ",".join(symbols),
        "venue__kind": "alpaca",
        "venue__alpaca__api_key": KEY,
        "venue__alpaca__secret_key": SECRET,
        "venue__alpaca__url": alpaca.url,
        "venue__alpaca__data_url": alpaca.url,
        "venue__alpaca__brackets": False,
        "venue__timeout_seconds": 1.0,
        "venue__deadline_seconds": 0.1,
        **changes,
    }
    desk = Resources(settings.with_changes(**values), clock=alpaca.exchange.now)
    desk.alerts = Mailbox()  # type: ignore[assignment]
    known = pd.concat([walk(symbol, START, DAY if moment >= EVENING else YESTERDAY) for symbol in symbols], ignore_index=True)
    desk.bars.write(known, source="test", ingested_at=desk.clock())
    vouch(desk.engine, known, first=YESTERDAY)
    for symbol, close in known.groupby("symbol")["close"].last().items():
        if "-" not in str(symbol):
            alpaca.exchange.list_asset(str(symbol), f"{close:.2f}")
    _make_candidates(desk, known)
    return desk


def mailbox(desk: Resources) -> Mailbox:
    """What the desk would have mailed."""
    kept: Any = desk.alerts
    assert isinstance(kept, Mailbox)
    return kept


def placed(desk: Resources) -> dict[str, OrderState]:
    """Run `place` and return what became of each entry decided at DAY, by symbol."""
    daily_trade.place(DAY.isoformat(), resources=desk)
    return {order.symbol: state for order, state in decided(desk) if order.leg is Leg.ENTRY}


def decided(desk: Resources) -> list[tuple[OrderIntent, OrderState]]:
    """Orders decided at DAY."""
    return desk.ledger.orders_decided("main", DAY)


def risk_events(desk: Resources) -> dict[tuple[str, str], dict[str, Any]]:
    """Details of each refusal, by symbol and reason."""
    with desk.engine.connect() as connection:
        found = connection.execute(sa.text("SELECT symbol, reason, details FROM trading.risk_events")).all()
    return {(row[0], row[1]): row[2] or {} for row in found}


def last_words(desk: Resources) -> dict[str, str]:
    """Why each order is in the state it is in, by symbol."""
    with desk.engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT client_order_id, reason FROM trading.order_events ORDER BY id"))
        reasons = {row[0]: row[1] for row in rows}
    return {order.symbol: reasons[order.client_order_id] for order, _ in decided(desk)}


def _make_candidates(desk: Resources, bars: pd.DataFrame) -> None:
    closes = bars.groupby("symbol")["close"].last()
    rows = [{"symbol": name, "session": pd.Timestamp(DAY), "close": close, "strength": 0.5} for name, close in closes.items()]
    desk.ledger.save_signals(
        pd.DataFrame(rows).assign(
            strategy=desk.strategies[0].name, entry=np.int8(1), exit_long=False, exit_short=False, stop_pct=2.0, target_pct=3.0
        )
    )
    answer = {
        "strategy": desk.strategies[0].name,
        "model_version": "1",
        "model_name": "filter",
        "predicted_return": 0.01,
        "signal": "enter",
    }
    answers = [
        {**answer, "symbol": name, "probability": 0.5 + i / 100, "feature_timestamp": close_of(DAY, calendar_name(name))}
        for i, name in enumerate(closes.index)
    ]
    desk.ledger.save_predictions(DAY, answers)
