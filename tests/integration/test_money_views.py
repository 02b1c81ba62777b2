"""Views of money and risk on a desk whose deployments traded their evenings by the desk's own steps."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from core.errors import ConfigError, UnknownSymbol
from core.sessions import close_of
from features.indicators import bollinger, rsi
from pipeline.deployments.books import desk_of
from pipeline.deployments.deploy import DeployRequest, deploy
from pipeline.execution.hand_over import hand_over
from pipeline.risk.data_guard import check_data
from pipeline.risk.kill_switch import halt, resume
from pipeline.risk.monitor import check_portfolio
from pipeline.views.money.exposure import ExposureFilter, read_exposure
from pipeline.views.money.pnl import PnlFilter, read_pnl
from pipeline.views.money.positions import PositionFilter, read_positions
from pipeline.views.money.prices import PriceFilter, PriceRow, read_prices
from pipeline.views.risk.correlation import CorrelationFilter, read_correlation
from pipeline.views.risk.heartbeats import HeartbeatFilter, read_heartbeats
from pipeline.views.risk.limits import RiskFilter, RiskRow, read_risk
from tests.standins.deployed_market import START, TRIO, days_between, evening, market_desk, stored_portfolio

if TYPE_CHECKING:
    from core.settings import Settings
    from pipeline.resources import Resources

pytestmark = pytest.mark.integration
FIRST, LAST = dt.date(2018, 7, 16), dt.date(2018, 8, 14)
STEPS = ("settle", "find_candidates", "place", "record")
PAIR = (("bollinger", "AAA", {"deviations": 1.0}, 500.0), ("rsi", "DDD", {"oversold": 45.0}, 500.0))


@pytest.fixture(scope="module")
def desk(module_settings: Settings) -> Resources:
    """Two deployments that have traded a month; its clock stands at the last evening."""
    made = market_desk(module_settings, FIRST, risk__max_positions=9, validation__max_age_days=400)
    for name, members in (("trio", TRIO), ("pair", PAIR)):
        deploy(DeployRequest(stored_portfolio(made, members, FIRST), name, "to look at", "anna"), resources=made)
    for day in days_between(FIRST, LAST):
        for name in ("trio", "pair"):
            evening(made, name, day, STEPS)
    made.clock = lambda: close_of(LAST) + dt.timedelta(hours=2)
    return made


def test_a_sleeve_earns_what_its_own_equity_has_gained(desk: Resources) -> None:
    values = desk.deployments.sleeve_equity("trio").groupby("strategy")["equity_usd"].last()
    capital = {f"trio/{strategy}@{symbol}": usd for strategy, symbol, _, usd in TRIO}

    rows = {row.sleeve: row.pnl_usd for row in read_pnl(PnlFilter(book="trio", by="sleeve", period="start"), resources=desk)}

    assert len(rows) == 2  # one has not traded yet
    assert {name: rows.get(name, 0.0) for name in capital} == pytest.approx(
        {name: values[name] - capital[name] for name in capital}, abs=0.005
    )


@pytest.mark.parametrize("period", ["today", "week", "month", "start"])
def test_books_earn_the_change_of_their_closes_and_their_symbols_explain_all_of_it(desk: Resources, period: str) -> None:
    for book in ("trio", "pair"):
        curve = desk.ledger.equity(book).set_index("session")["equity_usd"]
        (whole,) = read_pnl(PnlFilter(book=book, period=period), resources=desk)  # type: ignore[arg-type]
        parts = read_pnl(PnlFilter(book=book, period=period, by="symbol"), resources=desk)  # type: ignore[arg-type]

        before = 1000.0 if whole.after is None else curve[pd.Timestamp(whole.after)]
        assert whole.session == LAST
        assert whole.pnl_usd == pytest.approx(curve.iloc[-1] - before, abs=0.005)
        assert whole.unattributed_usd == pytest.approx(0.0, abs=0.005)
        assert sum(row.pnl_usd or 0.0 for row in parts) == pytest.approx(whole.pnl_usd, abs=0.005)


def test_trades_and_winners_of_a_period_are_those_of_the_record(desk: Resources) -> None:
    trades = desk.ledger.trades("trio")
    month = trades[trades["exit_session"] > "2018-07-31"]

    (row,) = read_pnl(PnlFilter(book="trio", period="month"), resources=desk)

    assert (row.trades, row.after) == (len(month), dt.date(2018, 7, 31))
    assert row.win_rate_pct == pytest.approx(100 * (month["net_return"] > 0).mean())
    assert row.realised_usd == pytest.approx((month["pnl_usd"] + month["cost_usd"]).sum())


def test_positions_are_those_of_the_ledger_at_the_newest_close(desk: Resources) -> None:
    rows = {(row.book, row.sleeve, row.symbol): row for row in read_positions(PositionFilter(), resources=desk)}
    held = [each for book in ("trio", "pair") for each in desk.ledger.positions(book)]

    assert rows.keys() == {(each.portfolio, each.strategy, each.symbol) for each in held}
    assert held
    for each in held:
        row = rows[each.portfolio, each.strategy, each.symbol]
        session, close = desk.bars.last_closes([each.symbol], dt.date(2019, 1, 1))[each.symbol]
        assert (row.last_price, row.price_session) == (close, session)
        assert row.value_usd == pytest.approx(float(each.quantity) * close)
        assert (row.left_by, row.left_by_name, row.reason) == ("strategy", each.strategy, None)


def test_a_position_that_was_handed_over_says_who_leaves_it(desk: Resources) -> None:
    own = desk_of("pair", resources=desk)
    first = own.ledger.positions("pair")[0]
    hand_over(first.strategy, first.symbol, person="Ann", reason="to see", author="test", resources=own)
    (by_person,) = read_positions(PositionFilter(book="pair", symbol=first.symbol), resources=desk)
    hand_over(first.strategy, first.symbol, to="zscore", reason="back", author="test", resources=own)
    (by_rule,) = read_positions(PositionFilter(book="pair", sleeve=first.strategy), resources=desk)

    assert (by_person.left_by, by_person.left_by_name) == ("person", "Ann")
    assert (by_rule.left_by, by_rule.left_by_name) == ("rule", "zscore")


def test_the_exposure_of_a_book_is_the_sum_of_its_positions(desk: Resources) -> None:
    whole = {row.book: row for row in read_exposure(ExposureFilter(by="book"), resources=desk)}
    parts = read_exposure(ExposureFilter(by="position"), resources=desk)

    assert set(whole) == {"main", "trio", "pair"}
    assert (whole["main"].gross_usd, whole["main"].held) == (0.0, "none")
    for book in ("trio", "pair"):
        mine = [row for row in parts if row.book == book]
        assert whole[book].value_usd == pytest.approx(sum(row.value_usd for row in mine))
        assert whole[book].waiting_usd == pytest.approx(sum(row.waiting_usd for row in mine))
        waiting = [order for order, _ in desk.ledger.open_orders(book) if order.leg == "entry"]
        assert whole[book].waiting_orders == len(waiting)


def test_bars_carry_the_bands_in_force_and_the_fills_at_their_sessions(desk: Resources) -> None:
    closes = desk.bars.read(["AAA"])["close"].to_numpy()
    bands = bollinger(closes, 20, 1.0)
    fills = [(order, fill) for book in ("trio", "pair") for order, fill in desk.ledger.fills(book) if fill.symbol == "AAA"]

    wanted = PriceFilter(symbol="aaa", strategy="trio/bollinger@AAA", first=FIRST, last=LAST)
    rows = read_prices(wanted, resources=desk)

    place = int(np.searchsorted(desk.bars.read(["AAA"])["session"].to_numpy(), np.datetime64(LAST)))
    last: PriceRow = rows[-1]
    assert (rows[0].session, last.session, last.symbol) == (FIRST, LAST, "AAA")
    assert (last.band_upper, last.band_mean, last.band_lower) == tuple(band[place] for band in bands)
    assert last.rsi == rsi(closes)[place]
    marks = [mark for row in rows for mark in row.marks]
    assert len(marks) == len(fills) > 0
    by_order = {mark.client_order_id: (row, mark) for row in rows for mark in row.marks}
    for order, fill in fills:
        row, mark = by_order[order.client_order_id]
        assert (row.session, mark.session, mark.kind, mark.side, mark.book) == (
            fill.session, fill.session, str(order.leg), str(fill.side), order.portfolio,
        )  # fmt: skip
        assert mark.price == float(fill.price)
        assert row.low * 0.999 <= mark.price <= row.high * 1.001


def test_the_newest_bar_carries_stops_and_targets_of_what_is_held(desk: Resources) -> None:
    held = next(each for each in desk.ledger.positions("pair") if each.stop_price is not None)

    last = read_prices(PriceFilter(symbol=held.symbol), resources=desk)[-1]

    levels = {(mark.kind, mark.book): mark for mark in last.marks if mark.kind in {"stop", "target"}}
    assert levels["stop", "pair"].price == float(held.stop_price or 0)
    assert levels["stop", "pair"].client_order_id == held.entry_order_id


def test_a_page_of_bars_follows_the_one_before(desk: Resources) -> None:
    whole = read_prices(PriceFilter(symbol="AAA", first=START), resources=desk)
    first = read_prices(PriceFilter(symbol="AAA", first=START), None, 100, resources=desk)
    second = read_prices(PriceFilter(symbol="AAA", first=START), (first[-1].session,), 100, resources=desk)

    assert [*first, *second] == list(whole[:200])
    assert read_prices(PriceFilter(symbol="AAA", first=dt.date(2030, 1, 1)), resources=desk) == []


@pytest.mark.parametrize(
    ("wanted", "kind", "words"),
    [
        (PriceFilter(symbol="AAX"), UnknownSymbol, r"Unknown symbol 'AAX'\. Did you mean AAA\?"),
        (PriceFilter(symbol="AAA", strategy="bolinger"), ConfigError, "Did you mean 'bollinger'"),
        (PriceFilter(symbol="AAA", strategy="own.py:Rule"), ConfigError, "a file that STRATEGIES lists"),
    ],
)
def test_what_is_not_there_is_an_error_with_a_remedy(
    desk: Resources, wanted: PriceFilter, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        read_prices(wanted, resources=desk)


def limits(desk: Resources, book: str, *, off: bool = True) -> dict[str, RiskRow]:
    rows = read_risk(RiskFilter(book=book, off=off), resources=desk)
    return {
        f"{row.limit} {row.subject or ''}".strip() if row.limit.startswith(("trade", "no_t")) else row.limit: row
        for row in rows
    }


def test_limits_are_those_of_the_book_with_the_figures_of_the_monitor(desk: Resources) -> None:
    beat, _ = check_portfolio(mode="log", resources=desk_of("trio", resources=desk))

    found = limits(desk, "trio")

    assert found["drawdown_halt"].used == pytest.approx(beat.drawdown_pct)
    assert str(found["drawdown_halt"].note).startswith("Of the heartbeat at 2018-08-14 22:00 UTC.")
    assert found["max_positions"].used == len(desk.ledger.positions("trio")) + len(
        [order for order, _ in desk.ledger.open_orders("trio") if order.leg == "entry"]
    )
    equity = beat.equity_usd
    for method, usd in (("var_historical", beat.var_historical_usd), ("var_parametric", beat.var_parametric_usd)):
        assert usd is not None
        assert (found[method].used or 0.0) * equity / 100 == pytest.approx(usd, rel=0.05)  # of the newest bars, a year later
    assert found["heartbeat"].used == 0.0
    assert {row.state for row in limits(desk, "trio", off=False).values()} <= {"ok", "warning", "breach", "unknown"}


def test_the_frequency_of_a_deployment_is_held_to_its_promise(desk: Resources) -> None:
    found = limits(desk, "trio")

    most, least = found["trade_frequency_most"], found["trade_frequency_least"]
    entries = len(desk.ledger.trades("trio")) + len(desk.ledger.positions("trio"))
    sessions = len(list(days_between(FIRST, LAST)))
    assert most.used == pytest.approx(entries / sessions)
    assert (least.limit_value or 0.0) < (most.limit_value or 0.0)
    assert f"{entries} entries in {sessions} sessions" in str(most.note)
    assert "sessions since the last entry" in str(found["no_trade"].note)
    assert "trade_frequency_most trio/rsi@BBB" in found


def test_a_halt_and_a_blocked_symbol_are_breaches_that_say_why(desk: Resources) -> None:
    halt("a look around", "anna", portfolio="trio", resources=desk)
    halted = limits(desk, "trio")["entry_blocks"]
    resume("seen", "anna", portfolio="trio", resources=desk)
    check_data(LAST.isoformat(), symbols=["AAA", "ZZZ"], strict=True, resources=desk)

    assert (halted.state, halted.used) == ("breach", 1.0)
    assert "a look around" in str(halted.note)
    assert limits(desk, "trio")["entry_blocks"].state == "ok"


def test_correlations_are_those_of_the_newest_returns_of_what_is_held(desk: Resources) -> None:
    rows = read_correlation(CorrelationFilter(), resources=desk)

    for row in rows:
        closes = desk.bars.read([row.symbol, row.other]).pivot(index="session", columns="symbol", values="close")
        recent = closes.pct_change(fill_method=None).tail(60)
        assert row.correlation == pytest.approx(recent[row.symbol].corr(recent[row.other]))
        assert (row.n, row.sessions) == (60, 60)
    held = {book: len(desk.ledger.positions(book)) for book in ("trio", "pair")}
    assert len(rows) == sum(number * (number - 1) // 2 for number in held.values())


def test_heartbeats_are_the_monitors_oldest_first(desk: Resources) -> None:
    for _ in range(2):
        check_portfolio(mode="log", resources=desk_of("pair", resources=desk))

    rows = read_heartbeats(HeartbeatFilter(book="pair"), resources=desk)

    assert len(rows) == 2
    assert rows[0].at == rows[0].at_exchange
    assert str(rows[0].at_exchange.utcoffset()) == "-1 day, 20:00:00"
    assert read_heartbeats(HeartbeatFilter(book="pair", last=FIRST), resources=desk) == []
