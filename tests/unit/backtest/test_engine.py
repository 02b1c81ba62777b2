"""Frames in, frames out: alignment, candidates, and what is left out."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
import pytest

from backtest.engine import backtest, label_candidates
from backtest.panel import prepare
from core.errors import ConfigError, DataError
from core.frames import ACTIONS, CANDIDATES, TRADES
from core.sessions import close_of
from tests.standins.feed import walk
from trading.costs import Costs
from trading.risk import Limits
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


@dataclass(frozen=True)
class Marked:
    """Buys at the open after one bar and never leaves."""

    bar: int
    name: ClassVar[str] = "marked"
    entry: ClassVar[Literal["next_open"]] = "next_open"
    exit: ClassVar[Literal["next_open"]] = "next_open"
    max_sessions: ClassVar[int | None] = None

    def signals(self, bars: pd.DataFrame) -> pd.DataFrame:
        return to_signals(bars, entry=np.arange(len(bars)) == self.bar)

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


def test_strategies_share_one_portfolio_and_their_order_makes_no_difference() -> None:
    frames = {name: bars(name) for name in ("AAA", "BBB", "CCC")}
    both = [make_strategy("rsi", {"oversold": 35.0}), make_strategy("bollinger", {"deviations": 1.5})]
    limits = Limits(2.0, 40.0, 2)

    result = backtest(frames, both, COSTS, limits=limits)
    turned = backtest(dict(reversed(frames.items())), both[::-1], COSTS, limits=limits)

    assert set(result.trades["strategy"]) == {"bollinger", "rsi"}
    assert result.metrics["refused_max_positions"] > 0  # type: ignore[operator]
    pd.testing.assert_frame_equal(result.trades, turned.trades)
    pd.testing.assert_frame_equal(result.equity, turned.equity)
    held = pd.concat(
        [
            result.trades.set_index("entry_session")["quantity"].abs() * 0 + 1,
            result.trades.set_index("exit_session")["quantity"] * 0 - 1,
        ]
    )
    assert held.groupby(level=0).sum().cumsum().max() <= 2


def test_two_strategies_of_one_name_cannot_be_told_apart() -> None:
    with pytest.raises(ConfigError, match="different names"):
        backtest({"AAA": bars()}, [BOLLINGER, BOLLINGER], COSTS)


def test_one_strategy_in_a_list_is_that_strategy() -> None:
    frames = {name: bars(name) for name in ("AAA", "BBB")}

    pd.testing.assert_frame_equal(backtest(frames, [BOLLINGER], COSTS).trades, backtest(frames, BOLLINGER, COSTS).trades)


def test_candidates_are_ranked_by_probability_when_there_is_one() -> None:
    frames = {name: bars(name) for name in ("AAA", "BBB", "CCC", "DDD")}
    keys = pd.concat([frame[["symbol", "session"]] for frame in frames.values()], ignore_index=True)
    everyone = keys.assign(accept=True, probability=keys["symbol"].map({"AAA": 0.1, "BBB": 0.2, "CCC": 0.3, "DDD": 0.9}))
    limits = Limits(100.0, 100.0, 1)
    eager = make_strategy("bollinger", {"deviations": 1.0})

    ranked = backtest(frames, eager, COSTS, limits=limits, accept=everyone).trades
    plain = backtest(frames, eager, COSTS, limits=limits).trades

    turned = everyone.assign(probability=-everyone["probability"])
    assert (ranked["symbol"] == "DDD").sum() > (plain["symbol"] == "DDD").sum()
    assert (backtest(frames, eager, COSTS, limits=limits, accept=turned).trades["symbol"] == "AAA").sum() > (
        plain["symbol"] == "AAA"
    ).sum()


def test_a_prepared_panel_gives_the_same_result_again_and_again() -> None:
    frames = {name: bars(name) for name in ("AAA", "BBB")}
    panel = prepare(frames)

    first, second = backtest(panel, BOLLINGER, COSTS), backtest(panel, BOLLINGER, COSTS, start=dt.date(2018, 3, 1))

    pd.testing.assert_frame_equal(first.trades, backtest(frames, BOLLINGER, COSTS).trades)
    pd.testing.assert_frame_equal(second.trades, backtest(frames, BOLLINGER, COSTS, start=dt.date(2018, 3, 1)).trades)


@pytest.mark.parametrize("timeframe", ["1m", "1h", "1wk", "1mo"])
def test_bars_of_any_size_run_through_the_same_engine(timeframe: str) -> None:
    frame = bars()
    moments = {"1m": "min", "1h": "h", "1wk": "7D", "1mo": "30D"}[timeframe]
    frame["session"] = pd.date_range("2010-01-04 14:30", periods=len(frame), freq=moments)
    daily = backtest({"AAA": bars()}, BOLLINGER, COSTS)

    result = backtest(prepare({"AAA": frame}, timeframe), BOLLINGER, COSTS)

    assert result.metrics["trade_count"] == daily.metrics["trade_count"]
    yearly = {"1m": 98_280.0, "1h": 1_638.0, "1wk": 52.0, "1mo": 12.0}[timeframe]
    assert result.metrics["sharpe"] == pytest.approx(daily.metrics["sharpe"] * (yearly / 252) ** 0.5)  # type: ignore[operator]
    assert result.trades["entry_session"].iloc[0] in set(frame["session"])


def test_a_symbol_keeps_the_sessions_of_its_exchange_to_the_end_of_the_run() -> None:
    """Two sessions of a share beside four days of crypto, and the other way round."""
    friday = walk("AAA", dt.date(2018, 1, 4), dt.date(2018, 1, 5))
    coin, brief = (walk("BTC-USD", dt.date(2018, 1, 4), dt.date(2018, 1, end)) for end in (9, 5))

    beside = prepare({"AAA": friday, "BTC-USD": coin}).market.session_no.tolist()
    turned = prepare({"AAA": walk("AAA", dt.date(2018, 1, 4), dt.date(2018, 1, 9)), "BTC-USD": brief})

    assert beside == [[0, 1, -1, -1, 2, 3], [0, 1, 2, 3, 4, 5]]
    assert turned.market.session_no.tolist() == beside, "the weekend is on the axis too"


def gone(session: str, symbol: str = "AAA", value: float = 1.0) -> pd.DataFrame:
    return ACTIONS.coerce(pd.DataFrame({"symbol": [symbol], "session": [session], "kind": ["delisting"], "value": [value]}))


def test_a_delisting_after_the_last_bar_ends_the_run() -> None:
    frame = walk("AAA", dt.date(2018, 1, 3), dt.date(2018, 1, 5))

    panel = prepare({"AAA": frame}, actions=gone("2018-01-09"))
    result = backtest({"AAA": frame}, Marked(0), COSTS, actions=gone("2018-01-09"))

    assert [str(day.date()) for day in panel.sessions[3:]] == ["2018-01-08", "2018-01-09"]
    (trade,) = result.trades.to_dict("records")
    assert (str(trade["exit_session"].date()), trade["exit_price"], trade["reason"]) == ("2018-01-09", 1.0, "delisted")
    assert trade["holding_sessions"] == 3


@pytest.mark.parametrize("action", [gone("2018-01-03"), gone("2018-01-05", "OTHER"), gone("2017-06-01")])
def test_a_delisting_of_another_symbol_or_before_the_first_bar_changes_nothing(action: pd.DataFrame) -> None:
    frame = walk("AAA", dt.date(2018, 1, 3), dt.date(2018, 1, 5))

    result = backtest({"AAA": frame}, Marked(0), COSTS, actions=action)

    pd.testing.assert_frame_equal(result.trades, backtest({"AAA": frame}, Marked(0), COSTS).trades)


@pytest.mark.parametrize("timeframe", ["1h", "1m"])
def test_bars_of_another_size_are_delisted_at_the_first_bar_of_the_day_or_at_its_midnight(timeframe: str) -> None:
    frame = bars()
    frame["session"] = pd.date_range("2018-01-03 14:30", periods=len(frame), freq="h" if timeframe == "1h" else "min")
    inside, after = (prepare({"AAA": frame}, timeframe, gone(day)) for day in ("2018-01-04", "2026-01-01"))

    assert inside.sessions[inside.market.delisted[0, 0]] == (
        frame["session"][frame["session"] >= "2018-01-04"].min() if timeframe == "1h" else pd.Timestamp("2018-01-04")
    )
    assert (len(after.sessions), str(after.sessions[-1])) == (len(frame) + 1, "2026-01-02 00:00:00")


def test_actions_belong_to_the_bars_and_not_beside_a_panel() -> None:
    with pytest.raises(ConfigError, match="Give them to `prepare`"):
        backtest(prepare({"AAA": bars()}), BOLLINGER, COSTS, actions=gone("2018-01-05"))


def test_an_unknown_bar_size_is_named() -> None:
    with pytest.raises(ConfigError, match="7m"):
        prepare({"AAA": bars()}, "7m")


def test_one_bar_and_a_price_that_stands_still_trade_nothing() -> None:
    still = bars().assign(open=10.0, high=10.0, low=10.0, close=10.0)

    for frame in (bars().iloc[:1], still):
        result = backtest({"AAA": frame}, BOLLINGER, COSTS)
        assert result.metrics["trade_count"] == 0
        assert result.metrics["profit_per_trade"] is None
        assert set(result.equity["equity_usd"]) == {100_000.0}


def test_a_column_without_prices_trades_nothing() -> None:
    empty = bars().assign(close=np.nan)

    assert backtest({"AAA": empty}, BOLLINGER, COSTS).metrics["trade_count"] == 0
