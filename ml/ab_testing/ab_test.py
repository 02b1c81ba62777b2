"""Champion against challengers on the same candidates: the arm of each, the comparison, and the rule of promotion.

Pure: it loads no model and stores nothing. Every candidate is scored by every model, so two models are compared on all of them
(counterfactually: what each would have earned), and, with far less power, on those that each was assigned.

A session's candidates share its market, and a model that rejects a symbol today mostly rejects it tomorrow. So whole blocks of
sessions are drawn or flipped, never candidates. `docs/ab-testing.md` has the simulations behind the defaults of
`AbTestTerms`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd

from core.errors import DataError
from ml.samples.resampling import bounds, mean_interval, resample_weights, sign_flip

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SPA_SESSIONS: Final = 20  # Hansen's test is not defined for fewer


class Kind(StrEnum):
    """The kinds of decision."""

    PROMOTE = "promote"
    KEEP = "keep"
    EXTEND = "extend"


@dataclass(frozen=True)
class AbTestTerms:
    """Terms of an A/B test, fixed before the first outcome is known.

    Attributes
    ----------
    share
        Of the candidates that challengers decide, 0 to 1.
    sessions, most_sessions
        After how many it is decided, and how far it is extended for want of samples (never for want of significance).
    least_pairs, least_blocks
        Settled candidates on which the models disagreed, and blocks of sessions that hold one.
    block_sessions
        Sessions that are flipped, and on average drawn, together.
    level
        Of the interval; a promotion needs evidence of half of the rest, 2.5 % for 0.95.
    """

    share: float = 0.5
    sessions: int = 5
    most_sessions: int = 60
    least_pairs: int = 12
    least_blocks: int = 8
    block_sessions: int = 3
    level: float = 0.95
    resamples: int = 2000
    seed: int = 7


class Effect(NamedTuple):
    """A difference to the champion in mean net return a candidate (fraction of its notional), with its interval.

    `low` and `high` are None where there are too few sessions to resample.
    """

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Comparison:
    """One challenger against the champion.

    Attributes
    ----------
    candidates, pairs, blocks
        Settled candidates; those on which the two disagreed; blocks of sessions that hold one of these.
    paired
        On all candidates, both models asked.
    assigned
        On the candidates that each decided; None until both have decided some.
    p_value
        One-sided, of the sign-flip test over all challengers.
    """

    challenger: str
    candidates: int
    pairs: int
    blocks: int
    paired: Effect
    assigned: Effect | None
    p_value: float


@dataclass(frozen=True)
class Decision:
    """A decision, its reason, and the comparisons behind it; `spa` is Hansen's p-value where there are several challengers."""

    kind: Kind
    reason: str
    sessions: int
    challenger: str | None = None
    comparisons: tuple[Comparison, ...] = ()
    spa: float | None = None


class Tally(NamedTuple):
    """Sums of each session, shape (sessions,) or (sessions, challengers).

    Attributes
    ----------
    gains
        What the challenger would have earned more than the champion.
    candidates
        Settled candidates.
    disagreed
        Those that one of the two would have taken alone.
    """

    gains: Array
    candidates: Array
    disagreed: Array


def name_of(model: str, champion: str, challengers: Sequence[str], first: dt.date) -> str:
    """The experiment's name: another champion, other challengers or another beginning is another experiment."""
    return f"{model}:{champion}-vs-{'+'.join(sorted(challengers, key=_by_number))}@{first.isoformat()}"


def arm_of(
    experiment: str, symbol: str, session: dt.date, *, champion: str, challengers: Sequence[str], share: float = 0.5
) -> str:
    """The version that decides a candidate: the same for ever, and independent of anything known about it.

    SHA-256 of (experiment, symbol, session) as a number in [0, 1): under `share` a challenger, each an equal part of it.
    """
    digest = hashlib.sha256(f"{experiment}|{symbol}|{session.isoformat()}".encode()).digest()
    drawn = int.from_bytes(digest[:8], "big") / 2**64
    if not challengers or drawn >= share:
        return champion
    ordered = sorted(challengers, key=_by_number)
    return ordered[min(int(drawn / share * len(ordered)), len(ordered) - 1)]


