"""The figures of a backtest, on curves and trades small enough to work out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from backtest.metrics import Figures, summarise
from core.frames import TRADES


def trades(*net: float) -> pd.DataFrame:
    days = pd.to_datetime(["2018-12-17", "2018-12-18", "2018-12-19"])[: len(net)]
    frame = pd.DataFrame({"net_return": net, "entry_session": days, "decision_session": days, "exit_session": days})
    money = frame.assign(pnl_usd=frame["net_return"] * 1000, cost_usd=1.5, holding_sessions=range(len(net)))
    blank = {name: 1 for name in TRADES.columns if name not in money}
    return TRADES.coerce(money.assign(**blank).astype({"symbol": object}))


def equity_figures(*equity_usd: float, cash: float = 100.0) -> Figures:
    return summarise(TRADES.empty(), np.array(equity_usd), np.zeros(len(equity_usd)), cash)


def test_an_equity_curve_by_hand() -> None:
    figures = equity_figures(110.0, 99.0, 121.0)
    returns = np.array([0.10, -0.10, 2 / 9])

    assert figures["total_return"] == pytest.approx(0.21)
    assert figures["annual_return"] == pytest.approx(1.21**84 - 1)
    assert figures["max_drawdown"] == pytest.approx(-0.10)
    assert figures["volatility"] == pytest.approx(returns.std(ddof=1) * 252**0.5)
    assert figures["sharpe"] == pytest.approx(returns.mean() / returns.std(ddof=1) * 252**0.5)
    assert figures["sortino"] == pytest.approx(returns.mean() / np.sqrt(0.01 / 3) * 252**0.5)


def test_a_curve_that_never_moves_has_no_sharpe() -> None:
    figures = equity_figures(100.0, 100.0)

    assert figures["sharpe"] is None
    assert figures["sortino"] is None
    assert figures["max_drawdown"] == 0.0


def test_a_curve_that_only_rises_has_a_sharpe_and_no_sortino() -> None:
    figures = equity_figures(101.0, 103.0)

    assert figures["sharpe"] > 0  # type: ignore[operator]
    assert figures["sortino"] is None


def test_a_loss_in_the_first_session_is_a_drawdown_from_the_start() -> None:
    assert equity_figures(90.0, 95.0)["max_drawdown"] == pytest.approx(-0.10)


def test_trades_by_hand() -> None:
    figures = summarise(trades(0.02, -0.01, 0.005), np.full(63, 100.0), np.repeat([0.0, 50.0, 25.0], 21), 100.0)

    assert figures["trade_count"] == 3
    assert figures["win_rate"] == pytest.approx(2 / 3)
    assert figures["profit_per_trade"] == pytest.approx(0.005)
    assert figures["average_winner"] == pytest.approx(0.0125)
    assert figures["average_loser"] == pytest.approx(-0.01)
    assert figures["win_rate_adjusted_profit"] == pytest.approx(0.005 * 2 / 3)
    assert figures["profit_factor"] == pytest.approx(2.5)
    assert figures["trades_per_month"] == pytest.approx(1.0)
    assert figures["avg_hold_days"] == pytest.approx(1.0)
    assert figures["exposure"] == pytest.approx(0.25)
    assert figures["cost_usd"] == pytest.approx(4.5)


def test_without_trades_nothing_is_claimed() -> None:
    figures = summarise(TRADES.empty(), np.array([100.0]), np.array([0.0]), 100.0)

    assert figures["trade_count"] == 0
    assert {figures[name] for name in ("win_rate", "profit_per_trade", "profit_factor", "avg_hold_days", "sharpe")} == {None}


def test_winners_alone_have_no_profit_factor() -> None:
    figures = summarise(trades(0.02), np.full(21, 100.0), np.zeros(21), 100.0)

    assert figures["profit_factor"] is None
    assert figures["average_loser"] is None


def test_bars_of_another_size_are_annualised_by_their_number_a_year() -> None:
    curve = np.array([110.0, 99.0, 121.0])
    monthly = summarise(TRADES.empty(), curve, np.zeros(3), 100.0, periods_a_year=12)

    assert monthly["annual_return"] == pytest.approx(1.21**4 - 1)
    assert monthly["sharpe"] == pytest.approx(equity_figures(*curve)["sharpe"] * (12 / 252) ** 0.5)  # type: ignore[operator]


def test_a_portfolio_that_lost_everything_has_no_annual_return() -> None:
    figures = equity_figures(50.0, 0.0)

    assert (figures["total_return"], figures["annual_return"], figures["max_drawdown"]) == (-1.0, None, -1.0)
