"""Once a day: have features, scores and outcomes moved, and did the API serve what the data give? Measures nothing itself."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import structlog

from core.sessions import close_of, sessions_between
from pipeline.bars import VIX
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ml.entry_filter.predict import EntryFilter
    from monitoring.drift import Drift
    from monitoring.skew import Mismatch
    from storage.trading.served import Served

log = structlog.get_logger()
FEATURE, SCORE, OUTCOME, SKEW = "feature", "score", "outcome", "skew"
LEAST_WIN_RATE: Final = 0.1  # change of the win rate under which nobody is told
SHOWN: Final = 5
ONLINE: Final = "online"


def run(session: str, *, resources: Resources | None = None) -> dict[str, Any]:
    """Compare the newest sessions with the champion's training, store a row each, and alert what has drifted since yesterday.

    Returns
    -------
    dict
        measured (rows), drifted (their names), new (those that had not drifted on the session measured before).
    """
    from features.build import build_features
    from pipeline.bars import load_bars

    resources = resources or live()
    day = dt.date.fromisoformat(session)
    champion = resources.registry.champion()
    bars, vix = load_bars(resources.bars, session, resources.universe())
    frame = build_features(bars, vix)
    measured = {
        FEATURE: _features(resources, frame, champion),
        SCORE: _scores(resources, frame, champion),
        OUTCOME: _outcomes(resources, session, champion),
    }
    before = _drifted_before(resources, day)
    rows = [{"family": family, **asdict(each), "detail": ""} for family, drifts in measured.items() for each in drifts]
    resources.drift.save(day, rows)
    drifted = [f"{row['family']} {row['name']}" for row in rows if row["alert"]]
    fresh = [name for name in drifted if name not in before]
    if fresh:
        resources.alerts.send(f"Drift on {session}: {', '.join(fresh[:SHOWN])}", _text(rows, resources.settings.drift_sessions))
    return {"session": session, "measured": len(rows), "drifted": drifted, "new": fresh}


def training_due(drift: Mapping[str, Any], *, resources: Resources | None = None) -> dict[str, Any]:
    """Whether the drift that `run` found asks for a training, and why or why not.

    One that was not there the session before does, unless a training is younger than `DRIFT_TRAINING_GAP_SESSIONS`: what has
    been learnt since would hardly be more.
    """
    resources = resources or live()
    gap, fresh = resources.settings.drift_training_gap_sessions, drift["new"]
    if not fresh:
        return {"due": False, "reason": "Nothing has newly drifted."}
    if gap is None:
        return {"due": False, "reason": "DRIFT_TRAINING_GAP_SESSIONS is empty: drift is mailed and starts no training."}
    last = resources.registry.latest_training()["session"]
    age = len(sessions_between(dt.date.fromisoformat(last), dt.date.fromisoformat(drift["session"]))) - 1
    if age < gap:
        return {"due": False, "reason": f"The last training is {age} sessions old, of {last}; drift asks again from {gap} on."}
    return {"due": True, "reason": f"{', '.join(fresh)} drifted, and the last training is of {last}."}


def check_skew(session: str, *, resources: Resources | None = None) -> dict[str, Any]:
    """Recompute, from the bars known when each was served, the features of a session's predictions, and compare.

    Returns
    -------
    dict
        served (different vectors), mismatches (goal 0), broken (stored vectors that no longer have their digest).
    """
    from monitoring.skew import is_whole

    resources = resources or live()
    day = dt.date.fromisoformat(session)
    served = _distinct(row for row in resources.served.read(close_of(day)) if row.session == day and row.source == ONLINE)
    broken = [row for row in served if not is_whole(row.features, row.feature_hash)]
    wrong = _mismatches(resources, session, served)
    detail = "; ".join(f"{each.symbol}: {', '.join(each.columns[:SHOWN])}" for each in wrong[:SHOWN])
    counts = {"reference_count": 0, "recent_count": len(served)}
    nothing = dict.fromkeys(("psi", "p_value", "reference_mean", "recent_mean"))
    alert = bool(wrong or broken)
    row = {"name": "served_features", "statistic": float(len(wrong) + len(broken)), "alert": alert, "detail": detail}
    resources.drift.save(day, [{"family": SKEW, **nothing, **counts, **row}])
    if alert:
        resources.alerts.send(
            f"Skew on {session}: {len(wrong)} of {len(served)} served vectors differ from the recomputed ones",
            f"{detail}\n{len(broken)} stored vectors do not have their digest.\nModels judge what they were not trained on: "
            "look at the materialisation and at features/build.py before the next session.",
            "critical",
        )
    return {"session": session, "served": len(served), "mismatches": len(wrong), "broken": len(broken)}


def _features(resources: Resources, frame: pd.DataFrame, champion: EntryFilter) -> list[Drift]:
    from core.frames import FEATURES
    from monitoring.drift import feature_drift

    window, limit = _windows(resources, frame["session"], champion), resources.settings.drift_psi
    return [feature_drift(name, frame[name].to_numpy(dtype=np.float64), window, limit) for name in FEATURES]


def _scores(resources: Resources, frame: pd.DataFrame, champion: EntryFilter) -> list[Drift]:
    """Of the champion on every row, candidate or not, as each strategy that it knows."""
    from monitoring.drift import feature_drift

    window, limit = _windows(resources, frame["session"], champion), resources.settings.drift_psi
    drifts = []
    for name in champion.strategies:
        scores = champion.predict(frame.assign(strategy=name))["probability"].to_numpy(dtype=np.float64)
        of = f" {name}" if len(champion.strategies) > 1 else ""
        drifts.append(feature_drift(f"{champion.name} {champion.version}{of}", scores, window, limit))
    return drifts


def _outcomes(resources: Resources, session: str, champion: EntryFilter) -> list[Drift]:
    """Win rate of the candidates whose outcome is known."""
    from backtest.engine import label_candidates
    from monitoring.drift import outcome_drift
    from pipeline.bars import bars_by_symbol

    bars = bars_by_symbol(resources.bars, session, resources.universe()).values()
    labels = [label_candidates(frame, rule, resources.costs) for rule in resources.candidate_strategies for frame in bars]
    candidates = pd.concat(labels, ignore_index=True)
    wins = candidates["win"].to_numpy(dtype=np.float64)
    window = _windows(resources, candidates["session"], champion)
    return [outcome_drift("win_rate", wins, window, LEAST_WIN_RATE)] if len(candidates) else []


def _windows(resources: Resources, sessions: pd.Series[Any], champion: EntryFilter) -> np.ndarray[Any, np.dtype[np.int64]]:
    from monitoring.drift import windows_of

    through = np.datetime64(champion.trained_through, "ns")
    return windows_of(sessions.to_numpy(dtype="datetime64[ns]"), resources.settings.drift_sessions, through)


def _drifted_before(resources: Resources, day: dt.date) -> set[str]:
    """What had drifted on the newest session measured before."""
    past = resources.drift.read(day - dt.timedelta(days=10))
    past = past[(past["session"] < day) & (past["family"] != SKEW)]
    newest = past[past["session"] == past["session"].max()] if len(past) else past
    return {f"{row['family']} {row['name']}" for row in newest.to_dict("records") if row["alert"]}


def _text(rows: Sequence[dict[str, Any]], sessions: int) -> str:
    """The mail: a line for each that has drifted."""
    lines = [_line(row, sessions) for row in rows if row["alert"]]
    return "\n".join([*lines, "", "No window of the training was as far away. Train anew (model_training), or find out why."])


def _line(row: dict[str, Any], sessions: int) -> str:
    means = (
        f"mean {_number(row['reference_mean'])} in the training, {_number(row['recent_mean'])} in the last {sessions} sessions"
    )
    figures = ", ".join(f"{name} {_number(row[name])}" for name in ("psi", "statistic", "p_value"))
    return f"{row['family']} {row['name']}: {means}; {figures}"


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"


def _distinct(rows: Iterable[Served]) -> list[Served]:
    """One answer for each symbol and vector, the first."""
    found: dict[tuple[str, str], Served] = {}
    for row in rows:
        found.setdefault((row.symbol, row.feature_hash), row)
    return list(found.values())


def _mismatches(resources: Resources, session: str, served: Sequence[Served]) -> list[Mismatch]:
    """Vectors that the bars of today do not give, nor those known when they were served."""
    from core.frames import FEATURES
    from monitoring.skew import Mismatch, differing

    now = _recomputed(resources, session, [row.symbol for row in served], None)
    wrong = []
    for row in served:
        vector = np.array(row.features, dtype=np.float64)
        if not differing(vector, now[row.symbol], FEATURES):
            continue
        then = _recomputed(resources, session, [row.symbol], row.served_at)[row.symbol]  # a bar was corrected since
        if columns := differing(vector, then, FEATURES):
            wrong.append(Mismatch(row.symbol, session, columns))
    return wrong


def _recomputed(
    resources: Resources, session: str, symbols: Sequence[str], as_of: dt.datetime | None
) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    """Features of symbols at a session from the raw bars; all NaN where there is no bar."""
    from core.frames import FEATURES
    from features.build import build_features

    names, day = sorted(set(symbols)), dt.date.fromisoformat(session)
    rows = {symbol: np.full(len(FEATURES), np.nan) for symbol in names}
    if not names:
        return rows
    bars = resources.bars.read(names, end=day, as_of=as_of)
    if bars.empty:
        return rows
    frame = build_features(bars, resources.bars.read([VIX], end=day, as_of=as_of))
    newest = frame[frame["session"] == pd.Timestamp(day)]
    found_rows = zip(newest["symbol"], newest[list(FEATURES)].to_numpy(dtype=np.float64), strict=True)
    return rows | {str(symbol): vector for symbol, vector in found_rows}