def decide_ab_test(
    candidates: pd.DataFrame, sessions: pd.DatetimeIndex, champion: str, challengers: Sequence[str], terms: AbTestTerms
) -> Decision:
    """Compare the challengers with the champion on what is settled, and say what follows.

    Only sessions before the first one with an unknown outcome count: trades that end quickly are no fair sample of all.

    Parameters
    ----------
    candidates
        symbol, session, arm (the version that decided), net_return (fraction, NaN until known), and for each version a column
        `accept_<version>` (bool).
    sessions
        Of the exchange, from the experiment's first to the newest closed one.

    Returns
    -------
    Decision
        `extend` before `terms.sessions`, and after it while samples are too few and `most_sessions` have not passed.
    """
    settled, complete = _settled(candidates, sessions)
    compared, spa = _compare(settled, complete, champion, challengers, terms)
    seen = f"{len(complete)} of {len(sessions)} sessions are settled"
    if len(sessions) < terms.sessions:
        reason = f"It is decided after {terms.sessions} sessions; {seen}."
        return Decision(Kind.EXTEND, reason, len(complete), comparisons=compared, spa=spa)
    enough = [each for each in compared if each.pairs >= terms.least_pairs and each.blocks >= terms.least_blocks]
    if len(enough) < len(compared):
        return _too_few(compared, sessions, complete, terms, spa)
    best = min(compared, key=lambda each: (each.p_value, -each.paired.value))
    kind, reason = _decision(best, terms, spa, several=len(compared) > 1)
    promoted = best.challenger if kind is Kind.PROMOTE else None
    return Decision(kind, reason, len(complete), promoted, compared, spa)


def tally(settled: pd.DataFrame, sessions: pd.DatetimeIndex, champion: str, challengers: Sequence[str]) -> Tally:
    """Add up each session; one without candidates adds nothing."""
    row = sessions.get_indexer(pd.DatetimeIndex(settled["session"]))
    if (row < 0).any():
        raise DataError(
            f"A/B test: candidates of {settled.loc[row < 0, 'session'].iloc[0]:%Y-%m-%d}, which is no session of it."
        )
    net = settled["net_return"].to_numpy(dtype=np.float64)[:, None]
    theirs = np.column_stack([settled[f"accept_{version}"].to_numpy(dtype=np.float64) for version in challengers])
    differs = theirs - settled[f"accept_{champion}"].to_numpy(dtype=np.float64)[:, None]

    def by_session(values: Array) -> Array:
        found = np.zeros((len(sessions), values.shape[1]))
        np.add.at(found, row, values)
        return found

    return Tally(by_session(differs * net), by_session(np.ones((len(net), 1)))[:, 0], by_session(np.abs(differs)))


def _by_number(version: str) -> tuple[int, str]:
    return (int(version), "") if version.isdigit() else (0, version)


def _settled(candidates: pd.DataFrame, sessions: pd.DatetimeIndex) -> tuple[pd.DataFrame, pd.DatetimeIndex]:
    """Candidates and sessions before the first session with an outcome that is not known."""
    pending = candidates.loc[candidates["net_return"].isna(), "session"]
    if pending.empty:
        return candidates, sessions
    return candidates[candidates["session"] < pending.min()], sessions[sessions < pending.min()]


def _compare(
    settled: pd.DataFrame, sessions: pd.DatetimeIndex, champion: str, challengers: Sequence[str], terms: AbTestTerms
) -> tuple[tuple[Comparison, ...], float | None]:
    if settled.empty:
        return tuple(Comparison(version, 0, 0, 0, Effect(0.0, None, None), None, 1.0) for version in challengers), None
    found = tally(settled, sessions, champion, challengers)
    p_values = sign_flip(found.gains, terms.block_sessions, terms.resamples, terms.seed)
    weights = None
    if len(sessions) >= terms.least_blocks * terms.block_sessions:
        weights = resample_weights(len(sessions), terms.block_sessions, terms.resamples, terms.seed)
    starts = np.arange(0, len(sessions), terms.block_sessions)
    blocks = (np.add.reduceat(found.disagreed, starts, axis=0) > 0).sum(axis=0)
    compared = tuple(
        Comparison(
            challenger=version,
            candidates=len(settled),
            pairs=int(found.disagreed[:, k].sum()),
            blocks=int(blocks[k]),
            paired=_paired(found, k, weights, terms.level),
            assigned=_assigned(settled, sessions, champion, version, weights, level=terms.level),
            p_value=float(p_values[k]),
        )
        for k, version in enumerate(challengers)
    )
    return compared, _spa(found.gains, terms)


def _paired(found: Tally, k: int, weights: Array | None, level: float) -> Effect:
    value = float(found.gains[:, k].sum() / found.candidates.sum())
    if weights is None:
        return Effect(value, None, None)
    low, high = mean_interval(found.gains[:, k], found.candidates, weights, level)
    return _effect(value, low, high)


