"""A backtest's promise against figures worked out by hand."""

from __future__ import annotations

import datetime as dt
import json

import numpy as np
import pandas as pd
import pytest

from backtest.engine import backtest
from core.errors import DataError
from core.frames import TRADES
from monitoring.performance.expectation import Expectation, equity_returns, expectation_of, frequency_promise
from tests.standins.feed import walk
from trading.costs import Costs
from trading.strategies.registry import make_strategy

SESSIONS = pd.bdate_range("2024-01-01", periods=126)


def trades_of(entries: list[int], returns: list[float], *, held: int = 2, reason: str = "rule") -> pd.DataFrame:
    """Trades of one sleeve, entered at these sessions."""
    rows = [
        {
            "symbol": "AAA",
            "strategy": "rsi",
            "side": 1,
            "decision_session": SESSIONS[max(day - 1, 0)],
            "entry_session": SESSIONS[day],
            "exit_session": SESSIONS[day + held],
            "entry_price": 10.0,
            "exit_price": 10.0 * (1 + net),
            "quantity": 10.0,
            "gross_return": net,
            "net_return": net,
            "pnl_usd": 100 * net,
            "cost_usd": 0.0,
            "holding_sessions": held,
            "reason": reason,
        }
        for day, net in zip(entries, returns, strict=True)
    ]
    return TRADES.coerce(pd.DataFrame(rows, columns=list(TRADES.columns)))


def test_a_promise_by_hand() -> None:
    entries = list(range(0, 120, 5))  # 24 trades, one a week
    returns = [0.02, -0.01] * 12
    found = expectation_of(trades_of(entries, returns), None, SESSIONS, "rsi")

    assert (found.sleeve, found.sessions, found.trades, found.win_rate) == ("rsi", 126, 24, 0.5)
    assert found.profit is not None
    assert found.profit.mean == pytest.approx(0.005)
    assert found.daily_mean == pytest.approx(24 * 0.005 / 126)
    assert found.frequency is not None
    assert found.frequency.mean == pytest.approx(24 / 126)
    assert (found.longest_gap_sessions, found.gaps) == (5.0, 23)


def test_trades_cut_off_by_the_end_of_the_data_earn_nothing_but_are_entries() -> None:
    done, cut = trades_of([0, 10], [0.01, 0.03]), trades_of([20], [0.5], reason="end_of_data")
    found = expectation_of(TRADES.coerce(pd.concat([done, cut])), None, SESSIONS)

    assert found.trades == 2
    assert found.profit is None or found.profit.mean == pytest.approx(0.02)
    assert found.frequency is not None
    assert found.frequency.mean == pytest.approx(3 / 126)


def test_the_sum_has_the_sharpe_ratio_of_its_equity() -> None:
    rng = np.random.default_rng(1)
    daily = rng.normal(0.001, 0.01, 125)
    equity = pd.DataFrame({"session": SESSIONS, "equity_usd": 1000 * np.cumprod([1.0, *(1 + daily)])})
    found = expectation_of(trades_of([0], [0.1]), equity, SESSIONS)

    assert found.sharpe is not None
    assert found.sharpe.mean == pytest.approx(daily.mean() / daily.std(ddof=1))
    assert found.sharpe.observations == 125
    assert found.daily_deviation == pytest.approx(daily.std(ddof=1))


def test_few_gaps_have_no_percentile() -> None:
    found = expectation_of(trades_of(list(range(0, 100, 5)), [0.01] * 20), None, SESSIONS)

    assert (found.longest_gap_sessions, found.gaps) == (None, 19)


def test_evenly_spaced_entries_still_vary_as_chance_does() -> None:
    found = frequency_promise(np.arange(0, 210, 2), 210)

    assert found is not None
    assert (found.mean, found.deviation) == (0.5, pytest.approx(np.sqrt(0.5)))


def test_a_promise_survives_storage_as_json() -> None:
    found = expectation_of(trades_of(list(range(0, 120, 5)), [0.02, -0.01] * 12), None, SESSIONS, "rsi")

    assert Expectation.of(json.loads(json.dumps(found.as_dict()))) == found
    with pytest.raises(DataError, match="expected the fields"):
        Expectation.of({"sleeve": "rsi"})


def test_no_trade_promises_nothing() -> None:
    found = expectation_of(TRADES.empty(), None, SESSIONS)

    assert (found.trades, found.profit, found.win_rate, found.sharpe, found.longest_gap_sessions) == (0, None, None, None, None)
    assert found.frequency is None


def test_a_deposit_is_no_profit_and_a_withdrawal_no_loss() -> None:
    equity = pd.DataFrame({"session": SESSIONS[:4], "equity_usd": [100.0, 210.0, 105.0, 105.0]})
    moved = {SESSIONS[1]: 100.0, SESSIONS[2]: -105.0}

    assert equity_returns(equity, moved).tolist() == pytest.approx([0.1, 0.0, 0.0])


def test_the_promise_of_a_backtest_is_what_the_backtest_reports() -> None:
    bars = {name: walk(name, dt.date(2012, 1, 3), dt.date(2016, 12, 30)).assign(vix=15.0) for name in ("AAA", "BBB")}
    rule = make_strategy("bollinger", {}, vix_filter=False)
    result = backtest(bars, rule, Costs(commission_bps=1.0, slippage_bps=2.0))
    trades = result.trades[result.trades["reason"] != "end_of_data"]
    found = expectation_of(result.trades, result.equity, pd.DatetimeIndex(result.equity["session"]))

    assert found.trades == len(trades) > 30
    assert found.profit is not None
    assert found.profit.mean == pytest.approx(trades["net_return"].mean())
    assert found.win_rate == pytest.approx((trades["net_return"] > 0).mean())
    assert found.sharpe is not None
    assert found.sharpe.mean * 252**0.5 == pytest.approx(result.metrics["sharpe"], abs=1e-3)  # without the first session
    assert found.frequency is not None
    assert found.frequency.mean * found.sessions == pytest.approx(len(result.trades))
