"""A bounded sample of the simulations behind docs/ab-testing.md."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ml.ab_testing.ab_test import AbTestTerms, Kind, decide_ab_test
from ml.ab_testing.simulate import WORLDS, World, draw, judged, promotions
from tests.unit.ml.ab_testing.test_ab_test import SESSIONS, candidates

TERMS = AbTestTerms(resamples=400)
NOMINAL, TESTS = 0.05, 1000
LUCK = 3 * np.sqrt(NOMINAL * (1 - NOMINAL) / TESTS)


@pytest.mark.parametrize("name", WORLDS)
def test_without_a_difference_a_challenger_is_promoted_no_more_often_than_agreed(name: str) -> None:
    found = judged(WORLDS[name], TERMS, tests=TESTS)

    assert found.promoted <= NOMINAL
    assert found.decided > 0.99


def test_the_bootstrap_alone_would_promote_too_often_in_a_week() -> None:
    assert promotions(WORLDS["lasting dislikes"], 5, TERMS, tests=TESTS).bootstrap > NOMINAL + LUCK


def test_power_grows_with_the_effect_and_with_the_samples() -> None:
    world = WORLDS["lasting dislikes"]
    by_effect = [promotions(world, 30, TERMS, effect=effect, tests=400).judge for effect in (0.0, 0.005, 0.01)]
    by_length = [promotions(world, sessions, TERMS, effect=0.005, tests=400).judge for sessions in (24, 60)]

    assert by_effect == sorted(by_effect)
    assert by_effect[-1] > 0.8
    assert by_length[1] > by_length[0] + 0.2


def test_few_candidates_are_seldom_decided_in_time() -> None:
    found = judged(replace(World(), chance=0.01), TERMS, tests=200)

    assert found.promoted == 0
    assert found.decided < 0.1


def test_the_market_made_up_has_the_moments_it_claims() -> None:
    world = World(symbols=1, chance=1.0, disagree=1.0, common=0.0, held=5)
    found = draw(world, 0.0, 400, 50, np.random.default_rng(1))

    assert found.gains.std() == pytest.approx(0.015, rel=0.1)
    assert found.gains.mean() == pytest.approx(0.0, abs=0.0005)
    assert (found.candidates == 1).all()
    assert (found.disagreed == 1).all()


def test_the_simulated_rule_is_the_judges() -> None:
    """One test, as the simulation sees it and as the judge does."""
    promoted = decide_ab_test(candidates(0.01, 24), SESSIONS[:24], "1", ["2"], TERMS)
    kept = decide_ab_test(candidates(0.0, 24), SESSIONS[:24], "1", ["2"], TERMS)
    from ml.ab_testing.ab_test import tally
    from ml.ab_testing.simulate import Drawn, _rules

    for frame, decision in ((candidates(0.01, 24), promoted), (candidates(0.0, 24), kept)):
        found = tally(frame, SESSIONS[:24], "1", ["2"])
        one = Drawn(*(each.reshape(1, -1) for each in (found.gains, found.gains**2, found.candidates, found.disagreed)))
        assert bool(_rules(one, TERMS)[3][0]) == (decision.kind is Kind.PROMOTE)
