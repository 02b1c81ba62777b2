"""Profit by sleeve and symbol: each cause in figures that a person can check, and the sum by a property."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.book_events import BookEvent, BookEventKind
from pipeline.accounts.profit import NOBODY, Key, Profit, Record, profit_by_key, transfers_usd
from storage.views.book_figures import FillFigures, TradeFigures
from tests.properties import examples

MONDAY, TUESDAY, WEDNESDAY = (dt.date(2018, 12, day) for day in (10, 11, 12))
AAA = Key("rsi", "AAA")


def fill(
    quantity: int, raw: float, session: dt.date = TUESDAY, *, slip: float = 0.0, fee: float = 0.0, key: Key = AAA
) -> FillFigures:
    """A fill of signed shares at a raw price, so many dollars a share worse, with a commission."""
    price = Decimal(str(raw)) + (Decimal(str(slip)) if quantity > 0 else -Decimal(str(slip)))
    cash = -quantity * price - Decimal(str(fee))
    slippage = quantity * (price - Decimal(str(raw)))
    return FillFigures("main", key.sleeve, key.symbol, session, Decimal(quantity), cash, Decimal(str(fee)), slippage)


def event(kind: BookEventKind, **values: Any) -> BookEvent:
    return BookEvent(f"{kind}-{len(values)}", "main", kind, TUESDAY, **values)


def profit(**values: Any) -> dict[Key, Profit]:
    return profit_by_key(Record(**({"before": {}, "after": {}, "fills": [], "events": [], "trades": {}} | values)))


def test_a_position_held_through_earns_the_move_of_its_price() -> None:
    found = profit(before={AAA: 1_000.0}, after={AAA: 1_030.0})

    assert found[AAA] == Profit(unrealised_usd=30.0)


def test_a_short_earns_when_the_price_falls() -> None:
    assert profit(before={AAA: -1_000.0}, after={AAA: -970.0})[AAA].total_usd == 30.0


def test_an_entry_costs_its_slippage_and_its_commission_and_earns_from_the_raw_price() -> None:
    bought = fill(10, 100.0, slip=0.02, fee=0.5)

    found = profit(after={AAA: 1_010.0}, fills=[bought])[AAA]

    assert found.unrealised_usd == pytest.approx(10.0)
    assert found.costs_usd == pytest.approx(0.7)
    assert found.total_usd == pytest.approx(9.3)


def test_what_a_trade_made_before_the_span_is_realised_in_it_and_unrealised_no_more() -> None:
    # Bought at 85 in an earlier span, worth 1,000 at the close before, sold at 105 now.
    trade = TradeFigures(trades=1, winners=1, pnl_usd=199.0, cost_usd=1.0)

    found = profit(before={AAA: 1_000.0}, fills=[fill(-10, 105.0, fee=0.5)], trades={AAA: trade})[AAA]

    assert (found.realised_usd, found.unrealised_usd, found.costs_usd) == (200.0, -150.0, 0.5)
    assert found.total_usd == pytest.approx(49.5)
    assert (found.trades, found.winners) == (1, 1)


def test_a_part_that_was_sold_stays_unrealised_until_the_rest_is() -> None:
    found = profit(before={AAA: 1_000.0}, after={AAA: 660.0}, fills=[fill(-4, 110.0)])[AAA]

    assert (found.realised_usd, found.unrealised_usd, found.trades) == (0.0, 100.0, 0)


def test_cash_in_lieu_of_a_fraction_is_price_and_a_dividend_is_other_cash() -> None:
    in_lieu = event(BookEventKind.SPLIT, strategy="rsi", symbol="AAA", cash_usd=Decimal("7.5"))
    dividend = event(BookEventKind.DIVIDEND, symbol="AAA", cash_usd=Decimal(4))
    fee = event(BookEventKind.ADJUSTMENT, cash_usd=Decimal(-1))

    found = profit(before={AAA: 500.0}, after={AAA: 492.5}, events=[in_lieu, dividend, fee])

    assert found[AAA].total_usd == 0.0
    assert found[Key("", "AAA")] == Profit(other_usd=4.0)
    assert found[NOBODY] == Profit(other_usd=-1.0)


def test_deposits_and_withdrawals_are_no_profit() -> None:
    moved = [event(BookEventKind.DEPOSIT, cash_usd=Decimal(500)), event(BookEventKind.WITHDRAWAL, cash_usd=Decimal(-200))]

    assert profit(events=moved) == {}
    assert transfers_usd(moved) == 300.0


def test_a_renamed_position_is_one_under_its_last_name() -> None:
    renamed = [
        BookEvent("1", "main", BookEventKind.RENAME, TUESDAY, "rsi", "AAA", new_symbol="BBB"),
        BookEvent("2", "main", BookEventKind.RENAME, WEDNESDAY, "rsi", "BBB", new_symbol="CCC"),
    ]

    found = profit(before={AAA: 1_000.0}, after={Key("rsi", "CCC"): 1_050.0}, events=renamed)

    assert found == {Key("rsi", "CCC"): Profit(unrealised_usd=50.0)}


def test_trades_stand_for_their_fills_and_open_ones_bring_their_own() -> None:
    # Since the start: a trade made 20 before costs of 3; another was bought at 50 and stands at 60.
    trade = TradeFigures(trades=1, winners=0, pnl_usd=17.0, cost_usd=3.0)
    record = Record({}, {AAA: 600.0}, [fill(10, 50.0, fee=1.0)], [], {AAA: trade}, by_trades=True)

    found = profit_by_key(record)[AAA]

    assert (found.realised_usd, found.unrealised_usd, found.costs_usd) == (20.0, 100.0, 4.0)


def test_a_trade_that_was_open_before_a_span_read_by_trades_counts_from_its_close() -> None:
    # Bought at 50 before, worth 55 a share at the close before, sold at 58 with a profit of 80 from its entry on.
    trade = TradeFigures(trades=1, winners=1, pnl_usd=80.0, cost_usd=0.0)
    record = Record({AAA: 550.0}, {}, [], [], {AAA: trade}, earlier=[fill(10, 50.0, MONDAY)], by_trades=True)

    assert profit_by_key(record)[AAA].total_usd == 30.0


shares = st.integers(-20, 20).filter(bool)
steps = st.lists(
    st.tuples(st.integers(0, 3), shares, st.integers(0, 2), st.integers(-30, 30)), min_size=1, max_size=25
)  # key, shares, what happens, move of its price in dollars


@settings(max_examples=examples(150))
@given(steps, st.integers(0, 24), st.integers(0, 24))
def test_the_sum_over_the_keys_is_the_change_of_the_book_less_transfers(
    happened: list[tuple[int, int, int, int]], one: int, other: int
) -> None:
    keys = [Key(sleeve, symbol) for sleeve in ("rsi", "zscore") for symbol in ("AAA", "BBB")]
    prices, held = dict.fromkeys(keys, 200.0), dict.fromkeys(keys, 0)
    cash, fills, events, closes, values = 10_000.0, [], [], [10_000.0], [dict[Key, float]()]
    for number, (place, quantity, what, move) in enumerate(happened):
        key, day = keys[place], MONDAY + dt.timedelta(days=number)
        if what == 0:
            traded = fill(quantity, prices[key], day, slip=0.25, fee=1.5, key=key)
            fills.append(traded)
            held[key] += quantity
            cash += float(traded.cash_usd)
        else:
            kind = BookEventKind.DEPOSIT if what == 1 else BookEventKind.DIVIDEND
            symbol = "" if what == 1 else key.symbol
            events.append(BookEvent(str(number), "main", kind, day, "", symbol, cash_usd=Decimal(abs(quantity))))
            cash += abs(quantity)
        prices[key] += move / 10
        values.append({each: held[each] * prices[each] for each in keys if held[each]})
        closes.append(cash + sum(values[-1].values()))
    first, last = sorted((min(one, len(happened)), min(other, len(happened))))
    inside = [MONDAY + dt.timedelta(days=number) for number in range(first, last)]
    moved = [each for each in events if each.session in inside]

    found = profit(
        before=values[first], after=values[last], fills=[each for each in fills if each.session in inside], events=moved
    )

    change = closes[last] - closes[first] - transfers_usd(moved)
    assert sum(each.total_usd for each in found.values()) == pytest.approx(change, abs=1e-6)
    costs = sum(1.5 + 0.25 * abs(float(each.quantity)) for each in fills if each.session in inside)
    assert sum(each.costs_usd for each in found.values()) == pytest.approx(costs)
