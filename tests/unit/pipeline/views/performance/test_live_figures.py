"""Lights of live figures against a promise: green, yellow, red, and `not enough` with its reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from monitoring.performance.expectation import Expectation
from monitoring.performance.sequential import Promise
from pipeline.views.performance.live_figures import LiveComparison, compare_book, light_of
from storage.views.live_record import CashMoved, ClosedTrades, Closes

DAYS = np.arange("2018-01-01", "2018-04-11", dtype="datetime64[D]")  # 100
NO_CASH = CashMoved(DAYS[:0], np.array([]), np.array([]))
PROMISED = Expectation(
    "", 1000, 400, Promise(0.010, 0.03, 400, 40), 0.6, 0.001, 0.01, Promise(0.1, 1.0, 1000, 48), None, None, 0
)


def trades(*net: float, sleeve: str = "trio/rsi@AAA") -> ClosedTrades:
    sleeves = np.array([sleeve] * len(net), dtype=object)
    return ClosedTrades(sleeves, DAYS[np.arange(len(net)) % len(DAYS)], np.array(net, dtype=np.float64))


def rows(
    closed: ClosedTrades, promised: Expectation | None = PROMISED, equity: np.ndarray | None = None, cash: CashMoved = NO_CASH
) -> list[LiveComparison]:
    curve = 1000 * np.cumprod(1 + np.tile([0.004, -0.001], 50)) if equity is None else equity
    promise = {} if promised is None else {"": promised, "trio/rsi@AAA": promised}
    return compare_book(Closes(DAYS[: len(curve)], curve), cash, closed, promise, ["trio/rsi@AAA"])


@pytest.mark.parametrize(
    ("live", "backtest", "light"),
    [
        (1.2, 1.0, "green"),
        (1.0, 1.0, "green"),
        (0.9, 1.0, "yellow"),
        (0.8, 1.0, "yellow"),
        (0.799, 1.0, "red"),
        (-1.0, 1.0, "red"),
        (0.1, 0.0, "green"),
        (-0.1, 0.0, "red"),
        (-0.1, -0.2, "green"),
        (-0.21, -0.2, "red"),
    ],
)
def test_the_light_follows_the_share_of_the_backtest(live: float, backtest: float, light: str) -> None:
    assert light_of(live, backtest) == light


def test_figures_are_those_of_the_record_beside_the_promise() -> None:
    book, sleeve = rows(trades(*[0.02, 0.0] * 20))
    returns = np.tile([0.004, -0.001], 50)[1:]

    assert (book.sleeve, book.label, sleeve.label) == ("", "book", "rsi@AAA")
    assert book.live_sharpe == pytest.approx(returns.mean() / returns.std(ddof=1) * np.sqrt(252))
    assert book.backtest_sharpe == pytest.approx(0.1 * np.sqrt(252))
    assert (sleeve.live_profit_pct, sleeve.backtest_profit_pct, sleeve.profit_delta_pct) == pytest.approx((1.0, 1.0, 0.0))
    assert sleeve.live_profit_low_pct < 1.0 < sleeve.live_profit_high_pct  # type: ignore[operator]
    assert (sleeve.trades, sleeve.sessions, sleeve.backtest_trades, sleeve.backtest_sessions) == (40, 100, 400, 1000)
    daily = np.zeros(100)
    daily[:40] = [0.02, 0.0] * 20
    assert sleeve.live_sharpe == pytest.approx(daily.mean() / daily.std(ddof=1) * np.sqrt(252))


def test_the_light_of_a_row_is_the_worse_of_its_two() -> None:
    (book, sleeve) = rows(trades(*[0.018, -0.001] * 20))

    assert (book.sharpe_light, book.profit_light, book.light) == ("green", "yellow", "yellow")
    assert sleeve.profit_light == "yellow"
    assert sleeve.reason == ""
    (losing, _) = rows(trades(*[0.002, -0.001] * 20))
    assert (losing.profit_light, losing.light) == ("red", "red")


def test_deposits_earn_nothing() -> None:
    equity = np.full(100, 1000.0)
    equity[50:] += 500
    equity[60:] += 1
    cash = CashMoved(DAYS[[50]], np.array([500.0]), np.array([500.0]))

    (with_deposit, _), (without, _) = rows(trades(), equity=equity, cash=cash), rows(trades(), equity=equity)

    assert with_deposit.live_sharpe == pytest.approx(np.sqrt(252 / 99))
    assert without.live_sharpe == pytest.approx(1.6, abs=0.1)


@pytest.mark.parametrize(
    ("closed", "promised", "words"),
    [
        (trades(*[0.02, 0.0] * 20), None, "No backtest is on record."),
        (trades(*[0.02] * 5), PROMISED, "5 closed trades so far; 20 are needed."),
        (trades(*[0.02, 0.0] * 20), replace(PROMISED, trades=12), "The backtest has 12 trades; 30 are needed."),
        (trades(*[0.02, 0.0] * 20), replace(PROMISED, profit=None, sharpe=None), "a figure is not defined"),
        (trades(), PROMISED, "0 closed trades so far"),
    ],
)
def test_too_little_is_said_to_be_so_and_what_there_is_is_shown(
    closed: ClosedTrades, promised: Expectation | None, words: str
) -> None:
    _, sleeve = rows(closed, promised)

    assert (sleeve.profit_light, sleeve.trades) == ("not enough", len(closed.net_returns))
    assert words in sleeve.reason
    assert (sleeve.live_profit_pct is None) == (not len(closed.net_returns))
    assert (sleeve.backtest_trades is None) == (promised is None)


def test_a_book_that_never_traded_and_one_at_zero_have_no_figures() -> None:
    for equity in (np.array([]), np.array([1000.0]), np.zeros(100), np.full(100, 1000.0)):
        book, _ = rows(trades(), equity=equity)
        assert (book.live_sharpe, book.live_profit_pct, book.light) == (None, None, "not enough")
