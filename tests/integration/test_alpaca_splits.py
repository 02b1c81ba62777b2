"""A split at Alpaca's stand-in between two sessions: no price in new terms sells, and the book follows the venue."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from core.models import OrderState
from pipeline.execution import book_changes, daily_trade, reconcile
from pipeline.execution.position_watch import check_positions
from pipeline.resources import Resources
from pipeline.risk.monitor import check_portfolio
from tests.standins.alpaca import KEY, SECRET, AlpacaStandIn, Fault
from tests.standins.alpaca_corporate import move_cash, split
from tests.standins.alpaca_desk import Mailbox
from tests.standins.feed import walk
from trading.brokers.intake import collect
from trading.brokers.placing import place
from trading.drawdown import Level
from trading.orders import entry_order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.settings import Settings

pytestmark = pytest.mark.integration
FRIDAY, MONDAY, TUESDAY = dt.date(2026, 11, 20), dt.date(2026, 11, 23), dt.date(2026, 11, 24)
NOON, NEXT_NOON = dt.datetime(2026, 11, 23, 17, tzinfo=dt.UTC), dt.datetime(2026, 11, 24, 17, tzinfo=dt.UTC)


@pytest.fixture
def alpaca() -> Iterator[AlpacaStandIn]:
    with AlpacaStandIn() as stand_in:
        stand_in.exchange.list_asset("AAA", "100")
        yield stand_in


def at(alpaca: AlpacaStandIn, moment: dt.datetime) -> None:
    alpaca.exchange.clock_ahead = moment - dt.datetime.now(dt.UTC)


def holding(settings: Settings, alpaca: AlpacaStandIn, quantity: float = 400.0, **changes: Any) -> Resources:
    """A desk that bought AAA at 100 on Monday, stop 95 and target 110; Monday is on record."""
    at(alpaca, NOON)
    values = {
        "provider": "yfinance",
        "universe": "AAA",
        "venue__kind": "alpaca",
        "venue__alpaca__api_key": KEY,
        "venue__alpaca__secret_key": SECRET,
        "venue__alpaca__url": alpaca.url,
        "venue__alpaca__data_url": alpaca.url,
        "venue__alpaca__brackets": False,
        "venue__timeout_seconds": 1.0,
        "venue__deadline_seconds": 0.1,
    }
    desk = Resources(settings.with_changes(**values | changes), clock=alpaca.exchange.now)
    desk.alerts = Mailbox()  # type: ignore[assignment]
    desk.bars.write(history(MONDAY), source="test", ingested_at=NOON, backfilled=True)
    bought = entry_order(
        "main", "bollinger", "AAA", decision_session=FRIDAY, session=MONDAY, signed_quantity=quantity, stop_pct=5.0,
        target_pct=10.0, max_sessions=5,
    )  # fmt: skip
    place(desk.ledger, desk.broker, [bought], patience=desk.patience)
    alpaca.exchange.trade("AAA", "100")
    collect(desk.ledger, desk.broker, "main", NOON - dt.timedelta(days=1))
    assert [position.quantity for position in desk.ledger.positions("main")] == [Decimal(str(quantity))]
    cash = float(alpaca.exchange.cash)
    row = {
        "portfolio": "main",
        "session": MONDAY,
        "cash_usd": cash,
        "equity_usd": cash + quantity * 100,
        "exposure_usd": 0.0,
        "positions": 1,
    }
    desk.ledger.save_equity(row)
    at(alpaca, NEXT_NOON)
    return desk


def history(end: dt.date, ratio: float = 1.0) -> pd.DataFrame:
    """Bars that end at 100, over the ratio."""
    bars = walk("AAA", FRIDAY - dt.timedelta(days=60), end)
    prices = ["open", "high", "low", "close", "adj_close"]
    bars.loc[bars.index[-2:], prices] = 100.0
    return bars.assign(**{name: bars[name] / ratio for name in prices})


def record_split(desk: Resources, ratio: float, end: dt.date = TUESDAY) -> None:
    """The provider re-scales its history and records the split on the evening of Tuesday."""
    desk.bars.write(history(end, ratio), source="test", ingested_at=NEXT_NOON)
    row = {"symbol": "AAA", "session": pd.Timestamp(TUESDAY), "kind": "split", "value": ratio}
    desk.bars.write_actions(pd.DataFrame([row]), NEXT_NOON)


def mails(desk: Resources) -> list[str]:
    kept: Any = desk.alerts
    return [subject for subject, _, _ in kept.mails]


@pytest.mark.parametrize(("ratio", "price"), [("1.25", "80"), ("2", "50"), ("0.1", "1000"), ("3", "33.33")])
def test_a_watched_stop_is_not_sold_by_a_split_that_nobody_has_recorded(
    database_settings: Settings, alpaca: AlpacaStandIn, ratio: str, price: str
) -> None:
    desk = holding(database_settings, alpaca)
    split(alpaca.exchange, "AAA", ratio, TUESDAY)
    alpaca.exchange.trade("AAA", price)

    first, again = check_positions(resources=desk), check_positions(resources=desk)

    assert (first.exits, again.exits) == ({}, {})
    assert "AAA" in first.refused
    assert sum("AAA is not protected" in subject for subject in mails(desk)) == 1


def test_once_recorded_the_book_follows_and_the_stop_is_watched_in_new_terms(
    database_settings: Settings, alpaca: AlpacaStandIn
) -> None:
    desk = holding(database_settings, alpaca)
    split(alpaca.exchange, "AAA", "1.25", TUESDAY)
    alpaca.exchange.trade("AAA", "80")
    book_changes.record_action("AAA", TUESDAY, "split", 1.25, resources=desk)

    calm = check_positions(resources=desk)
    alpaca.exchange.trade("AAA", "75.9")
    sold = check_positions(resources=desk)

    assert (calm.exits, calm.refused) == ({}, {})
    assert len(sold.exits) == 1
    assert alpaca.exchange.held == {}
    assert desk.ledger.positions("main") == []


def test_a_recorded_split_that_the_venue_has_not_made_yet_suspends_the_stop(
    database_settings: Settings, alpaca: AlpacaStandIn
) -> None:
    desk = holding(database_settings, alpaca)
    book_changes.record_action("AAA", TUESDAY, "split", 2.0, resources=desk)
    alpaca.exchange.trade("AAA", "94")

    assert check_positions(resources=desk).exits == {}


def test_an_unknown_split_halts_by_name_and_a_person_settles_it(database_settings: Settings, alpaca: AlpacaStandIn) -> None:
    desk = holding(database_settings, alpaca)
    split(alpaca.exchange, "AAA", "2", TUESDAY)

    halted = reconcile.reconcile(TUESDAY.isoformat(), resources=desk)
    events = book_changes.resolve(
        "AAA", TUESDAY, book_changes.BookEventKind.SPLIT, "2", author="ops", reason="2:1", resources=desk
    )
    settled = reconcile.reconcile(TUESDAY.isoformat(), resources=desk)

    assert halted.halted
    assert [(each.rule, "corporate-actions" in each.resolution) for each in halted.differences] == [("quantity_mismatch", True)]
    assert len(events) == 1
    assert settled.differences == ()


def test_an_evening_with_a_split_leaves_equal_books(database_settings: Settings, alpaca: AlpacaStandIn) -> None:
    desk = holding(database_settings, alpaca, 401.0)
    split(alpaca.exchange, "AAA", "1.5", TUESDAY)
    alpaca.exchange.trade("AAA", "66.67")
    record_split(desk, 1.5)
    at(alpaca, dt.datetime(2026, 11, 24, 22, tzinfo=dt.UTC))

    daily_trade.settle(TUESDAY.isoformat(), resources=desk)
    found = reconcile.reconcile(TUESDAY.isoformat(), resources=desk)
    recorded = daily_trade.record(TUESDAY.isoformat(), resources=desk)
    heartbeat, _ = check_portfolio(mode="enforce", resources=desk)

    (held,) = desk.ledger.positions("main")
    assert (held.quantity, held.stop_price) == (601, Decimal(95) / Decimal("1.5"))
    assert [each.rule for each in found.differences if each.rule != "cash"] == []
    assert recorded.equity_usd == pytest.approx(100_000, abs=20)
    assert heartbeat.level is Level.OK


def test_a_stop_that_filled_in_new_terms_before_the_book_knew_makes_one_trade(
    database_settings: Settings, alpaca: AlpacaStandIn
) -> None:
    desk = holding(database_settings, alpaca, venue__alpaca__brackets=True)
    split(alpaca.exchange, "AAA", "2", TUESDAY)
    alpaca.exchange.trade("AAA", "45")
    record_split(desk, 2.0)

    daily_trade.settle(TUESDAY.isoformat(), resources=desk)
    daily_trade.record(TUESDAY.isoformat(), resources=desk)

    (trade,) = desk.ledger.trades("main").to_dict("records")
    assert desk.ledger.positions("main") == []
    assert (trade["quantity"], trade["entry_price"], trade["exit_price"]) == (800.0, 50.0, 45.0)
    assert all(state is OrderState.FILLED for _, state in desk.ledger.orders_decided("main", FRIDAY))


def test_a_withdrawal_is_no_loss_and_a_dividend_no_difference(database_settings: Settings, alpaca: AlpacaStandIn) -> None:
    desk = holding(database_settings, alpaca)
    alpaca.exchange.trade("AAA", "100")
    before, _ = check_portfolio(mode="enforce", resources=desk)
    move_cash(alpaca.exchange, "CSW", Decimal(-3000), TUESDAY)
    move_cash(alpaca.exchange, "DIV", Decimal(40), TUESDAY, "AAA")

    looks = [check_portfolio(mode="enforce", resources=desk) for _ in range(3)]

    assert before.level is Level.OK
    assert [(look.heartbeat.level, look.flattening) for look in looks] == [(Level.OK, None)] * 3
    assert sorted((str(event.kind), event.cash_usd) for event in desk.ledger.book_events("main")) == [
        ("dividend", 40), ("withdrawal", -3000)
    ]  # fmt: skip


def test_cash_that_left_without_a_word_alerts_and_sells_nothing(database_settings: Settings, alpaca: AlpacaStandIn) -> None:
    desk = holding(database_settings, alpaca)
    alpaca.exchange.trade("AAA", "100")
    check_portfolio(mode="enforce", resources=desk)
    alpaca.exchange.cash -= 5000

    looks = [check_portfolio(mode="enforce", resources=desk) for _ in range(3)]

    assert [(look.heartbeat.level, look.flattening) for look in looks] == [(Level.ALERT, None)] * 3
    assert "unexplained_cash" in looks[0].heartbeat.breaches


def test_a_sale_does_not_wait_for_the_statement_of_cash(database_settings: Settings, alpaca: AlpacaStandIn) -> None:
    desk = holding(database_settings, alpaca)
    alpaca.exchange.trade("AAA", "94")
    alpaca.fail("GET", "/v2/account/activities$", Fault.broken(503), times=99)

    assert len(check_positions(resources=desk).exits) == 1


def test_a_spin_off_lowers_the_stop_and_leaves_the_shares(database_settings: Settings, alpaca: AlpacaStandIn) -> None:
    desk = holding(database_settings, alpaca)
    book_changes.record_action("AAA", TUESDAY, "spin_off", 1.25, resources=desk)
    alpaca.exchange.trade("AAA", "80")

    done = check_positions(resources=desk)

    (held,) = desk.ledger.positions("main")
    assert (done.exits, done.refused) == ({}, {})
    assert (held.quantity, held.entry_price, held.stop_price) == (400, 80, 76)


def test_a_rename_halts_by_name_and_is_settled_by_a_person(database_settings: Settings, alpaca: AlpacaStandIn) -> None:
    desk = holding(database_settings, alpaca)
    alpaca.exchange.list_asset("NEW", "100")
    alpaca.exchange.held["NEW"] = alpaca.exchange.held.pop("AAA")

    halted = reconcile.reconcile(TUESDAY.isoformat(), resources=desk)
    book_changes.resolve("AAA", TUESDAY, book_changes.BookEventKind.RENAME, "NEW", author="ops", reason="", resources=desk)
    settled = reconcile.reconcile(TUESDAY.isoformat(), resources=desk)

    assert [each.rule for each in halted.differences if each.halts] == ["external_position", "missing_position"]
    assert settled.differences == ()
