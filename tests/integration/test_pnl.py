"""Profit of real books on a real PostgreSQL: the parts add up to the closes, whatever happens to the shares meanwhile."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from core.book_events import BookEventKind
from core.models import Instrument
from core.sessions import close_of, sessions_between
from pipeline.execution import book_changes, daily_trade
from pipeline.resources import Resources
from pipeline.views.money.pnl import PnlFilter, PnlRow, read_pnl
from pipeline.views.money.prices import PriceFilter, read_prices
from tests.standins.feed import walk
from trading.brokers.placing import place
from trading.orders import entry_order, exit_order

if TYPE_CHECKING:
    from core.settings import Settings

pytestmark = pytest.mark.integration
DAYS = [stamp.date() for stamp in sessions_between(dt.date(2018, 11, 26), dt.date(2018, 12, 14))]
SYMBOLS = ("LONG", "SHORT", "SPLIT", "GONE", "OLD")
CENT = 0.005
TICKS = count()


@dataclass
class Life:
    """A paper desk that is led from session to session, with orders that a test decides."""

    desk: Resources
    now: dt.datetime
    scale: dict[str, float] = field(default_factory=dict)
    walks: dict[str, pd.DataFrame] = field(default_factory=dict)
    seen: dict[tuple[dt.date, str, str], dict[tuple[str, str | None], float]] = field(default_factory=dict)

    def bars(self, symbol: str, first: dt.date, last: dt.date) -> pd.DataFrame:
        """Bars of a symbol in the terms of today."""
        whole = self.walks.setdefault(symbol, walk(symbol, dt.date(2018, 11, 1), DAYS[-1], seed=11))
        rows = whole[(whole["session"] >= pd.Timestamp(first)) & (whole["session"] <= pd.Timestamp(last))].copy()
        rows[["open", "high", "low", "close", "adj_close"]] /= self.scale.get(symbol, 1.0)
        return rows.reset_index(drop=True)

    def write(self, symbol: str, first: dt.date, last: dt.date) -> None:
        """Store bars as of now."""
        self.desk.bars.write(self.bars(symbol, first, last), source="test", ingested_at=self.now)

    def split(self, symbol: str, day: dt.date, ratio: float, *, rescaled: bool = True) -> None:
        """A provider records a split; it re-scales the history too, or gives new bars alone in new terms."""
        self.scale[symbol] = self.scale.get(symbol, 1.0) * ratio
        self.write(symbol, dt.date(2018, 11, 1) if rescaled else day, day)
        row = {"symbol": symbol, "session": pd.Timestamp(day), "kind": "split", "value": ratio}
        self.desk.bars.write_actions(pd.DataFrame([row]), self.now)

    def order(self, symbol: str, quantity: float, decided: dt.date, day: dt.date, sleeve: str = "bollinger_vix") -> None:
        """Order an entry for the open of a day."""
        bought = entry_order(
            "main", sleeve, symbol, decision_session=decided, session=day, signed_quantity=quantity, stop_pct=40.0,
            target_pct=90.0, max_sessions=60,
        )  # fmt: skip
        place(self.desk.ledger, self.desk.broker, [bought])

    def leave(self, symbol: str, decided: dt.date, day: dt.date) -> None:
        """Order the exit of what is held of a symbol."""
        for held in self.desk.ledger.positions("main"):
            if held.symbol == symbol:
                place(self.desk.ledger, self.desk.broker, [exit_order(held, decision_session=decided, session=day)])

    def evening(self, day: dt.date, symbols: tuple[str, ...]) -> None:
        """The bars of the day come in, are processed, and the book's value is recorded; every view is read and held."""
        self.now = close_of(day) + dt.timedelta(hours=1)
        for symbol in symbols:
            self.write(symbol, day, day)
        daily_trade.settle(day.isoformat(), resources=self.desk)
        assert daily_trade.record(day.isoformat(), resources=self.desk).equity_usd is not None
        for by in ("book", "sleeve", "symbol"):
            for row in read_pnl(PnlFilter(by=by), resources=self.desk):
                self.seen.setdefault((day, by, row.period), {})[row.sleeve or row.symbol or "", None] = row.pnl_usd or 0.0


def make_life(settings: Settings, **changes: object) -> Life:
    made = Resources(settings.with_changes(universe=SYMBOLS, initial_cash_usd=100_000.0, **changes))
    life = Life(made, close_of(DAYS[0]))
    assert made.paper is not None
    whole = {symbol: Instrument(symbol, quantity_step=Decimal(1)) for symbol in ("SPLIT", "SHORT")}
    made.paper.rules = replace(made.paper.rules, instruments=whole)
    made.clock = lambda: life.now + dt.timedelta(milliseconds=next(TICKS))
    for symbol in SYMBOLS:
        life.write(symbol, dt.date(2018, 11, 1), DAYS[0] - dt.timedelta(days=1))
    return life


