"""Buy and hold, on a few sessions worked out by hand."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.benchmarks import buy_and_hold
from backtest.metrics import EQUITY_FIGURES
from backtest.panel import prepare
from core.errors import ConfigError
from core.sessions import sessions_between
from tests.properties import examples
from tests.standins.feed import walk
from trading.costs import Costs

FREE = Costs(0.0, 0.0)
DAYS = sessions_between(dt.date(2017, 1, 3), dt.date(2017, 1, 13))


def bars(symbol: str, open_: list[float], close: list[float], days: pd.DatetimeIndex = DAYS) -> pd.DataFrame:
    prices = np.array([open_, close])
    return pd.DataFrame(
        {
            "symbol": symbol,
            "session": days[: len(open_)],
            "open": open_,
            "high": prices.max(axis=0),
            "low": prices.min(axis=0),
            "close": close,
            "volume": 1e6,
            "vix": 20.0,
        }
    )


def test_half_the_cash_in_each_of_two_symbols_from_the_first_open() -> None:
    panel = prepare({"A": bars("A", [10, 11, 12], [11, 12, 15]), "B": bars("B", [50, 50, 45], [50, 40, 25])})

    found = buy_and_hold(panel, FREE, 1000.0)

    assert found.equity["session"].tolist() == DAYS[:3].tolist()
    assert found.equity["equity_usd"].tolist() == pytest.approx([550 + 500, 600 + 400, 750 + 250])
    assert found.equity["drawdown"].tolist() == pytest.approx([0.0, 1000 / 1050 - 1, 1000 / 1050 - 1])
    assert tuple(found.metrics) == EQUITY_FIGURES
    assert found.metrics["sessions"] == 3
    assert found.metrics["total_return"] == pytest.approx(0.0)
    assert found.metrics["exposure"] == pytest.approx(2 / 3)  # all of it, until the last close


def test_both_fills_pay_slippage_and_commission() -> None:
    panel = prepare({"A": bars("A", [100, 100], [100, 100])})

    found = buy_and_hold(panel, Costs(commission_bps=10.0, slippage_bps=100.0), 1000.0)

    shares = 1000 / (101 * 1.001)  # the commission comes out of the cash as well
    assert found.equity["equity_usd"].tolist() == pytest.approx([shares * 100, shares * 99 * 0.999])


def test_a_symbol_that_begins_later_waits_in_cash_and_one_that_ended_keeps_its_last_mark() -> None:
    late = bars("L", [20, 20], [30, 40], DAYS[2:])
    panel = prepare({"A": bars("A", [10, 10], [20, 30]), "L": late})

    found = buy_and_hold(panel, FREE, 200.0)

    assert found.equity["equity_usd"].tolist() == pytest.approx([200 + 100, 300 + 100, 300 + 150, 300 + 200])


def test_one_that_ended_is_held_to_the_last_session_and_pays_its_costs_there() -> None:
    panel = prepare({"A": bars("A", [100], [100]), "B": bars("B", [1, 1, 1], [1, 1, 1])})

    found = buy_and_hold(panel, Costs(commission_bps=0.0, slippage_bps=100.0), 202.0)

    assert found.equity["equity_usd"].tolist() == pytest.approx([100 + 100, 100 + 100, 99 + 99])
    assert found.metrics["exposure"] == pytest.approx(2 / 3)


def test_a_delisting_pays_its_cash_and_costs_nothing() -> None:
    gone = pd.DataFrame({"symbol": ["A"], "session": [DAYS[1]], "kind": ["delisting"], "value": [150.0]})
    panel = prepare({"A": bars("A", [100], [100]), "B": bars("B", [1, 1, 1], [1, 1, 1])}, actions=gone)

    found = buy_and_hold(panel, Costs(commission_bps=0.0, slippage_bps=100.0), 202.0)

    assert found.equity["equity_usd"].tolist() == pytest.approx([100 + 100, 150 + 100, 150 + 99])


def test_a_session_without_a_bar_keeps_the_last_mark() -> None:
    whole = bars("A", [10, 10, 10, 10], [10, 20, 30, 40])
    panel = prepare({"A": whole.drop(index=1), "B": bars("B", [1, 1, 1, 1], [1, 1, 1, 1])})

    assert buy_and_hold(panel, FREE, 20.0).equity["equity_usd"].tolist() == pytest.approx([20, 20, 40, 50])


def test_a_symbol_that_cannot_be_bought_leaves_its_part_in_cash() -> None:
    panel = prepare({"A": bars("A", [10, 10], [20, 20]), "Z": bars("Z", [0, 0], [0, 0])})

    assert buy_and_hold(panel, FREE, 200.0).equity["equity_usd"].tolist() == pytest.approx([300, 300])


def test_a_bar_without_an_open_is_not_bought() -> None:
    panel = prepare({"A": bars("A", [np.nan, 20], [10, 40])})

    assert buy_and_hold(panel, FREE, 100.0).equity["equity_usd"].tolist() == pytest.approx([100, 200])


def test_the_span_begins_at_the_start_that_is_asked_for() -> None:
    panel = prepare({"A": bars("A", [10, 20, 40], [10, 20, 60])})

    found = buy_and_hold(panel, FREE, 100.0, start=DAYS[1].date())

    assert found.equity["session"].tolist() == DAYS[1:3].tolist()
    assert found.equity["equity_usd"].tolist() == pytest.approx([100, 300])


def test_a_start_after_the_last_bar_leaves_figures_undefined() -> None:
    found = buy_and_hold(prepare({"A": bars("A", [10], [10])}), FREE, start=dt.date(2018, 1, 3))

    assert found.equity.empty
    assert (found.metrics["sharpe"], found.metrics["annual_return"], found.metrics["sessions"]) == (None, None, 0)


def test_prices_that_stand_still_have_no_sharpe_ratio() -> None:
    found = buy_and_hold(prepare({"A": bars("A", [10] * 5, [10] * 5)}), FREE)

    assert (found.metrics["sharpe"], found.metrics["total_return"], found.metrics["max_drawdown"]) == (None, 0.0, 0.0)


def test_no_cash_is_refused() -> None:
    with pytest.raises(ConfigError, match="above 0 USD, found 0"):
        buy_and_hold(prepare({"A": bars("A", [10], [10])}), FREE, 0.0)


@given(cash=st.floats(1.0, 1e9), seed=st.integers(0, 50), commission=st.floats(0, 50), slippage=st.floats(0, 50))
@settings(max_examples=examples(30), deadline=None)
def test_the_curve_scales_with_the_cash_and_costs_never_help(
    cash: float, seed: int, commission: float, slippage: float
) -> None:
    days = dt.date(2017, 1, 3), dt.date(2017, 6, 30)
    panel = prepare({symbol: walk(symbol, *days, seed=seed).assign(vix=20.0) for symbol in ("A", "B")})
    free, paid = buy_and_hold(panel, FREE, cash), buy_and_hold(panel, Costs(commission, slippage), cash)

    ratio = free.equity["equity_usd"] / buy_and_hold(panel, FREE, 1000.0).equity["equity_usd"]
    assert ratio.to_numpy() == pytest.approx(cash / 1000)
    assert (paid.equity["equity_usd"] <= free.equity["equity_usd"] * (1 + 1e-12)).all()
