"""A position held over a split keeps its value: quantity, stop, target, orders, cash and trades follow, once."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from core.book_events import BookEventKind
from core.errors import ConfigError, DataError
from core.frames import BARS
from core.models import Leg, OrderState
from core.sessions import sessions_between
from pipeline.accounts.corporate_actions import apply_corporate_actions
from pipeline.accounts.valuation import peak_equity_usd
from pipeline.execution import book_changes, daily_trade
from pipeline.resources import Resources
from pipeline.risk.monitor import check_portfolio
from trading.brokers.placing import place
from trading.drawdown import Level
from trading.orders import entry_order, exit_order

if TYPE_CHECKING:
    from core.settings import Settings

pytestmark = pytest.mark.integration
START, ENTRY = dt.date(2018, 12, 3), dt.date(2018, 12, 11)
EVENING_BEFORE, SPLIT, AFTER = dt.date(2018, 12, 13), dt.date(2018, 12, 14), dt.date(2018, 12, 17)
FIRST_SEEN = dt.datetime(2018, 12, 13, 22, tzinfo=dt.UTC)
AFTER_SPLIT = dt.datetime(2018, 12, 14, 22, tzinfo=dt.UTC)


SECONDS = count()


def ticking() -> dt.datetime:
    """A clock on the evening of the split, a second later each time."""
    return AFTER_SPLIT + dt.timedelta(seconds=next(SECONDS))


def bars(symbol: str, end: dt.date, scale: float = 1.0) -> pd.DataFrame:
    """Quiet bars around 100, divided by `scale`."""
    days = sessions_between(START, end)
    prices = {"open": 100.0, "high": 101.0, "low": 99.0, "close": 100.5, "adj_close": 100.5}
    frame = pd.DataFrame({"symbol": symbol, "session": days, **prices, "volume": 1e6})
    frame[list(prices)] /= scale
    return BARS.coerce(frame)


def split(
    desk: Resources, symbol: str, ratio: float, *, session: dt.date = SPLIT, end: dt.date = SPLIT, kind: str = "split"
) -> None:
    """The provider re-scales the whole history and records the split, as Yahoo does."""
    desk.bars.write(bars(symbol, end, ratio), source="test", ingested_at=AFTER_SPLIT)
    row = {"symbol": symbol, "session": pd.Timestamp(session), "kind": kind, "value": ratio}
    desk.bars.write_actions(pd.DataFrame([row]), AFTER_SPLIT)


def holding(settings: Settings, symbols: tuple[str, ...] = ("AAA",), quantity: float = 400.0) -> Resources:
    """A paper desk that bought each symbol at the open of ENTRY, stop 95 and target 110, and has settled until the eve."""
    desk = Resources(settings.with_changes(universe=symbols, costs__slippage_bps=0.0, costs__commission_bps=0.0), clock=ticking)
    for symbol in symbols:
        desk.bars.write(bars(symbol, EVENING_BEFORE), source="test", ingested_at=FIRST_SEEN)
        bought = entry_order(
            "main", "bollinger", symbol, decision_session=dt.date(2018, 12, 10), session=ENTRY, signed_quantity=quantity,
            stop_pct=5.0, target_pct=10.0, max_sessions=20,
        )  # fmt: skip
        place(desk.ledger, desk.broker, [bought])
    assert desk.paper is not None
    for day in sessions_between(ENTRY, EVENING_BEFORE):
        desk.paper.advance(day.date(), pd.concat([bars(symbol, EVENING_BEFORE) for symbol in symbols]))
    desk.ledger.save_equity(
        {
            "portfolio": "main",
            "session": EVENING_BEFORE,
            "cash_usd": 6e4,
            "equity_usd": 100_200.0,
            "exposure_usd": 4e4,
            "positions": 1,
        }
    )
    return desk


@pytest.mark.parametrize("ratio", [2.0, 1.25, 0.1, 1.5, 0.33333, 20.0, 1.046])
@pytest.mark.parametrize("quantity", [400.0, -400.0])
def test_a_split_changes_no_value_and_sells_nothing(database_settings: Settings, ratio: float, quantity: float) -> None:
    desk = holding(database_settings, quantity=quantity)
    split(desk, "AAA", ratio)

    settled = daily_trade.settle(SPLIT.isoformat(), resources=desk)
    recorded = daily_trade.record(SPLIT.isoformat(), resources=desk)

    exact = 3 if ratio == 0.33333 else 1 / ratio
    (held,) = desk.ledger.positions("main")
    assert settled.fills == 0
    assert float(held.quantity) == pytest.approx(quantity / exact, abs=1e-6)  # the venue keeps millionths of a share
    assert float(held.entry_price) == pytest.approx(100 * exact, rel=1e-12)
    assert float(held.stop_price or 0) == pytest.approx(95 * exact if quantity > 0 else 105 * exact, rel=1e-12)
    assert recorded.equity_usd == pytest.approx(100_000 + quantity * 0.5, abs=0.5)


def test_it_is_applied_once_whatever_runs_again(database_settings: Settings) -> None:
    desk = holding(database_settings)
    split(desk, "AAA", 2.0)

    for _ in range(3):
        daily_trade.settle(SPLIT.isoformat(), resources=desk)
        daily_trade.record(SPLIT.isoformat(), resources=desk)
        assert apply_corporate_actions(desk.account, SPLIT) == []

    assert [position.quantity for position in desk.ledger.positions("main")] == [800]
    assert len(desk.ledger.book_events("main")) == 1


def test_the_risk_monitor_does_not_take_it_for_a_loss(database_settings: Settings) -> None:
    desk = holding(database_settings)
    split(desk, "AAA", 2.0)

    heartbeat, sold = check_portfolio(mode="enforce", resources=desk)

    assert (heartbeat.level, sold) == (Level.OK, None)
    assert heartbeat.equity_usd == pytest.approx(100_200.0)


def test_a_history_that_was_adjusted_before_the_entry_is_not_split_again(database_settings: Settings) -> None:
    desk = holding(database_settings)
    row = {"symbol": "AAA", "session": pd.Timestamp(SPLIT), "kind": "split", "value": 2.0}
    desk.bars.write(bars("AAA", SPLIT), source="test", ingested_at=AFTER_SPLIT)  # the same scale as before
    desk.bars.write_actions(pd.DataFrame([row]), AFTER_SPLIT)

    daily_trade.settle(SPLIT.isoformat(), resources=desk)

    assert [position.quantity for position in desk.ledger.positions("main")] == [400]


def test_bars_that_are_not_adjusted_split_the_position_on_the_day(database_settings: Settings) -> None:
    desk = holding(database_settings)
    new = bars("AAA", SPLIT, 2.0)
    desk.bars.write(new[new["session"] == pd.Timestamp(SPLIT)].reset_index(drop=True), source="test", ingested_at=AFTER_SPLIT)
    row = {"symbol": "AAA", "session": pd.Timestamp(SPLIT), "kind": "split", "value": 2.0}
    desk.bars.write_actions(pd.DataFrame([row]), AFTER_SPLIT)

    assert daily_trade.settle(SPLIT.isoformat(), resources=desk).fills == 0
    assert [(held.quantity, held.stop_price) for held in desk.ledger.positions("main")] == [(800, Decimal("47.5"))]


def test_splits_of_several_symbols_on_one_day(database_settings: Settings) -> None:
    desk = holding(database_settings, ("AAA", "BBB", "CCC"), 100.0)
    split(desk, "AAA", 2.0)
    split(desk, "BBB", 0.5)
    desk.bars.write(bars("CCC", SPLIT), source="test", ingested_at=AFTER_SPLIT)

    daily_trade.settle(SPLIT.isoformat(), resources=desk)

    assert {held.symbol: held.quantity for held in desk.ledger.positions("main")} == {"AAA": 200, "BBB": 50, "CCC": 100}


def test_an_entry_ordered_the_night_before_is_for_the_new_shares(database_settings: Settings) -> None:
    desk = holding(database_settings, ("BBB",), 10.0)
    desk.bars.write(bars("AAA", EVENING_BEFORE), source="test", ingested_at=FIRST_SEEN)
    ordered = entry_order(
        "main", "bollinger", "AAA", decision_session=EVENING_BEFORE, session=SPLIT, signed_quantity=100.0, stop_pct=5.0,
        target_pct=10.0, max_sessions=5,
    )  # fmt: skip
    place(desk.ledger, desk.broker, [ordered])
    split(desk, "AAA", 2.0)
    desk.bars.write(bars("BBB", SPLIT), source="test", ingested_at=AFTER_SPLIT)

    daily_trade.settle(SPLIT.isoformat(), resources=desk)

    held = {position.symbol: position for position in desk.ledger.positions("main")}
    assert (held["AAA"].quantity, held["AAA"].entry_price, held["AAA"].stop_price) == (200, 50, Decimal("47.5"))
    assert desk.ledger.order(ordered.client_order_id) is not None
    assert desk.ledger.order(ordered.client_order_id)[1] is OrderState.FILLED  # type: ignore[index]


def test_an_exit_ordered_the_night_before_sells_all_of_it_and_makes_one_trade(database_settings: Settings) -> None:
    desk = holding(database_settings)
    (held,) = desk.ledger.positions("main")
    place(desk.ledger, desk.broker, [exit_order(held, decision_session=EVENING_BEFORE, session=SPLIT)])
    split(desk, "AAA", 2.0)

    daily_trade.settle(SPLIT.isoformat(), resources=desk)
    daily_trade.record(SPLIT.isoformat(), resources=desk)

    (trade,) = desk.ledger.trades("main").to_dict("records")
    assert desk.ledger.positions("main") == []
    assert (trade["quantity"], trade["entry_price"], trade["exit_price"]) == (800.0, 50.0, 50.0)
    assert trade["pnl_usd"] == pytest.approx(0.0)
    assert float(desk.broker.cash_usd()) == pytest.approx(100_000.0)


def test_two_splits_and_a_fill_between_are_told_apart(database_settings: Settings) -> None:
    desk = holding(database_settings)
    split(desk, "AAA", 2.0)
    daily_trade.settle(SPLIT.isoformat(), resources=desk)
    daily_trade.record(SPLIT.isoformat(), resources=desk)
    desk.bars.write(bars("AAA", AFTER, 6.0), source="test", ingested_at=AFTER_SPLIT + dt.timedelta(days=3))
    row = {"symbol": "AAA", "session": pd.Timestamp(AFTER), "kind": "split", "value": 3.0}
    desk.bars.write_actions(pd.DataFrame([row]), AFTER_SPLIT + dt.timedelta(days=3))

    daily_trade.settle(AFTER.isoformat(), resources=desk)

    assert [held.quantity for held in desk.ledger.positions("main")] == [2400]
    assert desk.ledger.filled(desk.ledger.positions("main")[0].entry_order_id) == 2400
    assert [(order.leg, fill.quantity) for order, fill in desk.ledger.fills("main")] == [(Leg.ENTRY, 400)]


@pytest.mark.parametrize("quantity", [400.0, -400.0])
@pytest.mark.parametrize("cash", [14.25, 0.0])
def test_a_recorded_delisting_pays_the_position_out_once(database_settings: Settings, quantity: float, cash: float) -> None:
    desk = holding(database_settings, quantity=quantity)
    book_changes.record_action("AAA", SPLIT, "delisting", cash, resources=desk)

    for _ in range(2):
        daily_trade.settle(SPLIT.isoformat(), resources=desk)
        daily_trade.record(SPLIT.isoformat(), resources=desk)

    (trade,) = desk.ledger.trades("main").to_dict("records")
    assert desk.ledger.positions("main") == []
    assert (trade["reason"], trade["exit_price"], trade["quantity"]) == ("delisted", cash, 400.0)
    assert float(desk.broker.cash_usd()) == pytest.approx(100_000 + quantity * (cash - 100))


def test_an_order_in_a_delisted_symbol_lapses(database_settings: Settings) -> None:
    desk = holding(database_settings)
    (held,) = desk.ledger.positions("main")
    place(desk.ledger, desk.broker, [exit_order(held, decision_session=EVENING_BEFORE, session=SPLIT)])
    book_changes.record_action("AAA", SPLIT, "delisting", 14.25, resources=desk)

    daily_trade.settle(SPLIT.isoformat(), resources=desk)

    assert desk.ledger.open_orders("main") == []
    assert desk.ledger.positions("main") == []


def test_a_withdrawal_is_no_loss_and_a_deposit_no_profit(database_settings: Settings) -> None:
    desk = holding(database_settings)
    desk.bars.write(bars("AAA", SPLIT), source="test", ingested_at=AFTER_SPLIT)
    check_portfolio(mode="enforce", resources=desk)
    book_changes.transfer(-30_000.0, author="ops", reason="rent", resources=desk)

    levels = [check_portfolio(mode="enforce", resources=desk).heartbeat.level for _ in range(2)]
    book_changes.transfer(50_000.0, author="ops", reason="more", resources=desk)
    levels += [check_portfolio(mode="enforce", resources=desk).heartbeat.level for _ in range(2)]
    recorded = daily_trade.record(SPLIT.isoformat(), resources=desk)

    assert set(levels) == {Level.OK}
    assert recorded.equity_usd == pytest.approx(120_200.0)
    assert peak_equity_usd(desk.account, AFTER) == pytest.approx(120_200.0)


def test_a_loss_beside_a_withdrawal_is_still_a_loss(database_settings: Settings) -> None:
    desk = holding(database_settings)
    check_portfolio(mode="enforce", resources=desk)
    book_changes.transfer(-30_000.0, author="ops", reason="rent", resources=desk)
    fallen = bars("AAA", SPLIT)
    fallen.loc[fallen.index[-1], ["open", "high", "low", "close", "adj_close"]] = [97.0, 97.0, 91.0, 91.0, 91.0]
    desk.bars.write(fallen, source="test", ingested_at=AFTER_SPLIT)

    heartbeat, _ = check_portfolio(mode="log", resources=desk)

    assert heartbeat.level is Level.HALT
    assert heartbeat.drawdown_pct == pytest.approx(100 * 3800 / 70_200, rel=1e-6)


def test_a_renamed_symbol_goes_on_under_its_new_name(database_settings: Settings) -> None:
    desk = holding(database_settings)
    book_changes.resolve("AAA", SPLIT, BookEventKind.RENAME, "NEW", author="ops", reason="", resources=desk)
    desk.bars.write(bars("NEW", SPLIT), source="test", ingested_at=AFTER_SPLIT)

    daily_trade.settle(SPLIT.isoformat(), resources=desk)
    recorded = daily_trade.record(SPLIT.isoformat(), resources=desk)

    assert [held.symbol for held in desk.ledger.positions("main")] == ["NEW"]
    assert recorded.equity_usd == pytest.approx(100_200.0)


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (BookEventKind.SPLIT, "-2", "over 0"),
        (BookEventKind.SPLIT, "two", "over 0"),
        (BookEventKind.SPIN_OFF, "nan", "over 0"),
        (BookEventKind.DIVIDEND, "0", "other than 0"),
        (BookEventKind.ADJUSTMENT, "inf", "other than 0"),
    ],
)
def test_a_value_that_does_not_fit_its_kind_is_refused(
    database_settings: Settings, kind: BookEventKind, value: str, words: str
) -> None:
    desk = holding(database_settings)

    with pytest.raises(ConfigError, match=words):
        book_changes.resolve("AAA", SPLIT, kind, value, author="ops", reason="", resources=desk)


def test_what_is_not_held_cannot_be_resolved(database_settings: Settings) -> None:
    desk = holding(database_settings)

    with pytest.raises(DataError, match=r"ZZZ is not held in 'main'\. Held: AAA"):
        book_changes.resolve("ZZZ", SPLIT, BookEventKind.SPLIT, "2", author="ops", reason="", resources=desk)
