"""A whole book: every check answers, sleeves and sum are told apart, and the level is shared."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from core.configuration.models import Performance
from core.frames import TRADES
from monitoring.performance.expectation import Expectation
from monitoring.performance.findings import CORRELATION, DRAWDOWN, KINDS, MODEL_AGE, NO_TRADE, PROFIT, SHARPE
from monitoring.performance.sequential import Promise
from monitoring.performance.watch import BookRecord, check_performance, live_record

SESSIONS = pd.bdate_range("2024-01-01", periods=60)
NOW = dt.datetime(2024, 4, 1, tzinfo=dt.UTC)
POSITIONS = pd.DataFrame({"strategy": ["rsi"], "symbol": ["AAA"], "entry_session": [SESSIONS[58]], "quantity": [10.0]})


def trades_of(strategy: str, net: float, every: int = 2) -> pd.DataFrame:
    days = np.arange(0, 56, every)
    frame = pd.DataFrame({name: pd.Series(0, index=days, dtype="int64") for name in TRADES.columns})
    frame["symbol"], frame["strategy"], frame["reason"] = "AAA", strategy, "rule"
    frame["decision_session"] = frame["entry_session"] = SESSIONS[days]
    frame["exit_session"], frame["net_return"] = SESSIONS[days + 2], net
    return TRADES.coerce(frame)


def book(*trades: pd.DataFrame, positions: pd.DataFrame = POSITIONS) -> BookRecord:
    frame = TRADES.coerce(pd.concat(trades)) if trades else TRADES.empty()
    equity = pd.DataFrame({"session": SESSIONS, "equity_usd": np.linspace(100.0, 90.0, 60)})
    return BookRecord(SESSIONS[-1].date(), frame, positions, equity, {}, SESSIONS, pd.DataFrame(), None, "No champion.")


def expectation(sleeve: str) -> Expectation:
    promise = Promise(0.01, 0.01, 500, 60)
    return Expectation(
        sleeve, 1000, 500, promise, 0.6, 0.005, 0.01, Promise(0.3, 1.0, 1000, 48), Promise(0.5, 0.7, 1000, 48), 9.0, 400
    )


def test_every_check_answers_without_a_trade_a_model_or_a_backtest() -> None:
    findings = check_performance(book(positions=POSITIONS[:0]), {}, Performance(), NOW)

    assert {each.kind for each in findings} == set(KINDS)
    verdicts = {each.kind: each.verdict for each in findings}
    assert {kind for kind, verdict in verdicts.items() if verdict == "ok"} == {DRAWDOWN, CORRELATION}
    assert next(each.text for each in findings if each.kind == MODEL_AGE) == "No champion."


def test_a_book_of_one_sleeve_is_compared_in_sum_alone() -> None:
    findings = check_performance(book(trades_of("rsi", -0.01)), {"rsi": expectation("rsi")}, Performance(), NOW)

    assert {each.sleeve for each in findings} == {""}
    assert {each.kind for each in findings if each.verdict == "alert"} >= {PROFIT, SHARPE}


def test_of_two_sleeves_the_one_that_decayed_is_named() -> None:
    found = check_performance(
        book(trades_of("rsi", -0.01), trades_of("trend", 0.012)),
        {name: expectation(name) for name in ("", "rsi", "trend")},
        Performance(),
        NOW,
    )
    profits = {each.sleeve: each.verdict for each in found if each.kind == PROFIT}

    assert profits["rsi"] == "alert"
    assert profits["trend"] == "ok"
    assert set(profits) == {"", "rsi", "trend"}


def test_a_sleeve_without_a_backtest_is_named_and_not_silent() -> None:
    found = check_performance(
        book(trades_of("rsi", 0.01), trades_of("new", 0.01)), {"rsi": expectation("rsi")}, Performance(), NOW
    )
    new = [each for each in found if each.sleeve == "new"]

    assert {each.verdict for each in new} == {"not enough"}
    assert len(new) == 4


def test_more_sleeves_ask_for_more_evidence() -> None:
    alone = check_performance(book(trades_of("rsi", 0.0)), {"rsi": expectation("rsi")}, Performance(), NOW)
    shared = check_performance(
        book(trades_of("rsi", 0.0), trades_of("trend", 0.0)),
        {name: expectation(name) for name in ("", "rsi", "trend")},
        Performance(),
        NOW,
    )
    widths = [
        next(
            each.interval[1] - each.interval[0]
            for each in found
            if each.kind == PROFIT and each.sleeve == sleeve and each.interval
        )
        for found, sleeve in ((alone, ""), (shared, "rsi"))
    ]

    assert widths[0] < widths[1]


def test_an_open_position_is_an_entry_and_no_result() -> None:
    live = live_record(book(trades_of("rsi", 0.01)), "rsi")

    assert (len(live.net_returns), len(live.entry_days)) == (28, 29)
    assert live.waiting_sessions == 1


def test_a_sleeves_sessions_earn_what_closed_in_them() -> None:
    live = live_record(book(trades_of("rsi", 0.01), trades_of("trend", 0.05)), "rsi")

    assert live.daily[:5].tolist() == [0.0, 0.0, 0.01, 0.0, 0.01]


def test_no_entry_for_longer_than_in_the_backtest_alerts() -> None:
    def waited(every: int) -> list[tuple[str, float | None]]:
        record = book(trades_of("rsi", 0.01, every=every), positions=POSITIONS[:0])
        findings = check_performance(record, {"rsi": expectation("rsi")}, Performance(), NOW)
        return [(each.verdict, each.measured) for each in findings if each.kind == NO_TRADE]

    assert waited(25) == [("ok", 9.0)]
    assert waited(24) == [("alert", 11.0)]
