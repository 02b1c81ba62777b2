"""Daily drift of features, scores and outcomes from the champion's training, and skew of the served features."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import structlog

from core.sessions import close_of, sessions_between
from pipeline.bars import VIX, bars_by_symbol, load_bars
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from ml.entry_filter.predict import EntryFilter
    from monitoring.drift import Drift
    from monitoring.skew import Mismatch
    from storage.market.bars import BarStore
    from storage.models.drift import DriftLog
    from storage.trading.served import Served
    from trading.costs import Costs
    from trading.strategies.base import Strategy

log = structlog.get_logger()
FEATURE, SCORE, OUTCOME, SKEW = "feature", "score", "outcome", "skew"
LEAST_WIN_RATE: Final = 0.1  # change of the win rate below which no alert is sent
SHOWN: Final = 5
ONLINE: Final = "online"


@dataclass(frozen=True)
class DriftMeasured:
    """Drift of a session.

    Attributes
    ----------
    measured
        Number of rows stored.
    drifted, new
        Names of what has drifted, and of those that had not on the session measured before.
    """

    session: str
    measured: int
    drifted: list[str]
    new: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


@dataclass(frozen=True)
class TrainingDue:
    """The answer to whether a drift starts a training, with its reason."""

    due: bool
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


@dataclass(frozen=True)
class SkewChecked:
    """Skew of a session: different vectors served, mismatches (goal 0), and stored vectors that broke their digest."""

    session: str
    served: int
    mismatches: int
    broken: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


@dataclass(frozen=True)
class _Reference:
    """The champion, and the settings of a comparison with its training."""

    champion: EntryFilter
    sessions: int
    psi: float

    def windows(self, sessions: pd.Series[Any]) -> NDArray[np.int64]:
        """Return the window of each row; see `monitoring.drift.windows_of`."""
        from monitoring.drift import windows_of

        through = np.datetime64(self.champion.trained_through, "ns")
        return windows_of(sessions.to_numpy(dtype="datetime64[ns]"), self.sessions, through)


def measure_drift(session: str, *, resources: Resources | None = None) -> DriftMeasured:
    """Compare the newest sessions with the champion's training, store the rows, and alert what has newly drifted."""
    from features.build import build_features

    resources = resources or live()
    day, settings, store, universe = dt.date.fromisoformat(session), resources.settings, resources.drift, resources.universe()
    reference = _Reference(resources.registry.champion(), settings.drift_sessions, settings.drift_psi)
    frame = build_features(*load_bars(resources.bars, session, universe))
    bars = bars_by_symbol(resources.bars, session, universe)
    measured = {
        FEATURE: _features(frame, reference),
        SCORE: _scores(frame, reference),
        OUTCOME: _outcomes(bars, resources.candidate_strategies, resources.costs, reference),
    }
    before = _drifted_before(store, day)
    rows = [{"family": family, **asdict(each), "detail": ""} for family, drifts in measured.items() for each in drifts]
    store.save(day, rows)
    drifted = [f"{row['family']} {row['name']}" for row in rows if row["alert"]]
    fresh = [name for name in drifted if name not in before]
    if fresh:
        resources.alerts.send(f"Drift on {session}: {', '.join(fresh[:SHOWN])}", _text(rows, settings.drift_sessions))
    return DriftMeasured(session, len(rows), drifted, fresh)


def training_due(drift: DriftMeasured, *, resources: Resources | None = None) -> TrainingDue:
    """Return whether a session's drift starts a training, and the reason.

    New drift does, unless a training is younger than `DRIFT_TRAINING_GAP_SESSIONS`: another would learn hardly more.
    """
    resources = resources or live()
    gap, fresh = resources.settings.drift_training_gap_sessions, drift.new
    if not fresh:
        return TrainingDue(due=False, reason="Nothing has newly drifted.")
    if gap is None:
        return TrainingDue(due=False, reason="DRIFT_TRAINING_GAP_SESSIONS is empty: drift is mailed and starts no training.")
    last = resources.registry.latest_training()["session"]
    age = len(sessions_between(dt.date.fromisoformat(last), dt.date.fromisoformat(drift.session))) - 1
    if age < gap:
        return TrainingDue(
            due=False, reason=f"The last training is {age} sessions old, of {last}; drift starts another from {gap} on."
        )
    return TrainingDue(due=True, reason=f"{', '.join(fresh)} drifted, and the last training is of {last}.")


def check_skew(session: str, *, resources: Resources | None = None) -> SkewChecked:
    """Recompute the features of a session's predictions from the bars known when each was served, and compare."""
    from monitoring.skew import is_whole

    resources = resources or live()
    day = dt.date.fromisoformat(session)
    served = _distinct(row for row in resources.served.read(close_of(day)) if row.session == day and row.source == ONLINE)
    broken = [row for row in served if not is_whole(row.features, row.feature_hash)]
    wrong = _mismatches(resources.bars, session, served)
    detail = "; ".join(f"{each.symbol}: {', '.join(each.columns[:SHOWN])}" for each in wrong[:SHOWN])
    counts = {"reference_count": 0, "recent_count": len(served)}
    nothing = dict.fromkeys(("psi", "p_value", "reference_mean", "recent_mean"))
    alert = bool(wrong or broken)
    row = {"name": "served_features", "statistic": float(len(wrong) + len(broken)), "alert": alert, "detail": detail}
    resources.drift.save(day, [{"family": SKEW, **nothing, **counts, **row}])
    if alert:
        resources.alerts.send(
            f"Skew on {session}: {len(wrong)} of {len(served)} served vectors differ from the recomputed ones",
            f"{detail}\n{len(broken)} stored vectors do not have their digest.\n"
            "Models score features that they were not trained on: check the materialisation and features/build.py before the "
            "next session.",
            "critical",
        )
    return SkewChecked(session, len(served), len(wrong), len(broken))


