"""Arms, paired comparison and the decision."""

from __future__ import annotations

import datetime as dt
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import DataError
from core.sessions import sessions_between
from ml.ab_testing.ab_test import AbTestTerms, Comparison, Decision, Kind, arm_of, decide_ab_test, name_of
from tests.properties import examples

SESSIONS = sessions_between(dt.date(2020, 1, 2), dt.date(2020, 12, 31))
DAY = dt.date(2020, 3, 4)


def candidates(gain: float, sessions: int = 60, seed: int = 3, noise: float = 0.01) -> pd.DataFrame:
    """Six candidates a session; the challenger alone takes three of them and these earn `gain` on average."""
    rng = np.random.default_rng(seed)
    days = np.repeat(SESSIONS[:sessions], 6)
    takes = np.tile([1, 1, 1, 0, 0, 0], sessions).astype(bool)
    return pd.DataFrame(
        {
            "symbol": np.tile(list("ABCDEF"), sessions),
            "session": days,
            "arm": rng.choice(["1", "2"], len(days)),
            "net_return": np.where(takes, gain, 0.0) + rng.normal(0, noise, len(days)),
            "accept_1": False,
            "accept_2": takes,
        }
    )


def best_of(decision: Decision) -> Comparison:
    return min(decision.comparisons, key=lambda each: each.p_value)


def test_an_experiment_is_named_by_its_versions_whatever_their_order() -> None:
    assert name_of("entry-filter", "9", ["11", "10"], DAY) == "entry-filter:9-vs-10+11@2020-03-04"


def test_the_arm_of_a_candidate_is_the_same_for_ever() -> None:
    assert arm_of("entry-filter:1-vs-2", "SPY", DAY, champion="1", challengers=["2"]) == "2"  # first digest byte 0x24
    assert arm_of("entry-filter:1-vs-2", "SPY", DAY, champion="1", challengers=["2"]) == "2"


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 1.0])
def test_the_arms_share_the_candidates_as_set(share: float) -> None:
    arms = Counter(
        arm_of("e", f"S{n}", day.date(), champion="1", challengers=["2", "3"], share=share)
        for n in range(40)
        for day in SESSIONS
    )
    drawn = 40 * len(SESSIONS)
    assert arms["1"] / drawn == pytest.approx(1 - share, abs=0.015)
    assert arms["2"] / drawn == pytest.approx(share / 2, abs=0.015)
    assert arms["3"] / drawn == pytest.approx(share / 2, abs=0.015)


def test_the_arm_says_nothing_about_that_of_the_next_session_or_symbol() -> None:
    def takes(symbol: str, day: pd.Timestamp) -> bool:
        return arm_of("e", symbol, day.date(), champion="1", challengers=["2"]) == "2"

    drawn = np.array([[takes(f"S{n}", day) for day in SESSIONS] for n in range(30)], dtype=float)
    assert abs(np.corrcoef(drawn[:, 1:].ravel(), drawn[:, :-1].ravel())[0, 1]) < 0.03
    assert abs(np.corrcoef(drawn[1:].ravel(), drawn[:-1].ravel())[0, 1]) < 0.03


def test_the_effect_is_what_the_challenger_would_have_earned_more_a_candidate() -> None:
    frame = pd.DataFrame(
        {
            "symbol": ["A", "B", "C", "D"],
            "session": SESSIONS[[0, 0, 1, 2]],
            "arm": ["1", "2", "2", "1"],
            "net_return": [0.04, -0.02, 0.01, 0.03],
            "accept_1": [True, True, False, True],
            "accept_2": [True, False, True, True],
        }
    )
    found = decide_ab_test(frame, SESSIONS[:3], "1", ["2"], AbTestTerms(sessions=10)).comparisons[0]

    assert found.paired.value == pytest.approx((0.02 + 0.01) / 4), "B refused saves 2 %, C taken earns 1 %"
    assert (found.candidates, found.pairs, found.blocks) == (4, 2, 1)
    assert found.assigned is not None
    assert found.assigned.value == pytest.approx((0.0 + 0.01) / 2 - (0.04 + 0.03) / 2)
    assert found.paired.low is None, "three sessions are too few to resample"


def test_before_the_agreed_sessions_nothing_is_decided() -> None:
    decision = decide_ab_test(candidates(0.05, 4), SESSIONS[:4], "1", ["2"], AbTestTerms())

    assert decision.kind is Kind.EXTEND
    assert decision.reason == "It is decided after 5 sessions; 4 of 4 sessions are settled."


def test_a_week_is_extended_for_want_of_blocks_however_good_the_challenger_looks() -> None:
    decision = decide_ab_test(candidates(0.05, 5), SESSIONS[:5], "1", ["2"], AbTestTerms())

    assert decision.kind is Kind.EXTEND
    assert "15 settled candidates in 2 blocks of 3 sessions" in decision.reason


