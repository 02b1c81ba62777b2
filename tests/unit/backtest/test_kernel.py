"""The compiled kernel against the copy written for reading, and against numbers that a person can check."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest import kernel, single
from backtest.kernel import CostTerms, LineRules, Market, simulate, simulate_each
from backtest.metrics import FIGURES, measure_equity, measure_trades
from tests.properties import examples
from tests.unit.backtest import reading_copy
from trading.fills import REASONS
from trading.risk import VERDICTS, LimitTerms

CASH = 10_000.0


def terms(
    commission_bps: float = 0.0, slippage_bps: float = 0.0, *, risk: float = 100.0, position: float = 100.0, slots: int = 3,
    exposure: float = 100.0, drawdown: float = np.inf, halve: float = np.inf,
) -> CostTerms:  # fmt: skip
    return CostTerms(commission_bps, slippage_bps, LimitTerms(risk, position, slots, exposure, drawdown, halve))


def random_market(rng: np.random.Generator, symbols: int, sessions: int) -> Market:
    """Bars on a grid of half dollars, so that stops and targets are met exactly.

    With gaps, halts, shut days, late starts, early ends and delistings, some of a symbol that has bars after it.
    """
    open_ = 50 + np.cumsum(rng.integers(-3, 4, (symbols, sessions)), axis=1) / 2
    close = open_ + rng.integers(-4, 5, (symbols, sessions)) / 2
    high = np.maximum(open_, close) + rng.integers(0, 3, (symbols, sessions)) / 2
    low = np.minimum(open_, close) - rng.integers(0, 3, (symbols, sessions)) / 2
    session_no = np.full((symbols, sessions), -1)
    delisted, ended = np.full((symbols, int(rng.integers(0, 3))), sessions), np.zeros((symbols, sessions), np.bool_)
    for s in range(symbols):
        first, last = sorted(rng.integers(0, sessions, 2))
        own = np.arange(first, sessions)
        own = own[(rng.random(len(own)) > 0.1) | (own == first) | (own == last)]  # days its exchange is shut
        session_no[s, own] = np.arange(len(own))
        ended[s, last + 1 :] = True
        days = rng.choice(own[1:], min(int(rng.integers(0, 3)), len(own) - 1, delisted.shape[1]), replace=False)
        delisted[s, : len(days)] = sorted(days)
    missing = (session_no < 0) | ended | (rng.random((symbols, sessions)) < 0.08)
    prices = [np.where(missing, np.nan, values) for values in (open_, high, low, close)]
    prices[2] = np.where(rng.random((symbols, sessions)) < 0.02, 0.0, prices[2])  # a non-positive price
    payout = rng.choice([0.0, 20.0, 55.5], delisted.shape)
    return Market(*prices, session_no=session_no.astype(np.int64), delisted=delisted.astype(np.int64), payout=payout)


def market_of(bars: list[tuple[float, float, float, float]], delisted: tuple[int, float] | None = None) -> Market:
    """One symbol's bars of (open, high, low, close), and the column and the cash of its delisting."""
    prices = (np.array([values], dtype=np.float64) for values in zip(*bars, strict=True))
    columns, cash = ([], []) if delisted is None else ([delisted[0]], [delisted[1]])
    return Market(*prices, np.arange(len(bars))[None], np.array([columns], np.int64), np.array([cash], np.float64))


def random_rules(rng: np.random.Generator, market: Market, strategies: int = 1) -> LineRules:
    """One or more strategies on every symbol; each has its own moments of entry and exit and its own time limit."""
    symbols, sessions = market.open.shape
    shape = (strategies * symbols, sessions)
    symbol = np.tile(np.arange(symbols), strategies)
    known = ~np.isnan(market.open[symbol])
    return LineRules(
        entry=np.where(known & (rng.random(shape) < 0.4), rng.choice([-1, 1], shape), 0).astype(np.int8),
        exit_long=known & (rng.random(shape) < 0.2),
        exit_short=known & (rng.random(shape) < 0.2),
        stop_pct=np.where(rng.random(shape) < 0.3, np.nan, rng.choice([1.0, 2.0, 4.0], shape)),
        target_pct=np.where(rng.random(shape) < 0.3, np.nan, rng.choice([1.0, 2.0, 4.0], shape)),
        strength=np.where(rng.random(shape) < 0.2, np.nan, rng.choice([0.0, 0.5, 1.0], shape)),
        symbol=symbol,
        max_sessions=np.repeat(rng.integers(0, 5, strategies), symbols),
        enters_at_open=np.repeat(rng.random(strategies) < 0.5, symbols),
        exits_at_close=np.repeat(rng.random(strategies) < 0.5, symbols),
    )


