"""Checks against fixed limits, with figures worked out by hand."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest

from monitoring.performance.checks import (
    check_correlation,
    check_drawdown,
    check_gap,
    check_model_age,
    check_win_rate,
)
from monitoring.performance.expectation import Expectation
from monitoring.performance.findings import alerts_of, mail_lines

NOW = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
DAY = NOW.date()
WIN_TERMS: Any = {"window_days": 30, "min_rate_pct": 48.0, "min_trades": 20}


def closed(*returns: float, days_ago: int = 3) -> pd.DataFrame:
    session = pd.Timestamp(DAY) - pd.Timedelta(days=days_ago)
    return pd.DataFrame({"exit_session": [session] * len(returns), "net_return": list(returns)})


def won(winners: int, losers: int, **terms: int) -> pd.DataFrame:
    return closed(*([0.01] * winners), *([-0.01] * losers), **terms)


def expected(gap: float | None, gaps: int = 200) -> Expectation:
    return Expectation("", 1000, 300, None, None, None, None, None, None, gap, gaps)


@pytest.mark.parametrize(("days", "verdict"), [(30, "ok"), (31, "alert")])
def test_a_model_older_than_the_limit_alerts(days: int, verdict: str) -> None:
    found = check_model_age(NOW - dt.timedelta(days=days), NOW, 30, "")

    assert (found.verdict, found.measured, found.asked) == (verdict, days, 30)


def test_no_model_is_said_and_not_silent() -> None:
    found = check_model_age(None, NOW, 30, "No champion is registered.")

    assert (found.verdict, found.text) == ("not enough", "No champion is registered.")


def test_the_win_rate_with_wilsons_interval() -> None:
    """9 of 20: Wilson's centre is (9 + 1.92) / 23.84, its half width 0.2005."""
    found = check_win_rate(won(9, 11), DAY, **WIN_TERMS)

    assert (found.verdict, found.measured, found.n) == ("alert", pytest.approx(45.0), 20)
    assert found.interval == pytest.approx((25.8, 65.8), abs=0.1)
    assert "includes the limit" in found.text
    assert found.severity == "info"


def test_a_win_rate_whose_interval_excludes_the_limit_is_a_warning() -> None:
    found = check_win_rate(won(4, 26), DAY, **WIN_TERMS)

    assert (found.verdict, found.severity) == ("alert", "warning")
    assert "excludes the limit" in found.text


def test_a_win_rate_at_the_limit_is_in_order() -> None:
    found = check_win_rate(won(12, 13), DAY, **WIN_TERMS)

    assert (found.verdict, found.measured) == ("ok", 48.0)


def test_too_few_trades_are_not_enough_and_shown_with_their_interval() -> None:
    found = check_win_rate(won(1, 18), DAY, **WIN_TERMS)

    assert (found.verdict, found.n) == ("not enough", 19)
    assert found.interval is not None


def test_trades_of_before_the_window_and_after_the_session_do_not_count() -> None:
    old, new = won(0, 30, days_ago=30), won(0, 30, days_ago=-1)
    found = check_win_rate(pd.concat([old, new]), DAY, **WIN_TERMS)

    assert (found.verdict, found.n) == ("not enough", 0)


@pytest.mark.parametrize(("returns", "measured", "verdict"), [([0.25, -0.2], 20.0, "alert"), ([-0.15, 0.0], 15.0, "ok")])
def test_the_present_drawdown(returns: list[float], measured: float, verdict: str) -> None:
    found = check_drawdown(np.array(returns), 15.0)

    assert found.verdict == verdict
    assert found.measured == pytest.approx(measured)


def test_a_drawdown_that_was_made_good_is_none() -> None:
    assert check_drawdown(np.array([-0.5, 1.2]), 15.0).measured == 0.0
    assert check_drawdown(np.empty(0), 15.0).verdict == "not enough"


def returns(*, sessions: int = 60, noise: float = 0.1) -> pd.DataFrame:
    rng = np.random.default_rng(2)
    base = rng.normal(0, 0.01, sessions)
    return pd.DataFrame(
        {"AAA": base, "BBB": base + noise * rng.normal(0, 0.01, sessions), "CCC": rng.normal(0, 0.01, sessions)}
    )


def test_two_positions_that_move_together_alert_and_are_named() -> None:
    frame = returns()
    found = check_correlation({"AAA": 10.0, "BBB": 5.0, "CCC": 1.0}, frame, 0.7)

    assert (found.verdict, found.n) == ("alert", 60)
    assert found.measured == pytest.approx(frame["AAA"].corr(frame["BBB"]))
    assert "AAA/BBB" in found.text
    assert "CCC" not in found.text
    assert found.interval is not None
    assert found.interval[0] > 0.9


def test_a_long_and_a_short_in_what_moves_together_are_opposite() -> None:
    found = check_correlation({"AAA": 10.0, "BBB": -5.0}, returns(), 0.7)

    assert found.verdict == "ok"
    assert found.measured is not None
    assert found.measured < -0.9


def test_one_position_has_no_pair() -> None:
    assert check_correlation({"AAA": 10.0, "BBB": 0.0}, returns(), 0.7).verdict == "ok"
    assert check_correlation({}, returns(), 0.7).text == "No symbol is held: no pair."


def test_a_pair_without_common_returns_is_not_enough() -> None:
    found = check_correlation({"AAA": 10.0, "ZZZ": 5.0}, returns(), 0.7)

    assert found.verdict == "not enough"
    assert "AAA/ZZZ" in found.text


@pytest.mark.parametrize(("waiting", "verdict"), [(12, "ok"), (13, "alert")])
def test_waiting_longer_than_the_backtest_did_alerts(waiting: int, verdict: str) -> None:
    found = check_gap(waiting, 5, expected(12.0), "rsi")

    assert (found.verdict, found.measured, found.asked, found.sleeve) == (verdict, waiting, 12.0, "rsi")


def test_waiting_without_a_backtest_is_not_enough() -> None:
    assert "no backtest is on record" in check_gap(3, 0, None, "").text
    assert "5 gaps of 20 needed" in check_gap(3, 0, expected(None, 5), "").text


def test_alerts_have_keys_that_stay_and_the_mail_names_what_cannot_be_judged() -> None:
    findings = [
        check_drawdown(np.array([-0.2]), 15.0),
        check_gap(13, 5, expected(12.0), "rsi"),
        check_model_age(None, NOW, 30, "No champion is registered."),
        check_win_rate(won(30, 10), DAY, **WIN_TERMS),
    ]
    alerts = alerts_of(findings)

    assert [(alert.key, alert.severity) for alert in alerts] == [("drawdown", "critical"), ("no_trade:rsi", "warning")]
    assert mail_lines(findings)[-2:] == ["Not enough to judge: model age.", "1 of 4 checks in order."]