def _features(frame: pd.DataFrame, reference: _Reference) -> list[Drift]:
    from core.frames import FEATURES
    from monitoring.drift import feature_drift

    window = reference.windows(frame["session"])
    return [feature_drift(name, frame[name].to_numpy(dtype=np.float64), window, reference.psi) for name in FEATURES]


def _scores(frame: pd.DataFrame, reference: _Reference) -> list[Drift]:
    """Return the drift of the champion's scores on every row, candidate or not, as each strategy it was trained on."""
    from monitoring.drift import feature_drift

    champion, window = reference.champion, reference.windows(frame["session"])
    drifts = []
    for name in champion.strategies:
        scores = champion.predict(frame.assign(strategy=name))["probability"].to_numpy(dtype=np.float64)
        of = f" {name}" if len(champion.strategies) > 1 else ""
        drifts.append(feature_drift(f"{champion.name} {champion.version}{of}", scores, window, reference.psi))
    return drifts


def _outcomes(
    bars: Mapping[str, pd.DataFrame], strategies: Sequence[Strategy], costs: Costs, reference: _Reference
) -> list[Drift]:
    """Return the drift of the win rate of the candidates with a known outcome."""
    from backtest.engine import label_candidates
    from monitoring.drift import outcome_drift

    labels = [label_candidates(frame, rule, costs) for rule in strategies for frame in bars.values()]
    candidates = pd.concat(labels, ignore_index=True)
    wins = candidates["win"].to_numpy(dtype=np.float64)
    window = reference.windows(candidates["session"])
    return [outcome_drift("win_rate", wins, window, LEAST_WIN_RATE)] if len(candidates) else []


def _drifted_before(store: DriftLog, day: dt.date) -> set[str]:
    """Return the names that had drifted on the newest session measured before."""
    past = store.read(day - dt.timedelta(days=10))
    past = past[(past["session"] < day) & (past["family"] != SKEW)]
    newest = past[past["session"] == past["session"].max()] if len(past) else past
    return {f"{row['family']} {row['name']}" for row in newest.to_dict("records") if row["alert"]}


def _text(rows: Sequence[dict[str, Any]], sessions: int) -> str:
    """Return the mail: a line for each drift."""
    lines = [_line(row, sessions) for row in rows if row["alert"]]
    return "\n".join(
        [*lines, "", "No window of the training was as far away. Train again (model_training), or find the cause."]
    )


def _line(row: dict[str, Any], sessions: int) -> str:
    means = (
        f"mean {_number(row['reference_mean'])} in the training, {_number(row['recent_mean'])} in the last {sessions} sessions"
    )
    figures = ", ".join(f"{name} {_number(row[name])}" for name in ("psi", "statistic", "p_value"))
    return f"{row['family']} {row['name']}: {means}; {figures}"


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"


def _distinct(rows: Iterable[Served]) -> list[Served]:
    """Return the first answer of each symbol and vector."""
    first: dict[tuple[str, str], Served] = {}
    for row in rows:
        first.setdefault((row.symbol, row.feature_hash), row)
    return list(first.values())


def _mismatches(bars: BarStore, session: str, served: Sequence[Served]) -> list[Mismatch]:
    """Return the vectors that neither today's bars give nor those known when they were served."""
    from core.frames import FEATURES
    from monitoring.skew import Mismatch, differing

    now = _recomputed(bars, session, [row.symbol for row in served], None)
    wrong = []
    for row in served:
        vector = np.array(row.features, dtype=np.float64)
        if not differing(vector, now[row.symbol], FEATURES):
            continue
        then = _recomputed(bars, session, [row.symbol], row.served_at)[row.symbol]  # a bar was corrected since
        if columns := differing(vector, then, FEATURES):
            wrong.append(Mismatch(row.symbol, session, columns))
    return wrong


def _recomputed(
    store: BarStore, session: str, symbols: Sequence[str], as_of: dt.datetime | None
) -> dict[str, NDArray[np.float64]]:
    """Return the features of symbols at a session from the raw bars; all NaN where there is no bar."""
    from core.frames import FEATURES
    from features.build import build_features

    names, day = sorted(set(symbols)), dt.date.fromisoformat(session)
    rows = {symbol: np.full(len(FEATURES), np.nan) for symbol in names}
    if not names:
        return rows
    bars = store.read(names, end=day, as_of=as_of)
    if bars.empty:
        return rows
    frame = build_features(bars, store.read([VIX], end=day, as_of=as_of))
    newest = frame[frame["session"] == pd.Timestamp(day)]
    vectors = zip(newest["symbol"], newest[list(FEATURES)].to_numpy(dtype=np.float64), strict=True)
    return rows | {str(symbol): vector for symbol, vector in vectors}
