"""An equity is believed when it is an amount, no farther off than what is held and traded can have moved it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.models import MOST_USD
from trading.drawdown import DrawdownLimits, Level
from trading.equity import MOVE_SHARE, SLACK_SHARE, EquityReferences, equity_doubt, is_amount

ABSURD = (0.0, -0.0, -1e-9, -5_000.0, math.nan, math.inf, -math.inf, MOST_USD, 1.7976931348623157e308)
amounts = st.floats(1e-3, 1e11)
anything = st.one_of(st.floats(), st.sampled_from(ABSURD))


def nothing() -> float:
    return 0.0


@pytest.mark.parametrize("equity", ABSURD)
def test_what_is_no_amount_is_never_believed_and_never_a_halt(equity: float) -> None:
    assert not is_amount(equity)
    for known in (EquityReferences((), None, 0.0, nothing), EquityReferences((equity,), equity, 1e9, lambda: 1e9)):
        assert (equity_doubt(equity, known) or "").startswith("expected a positive amount, found $")
    assert DrawdownLimits(1.0, 2.0).level(equity, 100_000.0) is Level.ALERT


@given(equity=anything, peak=anything)
def test_a_halt_needs_an_amount_under_the_limit(equity: float, peak: float) -> None:
    if DrawdownLimits(1.0, 2.0).level(equity, peak) is Level.HALT:
        assert is_amount(equity)
        assert math.isfinite(peak)
        assert equity <= peak * 0.98


@given(before=amounts, gross=st.floats(0, 1e11), traded=st.floats(0, 1e11), off=st.floats(-2, 2))
def test_it_is_believed_exactly_within_what_was_held_or_traded(before: float, gross: float, traded: float, off: float) -> None:
    room = MOVE_SHARE * max(gross, traded) + SLACK_SHARE * before
    equity = before + off * room

    doubt = equity_doubt(equity, EquityReferences((before,), None, gross, lambda: traded))

    if abs(abs(off) - 1) > 1e-6:
        assert (doubt is None) == (abs(off) < 1 and is_amount(equity))


@given(equity=amounts)
def test_the_first_equity_of_all_is_believed(equity: float) -> None:
    assert equity_doubt(equity, EquityReferences((), None, 0.0, nothing)) is None


@given(equity=amounts, before=amounts)
def test_what_the_books_explain_is_believed_however_far_it_moved(equity: float, before: float) -> None:
    assert equity_doubt(equity, EquityReferences((before,), equity, 0.0, nothing)) is None


@pytest.mark.parametrize(
    ("equity", "gross", "traded", "believed"),
    [
        (94_000.0, 20_000.0, 0.0, True),  # a fall of 30 % in all that is held
        (92_900.0, 20_000.0, 0.0, False),
        (99_100.0, 0.0, 0.0, True),  # fees
        (97_000.0, 0.0, 0.0, False),  # nothing is held, and 3 % are gone
        (97_000.0, 0.0, 20_000.0, True),  # lost in a trade since
        (1.0, 100_000.0, 100_000.0, False),
        (200_000.0, 100_000.0, 0.0, False),
    ],
)
def test_examples_from_a_hundred_thousand(equity: float, gross: float, traded: float, believed: bool) -> None:
    assert (equity_doubt(equity, EquityReferences((100_000.0,), None, gross, lambda: traded)) is None) is believed


def test_absurd_values_on_record_explain_nothing() -> None:
    known = EquityReferences((math.nan, 0.0, math.inf), None, math.nan, nothing)

    assert equity_doubt(100_000.0, known) is None
