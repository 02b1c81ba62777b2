"""Inputs of replayed sessions: bars, signals, filter answers, splits and delistings as each decision read them."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.errors import DataError
from core.frames import SESSION
from features.regime import with_vix
from pipeline.accounts.recorded_actions import restated
from pipeline.signals import signals_of
from trading.strategies.vix_filter import rule_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml.entry_filter.predict import EntryFilter
    from pipeline.accounts.recorded_actions import Action
    from pipeline.audit.vintages import BarVintages
    from trading.delistings import Delisting
    from trading.strategies.base import Strategy


@dataclass(frozen=True)
class SessionInputs:
    """Bars, signals and filter answers of each replayed session.

    Attributes
    ----------
    sessions
        Tz-naive midnights, ascending.
    bars
        BARS of each session that had one, as known at its decision.
    signals
        SIGNALS with strategy, symbol, open and close of each session that had a bar.
    accept
        The entry filter's answers: strategy (the rule's name), symbol, session, probability, accept; None without a filter.
    splits
        Recorded splits by the session from which on the bars are re-scaled for them, each with its symbol.
    delistings
        Those on record today, whenever they came to be known.
    """

    sessions: pd.DatetimeIndex
    bars: Mapping[pd.Timestamp, pd.DataFrame]
    signals: Mapping[pd.Timestamp, pd.DataFrame]
    accept: pd.DataFrame | None
    splits: Mapping[pd.Timestamp, Sequence[tuple[str, Action]]] = field(default_factory=dict)
    delistings: tuple[Delisting, ...] = ()


def session_inputs(
    vintages: BarVintages,
    strategies: Sequence[Strategy],
    model: EntryFilter | None = None,
    actions: Mapping[str, Sequence[Action]] | None = None,
) -> SessionInputs:
    """Return bars, signals and the filter's answers of every session, point-in-time."""
    bars, signals, answers = [], [], []
    for symbol in sorted(vintages.versions):
        for vintage in vintages.of_symbol(symbol):
            if vintage.bars.empty:
                continue
            whole = with_vix(vintage.bars, vintage.vix)
            rows = signals_of(strategies, whole)
            bars.append(vintages.rows(vintage, vintage.bars))
            signals.append(vintages.rows(vintage, rows))
            if model is not None:
                answers.append(_predictions(model, vintage.bars, vintage.vix, signals[-1][signals[-1]["entry"] != 0]))
    if not bars or all(part.empty for part in bars):
        raise DataError(
            f"No bar from {vintages.sessions[0]:%Y-%m-%d} to {vintages.sessions[-1]:%Y-%m-%d}. Load some: `desk ingest`."
        )
    return SessionInputs(
        vintages.sessions,
        _by_session(bars),
        _by_session(signals),
        None if model is None else _stacked_answers(answers),
        _splits(vintages, actions or {}),
    )


def _splits(vintages: BarVintages, actions: Mapping[str, Sequence[Action]]) -> dict[pd.Timestamp, list[tuple[str, Action]]]:
    """Return the splits by the session from which on a symbol's vintage is re-scaled for them."""
    splits: dict[pd.Timestamp, list[tuple[str, Action]]] = {}
    for symbol in sorted(set(actions) & set(vintages.versions)):
        waiting = list(actions[symbol])
        for before, after in pairwise(vintages.of_symbol(symbol)):
            both = before.bars.merge(after.bars, on="session", suffixes=("", "_after"))
            if both.empty or after.first >= len(vintages.sessions):
                continue
            old, new = (float(both[name].iloc[-1]) for name in ("close", "close_after"))
            start = vintages.sessions[after.first]
            due = [action for action in waiting if pd.Timestamp(action.session) <= start]
            done = restated(old, (new, new, new), [action.value for action in reversed(due)])  # the latest come first
            if done:
                splits.setdefault(start, []).extend((symbol, action) for action in due[-done:])
                waiting = waiting[len(due) :]
    return splits


def _predictions(model: EntryFilter, bars: pd.DataFrame, vix: pd.DataFrame, entries: pd.DataFrame) -> pd.DataFrame:
    """Return the filter's answers about a symbol's entries; none where every feature is missing, as from the API."""
    from core.frames import FEATURES
    from features.build import build_features

    features = build_features(bars, vix)
    usable = features[features[list(FEATURES)].notna().any(axis=1)]
    candidates = entries[["strategy", "session"]].assign(strategy=[rule_name(name) for name in entries["strategy"]])
    wanted = candidates.merge(usable, on="session")
    wanted = wanted[wanted["strategy"].isin(model.strategies)]
    keys = wanted[["strategy", "symbol", "session"]].reset_index(drop=True)
    if wanted.empty:
        return keys
    judged = model.predict(wanted)
    return keys.assign(**{name: judged[name].to_numpy() for name in ("probability", "accept")})


def _stacked_answers(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the answers about all symbols: strategy, symbol, session, probability, accept."""
    given = [part for part in parts if not part.empty]
    if given:
        return pd.concat(given, ignore_index=True)
    kinds = {"strategy": "object", "symbol": "object", "session": SESSION, "probability": "float64", "accept": "bool"}
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})


def _by_session(parts: Sequence[pd.DataFrame]) -> dict[pd.Timestamp, pd.DataFrame]:
    """Return the rows of each session, sorted by symbol."""
    whole = pd.concat(parts, ignore_index=True).sort_values(["session", "symbol"], ignore_index=True)
    days = whole["session"].to_numpy()
    starts = np.flatnonzero(np.r_[True, days[1:] != days[:-1]]) if len(days) else np.array([], dtype=np.int64)
    ends = [*starts[1:].tolist(), len(days)]
    return {
        pd.Timestamp(days[start]): whole.iloc[start:end].reset_index(drop=True)
        for start, end in zip(starts.tolist(), ends, strict=True)
    }