def run(life: Life) -> None:
    """Three weeks in which everything happens to the shares that a desk can hold."""
    life.evening(DAYS[0], SYMBOLS)
    for symbol, quantity, sleeve in (
        ("LONG", 60.0, "bollinger_vix"),
        ("SHORT", -51.0, "rsi_vix"),
        ("SPLIT", 61.0, "bollinger_vix"),
        ("GONE", 20.0, "rsi_vix"),
        ("OLD", 30.0, "bollinger_vix"),
    ):
        life.order(symbol, quantity, DAYS[0], DAYS[1], sleeve)
    life.evening(DAYS[1], SYMBOLS)
    life.evening(DAYS[2], SYMBOLS)
    life.now = close_of(DAYS[3])
    life.split("SPLIT", DAYS[3], 1.5)  # half a share is settled in cash
    life.evening(DAYS[3], SYMBOLS)
    book_changes.resolve("LONG", DAYS[4], BookEventKind.DIVIDEND, "12.50", author="ops", reason="", resources=life.desk)
    life.evening(DAYS[4], SYMBOLS)
    book_changes.transfer(25_000.0, author="ops", reason="more", session=DAYS[5], resources=life.desk)
    life.leave("SPLIT", DAYS[4], DAYS[5])  # 91 shares, of which a session's volume gives some
    life.evening(DAYS[5], SYMBOLS)
    life.now = close_of(DAYS[6])
    life.split("SHORT", DAYS[6], 0.3, rescaled=False)  # a reverse split that leaves a fraction, in bars that are not adjusted
    life.evening(DAYS[6], SYMBOLS)
    book_changes.record_action("GONE", DAYS[7], "delisting", 14.25, resources=life.desk)
    life.evening(DAYS[7], tuple(symbol for symbol in SYMBOLS if symbol != "GONE"))
    life.walks["NEW"] = life.walks["OLD"].assign(symbol="NEW")
    book_changes.resolve("OLD", DAYS[8], BookEventKind.RENAME, "NEW", author="ops", reason="", resources=life.desk)
    for place_, day in enumerate(DAYS[8:], start=8):
        if place_ == 10:
            life.leave("LONG", DAYS[9], DAYS[10])
            book_changes.transfer(-5_000.0, author="ops", reason="rent", session=DAYS[10], resources=life.desk)
            fee = str(-3.25)
            book_changes.resolve("", DAYS[10], BookEventKind.ADJUSTMENT, fee, author="ops", reason="fee", resources=life.desk)
        if place_ == 13:
            life.now = close_of(day)
            life.split("LONG", day, 4.0)  # nobody holds it any more, so that no event of the book says it
        life.evening(day, ("LONG", "SHORT", "SPLIT", "NEW"))


@pytest.fixture(scope="module")
def life(module_settings: Settings) -> Life:
    made = make_life(module_settings, venue__paper__volume_share=0.0005)
    run(made)
    return made


def rows(life: Life, by: str, session: dt.date | None = None) -> list[PnlRow]:
    return list(read_pnl(PnlFilter(by=by, session=session), resources=life.desk))


def equities(life: Life) -> dict[dt.date, float]:
    curve = life.desk.ledger.equity("main")
    return {stamp.date(): float(value) for stamp, value in zip(curve["session"], curve["equity_usd"], strict=True)}


def test_everything_did_happen(life: Life) -> None:
    fills, events = life.desk.ledger.fills("main"), life.desk.ledger.book_events("main")

    assert sum(order.leg == "exit" and fill.symbol == "SPLIT" for order, fill in fills) > 1  # left in parts
    assert [fill.reason for _, fill in fills if fill.symbol == "GONE"] == ["entry", "delisted"]
    assert any(fill.side == "sell" and fill.reason == "entry" for _, fill in fills)
    kinds = {event.kind for event in events}
    assert kinds == {*BookEventKind} - {BookEventKind.SPIN_OFF}
    in_lieu = {event.symbol: event.fraction for event in events if event.kind is BookEventKind.SPLIT}
    assert in_lieu == {"SPLIT": Decimal("0.5"), "SHORT": Decimal("-0.3")}
    assert all(event.symbol != "LONG" or event.kind is BookEventKind.DIVIDEND for event in events)


