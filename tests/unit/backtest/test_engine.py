"""Frames in, frames out: alignment, candidates, and what is left out."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
import pytest

from backtest.engine import backtest, label_candidates
from core.errors import DataError
from core.frames import CANDIDATES, TRADES
from core.sessions import close_of
from tests.standins.feed import walk
from trading.costs import Costs
from trading.strategies.base import to_signals
from trading.strategies.registry import make_strategy

START, END = dt.date(2017, 1, 3), dt.date(2018, 12, 31)
COSTS = Costs(1.0, 2.0)
BOLLINGER = make_strategy("bollinger")


def bars(symbol: str = "AAA") -> pd.DataFrame:
    return walk(symbol, START, END).assign(vix=20.0)


@dataclass(frozen=True)
class EveryOpen:
    """Buys at each open and leaves at the close."""

    name: ClassVar[str] = "every_open"
    entry: ClassVar[Literal["open"]] = "open"
    exit: ClassVar[Literal["close"]] = "close"
    max_sessions: ClassVar[int | None] = 1

    def signals(self, bars: pd.DataFrame) -> pd.DataFrame:
        return to_signals(bars, entry=np.ones(len(bars)))

    def describe(self) -> dict[str, Any]:
        return {}


def test_candidates_carry_the_moment_of_decision_and_the_end_of_their_label() -> None:
    candidates = CANDIDATES.check(label_candidates(bars(), BOLLINGER, COSTS))

    assert len(candidates) > 5
    first = candidates.iloc[0]
    assert first["event_timestamp"] == close_of(first["session"].date())
    assert (candidates["label_end"] > candidates["event_timestamp"]).all()
    assert ((candidates["net_return"] > 0) == (candidates["win"] == 1)).all()


def test_a_decision_at_the_open_knows_the_close_before() -> None:
    candidates = label_candidates(bars(), EveryOpen(), COSTS)

    monday = candidates[candidates["session"] == pd.Timestamp("2018-12-17")].iloc[0]
    assert monday["event_timestamp"] == close_of(dt.date(2018, 12, 14))
    assert monday["label_end"] == close_of(dt.date(2018, 12, 17))
    frame = bars()
    row = frame[frame["session"] == pd.Timestamp("2018-12-17")].iloc[0]
    paid, got = row["open"] * 1.0002, row["close"] * 0.9998
    assert monday["net_return"] == pytest.approx((got * 0.9999 - paid * 1.0001) / paid)


def test_a_candidate_whose_outcome_is_not_known_yet_is_no_example() -> None:
    frame = bars()
    whole = label_candidates(frame, BOLLINGER, COSTS)
    cut = whole["session"].iloc[-1]

    shorter = label_candidates(frame[frame["session"] <= cut], BOLLINGER, COSTS)

    assert cut not in set(shorter["session"])
    pd.testing.assert_frame_equal(shorter, whole[: len(shorter)])


def test_a_bar_on_a_day_that_is_no_session_is_refused() -> None:
    frame = bars()
    frame.loc[5, "session"] = pd.Timestamp("2017-01-07")

    with pytest.raises(DataError, match="2017-01-07"):
        backtest({"AAA": frame.sort_values("session", ignore_index=True)}, BOLLINGER, COSTS)
    with pytest.raises(DataError, match="found none"):
        backtest({}, BOLLINGER, COSTS)


def test_entries_before_the_start_are_not_traded_and_the_curve_begins_there() -> None:
    start = dt.date(2018, 3, 1)

    result = backtest({"AAA": bars()}, BOLLINGER, COSTS, start=start)

    TRADES.check(result.trades)
    assert (result.trades["decision_session"] >= pd.Timestamp(start)).all()
    assert result.equity["session"].iloc[0] == pd.Timestamp(start)
    assert result.equity["equity_usd"].iloc[0] == 100_000.0


def test_costs_are_what_raw_and_net_differ_by() -> None:
    dear = backtest({"AAA": bars()}, BOLLINGER, Costs(10.0, 20.0)).trades
    free = backtest({"AAA": bars()}, BOLLINGER, Costs(0.0, 0.0)).trades

    np.testing.assert_allclose(free["cost_usd"], 0.0, atol=1e-6)
    np.testing.assert_allclose(dear["gross_return"], free["gross_return"])
    assert (dear["net_return"] < free["net_return"]).all()
    assert (dear["cost_usd"] > 0).all()


def test_the_final_equity_is_the_cash_and_every_trades_profit() -> None:
    result = backtest({name: bars(name) for name in ("AAA", "BBB")}, BOLLINGER, COSTS)

    assert result.metrics["final_equity_usd"] == pytest.approx(100_000 + result.trades["pnl_usd"].sum())
    assert result.metrics["trade_count"] == len(result.trades)
