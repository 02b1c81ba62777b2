"""Each rule of the last check before trading, at its limit, over it and where it can't be measured."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ConfigError, DataError
from research.portfolio.validation import Sleeve, ValidationLimits, largest_position_usd, validate
from research.portfolio.validation_report import Finding, ValidationReport
from trading.risk import Limits
from trading.sizing import quantity

SESSIONS = pd.bdate_range("2024-01-01", periods=4)
UP_DOWN = (0.01, -0.01, 0.01, -0.01)
DOWN_DOWN_UP_UP = (-0.01, -0.01, 0.01, 0.01)  # its products with UP_DOWN sum to 0
UP_DOWN_DOWN_UP = (0.01, -0.01, -0.01, 0.01)  # with either of these too


def trades(days: list[str], net_return: list[float] | None = None) -> pd.DataFrame:
    returns = net_return or [0.01] * len(days)
    return pd.DataFrame({"entry_session": pd.to_datetime(days), "net_return": np.array(returns, dtype=np.float64)})


def sleeve(name: str = "a", usd: float = 300.0, **others: object) -> Sleeve:
    """A sleeve that breaks no rule."""
    given: dict[str, object] = {
        "stop_pct": 0.8,
        "returns": pd.Series(UP_DOWN, SESSIONS),
        "trades": trades(["2024-01-02"]),
    }
    return Sleeve(name, "SPY", usd, **(given | others))  # type: ignore[arg-type]


def good() -> list[Sleeve]:
    return [
        sleeve("a", 400.0, returns=pd.Series(UP_DOWN, SESSIONS)),
        sleeve("b", 350.0, returns=pd.Series(DOWN_DOWN_UP_UP, SESSIONS)),
        sleeve("c", 250.0, returns=pd.Series(UP_DOWN_DOWN_UP, SESSIONS)),
    ]


def found(report: ValidationReport, rule: str) -> Finding:
    (finding,) = [finding for finding in report.findings if finding.rule == rule]
    return finding


# --- the whole ---


def test_a_portfolio_at_its_limits_passes_every_rule() -> None:
    report = validate(good(), 1000)

    assert report.status == "PASS"
    assert {finding.rule: (finding.limit, finding.found) for finding in report.findings} == {
        "position": (40, pytest.approx(40)),
        "loss_at_risk": (1, pytest.approx(0.32)),  # 400 of 1000 with a stop at 0.8 %
        "exposure": (100, pytest.approx(100)),
        "drawdown": (2, pytest.approx(1.0, abs=0.1)),
        "correlation": (0.7, pytest.approx(0.0, abs=1e-12)),
        "trades_a_day": (3, 3),
    }


def test_the_limits_are_the_stated_ones() -> None:
    limits = ValidationLimits()

    assert (limits.max_position_pct, limits.max_stop_pct, limits.max_exposure_pct) == (40, 1, 100)
    assert (limits.max_drawdown_pct, limits.max_correlation, limits.max_trades_a_day) == (2, 0.7, 3)
    assert limits.max_loss_at_risk_pct == 1
    assert not limits.check_stop_pct


def test_one_broken_rule_fails_the_whole_and_one_unmeasured_rule_is_a_warning() -> None:
    unmeasured = [sleeve(trades=None)]

    assert validate([sleeve()], 1000).status == "PASS"
    assert validate(unmeasured, 1000).status == "WARN"
    assert validate(unmeasured, 500).status == "FAIL"  # 300 of 500 is 60 %


@settings(deadline=None)
@given(st.permutations(range(3)))
def test_the_order_of_the_sleeves_changes_no_figure(order: list[int]) -> None:
    sleeves = [sleeve("a", 500.0), *good()[1:]]

    one, other = validate(sleeves, 900), validate([sleeves[i] for i in order], 900)

    assert [(f.rule, f.verdict) for f in one.findings] == [(f.rule, f.verdict) for f in other.findings]
    assert [f.found for f in one.findings] == pytest.approx([f.found for f in other.findings])


@settings(deadline=None)
@given(st.floats(0.01, 5), st.floats(0.01, 5))
def test_a_wider_limit_never_breaks_a_rule_that_a_narrower_one_passes(narrow: float, wide: float) -> None:
    narrow, wide = sorted([narrow, wide])
    passed = [
        found(validate(good(), 1000, ValidationLimits(max_drawdown_pct=limit)), "drawdown").verdict == "PASS"
        for limit in (narrow, wide)
    ]

    assert passed in ([False, False], [False, True], [True, True])


def test_the_documented_limits_are_the_defaults() -> None:
    document = (Path(__file__).resolve().parents[4] / "docs/portfolio.md").read_text()
    section = document.split("## Validation")[1].split("## ")[0]
    documented = dict(re.findall(r"^\| `([a-z_]+)` \| ([\d.]+)", section, re.MULTILINE))
    report = validate(good(), 1000, ValidationLimits(check_stop_pct=True))

    assert {rule: float(limit) for rule, limit in documented.items()} == {f.rule: f.limit for f in report.findings}


# --- rule by rule ---


def test_a_position_over_its_share_fails_and_is_named() -> None:
    position = found(validate([sleeve("big", 401.0), sleeve("small", 100.0)], 1000), "position")

    assert (position.found, position.verdict) == (pytest.approx(40.1), "FAIL")
    assert position.detail.startswith("big@SPY 40.1.")


def test_a_limit_met_exactly_is_not_broken_by_rounding() -> None:
    assert found(validate([sleeve(usd=0.4 * 1234.56)], 1234.56), "position").verdict == "PASS"
    assert found(validate([sleeve(usd=0.4 * 1234.56 * (1 + 1e-6))], 1234.56), "position").verdict == "FAIL"


def test_positions_capped_by_the_sizing_rule_count_as_they_are_capped() -> None:
    capped = validate([sleeve(usd=800.0, stop_pct=4.0, position_usd=200.0)], 1000)

    assert found(capped, "position").found == pytest.approx(20)
    assert found(capped, "loss_at_risk").found == pytest.approx(0.8)  # a fifth of the capital, 4 %
    assert found(capped, "exposure").found == pytest.approx(80)  # the sleeve's money stays its own


@settings(deadline=None)
@given(st.one_of(st.none(), st.floats(0.1, 20)), st.floats(0.05, 5), st.floats(1, 100), st.floats(1, 100))
def test_the_largest_position_is_what_the_sizing_rule_buys(
    stop_pct: float | None, risk_pct: float, position_pct: float, exposure_pct: float
) -> None:
    limits = Limits(risk_per_trade_pct=risk_pct, max_position_pct=position_pct, max_exposure_pct=exposure_pct)
    stop = math.nan if stop_pct is None else stop_pct
    bought = quantity(1.0, stop, 400.0, 400 * exposure_pct / 100, risk_pct, position_pct)  # at a price of one dollar

    assert largest_position_usd(400.0, stop_pct, limits) == pytest.approx(bought, abs=1e-5)


def test_a_wide_stop_passes_in_a_small_position_and_fails_in_a_large_one() -> None:
    small = found(validate([sleeve(usd=250.0, stop_pct=4.0)], 1000), "loss_at_risk")
    large = found(validate([sleeve(usd=260.0, stop_pct=4.0)], 1000), "loss_at_risk")

    assert (small.found, small.verdict) == (pytest.approx(1.0), "PASS")
    assert (large.found, large.verdict) == (pytest.approx(1.04), "FAIL")
    assert large.detail.startswith("a@SPY 1.04. Size its positions")


def test_without_a_stop_three_deviations_of_its_trades_are_at_risk() -> None:
    days = [f"2024-01-{day:02d}" for day in range(1, 11)]
    record = trades(days, [0.01, -0.01] * 5)  # sample deviation sqrt(10 / 9) %
    at_risk = 3 * math.sqrt(10 / 9) * 0.3

    assert found(validate([sleeve(stop_pct=None, trades=record)], 1000), "loss_at_risk").found == pytest.approx(at_risk)


def test_without_a_stop_and_with_few_trades_the_loss_is_not_measurable() -> None:
    finding = found(validate([sleeve(stop_pct=None)], 1000), "loss_at_risk")

    assert (finding.found, finding.verdict) == (None, "NOT MEASURABLE")
    assert finding.detail == "No stop, and fewer than 10 trades to measure a spread on: a@SPY."


def test_a_sleeve_over_the_limit_fails_even_beside_one_that_is_not_measurable() -> None:
    sleeves = [sleeve("bare", stop_pct=None), sleeve("wide", stop_pct=5.0)]

    finding = found(validate(sleeves, 1000), "loss_at_risk")

    assert (finding.found, finding.verdict) == (pytest.approx(1.5), "FAIL")


def test_the_percent_of_price_check_is_off_until_asked_for() -> None:
    wide = [sleeve(usd=250.0, stop_pct=3.0)]

    assert validate(wide, 1000).status == "PASS"
    asked = validate(wide, 1000, ValidationLimits(check_stop_pct=True))
    assert (found(asked, "stop").limit, found(asked, "stop").found, asked.status) == (1, 3, "FAIL")
    assert found(validate([sleeve(stop_pct=1.0)], 1000, ValidationLimits(check_stop_pct=True)), "stop").verdict == "PASS"


def test_no_stop_at_all_is_beyond_any_percent_of_price() -> None:
    sleeves = [sleeve("a", stop_pct=0.5), sleeve("b", stop_pct=None)]

    finding = found(validate(sleeves, 1000, ValidationLimits(check_stop_pct=True)), "stop")

    assert (finding.found, finding.verdict) == (0.5, "FAIL")
    assert finding.detail.startswith("No stop: b@SPY.")


def test_more_than_the_capital_fails_and_then_its_drawdown_has_no_meaning() -> None:
    report = validate([sleeve("a", 400.0), sleeve("b", 400.0), sleeve("c", 400.0)], 1000)

    assert (found(report, "exposure").found, found(report, "exposure").verdict) == (pytest.approx(120), "FAIL")
    assert (found(report, "drawdown").found, found(report, "drawdown").verdict) == (None, "NOT MEASURABLE")


def test_drawdown_is_that_of_the_sleeves_together_with_their_cash() -> None:
    # 300 falls to 270 and 240 and the other 300 stands still: 1000, 970, 940.
    falling = sleeve("a", returns=pd.Series([-0.1, 240 / 270 - 1], SESSIONS[:2]))
    still = sleeve("b", returns=pd.Series([0.0, 0.0], SESSIONS[:2]))

    finding = found(validate([falling, still], 1000), "drawdown")

    assert (finding.found, finding.verdict) == (pytest.approx(6.0), "FAIL")
    assert found(validate([falling, still], 3000), "drawdown").found == pytest.approx(2.0)
    assert found(validate([falling, still], 3001), "drawdown").verdict == "PASS"


def test_a_portfolio_that_only_rose_has_a_drawdown_of_zero() -> None:
    finding = found(validate([sleeve(returns=pd.Series([0.1, 0.1], SESSIONS[:2]))], 1000), "drawdown")

    assert str(finding.found) == "0.0"


@pytest.mark.parametrize("returns", [None, pd.Series(dtype=np.float64)])
def test_without_returns_drawdown_is_not_measurable(returns: pd.Series | None) -> None:
    finding = found(validate([sleeve("bare", returns=returns)], 1000), "drawdown")

    assert (finding.found, finding.verdict, finding.detail) == (None, "NOT MEASURABLE", "No returns are known: bare@SPY.")


def test_a_close_pair_fails_and_an_offsetting_one_passes() -> None:
    same = [sleeve("a"), sleeve("b")]
    offsetting = [sleeve("a"), sleeve("b", returns=-pd.Series(UP_DOWN, SESSIONS))]

    assert found(validate(same, 1000), "correlation").verdict == "FAIL"
    assert found(validate(same, 1000), "correlation").detail.startswith("a@SPY and b@SPY 1.")
    assert found(validate(offsetting, 1000), "correlation").found == pytest.approx(-1)
    assert found(validate(offsetting, 1000), "correlation").verdict == "PASS"


def test_a_pair_without_a_correlation_is_not_taken_for_unrelated() -> None:
    flat = [sleeve("a"), sleeve("b", returns=pd.Series([0.0] * 4, SESSIONS))]
    unknown = [sleeve("a"), sleeve("b", returns=None)]

    for sleeves in (flat, unknown):
        finding = found(validate(sleeves, 1000), "correlation")
        assert (finding.found, finding.verdict) == (None, "NOT MEASURABLE")
        assert finding.detail.endswith("a@SPY and b@SPY.")


def test_one_sleeve_has_no_pairs() -> None:
    finding = found(validate([sleeve()], 1000), "correlation")

    assert (finding.found, finding.verdict, finding.detail) == (None, "PASS", "One sleeve has no pairs.")


def test_the_busiest_day_of_all_sleeves_counts() -> None:
    intraday = trades(["2024-01-02 09:35", "2024-01-02 11:00", "2024-01-03 09:35"])
    two = [sleeve("a", trades=intraday), sleeve("b", trades=trades(["2024-01-02"]))]
    three = [*two, sleeve("c", trades=trades(["2024-01-02 15:00"]))]

    assert (found(validate(two, 1000), "trades_a_day").found, found(validate(two, 1000), "trades_a_day").verdict) == (3, "PASS")
    assert found(validate(three, 1000), "trades_a_day").verdict == "FAIL"
    assert found(validate(three, 1000), "trades_a_day").detail.startswith("on 2024-01-02.")


def test_unknown_trades_cannot_hide_a_day_that_is_too_busy() -> None:
    busy = trades(["2024-01-02"] * 4)

    assert found(validate([sleeve("a", trades=None)], 1000), "trades_a_day").verdict == "NOT MEASURABLE"
    assert found(validate([sleeve("a", trades=None), sleeve("b", trades=busy)], 1000), "trades_a_day").verdict == "FAIL"
    assert found(validate([sleeve(trades=trades([]))], 1000), "trades_a_day").found == 0


# --- what cannot be ---


@pytest.mark.parametrize("stop_pct", [0.0, -1.0, math.nan, math.inf])
def test_a_stop_that_is_none_is_refused(stop_pct: float) -> None:
    with pytest.raises(ConfigError, match="stop_pct of a@SPY: expected above 0, or None for no stop"):
        sleeve(stop_pct=stop_pct)


@pytest.mark.parametrize("usd", [0.0, -1.0, math.nan, math.inf])
def test_money_that_is_none_is_refused(usd: float) -> None:
    with pytest.raises(ConfigError, match="allocated_usd of a@SPY: expected above 0"):
        sleeve(usd=usd)
    with pytest.raises(ConfigError, match="capital_usd: expected above 0"):
        validate([sleeve()], usd)


def test_a_position_larger_than_its_sleeve_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"at most its 300.00 USD, found 301"):
        sleeve(usd=300.0, position_usd=301.0)


def test_no_sleeves_and_a_sleeve_given_twice_are_refused() -> None:
    with pytest.raises(DataError, match="expected one sleeve or more, found none"):
        validate([], 1000)
    with pytest.raises(DataError, match="each sleeve once, found a@SPY twice"):
        validate([sleeve(), sleeve()], 1000)


def test_returns_of_other_sessions_are_refused() -> None:
    late = pd.Series(UP_DOWN, SESSIONS + pd.Timedelta(days=7))

    with pytest.raises(DataError, match=r"Returns of b@SPY: expected the sessions of a@SPY, found others"):
        validate([sleeve("a"), sleeve("b", returns=late)], 1000)


@pytest.mark.parametrize("wrong", [math.nan, -1.0])
def test_returns_that_no_account_can_have_are_refused(wrong: float) -> None:
    with pytest.raises(DataError, match="Returns of a@SPY: expected fractions above -1"):
        validate([sleeve(returns=pd.Series([0.1, wrong], SESSIONS[:2]))], 1000)


@pytest.mark.parametrize(
    ("limit", "why"),
    [
        ({"max_position_pct": 0.0}, "max_position_pct: expected above 0 and at most 100, found 0"),
        ({"max_drawdown_pct": 101.0}, "max_drawdown_pct: expected above 0 and at most 100"),
        ({"max_loss_at_risk_pct": math.nan}, "max_loss_at_risk_pct"),
        ({"max_correlation": 7.0}, "max_correlation: expected -1 to 1, found 7"),
        ({"max_trades_a_day": 0}, "max_trades_a_day: expected 1 or more, found 0"),
        ({"deviations_without_stop": 0.0}, "deviations_without_stop: expected above 0"),
    ],
)
def test_limits_that_make_no_sense_are_refused(limit: dict[str, float], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        ValidationLimits(**limit)  # type: ignore[arg-type]


# --- the report ---


def test_the_report_as_text() -> None:
    report = ValidationReport(
        1000.0,
        {"a@SPY": 450.0, "b@QQQ": 250.0},
        (
            Finding("position", 40.0, 45.0, "% of capital", "FAIL", "a@SPY 45. Give it less, or cap its positions."),
            Finding("correlation", 0.7, 0.25, "", "PASS", "a@SPY and b@QQQ"),
            Finding("trades_a_day", 3.0, None, "", "NOT MEASURABLE", "No trades are known: a@SPY."),
        ),
    )

    assert report.to_text().splitlines() == [
        "Validation: FAIL. Of 3 rules 1 passed, 1 broken, 1 not measurable.",
        "",
        "rule          limit               found  verdict",
        "position      <= 40 % of capital  45     FAIL            a@SPY 45. Give it less, or cap its positions.",
        "correlation   <= 0.7              0.25   PASS            a@SPY and b@QQQ",
        "trades_a_day  <= 3                -      NOT MEASURABLE  No trades are known: a@SPY.",
        "",
        "Of 1,000.00 USD: a@SPY 450.00 USD, b@QQQ 250.00 USD.",
    ]


def test_the_report_as_json_holds_every_finding_and_null_for_what_was_not_measured() -> None:
    report = validate([sleeve(usd=np.float64(250), trades=None)], np.int64(1000))  # type: ignore[arg-type]

    read = json.loads(report.to_json())

    assert read == report.as_dict()
    assert (read["status"], read["capital_usd"], read["allocated_usd"]) == ("WARN", 1000, {"a@SPY": 250})
    assert [finding["rule"] for finding in read["findings"]] == [
        "position", "loss_at_risk", "exposure", "drawdown", "correlation", "trades_a_day",
    ]  # fmt: skip
    assert read["findings"][-1] == {
        "rule": "trades_a_day",
        "limit": 3.0,
        "found": None,
        "unit": "",
        "verdict": "NOT MEASURABLE",
        "detail": "No trades are known: a@SPY.",
    }