def test_a_clearly_better_challenger_is_promoted_with_its_evidence() -> None:
    decision = decide_ab_test(candidates(0.01, 30), SESSIONS[:30], "1", ["2"], AbTestTerms())

    found = decision.comparisons[0]
    assert (decision.kind, decision.challenger) == (Kind.PROMOTE, "2")
    assert found.paired.low is not None
    assert 0 < found.paired.low < found.paired.value < (found.paired.high or 0)
    assert found.p_value == pytest.approx(2**-10), "ten blocks, each in its favour: one pattern of 1,024"
    assert "90 pairs" in decision.reason


def test_no_difference_keeps_the_champion_and_says_inconclusive() -> None:
    decision = decide_ab_test(candidates(0.0, 30), SESSIONS[:30], "1", ["2"], AbTestTerms())

    assert decision.kind is Kind.KEEP
    assert decision.reason.startswith("Inconclusive, the champion stays")
    assert "needs p of 0.025 or less" in decision.reason


def test_a_worse_challenger_is_called_worse() -> None:
    decision = decide_ab_test(candidates(-0.01, 30), SESSIONS[:30], "1", ["2"], AbTestTerms())

    assert decision.kind is Kind.KEEP
    assert decision.reason.startswith("The champion is better than version 2")


def test_models_that_never_disagree_are_kept_apart_for_as_long_as_agreed_and_then_not() -> None:
    same = candidates(0.0).assign(accept_2=False)

    assert decide_ab_test(same[same["session"] < SESSIONS[59]], SESSIONS[:59], "1", ["2"], AbTestTerms()).kind is Kind.EXTEND
    last = decide_ab_test(same, SESSIONS[:60], "1", ["2"], AbTestTerms())
    assert last.kind is Kind.KEEP
    assert last.reason.startswith("Inconclusive after 60 sessions, the champion stays: 0 settled candidates")


def test_no_candidates_at_all_is_extended() -> None:
    decision = decide_ab_test(candidates(0.0).iloc[:0], SESSIONS[:20], "1", ["2"], AbTestTerms())

    assert decision.kind is Kind.EXTEND
    assert decision.comparisons[0].p_value == 1.0


def test_sessions_after_an_unknown_outcome_do_not_count_yet() -> None:
    frame = candidates(0.01, 30)
    frame.loc[frame["session"] == SESSIONS[20], "net_return"] = np.nan

    decision = decide_ab_test(frame, SESSIONS[:30], "1", ["2"], AbTestTerms())

    assert decision.sessions == 20
    assert decision.comparisons[0].candidates == 120


def test_the_best_of_several_challengers_must_beat_the_luck_of_several() -> None:
    frame = candidates(0.01, 60)
    frame["accept_3"] = np.random.default_rng(1).random(len(frame)) < 0.5
    good = decide_ab_test(frame, SESSIONS[:60], "1", ["2", "3"], AbTestTerms())
    assert (good.kind, good.challenger) == (Kind.PROMOTE, "2")
    assert good.spa is not None
    assert good.spa <= 0.025

    lucky = candidates(0.0, 60, seed=5)
    for k in range(2, 22):
        lucky[f"accept_{k}"] = np.random.default_rng(k).random(len(lucky)) < 0.5
    everyone = decide_ab_test(lucky, SESSIONS[:60], "1", [str(k) for k in range(2, 22)], AbTestTerms())
    alone = decide_ab_test(lucky, SESSIONS[:60], "1", [str(best_of(everyone).challenger)], AbTestTerms())
    assert everyone.kind is Kind.KEEP
    assert best_of(everyone).p_value > 3 * alone.comparisons[0].p_value, "it was the best of twenty"


def test_arms_that_say_the_opposite_stop_a_promotion() -> None:
    frame = candidates(0.01, 60, noise=0.002)
    frame["arm"] = np.where(frame["accept_2"], "1", "2")  # the challenger was given what it refuses
    frame["accept_1"] = frame["session"] < SESSIONS[0]
    frame.loc[~frame["accept_2"], ["accept_2", "net_return"]] = [True, -0.001]

    decision = decide_ab_test(frame, SESSIONS[:60], "1", ["2"], AbTestTerms())

    assert decision.kind is Kind.KEEP
    assert "the assigned arms say the opposite" in decision.reason


def test_a_candidate_of_no_session_is_refused() -> None:
    frame = candidates(0.0, 3).assign(session=pd.Timestamp("2020-06-06"))

    with pytest.raises(DataError, match="2020-06-06, which is no session of it"):
        decide_ab_test(frame, SESSIONS[:3], "1", ["2"], AbTestTerms())


@settings(max_examples=examples(30), deadline=None)
@given(seed=st.integers(0, 10_000), gain=st.floats(-0.02, 0.02))
def test_exchanging_the_names_turns_the_effect_and_never_promotes_both(seed: int, gain: float) -> None:
    frame = candidates(gain, 36, seed)
    swapped = frame.rename(columns={"accept_1": "accept_2", "accept_2": "accept_1"})

    one = decide_ab_test(frame, SESSIONS[:36], "1", ["2"], AbTestTerms(resamples=200))
    other = decide_ab_test(swapped, SESSIONS[:36], "1", ["2"], AbTestTerms(resamples=200))

    assert one.comparisons[0].paired.value == pytest.approx(-other.comparisons[0].paired.value)
    assert not one.kind is other.kind is Kind.PROMOTE