def _assigned(
    settled: pd.DataFrame, sessions: pd.DatetimeIndex, champion: str, version: str, weights: Array | None, *, level: float
) -> Effect | None:
    """Mean of what each earned on the candidates that it decided, refused ones earning nothing."""
    sums, counts = [], []
    for arm in (version, champion):
        decided = (settled["arm"] == arm).to_numpy(dtype=np.float64)
        earned = decided * settled[f"accept_{arm}"].to_numpy(dtype=np.float64) * settled["net_return"].to_numpy()
        row = sessions.get_indexer(pd.DatetimeIndex(settled["session"]))
        sums.append(np.bincount(row, earned, len(sessions)))
        counts.append(np.bincount(row, decided, len(sessions)))
    if not all(count.sum() for count in counts):
        return None
    theirs, ours = (float(total.sum() / count.sum()) for total, count in zip(sums, counts, strict=True))
    if weights is None:
        return Effect(theirs - ours, None, None)
    drawn = [total @ weights.T for total in sums], [count @ weights.T for count in counts]
    means = [
        np.divide(total, count, out=np.full(len(weights), np.nan), where=count > 0) for total, count in zip(*drawn, strict=True)
    ]
    return _effect(theirs - ours, *bounds(means[0] - means[1], level))


def _effect(value: float, low: Array, high: Array) -> Effect:
    """NaN, where a resample held no candidate, is no interval."""
    if not (np.isfinite(low) and np.isfinite(high)):
        return Effect(value, None, None)
    return Effect(value, float(low), float(high))


def _spa(gains: Array, terms: AbTestTerms) -> float | None:
    from research.snooping import superior

    if gains.shape[1] < 2 or len(gains) < SPA_SESSIONS:  # noqa: PLR2004  # one challenger is no search
        return None
    found = superior(gains, block=terms.block_sessions, resamples=terms.resamples, seed=terms.seed)
    return None if found is None else found.consistent


def _too_few(
    compared: tuple[Comparison, ...],
    sessions: pd.DatetimeIndex,
    complete: pd.DatetimeIndex,
    terms: AbTestTerms,
    spa: float | None,
) -> Decision:
    """Extend for want of samples, or keep the champion when that has lasted long enough."""
    fewest = min(compared, key=lambda each: (each.blocks, each.pairs))
    found = (
        f"{fewest.pairs} settled candidates in {fewest.blocks} blocks of {terms.block_sessions} sessions on which the models "
        f"disagreed; {terms.least_pairs} in {terms.least_blocks} are needed"
    )
    if len(sessions) < terms.most_sessions:
        return Decision(Kind.EXTEND, f"Too few samples: {found}.", len(complete), comparisons=compared, spa=spa)
    reason = f"Inconclusive after {len(sessions)} sessions, the champion stays: {found}."
    return Decision(Kind.KEEP, reason, len(complete), comparisons=compared, spa=spa)


def _decision(best: Comparison, terms: AbTestTerms, spa: float | None, *, several: bool) -> tuple[Kind, str]:
    """Promote when every test agrees; else say which did not."""
    needed = (1 - terms.level) / 2
    low, high = best.paired.low, best.paired.high
    shown = (
        f"{_bps(best.paired.value)} a candidate, {terms.level:.0%} interval {_bps(low)} to {_bps(high)}, p = {best.p_value:.4f}"
    )
    doubts = []
    if best.p_value > needed:
        doubts.append(f"the sign-flip test needs p of {needed:.3f} or less")
    if low is None or low <= 0:
        doubts.append("the interval does not lie above zero")
    if several and (spa is None or spa > needed):
        doubts.append(f"the best of several must pass Hansen's test (p = {'undefined' if spa is None else f'{spa:.4f}'})")
    if best.assigned is not None and best.assigned.high is not None and best.assigned.high < 0:
        doubts.append("the assigned arms say the opposite")
    if not doubts:
        return Kind.PROMOTE, f"Version {best.challenger} is better: {shown}, {best.pairs} pairs."
    if high is not None and high < 0:
        return Kind.KEEP, f"The champion is better than version {best.challenger}: {shown}."
    return Kind.KEEP, f"Inconclusive, the champion stays: version {best.challenger} at {shown}; {'; '.join(doubts)}."


def _bps(value: float | None) -> str:
    return "undefined" if value is None else f"{value * 1e4:+.1f} bps"
