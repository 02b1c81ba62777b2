"""The compiled kernel against the copy written for reading, and against numbers that a person can check."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.kernel import Market, Rules, Terms, simulate, simulate_each
from tests.unit.backtest import reading_copy
from trading.fills import REASONS

FREE = Terms(0.0, 0.0, 100.0, 100.0, 3)


def random_market(rng: np.random.Generator, symbols: int, sessions: int) -> Market:
    """Bars on a grid of half dollars, so that stops and targets are met exactly; gaps, halts, shut days, late starts."""
    open_ = 50 + np.cumsum(rng.integers(-3, 4, (symbols, sessions)), axis=1) / 2
    close = open_ + rng.integers(-4, 5, (symbols, sessions)) / 2
    high = np.maximum(open_, close) + rng.integers(0, 3, (symbols, sessions)) / 2
    low = np.minimum(open_, close) - rng.integers(0, 3, (symbols, sessions)) / 2
    session_no = np.full((symbols, sessions), -1)
    for s in range(symbols):
        first, last = sorted(rng.integers(0, sessions, 2))
        own = np.arange(first, last + 1)
        own = own[(rng.random(len(own)) > 0.1) | (own == first) | (own == last)]  # days its exchange is shut
        session_no[s, own] = np.arange(len(own))
    missing = (session_no < 0) | (rng.random((symbols, sessions)) < 0.08)
    prices = [np.where(missing, np.nan, values) for values in (open_, high, low, close)]
    prices[2] = np.where(rng.random((symbols, sessions)) < 0.02, 0.0, prices[2])  # a non-positive price
    return Market(*prices, session_no=session_no.astype(np.int64))


def random_rules(rng: np.random.Generator, market: Market, *, at_open: bool, at_close: bool, max_sessions: int) -> Rules:
    shape = market.open.shape
    known = market.session_no >= 0
    return Rules(
        entry=np.where(known & (rng.random(shape) < 0.4), rng.choice([-1, 1], shape), 0).astype(np.int8),
        exit_long=known & (rng.random(shape) < 0.2),
        exit_short=known & (rng.random(shape) < 0.2),
        stop_pct=np.where(rng.random(shape) < 0.3, np.nan, rng.choice([1.0, 2.0, 4.0], shape)),
        target_pct=np.where(rng.random(shape) < 0.3, np.nan, rng.choice([1.0, 2.0, 4.0], shape)),
        strength=np.where(rng.random(shape) < 0.2, np.nan, rng.choice([0.0, 0.5, 1.0], shape)),
        max_sessions=max_sessions,
        enters_at_open=at_open,
        exits_at_close=at_close,
    )


@settings(max_examples=250, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    symbols=st.integers(1, 4),
    sessions=st.integers(2, 40),
    at_open=st.booleans(),
    at_close=st.booleans(),
    max_sessions=st.integers(0, 4),
    risk=st.sampled_from([0.25, 2.0, 50.0]),
    slots=st.integers(1, 3),
    costs=st.sampled_from([(0.0, 0.0), (1.0, 2.0), (30.0, 50.0)]),
)
def test_the_kernel_makes_the_trades_of_the_copy_written_for_reading(
    seed: int,
    symbols: int,
    sessions: int,
    at_open: bool,
    at_close: bool,
    max_sessions: int,
    risk: float,
    slots: int,
    costs: tuple[float, float],
) -> None:
    rng = np.random.default_rng(seed)
    market = random_market(rng, symbols, sessions)
    rules = random_rules(rng, market, at_open=at_open, at_close=at_close, max_sessions=max_sessions)
    terms = Terms(costs[0], costs[1], risk, 40.0, slots)

    log, equity, _, refused = simulate(market, rules, terms, 10_000.0)
    copy = reading_copy.run(market, rules, terms, 10_000.0)

    n = log.used[0]
    made = sorted(zip(*log.rows[:n].T.tolist(), log.quantity[:n], log.entry_price[:n], log.exit_price[:n], strict=True))
    read = sorted(
        (x.symbol, x.side, x.decision, x.entry, x.exit, REASONS.index(x.reason), x.quantity, x.paid, x.got) for x in copy.done
    )
    assert [row[:6] for row in made] == [row[:6] for row in read]
    np.testing.assert_allclose([row[6:] for row in made], [row[6:] for row in read], rtol=1e-12)
    np.testing.assert_allclose(equity, copy.equity, rtol=1e-12)
    assert refused.tolist()[1:] == [copy.refused["max_positions"], copy.refused["no_capital"]]
    assert not copy.held, "every position is closed at the end of its data"


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), at_open=st.booleans(), at_close=st.booleans(), max_sessions=st.integers(0, 4))
def test_a_candidate_on_its_own_ends_as_it_would_in_an_empty_portfolio(
    seed: int, at_open: bool, at_close: bool, max_sessions: int
) -> None:
    rng = np.random.default_rng(seed)
    market = random_market(rng, 1, 25)
    rules = random_rules(rng, market, at_open=at_open, at_close=at_close, max_sessions=max_sessions)
    terms = Terms(1.0, 2.0, 2.0, 40.0, 1)

    each = simulate_each(market, rules, terms)

    for n in range(each.used[0]):
        alone = np.zeros_like(rules.entry)
        alone[:, each.rows[n, 2]] = rules.entry[:, each.rows[n, 2]]
        log, *_ = simulate(market, rules._replace(entry=alone), terms, 1e9)
        assert log.used[0] == 1
        assert log.rows[0].tolist() == each.rows[n].tolist()
        assert log.exit_price[0] == each.exit_price[n]


def one(bars: list[tuple[float, float, float, float]], **options: Any) -> dict[str, Any]:
    """Trade one symbol on bars of (open, high, low, close) with an entry signal on the first; its only trade."""
    open_, high, low, close = (np.array([values], dtype=np.float64) for values in zip(*bars, strict=True))
    size = len(bars)
    market = Market(open_, high, low, close, np.arange(size, dtype=np.int64)[None])
    side = options.get("side", 1)
    entry = np.zeros((1, size), np.int8)
    entry[0, 0] = side
    leave = np.zeros((1, size), np.bool_)
    for t in options.get("exits", ()):
        leave[0, t] = True
    level = np.full((1, size), np.nan)
    rules = Rules(
        entry,
        leave,
        leave,
        np.full((1, size), options.get("stop", np.nan)),
        np.full((1, size), options.get("target", np.nan)),
        level,
        options.get("max_sessions", 0),
        options.get("at_open", False),
        options.get("at_close", False),
    )
    log, equity, _, _ = simulate(market, rules, options.get("terms", FREE), 1000.0)
    assert log.used[0] == 1
    return {
        "entry": log.rows[0, 3],
        "exit": log.rows[0, 4],
        "reason": REASONS[log.rows[0, 5]],
        "paid": log.entry_price[0],
        "got": log.exit_price[0],
        "quantity": log.quantity[0],
        "equity": equity,
    }


FLAT = (100.0, 100.0, 100.0, 100.0)


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


def test_a_bar_without_prices_fills_nothing() -> None:
    hole = (np.nan, np.nan, np.nan, np.nan)
    trade = one([FLAT, FLAT, hole, (90, 91, 89, 90)], stop=5)

    assert (trade["exit"], trade["got"]) == (3, 90)


@pytest.mark.parametrize(("target", "got"), [(5, 105.0), (np.nan, 100 * (1 - 0.005))])
def test_a_target_pays_no_slippage_and_everything_pays_commission(target: float, got: float) -> None:
    terms = Terms(10.0, 50.0, 100.0, 100.0, 1)
    trade = one([FLAT, FLAT, (100, 106, 100, 100), FLAT], target=target, exits=[2], terms=terms)

    assert trade["paid"] == pytest.approx(100.5)
    assert trade["got"] == pytest.approx(got)
    cash = 1000 - 10 * 100.5 * 1.001 + 10 * got * 0.999
    assert trade["equity"][-1] == pytest.approx(cash)


def test_the_quantity_is_fixed_at_the_decision_price_not_at_the_fill() -> None:
    trade = one([FLAT, (125, 125, 125, 125), FLAT], exits=[1])

    assert trade["quantity"] == 10.0


def test_a_stop_that_fills_at_its_price_loses_the_risk_asked_for() -> None:
    trade = one([FLAT, (100, 100, 94, 100), FLAT], stop=5, terms=Terms(0.0, 0.0, 0.25, 100.0, 1))

    assert trade["equity"][-1] == pytest.approx(1000 - 2.5)


def test_equity_is_marked_to_the_close_of_each_session() -> None:
    trade = one([FLAT, (100, 104, 99, 102), (103, 103, 101, 101), FLAT], exits=[2])

    assert trade["equity"].tolist() == [1000, 1020, 1010, 1000]