def random_terms(rng: np.random.Generator) -> CostTerms:
    commission, slippage = rng.choice([(0.0, 0.0), (1.0, 2.0), (30.0, 50.0)])
    return terms(
        commission,
        slippage,
        risk=rng.choice([0.25, 2.0, 50.0]),
        position=40.0,
        slots=int(rng.integers(1, 4)),
        exposure=rng.choice([30.0, 100.0]),
        drawdown=rng.choice([1.0, 5.0, np.inf]),
        halve=rng.choice([0.5, 3.0, np.inf]),
    )


def trades(log: kernel.Log) -> list[tuple[float, ...]]:
    """What was traded, sorted: whole columns, then quantity and the prices paid and got."""
    n = log.used[0]
    parts = (*log.rows[:, :n].tolist(), *log.values[[kernel.QUANTITY, kernel.PAID, kernel.GOT], :n].tolist())
    return sorted(zip(*parts, strict=True))


@settings(max_examples=examples(400), deadline=None)
@given(seed=st.integers(0, 2**32 - 1), symbols=st.integers(1, 4), strategies=st.integers(1, 3), sessions=st.integers(2, 60))
def test_the_kernel_makes_the_trades_of_the_copy_written_for_reading(
    seed: int, symbols: int, strategies: int, sessions: int
) -> None:
    rng = np.random.default_rng(seed)
    market = random_market(rng, symbols, sessions)
    rules, asked = random_rules(rng, market, strategies), random_terms(rng)

    log, equity, exposure, refused = simulate(market, rules, asked, CASH)
    copy = reading_copy.run(market, rules, asked, CASH)

    made = trades(log)
    read = sorted(
        (x.line, x.side, x.decision, x.entry, x.exit, REASONS.index(x.reason), x.quantity, x.paid, x.got) for x in copy.done
    )
    assert [row[:6] for row in made] == [row[:6] for row in read]
    np.testing.assert_allclose([row[6:] for row in made], [row[6:] for row in read], rtol=1e-12)
    np.testing.assert_allclose(equity, copy.equity, rtol=1e-12)
    np.testing.assert_allclose(exposure, copy.exposure, rtol=1e-12)
    assert refused.tolist()[1:] == [copy.refused[verdict] for verdict in VERDICTS[1:]]
    assert not copy.held, "every position is closed at the end of its data"