@pytest.mark.parametrize("day", DAYS, ids=str)
def test_the_book_earns_the_change_of_its_closes_less_the_transfers(life: Life, day: dt.date) -> None:
    closes = equities(life)
    moved = {DAYS[5]: 25_000.0, DAYS[10]: -5_000.0}

    for row in rows(life, "book", day):
        before = 100_000.0 if row.after is None else closes[row.after]
        transfers = sum(usd for on, usd in moved.items() if (row.after or dt.date.min) < on <= day)
        assert row.session == day
        assert row.transfers_usd == transfers
        assert row.pnl_usd == pytest.approx(closes[day] - before - transfers, abs=CENT)
        parts = row.realised_usd + row.unrealised_usd - row.costs_usd + row.other_usd + row.unattributed_usd  # type: ignore[operator]
        assert row.pnl_usd == pytest.approx(parts, abs=1e-4)


@pytest.mark.parametrize("day", DAYS, ids=str)
def test_everything_is_explained_by_fills_events_and_prices(life: Life, day: dt.date) -> None:
    assert {round(row.unattributed_usd or 0.0, 2) for row in rows(life, "book", day)} <= {0.0, 0.01, -0.01}


@pytest.mark.parametrize("by", ["sleeve", "symbol"])
@pytest.mark.parametrize("day", DAYS, ids=str)
def test_sleeves_and_symbols_add_up_to_the_book(life: Life, by: str, day: dt.date) -> None:
    whole, parts = rows(life, "book", day), rows(life, by, day)

    for book in whole:
        mine = [row for row in parts if row.period == book.period]
        for name in ("pnl_usd", "realised_usd", "unrealised_usd", "costs_usd", "other_usd"):
            assert sum(getattr(row, name) for row in mine) == pytest.approx(getattr(book, name), abs=CENT), (book.period, name)
        assert sum(row.trades for row in mine) == book.trades


def test_a_past_session_reads_as_it_did_on_its_evening(life: Life) -> None:
    for day in DAYS:
        for by in ("book", "sleeve", "symbol"):
            for row in rows(life, by, day):
                name = row.sleeve or row.symbol or ""
                then = life.seen[day, by, row.period].get((name, None), 0.0)
                assert row.pnl_usd == pytest.approx(then, abs=CENT), (day, by, row.period, name)


def test_since_the_start_what_is_realised_is_what_the_trades_made_of_the_price(life: Life) -> None:
    start = {row.symbol: row for row in rows(life, "symbol") if row.period == "start"}
    trades = life.desk.ledger.trades("main")

    assert set(trades["symbol"]) == {"LONG", "SPLIT", "GONE"}
    for symbol, trade in trades.groupby("symbol"):
        assert start[symbol].realised_usd == pytest.approx((trade["pnl_usd"] + trade["cost_usd"]).sum())
        assert start[symbol].unrealised_usd == pytest.approx(0.0, abs=CENT)
        assert start[symbol].trades == len(trade)
        assert start[symbol].win_rate_pct == 100 * (trade["pnl_usd"] > 0).mean()


def test_dividends_and_fees_are_other_cash_of_the_symbol_or_of_the_book(life: Life) -> None:
    start = {row.symbol: row.other_usd for row in rows(life, "symbol") if row.period == "start"}

    assert (start["LONG"], start[None]) == (12.5, -3.25)
    assert next(row.other_usd for row in rows(life, "book") if row.period == "start") == 9.25


def test_a_renamed_position_has_one_row_under_its_new_name(life: Life) -> None:
    month = {row.symbol: row for row in rows(life, "symbol") if row.period == "month"}

    assert "OLD" not in month
    assert abs(month["NEW"].pnl_usd or 0.0) < 300  # 30 shares of about 100 USD


@pytest.mark.parametrize("symbol", ["LONG", "SHORT", "SPLIT", "GONE"])
def test_marks_stand_on_their_bars_whatever_was_split_since(life: Life, symbol: str) -> None:
    rows = read_prices(PriceFilter(symbol=symbol), resources=life.desk)
    fills = [fill for _, fill in life.desk.ledger.fills("main") if fill.symbol == symbol]

    marks = [(row, mark) for row in rows for mark in row.marks if mark.kind in {"entry", "exit"}]

    assert len(marks) == len([fill for fill in fills if fill.reason != "delisted"])  # there is no bar for that one
    for row, mark in marks:
        assert row.low * 0.999 <= mark.price <= row.high * 1.001
    shares = {mark.session: mark.quantity for _, mark in marks if mark.kind == "entry"}
    assert shares == {DAYS[1]: {"LONG": 240.0, "SHORT": 51.0, "SPLIT": 91.5, "GONE": 20.0}[symbol]}


def test_a_book_without_a_close_has_rows_that_say_so(life: Life) -> None:
    (row,) = read_pnl(PnlFilter(book="nobody", period="today"), resources=life.desk)

    assert (row.pnl_usd, row.trades, row.win_rate_pct, row.session) == (None, 0, None, None)
    assert row.reason == "No close of the book is on record."
    assert read_pnl(PnlFilter(book="nobody", by="symbol"), resources=life.desk) == []
