"""The scorecard: verdicts follow the interval's unfavourable end, and what is not there is not made up."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from research.scorecard import (
    BY_ESTIMATE,
    CRITERIA,
    MET,
    NOT_ENOUGH,
    NOT_MEASURED,
    NOT_MET,
    Criterion,
    Estimate,
    Record,
    Row,
    Scorecard,
    make_scorecard,
    profit_of,
    relative,
    total_seconds,
    verdict_of,
)
from research.statistics import Interval

SESSIONS = pd.bdate_range("2018-01-01", periods=500, name="session")


def record(net_pct: list[float], returns: np.ndarray | None = None, sessions: pd.DatetimeIndex = SESSIONS) -> Record:
    """Trades with these net returns, entered at equal distances."""
    at = np.linspace(0, len(sessions) - 1, len(net_pct)).astype(int)
    trades = pd.DataFrame(
        {"entry_session": sessions[at], "net_return": np.array(net_pct) / 100, "pnl_usd": np.array(net_pct, dtype=float)}
    )
    made = np.random.default_rng(5).normal(0.001, 0.01, len(sessions)) if returns is None else returns
    return Record(trades, sessions, made, 252)


def rows(card: Scorecard) -> dict[str, Row]:
    return {row.name: row for row in card.rows}


LEAST, SPAN = Criterion("x", "X", "%", low=1.0), Criterion("y", "Y", "", low=6, high=9)
UNDER = Criterion("z", "Z", "ms", high=100, strict=True)


@pytest.mark.parametrize(
    ("criterion", "value", "interval", "verdict"),
    [
        (LEAST, 1.5, (1.0, 2.0), MET),
        (LEAST, 1.5, (0.9, 2.0), BY_ESTIMATE),
        (LEAST, 0.9, (0.5, 1.4), NOT_MET),
        (LEAST, 1.5, (1.1, math.inf), MET),
        (LEAST, 5.0, None, NOT_ENOUGH),
        (LEAST, None, None, NOT_ENOUGH),
        (SPAN, 7.0, (6.0, 9.0), MET),
        (SPAN, 7.0, (6.5, 9.1), BY_ESTIMATE),
        (SPAN, 7.0, (5.9, 8.0), BY_ESTIMATE),
        (SPAN, 9.5, (8.0, 11.0), NOT_MET),
        (UNDER, 99.0, (98.0, 99.9), MET),
        (UNDER, 99.0, (98.0, 100.0), BY_ESTIMATE),
        (UNDER, 100.0, (98.0, 101.0), NOT_MET),
    ],
)
def test_the_verdict_is_that_of_the_unfavourable_end(
    criterion: Criterion, value: float | None, interval: tuple[float, float] | None, verdict: str
) -> None:
    assert verdict_of(criterion, Estimate(value, Interval(*interval) if interval else None, 30, "")) == verdict


@given(st.lists(st.floats(-5, 5).map(lambda value: round(value, 3)), max_size=40))
def test_nothing_is_met_without_enough_trades_and_measured_means_are_the_trades_own(net: list[float]) -> None:
    card = rows(make_scorecard("x", record(net, np.zeros(len(SESSIONS))), {}))
    if len(net) < 20:
        for name in ("profit_per_trade", "win_rate", "profit_factor"):
            assert card[name].verdict == NOT_ENOUGH
            assert card[name].n == len(net)
    if net:
        assert card["profit_per_trade"].measured == pytest.approx(np.mean(net), abs=1e-9)
        assert card["win_rate"].measured == pytest.approx(100 * np.mean(np.array(net) > 0))
    else:
        assert all(row.measured is None for row in card.values()), "no trade, no number"
        assert not {MET, BY_ESTIMATE, NOT_MET} & {row.verdict for row in card.values()}


def test_every_criterion_has_a_row_and_its_bounds_in_words() -> None:
    card = make_scorecard("x", record([2.0, -1.0] * 50), {"api_p99": "nobody asked", "live_profit": "no book"})

    assert [(row.criterion, row.asked) for row in card.rows] == [
        ("Profit a trade", "at least 1 %"),
        ("Sharpe ratio", "above 0.8"),
        ("Sharpe ratio", "above 1.5"),
        ("Max drawdown", "under 2 %"),
        ("Max drawdown", "under 15 %"),
        ("Trades a week", "6 to 9"),
        ("Win rate", "65 to 75 %"),
        ("Profit factor", "at least 1.5"),
        ("Trades a month", "at least 4"),
        ("Live profit a trade, of the backtest's", "80 to 120 %"),
        ("Live Sharpe ratio, of the backtest's", "80 to 120 %"),
        ("API latency, 99th percentile", "under 100 ms"),
        ("60 backtests", "under 600 s"),
    ]
    assert rows(card)["api_p99"].verdict == NOT_MEASURED
    assert rows(card)["api_p99"].detail == "nobody asked"
    assert len({each.name for each in CRITERIA}) == len(CRITERIA)


def test_figures_are_those_of_the_record() -> None:
    returns = np.zeros(len(SESSIONS))
    returns[[10, 11, 12]] = [0.10, -0.05, -0.10]
    card = rows(make_scorecard("x", record([2.0] * 75 + [-1.0] * 25, returns), {}))

    assert card["drawdown_most"].measured == pytest.approx(100 * (1 - 0.95 * 0.90))
    assert card["profit_factor"].measured == pytest.approx(150 / 25)
    assert card["trades_a_week"].measured == pytest.approx(100 * 5 / 500)
    assert card["trades_a_week"].n == 100, "weeks"
    assert card["trades_a_month"].measured == pytest.approx(100 * 21 / 500)
    assert (card["win_rate"].low, card["win_rate"].high) == (pytest.approx(65.696, abs=0.01), pytest.approx(82.455, abs=0.01))


def test_a_record_of_winners_alone_has_no_profit_factor() -> None:
    row = rows(make_scorecard("x", record([1.0] * 40), {}))["profit_factor"]
    assert (row.measured, row.verdict, row.n) == (None, NOT_ENOUGH, 40)
    assert "no losing trade" in row.detail


def test_live_is_measured_in_per_cent_of_the_backtest() -> None:
    live = profit_of(record([0.9, 0.7] * 30))
    found = relative(live, Estimate(1.0, None, 500, ""))
    assert isinstance(found, Estimate)
    assert found.value == pytest.approx(80.0)
    assert found.interval is not None
    assert live.interval is not None
    assert found.interval.low == pytest.approx(100 * live.interval.low)
    assert isinstance(relative(live, Estimate(-0.2, None, 500, "")), str), "no share of a loss"
    assert relative(profit_of(record([])), Estimate(1.0, None, 5, "")).value is None  # type: ignore[union-attr]


def test_the_time_of_sixty_is_that_of_all() -> None:
    found = total_seconds(np.array([0.5, 1.5] * 30), 60)
    assert found.value == pytest.approx(60.0)
    assert found.interval is not None
    assert found.interval.low < 60 < found.interval.high


def test_the_json_holds_no_infinity_and_the_table_every_row() -> None:
    profits = [3.0] * 60 + [-0.01]
    card = make_scorecard("Book x", record(profits), {})
    again = json.loads(json.dumps(card.as_dict(), allow_nan=False))

    assert again["source"] == "Book x"
    assert (again["first"], again["last"]) == ("2018-01-01", f"{SESSIONS[-1]:%Y-%m-%d}")
    assert list(card.table()["criterion"]) == [row.criterion for row in card.rows]
    assert "not measured" in card.summary
    empty = make_scorecard("Book y", record([], np.zeros(0), SESSIONS[:0]), {})
    assert (empty.first, empty.count(NOT_ENOUGH) + empty.count(NOT_MEASURED)) == (None, len(CRITERIA))
