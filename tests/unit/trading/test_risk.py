"""The limits that the backtest and the running desk share: half a size in a drawdown, and their text in stored keys."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.risk import Limits, grant


def test_half_of_the_risk_and_half_of_the_largest_position() -> None:
    terms = Limits(0.25, 40.0, halve_drawdown_pct=15.0).terms()
    peak = 100_000.0
    for equity, part in ((85_000.0, 1.0), (84_999.0, 0.5), (100_000.0, 1.0)):
        by_stop, _ = grant(100.0, 2.0, equity, 0.0, 0, peak, terms)
        without, _ = grant(100.0, float("nan"), equity, 0.0, 0, peak, terms)
        assert by_stop == pytest.approx(part * equity * 0.0025 / 2.0)
        assert without == pytest.approx(part * equity * 0.4 / 100.0)


@settings(deadline=None)  # the kernel compiles on first use
@given(
    price=st.floats(1, 1_000),
    stop=st.floats(0.1, 50) | st.just(float("nan")),
    equity=st.floats(1_000, 1e6),
    peak=st.floats(1_000, 1e6),
    exposure=st.floats(0, 1e6),
)
def test_halving_never_makes_a_position_larger_and_off_is_never(
    price: float, stop: float, equity: float, peak: float, exposure: float
) -> None:
    whole, verdict = grant(price, stop, equity, exposure, 0, peak, Limits().terms())
    halved, _ = grant(price, stop, equity, exposure, 0, peak, Limits(halve_drawdown_pct=15.0).terms())
    under = equity < peak * 0.85
    assert whole / 2 - 1e-6 <= halved <= whole
    assert under or halved == whole
    assert grant(price, stop, equity, exposure, 0, peak, Limits(halve_drawdown_pct=100.0).terms()) == (whole, verdict)


def test_a_halving_that_is_off_is_not_in_the_text_that_stored_trials_are_keyed_by() -> None:
    text = (
        "Limits(risk_per_trade_pct=0.25, max_position_pct=40.0, max_positions=3, max_exposure_pct=100.0, max_drawdown_pct=None)"
    )
    assert str(Limits()) == text
    assert str(Limits(halve_drawdown_pct=15.0)) == text.replace(")", ", halve_drawdown_pct=15.0)")
