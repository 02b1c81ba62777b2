"""Thousands of made-up A/B tests: how often the judge promotes without a reason, and how often with one.

Owns the made-up market. The judge's own functions are called, on all tests at once. Returns of candidates have a market in
common and fat tails, and overlap for as long as trades are held; two models disagree about a share of the candidates and stay
with their dislikes for days. The effect is what a disagreement earns the challenger on average; 0 is no difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy.signal import lfilter
from scipy.stats import norm

from ml.samples.resampling import mean_interval, resample_weights, sign_flip

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ml.ab_testing.ab_test import AbTestTerms

    Array = NDArray[np.float64]

TAILS: Final = 4.0  # degrees of freedom
CHUNK: Final = 500


@dataclass(frozen=True)
class World:
    """A market and two models.

    Attributes
    ----------
    symbols, chance
        Symbols, and the chance that one is a candidate in a session.
    volatility
        Standard deviation of a candidate's net return, a fraction.
    common
        Share of its variance that is the market's.
    held
        Sessions that a trade lasts; candidates of neighbouring sessions share that many less one.
    disagree
        Share of the candidates that one model alone would take.
    memory
        Autocorrelation, from session to session, of what the models disagree about.
    one_sided
        The challenger only refuses, so that all its gains are the market's losses.
    skewed
        Many small gains and few large losses, as behind a target and a wide stop.
    """

    symbols: int = 19
    chance: float = 0.3
    volatility: float = 0.015
    common: float = 0.3
    held: int = 3
    disagree: float = 0.3
    memory: float = 0.0
    one_sided: bool = False
    skewed: bool = False


WORLDS: Final[dict[str, World]] = {
    "nothing in common": World(common=0.0, held=1),
    "a market in common": World(),
    "lasting dislikes": World(memory=0.95, common=0.6),
    "lasting dislikes, trades of a week": World(memory=0.95, common=0.6, held=5),
    "the challenger only refuses": World(memory=0.9, common=0.6, one_sided=True),
    "many gains, few large losses": World(memory=0.5, skewed=True),
}


class Rates(NamedTuple):
    """Share of the tests in which a rule would have promoted, and the average number of disagreements.

    Attributes
    ----------
    naive
        A t-test of candidates as if each were independent of the others.
    bootstrap
        The stationary bootstrap's interval alone.
    flip
        The sign-flip test alone.
    decide_ab_test
        Both, and enough samples: what is done.
    decided
        Share of the tests with enough samples to be decided at all.
    """

    naive: float
    bootstrap: float
    flip: float
    judge: float
    decided: float
    pairs: float


class Judged(NamedTuple):
    """Tests that were extended until their samples sufficed, as the desk does.

    Attributes
    ----------
    promoted, decided
        Shares of the tests; those not decided ran out of time and kept the champion.
    sessions
        Average length.
    """

    promoted: float
    decided: float
    sessions: float


class Drawn(NamedTuple):
    """Made-up tests, each (tests, sessions): gains of the challenger and their squares, candidates, disagreements."""

    gains: Array
    squares: Array
    candidates: Array
    disagreed: Array

    def first(self, tests: NDArray[np.bool_], sessions: int) -> Drawn:
        """Some of the tests, as they stood after so many sessions."""
        return Drawn(*(each[tests, :sessions] for each in self))


def promotions(
    world: World, sessions: int, terms: AbTestTerms, *, effect: float = 0.0, tests: int = 2000, seed: int = 1
) -> Rates:
    """Judge many tests of one length in one world.

    Parameters
    ----------
    effect
        Mean net return that the challenger gains on a candidate on which the two disagree, a fraction.
    """
    rng = np.random.default_rng(seed)
    parts = [_rules(draw(world, effect, sessions, count, rng), terms) for count in _chunks(tests)]
    return Rates(*(float(np.concatenate(column).mean()) for column in zip(*parts, strict=True)))


def judged(world: World, terms: AbTestTerms, *, effect: float = 0.0, tests: int = 2000, seed: int = 1) -> Judged:
    """Run each test until it has enough samples, or out of time."""
    rng = np.random.default_rng(seed)
    parts = [_stopped(draw(world, effect, terms.most_sessions, count, rng), terms) for count in _chunks(tests)]
    return Judged(*(float(np.concatenate(column).mean()) for column in zip(*parts, strict=True)))


def draw(world: World, effect: float, sessions: int, tests: int, rng: np.random.Generator) -> Drawn:
    """Make up tests."""
    shape = (tests, sessions, world.symbols)
    returns = _returns(world, shape, rng)
    dislike = _memory(rng.standard_normal(shape), world.memory)
    edge = norm.ppf(1 - world.disagree / (1 if world.one_sided else 2))
    sign = np.where(dislike > edge, -1.0, np.where(dislike < -edge, 0.0 if world.one_sided else 1.0, 0.0))
    candidate = rng.random(shape) < world.chance
    disagreed = candidate & (sign != 0)
    gains = np.where(disagreed, sign * returns + effect, 0.0)
    parts = (gains, gains**2, candidate, disagreed)
    return Drawn(*(each.sum(axis=2).astype(np.float64) for each in parts))


def _chunks(tests: int) -> list[int]:
    return [min(CHUNK, tests - start) for start in range(0, tests, CHUNK)]


def _rules(found: Drawn, terms: AbTestTerms) -> tuple[Array, ...]:
    """Return the answer of each rule to each test; the attributes of `Rates`."""
    needed, sessions = (1 - terms.level) / 2, found.gains.shape[1]
    enough, pairs = _enough(found, terms)[:, -1], found.disagreed.sum(axis=1)
    flip = sign_flip(found.gains[..., None], terms.block_sessions, terms.resamples, terms.seed)[:, 0] <= needed
    weights = resample_weights(sessions, terms.block_sessions, terms.resamples, terms.seed)
    low, _ = mean_interval(found.gains, found.candidates, weights, terms.level)
    above = np.isfinite(low) & (low > 0)
    naive = found.gains.sum(axis=1) > norm.ppf(1 - needed) * np.sqrt(found.squares.sum(axis=1))
    return tuple(np.asarray(each, dtype=np.float64) for each in (naive, above, flip, enough & flip & above, enough, pairs))


def _stopped(found: Drawn, terms: AbTestTerms) -> tuple[Array, ...]:
    """Return the outcome of each test; the attributes of `Judged`."""
    enough = _enough(found, terms)
    enough[:, : terms.sessions - 1] = False
    decided = enough.any(axis=1)
    length = np.where(decided, enough.argmax(axis=1) + 1, terms.most_sessions)
    promoted = np.zeros(len(length))
    for sessions in np.unique(length[decided]):
        chosen = decided & (length == sessions)
        promoted[chosen] = _rules(found.first(chosen, int(sessions)), terms)[3]
    return tuple(np.asarray(each, dtype=np.float64) for each in (promoted, decided, length))


def _enough(found: Drawn, terms: AbTestTerms) -> NDArray[np.bool_]:
    """Return True where the samples suffice after a session, (tests, sessions)."""
    pairs = found.disagreed.cumsum(axis=1)
    before = np.zeros_like(pairs)
    before[:, 1:] = pairs[:, :-1]
    starts = np.arange(pairs.shape[1]) // terms.block_sessions * terms.block_sessions
    opens = (found.disagreed > 0) & (before == before[:, starts])  # the first disagreement of its block
    return np.asarray((pairs >= terms.least_pairs) & (opens.cumsum(axis=1) >= terms.least_blocks))


def _returns(world: World, shape: tuple[int, int, int], rng: np.random.Generator) -> Array:
    """Net returns of mean zero: `held` sessions of market and own moves each."""
    tests, sessions, symbols = shape
    longer = sessions + world.held - 1
    market = rng.standard_t(TAILS, (tests, longer, 1))
    own = rng.standard_t(TAILS, (tests, longer, symbols))
    moves = np.sqrt(world.common) * market + np.sqrt(1 - world.common) * own
    summed = sum(moves[:, start : start + sessions] for start in range(world.held))
    scaled: Array = np.asarray(summed) / np.sqrt(world.held * TAILS / (TAILS - 2))
    if world.skewed:  # three of four gain a third of what the fourth loses
        scaled = np.where(scaled > np.quantile(scaled, 0.25), 1.0, -3.0) / np.sqrt(3.0)
    return world.volatility * scaled


def _memory(noise: Array, kept: float) -> Array:
    """First-order autoregression of unit variance along the sessions."""
    scaled = np.concatenate([noise[:, :1], noise[:, 1:] * np.sqrt(1 - kept**2)], axis=1)
    found: Array = lfilter([1.0], [1.0, -kept], scaled, axis=1)
    return found
