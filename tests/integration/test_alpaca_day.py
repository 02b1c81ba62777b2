"""Twelve sessions at a venue on a wire, evening to evening: every step of `trading_execution`, the listener in between.

Real alpaca-py over real sockets, real PostgreSQL, the API on a socket, a mail server. The exchange trades each session by its
bar. December 2018 has a half day (the 24th) and a holiday (the 25th).
"""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from core.models import Leg
from core.sessions import close_of, next_session, sessions_between
from pipeline import sessions
from tests.databases import fresh_databases
from tests.standins.desk_life import CASH, STEPS, Life, life, market

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration
END = dt.date(2018, 12, 31)
DAYS = [stamp.date() for stamp in sessions_between(dt.date(2018, 12, 13), END)]
HALF_DAY, HOLIDAY = dt.date(2018, 12, 24), dt.date(2018, 12, 25)
DAG = Path(__file__).resolve().parents[2] / "dags" / "trading_execution.py"


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(True, id="children at the venue"),
        pytest.param(False, id="fractions of shares", marks=pytest.mark.deep),
    ],
)
def lived(
    request: pytest.FixtureRequest, cluster_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Life, bool]]:
    """A desk after twelve sessions: with brackets, or with fractions and a rule that has no stops to watch."""
    brackets = bool(request.param)
    with (
        fresh_databases(cluster_dir, tmp_path_factory.mktemp("desk")) as settings,
        life(settings, market(END), DAYS[0], stops=brackets, venue__alpaca__brackets=brackets) as found,
    ):
        for day in DAYS:
            found.session(day)
            found.evening(day)
        found.tell()
        yield found, brackets


def test_the_steps_are_those_of_the_dag_in_its_order() -> None:
    called = re.findall(r'return run_step\("\w+", (\w+\.\w+), session[,)]', DAG.read_text())

    assert called == [name.removesuffix(" again") for name in STEPS]


def test_each_evening_the_ledger_is_the_venue(lived: tuple[Life, bool]) -> None:
    found, _ = lived

    assert {day: evening.differences for day, evening in found.evenings.items()} == dict.fromkeys(DAYS, ())
    for evening in found.evenings.values():
        for step in ("reconcile.reconcile", "reconcile.reconcile again"):
            assert evening.said[step].differences == ()
    assert found.retries == 0


def test_each_intent_is_one_order_and_each_entry_came_between_its_decision_and_its_open(lived: tuple[Life, bool]) -> None:
    found, _ = lived
    ledger = found.process().ledger
    intents = [
        order.client_order_id
        for day in DAYS
        for order, _ in ledger.orders_decided("main", day)
        if "." not in order.client_order_id  # a child's fill writes its order down
    ]

    assert len(intents) >= 15, "a quiet market proves nothing"
    assert sorted(intents) == sorted(order.client_order_id for order in found.books.sent())
    assert (found.books.doubled(), found.books.late()) == ([], [])


def test_trades_add_up_to_what_the_account_gained(lived: tuple[Life, bool]) -> None:
    found, brackets = lived
    ledger = found.process().ledger
    trades = ledger.trades("main")

    tied_up = sum(held.quantity * held.entry_price for held in ledger.positions("main"))
    assert float(found.alpaca.exchange.cash + tied_up) - CASH == pytest.approx(trades["pnl_usd"].sum(), abs=1e-6)
    assert set(trades["reason"]) == ({"order", "stop", "target"} if brackets else {"order"})
    whole = [order.quantity % 1 == 0 for order, _ in ledger.fills("main")]
    assert all(whole) if brackets else not any(whole)


def test_the_days_value_is_the_venues_cash_and_shares_at_the_close(lived: tuple[Life, bool]) -> None:
    found, _ = lived
    equity = found.process().ledger.equity("main").set_index("session")

    assert [stamp.date() for stamp in equity.index] == DAYS
    for day, evening in found.evenings.items():
        marks = {symbol: bar["close"] for symbol, bar in found.floor.of(day).items()}
        worth = float(evening.cash_usd) + sum(float(shares) * marks[symbol] for symbol, shares in evening.held.items())
        row = equity.loc[pd.Timestamp(day)]
        assert (row["cash_usd"], row["equity_usd"]) == pytest.approx((float(evening.cash_usd), worth), abs=1e-6)
        assert row["positions"] == len(evening.held)


def test_one_mail_an_evening_names_fills_orders_refusals_and_positions(lived: tuple[Life, bool]) -> None:
    found, _ = lived
    ledger = found.process().ledger
    events = ledger.risk_events("main")

    assert len(events) > 0
    for day, evening in found.evenings.items():
        (text,) = evening.mails
        assert "Needs you" not in text
        for _, fill in ledger.fills("main"):
            said = f"{fill.side} {fill.quantity.normalize():f} {fill.symbol} at {fill.price:.2f}" in text
            assert said or fill.session != day
        for order, _ in ledger.orders_decided("main", day):
            assert order.session == day or f"{order.side} {order.quantity.normalize():f} {order.symbol}, accepted" in text
        for symbol in {*evening.held, *events.loc[events["session"] == day, "symbol"]}:
            assert symbol in text


def test_no_signal_and_no_trade_parts_from_the_backtest_and_fills_part_by_cents(lived: tuple[Life, bool]) -> None:
    """The venue charges neither commission nor slippage, fills whole shares where it must, and stops on its grid of cents."""
    found, brackets = lived
    days = found.process().parity_ledger.read("main")

    assert days["session"].tolist() == DAYS
    assert days[["signal_differences", "missed_differences"]].to_numpy().sum() == 0
    assert days["fill_usd"].abs().max() < (10.0 if brackets else 0.01)
    filled = [any(fill.session == day for _, fill in found.process().ledger.fills("main")) for day in DAYS]
    assert (days["cost_usd"] > 0).tolist() == filled, "what the backtest pays at each fill"
    explained = days["fill_usd"] + days["cost_usd"]
    assert (days["record_usd"] - days["backtest_usd"]).to_numpy() == pytest.approx(explained.to_numpy(), abs=0.01)


def test_the_half_day_is_lived_by_its_own_hours_and_the_holiday_not_at_all(lived: tuple[Life, bool]) -> None:
    found, _ = lived
    process = found.process()
    fills = [fill for _, fill in process.ledger.fills("main") if fill.session == HALF_DAY]

    assert close_of(HALF_DAY).hour == 18, "13:00 in New York"
    assert all(fill.filled_at < close_of(HALF_DAY) for fill in fills)
    decided = [order for order, _ in process.ledger.orders_decided("main", HALF_DAY) if order.leg is Leg.ENTRY]
    assert {order.session for order in decided} <= {next_session(HALF_DAY)} == {dt.date(2018, 12, 26)}
    assert found.evenings[HALF_DAY].said["daily_trade.place"].for_session == "2018-12-26"
    chosen = sessions.newest_before(HOLIDAY.isoformat(), None, resources=process)
    assert not chosen.trades
    assert HOLIDAY not in {stamp.date() for stamp in process.ledger.equity("main")["session"]}


def test_an_evening_lived_again_sends_and_books_nothing(lived: tuple[Life, bool]) -> None:
    found, _ = lived
    ledger = found.process().ledger
    before = (
        len(found.alpaca.exchange.orders),
        ledger.fills("main"),
        ledger.positions("main"),
        ledger.equity("main").to_dict(),
    )

    again = found.evening(DAYS[-1])

    assert again.said["daily_trade.place"].placed == 0
    assert again.differences == ()
    after = (len(found.alpaca.exchange.orders), ledger.fills("main"), ledger.positions("main"), ledger.equity("main").to_dict())
    assert after == before