@settings(max_examples=examples(100), deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_candidate_on_its_own_ends_as_it_would_in_an_empty_portfolio(seed: int) -> None:
    rng = np.random.default_rng(seed)
    market = random_market(rng, 1, 25)
    rules = random_rules(rng, market)
    asked = terms(1.0, 2.0, risk=2.0, position=40.0, slots=1)

    each = simulate_each(market, rules, asked)

    for n in range(each.used[0]):
        alone = np.zeros_like(rules.entry)
        decision = each.rows[kernel.DECISION, n]
        alone[:, decision] = rules.entry[:, decision]
        log, *_ = simulate(market, rules._replace(entry=alone), asked, 1e9)
        assert log.used[0] == 1
        assert log.rows[:, 0].tolist() == each.rows[:, n].tolist()
        assert log.values[kernel.GOT, 0] == each.values[kernel.GOT, n]
        assert log.values[kernel.NET, 0] == pytest.approx(each.values[kernel.NET, n], rel=1e-9)


@settings(max_examples=examples(300), deadline=None)
@given(seed=st.integers(0, 2**32 - 1), sessions=st.integers(2, 60))
def test_a_line_alone_jumps_from_signal_to_signal_to_the_same_end(seed: int, sessions: int) -> None:
    rng = np.random.default_rng(seed)
    market = random_market(rng, 1, sessions)
    rules, asked = random_rules(rng, market), random_terms(rng)
    line = single.Line(
        *(values[0] for values in market),
        *(values[0] for values in (rules.entry, rules.exit_long, rules.exit_short)),
        bool(rules.enters_at_open[0]),
        bool(rules.exits_at_close[0]),
    )
    log = kernel.empty_log(sessions)
    equity, exposure, refused = np.empty(sessions), np.empty(sessions), np.empty(len(VERDICTS), np.int64)

    single.run(
        line, rules.stop_pct[0], rules.target_pct[0], rules.max_sessions[0], asked, CASH, log, equity, exposure, refused
    )  # fmt: skip

    expected, expected_equity, expected_exposure, expected_refused = simulate(market, rules, asked, CASH)
    n = expected.used[0]
    assert log.used[0] == n
    np.testing.assert_array_equal(log.rows[:, :n], expected.rows[:, :n])
    np.testing.assert_allclose(log.values[:, :n], expected.values[:, :n], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(equity, expected_equity, rtol=1e-12)
    np.testing.assert_allclose(exposure, expected_exposure, rtol=1e-12, atol=1e-9)
    np.testing.assert_array_equal(refused, expected_refused)


@settings(max_examples=examples(100), deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_last_equity_is_the_cash_and_what_the_trades_earned(seed: int) -> None:
    rng = np.random.default_rng(seed)
    market = random_market(rng, 3, 60)
    asked = random_terms(rng)

    log, equity, exposure, _ = simulate(market, random_rules(rng, market, 2), asked, CASH)

    n = log.used[0]
    values = log.values[:, :n]
    assert equity[-1] == pytest.approx(CASH + values[kernel.PNL].sum())
    ordered = np.where(log.rows[kernel.REASON, :n] == REASONS.index("delisted"), 0.0, values[kernel.GOT])
    fees = (values[kernel.QUANTITY] * (values[kernel.PAID] + ordered)).sum() * asked.commission_bps / 10_000
    assert (values[kernel.ENTRY_FEE] + values[kernel.EXIT_FEE]).sum() == pytest.approx(fees)
    sides = log.rows[kernel.SIDE, :n]
    raw = (sides * values[kernel.QUANTITY] * (values[kernel.RAW_EXIT] - values[kernel.RAW_ENTRY])).sum()
    assert raw - values[kernel.PNL].sum() == pytest.approx(values[kernel.COST].sum(), abs=1e-6)
    assert exposure[-1] == 0.0


def test_without_signals_equity_never_moves() -> None:
    market = random_market(np.random.default_rng(1), 3, 60)
    rules = random_rules(np.random.default_rng(2), market)

    log, equity, exposure, refused = simulate(market, rules._replace(entry=np.zeros_like(rules.entry)), terms(), CASH)

    assert log.used[0] == refused.sum() == exposure.sum() == 0
    assert set(equity) == {CASH}


@settings(max_examples=examples(50), deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_grid_of_exits_has_the_figures_of_each_point_run_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    market = random_market(rng, 1, 80)
    rules, asked = random_rules(rng, market), random_terms(rng)
    line = single.Line(
        *(values[0] for values in market),
        *(values[0] for values in (rules.entry, rules.exit_long, rules.exit_short)),
        bool(rules.enters_at_open[0]),
        bool(rules.exits_at_close[0]),
    )
    stops, targets, limits = np.array([np.nan, 1.0, 4.0]), np.array([2.0, np.nan, 1.0]), np.array([0, 2, 5])
    found = np.empty((3, len(FIGURES)))

    single.scan(line, stops, targets, limits, asked, CASH, 252.0, found)

    for point, stop, target, limit in zip(found, stops, targets, limits, strict=True):
        level = {"stop_pct": np.full((1, 80), stop), "target_pct": np.full((1, 80), target), "max_sessions": np.array([limit])}
        log, equity, exposure, _ = simulate(market, rules._replace(**level), asked, CASH)
        n = log.used[0]
        of_trades = [log.values[name, :n] for name in (kernel.NET, kernel.PNL, kernel.COST, kernel.HOLDING)]
        expected = (*measure_equity(equity, exposure, CASH, 252.0), *measure_trades(*of_trades, 80, 252.0))
        np.testing.assert_allclose(point, expected, rtol=1e-9, atol=1e-12)


def test_in_a_drawdown_nothing_is_entered_and_the_candidate_is_counted() -> None:
    falling = [FLAT, FLAT, (80.0, 80.0, 80.0, 80.0), (80.0, 80.0, 80.0, 80.0), (80.0, 80.0, 80.0, 80.0)]
    market = market_of(falling)
    nan, no = np.full((1, 5), np.nan), np.zeros((1, 5), np.bool_)
    rules = LineRules(
        np.array([[1, 0, 0, 1, 0]], np.int8), np.array([[False, False, True, False, False]]), no, nan, nan, nan,
        np.array([0]), np.array([0]), np.array([False]), np.array([False]),
    )  # fmt: skip

    limited = simulate(market, rules, terms(drawdown=10.0), 1000.0)
    free = simulate(market, rules, terms(drawdown=25.0), 1000.0)

    assert (limited[0].used[0], limited[3][VERDICTS.index("max_drawdown")]) == (1, 1)
    assert (free[0].used[0], free[3][VERDICTS.index("max_drawdown")]) == (2, 0)


def test_in_a_drawdown_a_new_position_is_half_as_large_until_equity_recovers() -> None:
    prices = [100.0, 100.0, 80.0, 80.0, 80.0, 100.0, 100.0, 100.0, 100.0]
    market = market_of([(price, price, price, price) for price in prices])
    nan, no = np.full((1, 9), np.nan), np.zeros((1, 9), np.bool_)
    rules = LineRules(
        np.array([[1, 0, 0, 1, 0, 0, 0, 1, 0]], np.int8), np.isin([range(9)], (2, 5)),
        no, nan, nan, nan, np.array([0]), np.array([0]), np.array([False]), np.array([False]),
    )  # fmt: skip

    def quantities(halve: float) -> list[float]:
        log = simulate(market, rules, terms(halve=halve), 1000.0)[0]
        return [float(shares) for shares in log.values[kernel.QUANTITY, : log.used[0]]]

    # 1000 buys 10, of which 800 is left: whole positions of 10 win all of it back, a half one of 5 ends at 900, 10 % under.
    assert quantities(np.inf) == [10.0, 10.0, 10.0]
    assert quantities(20.0) == [10.0, 10.0, 10.0], "at the limit is not over it"
    assert quantities(19.9) == [10.0, 5.0, 9.0], "900 is 10 % under: recovered"
    assert quantities(9.9) == [10.0, 5.0, 4.5]


def one(bars: list[tuple[float, float, float, float]], **options: Any) -> dict[str, Any]:
    """Trade one symbol on bars of (open, high, low, close) with an entry signal on the first; its only trade."""
    size = len(bars)
    market = market_of(bars, options.get("delisted"))
    side = options.get("side", 1)
    entry = np.zeros((1, size), np.int8)
    entry[0, 0] = side
    leave = np.zeros((1, size), np.bool_)
    for t in options.get("exits", ()):
        leave[0, t] = True
    level = np.full((1, size), np.nan)
    rules = LineRules(
        entry,
        leave,
        leave,
        np.full((1, size), options.get("stop", np.nan)),
        np.full((1, size), options.get("target", np.nan)),
        level,
        np.array([0]),
        np.array([options.get("max_sessions", 0)]),
        np.array([options.get("at_open", False)]),
        np.array([options.get("at_close", False)]),
    )
    log, equity, _, _ = simulate(market, rules, options.get("terms", terms()), 1000.0)
    assert log.used[0] == 1
    return {
        "entry": log.rows[kernel.ENTRY, 0],
        "exit": log.rows[kernel.EXIT, 0],
        "reason": REASONS[log.rows[kernel.REASON, 0]],
        "paid": log.values[kernel.PAID, 0],
        "got": log.values[kernel.GOT, 0],
        "quantity": log.values[kernel.QUANTITY, 0],
        "equity": equity,
    }


FLAT = (100.0, 100.0, 100.0, 100.0)
HOLE = (np.nan, np.nan, np.nan, np.nan)


def test_an_entry_decided_at_a_close_fills_at_the_next_open() -> None:
    trade = one([FLAT, (101, 102, 100, 101), FLAT], exits=[1])

    assert (trade["entry"], trade["paid"], trade["exit"], trade["got"], trade["reason"]) == (1, 101, 2, 100, "rule")


def test_an_entry_at_the_open_is_decided_and_filled_there() -> None:
    trade = one([(98, 100, 97, 99), FLAT], at_open=True, exits=[0])

    assert (trade["entry"], trade["paid"], trade["exit"], trade["got"]) == (0, 98, 1, 100)


def test_stop_wins_when_a_bar_touches_both() -> None:
    trade = one([FLAT, (100, 106, 94, 100), FLAT], stop=5, target=5)

    assert (trade["exit"], trade["got"], trade["reason"]) == (1, 95, "stop")


def test_a_gap_through_the_stop_leaves_at_the_open() -> None:
    trade = one([FLAT, FLAT, (90, 91, 89, 90)], stop=5, target=5)

    assert (trade["exit"], trade["got"], trade["reason"]) == (2, 90, "stop_gap")


def test_a_gap_over_the_target_leaves_at_the_better_open() -> None:
    trade = one([FLAT, FLAT, (110, 111, 80, 90)], stop=5, target=5)

    assert (trade["exit"], trade["got"], trade["reason"]) == (2, 110, "target_gap")


def test_the_entry_bar_has_a_stop_and_a_target_and_no_gaps() -> None:
    stopped = one([FLAT, (100, 101, 94, 100), FLAT], stop=5)
    reached = one([FLAT, (100, 106, 99, 100), FLAT], target=5)

    assert (stopped["exit"], stopped["got"], stopped["reason"]) == (1, 95, "stop")
    assert (reached["exit"], reached["got"], reached["reason"]) == (1, 105, "target")


def test_a_short_is_the_mirror_image() -> None:
    trade = one([FLAT, FLAT, (100, 106, 94, 100)], side=-1, stop=5, target=5)

    assert (trade["exit"], trade["got"], trade["reason"]) == (2, 105, "stop")


def test_two_sessions_are_the_entry_session_and_the_next() -> None:
    trade = one([FLAT, FLAT, FLAT, (103, 103, 103, 103)], max_sessions=2)

    assert (trade["entry"], trade["exit"], trade["got"], trade["reason"]) == (1, 3, 103, "time")


def test_a_strategy_that_leaves_at_the_close_does_so_at_the_second() -> None:
    trade = one([FLAT, FLAT, (100, 104, 99, 104), FLAT], max_sessions=2, at_close=True)

    assert (trade["exit"], trade["got"], trade["reason"]) == (2, 104, "time")


def test_a_position_at_the_end_of_the_data_is_closed_and_flagged() -> None:
    trade = one([FLAT, (100, 104, 99, 104)])

    assert (trade["exit"], trade["got"], trade["reason"]) == (1, 104, "end_of_data")


@pytest.mark.parametrize(("side", "equity"), [(1, [1000, 1000, 1040, 1040, 1040]), (-1, [1000, 1000, 960, 960, 960])])
def test_a_symbol_whose_bars_stop_is_held_at_its_last_close_to_the_last_session_of_the_run(
    side: int, equity: list[float]
) -> None:
    trade = one([FLAT, FLAT, (100, 104, 99, 104), HOLE, HOLE], side=side, exits=[2], max_sessions=2)

    assert (trade["exit"], trade["got"], trade["reason"]) == (4, 104, "end_of_data")
    assert trade["equity"].tolist() == pytest.approx(equity)


@pytest.mark.parametrize(("side", "cash", "equity"), [(1, 0.0, 0.0), (-1, 0.0, 2000.0), (1, 130.0, 1300.0), (-1, 130.0, 700.0)])
def test_a_delisting_pays_its_cash_without_costs(side: int, cash: float, equity: float) -> None:
    free = one([FLAT, FLAT, HOLE, HOLE, HOLE], side=side, exits=[1], delisted=(3, cash))
    dear = one([FLAT, FLAT, HOLE, HOLE, HOLE], side=side, delisted=(3, cash), terms=terms(10.0, 50.0))

    assert (free["exit"], free["got"], free["reason"]) == (3, cash, "delisted")
    assert free["equity"].tolist() == pytest.approx([1000, 1000, 1000, equity, equity])
    assert dear["got"] == cash
    paid = 100 * (1 + side * 0.005)
    assert dear["equity"][-1] == pytest.approx(1000 + side * 10 * (cash - paid) - 10 * paid * 0.001)


def test_a_stop_before_the_delisting_comes_first_and_bars_after_it_are_not_the_positions() -> None:
    stopped = one([FLAT, FLAT, (100, 100, 90, 90), FLAT], stop=5, delisted=(3, 50.0))
    paid = one([FLAT, FLAT, (100, 100, 90, 90), FLAT], stop=5, delisted=(2, 50.0))

    assert (stopped["exit"], stopped["got"], stopped["reason"]) == (2, 95, "stop")
    assert (paid["exit"], paid["got"], paid["reason"]) == (2, 50, "delisted")


def test_an_order_decided_before_the_delisting_lapses() -> None:
    market = market_of([FLAT, FLAT, FLAT], (1, 50.0))
    entry, no, nan = np.array([[1, 0, 0]], np.int8), np.zeros((1, 3), np.bool_), np.full((1, 3), np.nan)
    rules = LineRules(entry, no, no, nan, nan, nan, *(np.array([value]) for value in (0, 0, False, False)))  # type: ignore[arg-type]

    log, equity, _, _ = simulate(market, rules, terms(), 1000.0)

    assert (log.used[0], equity.tolist(), simulate_each(market, rules, terms()).used[0]) == (0, [1000, 1000, 1000], 0)


def test_the_slot_and_the_cash_of_an_ended_symbol_stay_taken_until_it_is_delisted() -> None:
    """Two symbols and one slot: the first ends at once, and the second signals at every close."""
    bars = [[FLAT, FLAT, HOLE, HOLE, HOLE, HOLE], [FLAT] * 6]
    prices = (np.array([[bar[i] for bar in rows] for rows in bars]) for i in range(4))
    entry = np.array([[1, 0, 0, 0, 0, 0], [0, 1, 1, 1, 1, 0]], np.int8)
    no, nan = np.zeros((2, 6), np.bool_), np.full((2, 6), np.nan)
    rules = LineRules(entry, no, no, nan, nan, nan, np.arange(2), np.zeros(2, np.int64), no[:, 0], no[:, 0])
    kept = Market(*prices, np.tile(np.arange(6), (2, 1)), np.full((2, 1), 6), np.full((2, 1), np.nan))
    paid = kept._replace(delisted=np.array([[3], [6]]), payout=np.array([[80.0], [np.nan]]))

    held, _, exposure, refused = simulate(kept, rules, terms(slots=1), 1000.0)
    freed, *_ = simulate(paid, rules, terms(slots=1), 1000.0)

    assert (held.used[0], refused[VERDICTS.index("max_positions")]) == (1, 4)
    assert exposure.tolist() == [0, 1000, 1000, 1000, 1000, 0]
    assert freed.rows[kernel.ENTRY, :2].tolist() == [1, 4], "decided at the close of the session that paid out"
    assert freed.values[kernel.QUANTITY, 1] == 8.0


def test_a_bar_without_prices_fills_nothing() -> None:
    trade = one([FLAT, FLAT, HOLE, (90, 91, 89, 90)], stop=5)

    assert (trade["exit"], trade["got"]) == (3, 90)


@pytest.mark.parametrize(("target", "got"), [(5, 105.0), (np.nan, 100 * (1 - 0.005))])
def test_a_target_pays_no_slippage_and_everything_pays_commission(target: float, got: float) -> None:
    trade = one([FLAT, FLAT, (100, 106, 100, 100), FLAT], target=target, exits=[2], terms=terms(10.0, 50.0))

    assert trade["paid"] == pytest.approx(100.5)
    assert trade["got"] == pytest.approx(got)
    cash = 1000 - 10 * 100.5 * 1.001 + 10 * got * 0.999
    assert trade["equity"][-1] == pytest.approx(cash)


def test_the_quantity_is_fixed_at_the_decision_price_not_at_the_fill() -> None:
    trade = one([FLAT, (125, 125, 125, 125), FLAT], exits=[1])

    assert trade["quantity"] == 10.0


def test_a_stop_that_fills_at_its_price_loses_the_risk_asked_for() -> None:
    trade = one([FLAT, (100, 100, 94, 100), FLAT], stop=5, terms=terms(risk=0.25))

    assert trade["equity"][-1] == pytest.approx(1000 - 2.5)


def test_equity_is_marked_to_the_close_of_each_session() -> None:
    trade = one([FLAT, (100, 104, 99, 102), (103, 103, 101, 101), FLAT], exits=[2])

    assert trade["equity"].tolist() == [1000, 1020, 1010, 1000]
