"""Whether a symbol may be traded on: its bars fresh, without gaps, without jumps that no split explains; its spread narrow.

Ingestion refuses bars that are wrong (`ingestion.expectations`); this asks about what it let in, and about quotes where the
broker has them (`pipeline.risk.quote_guard`). A failure blocks entries in the symbol for the session, a warning in strict mode
alone. Sends no order.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import structlog

from core.sessions import calendar_name, sessions_between
from pipeline.resources import Resources, live
from pipeline.risk.quote_guard import Doubt, Sight, look

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import pandas as pd

log = structlog.get_logger()
WINDOW_SESSIONS = 60  # in which gaps are looked for, and the volatility that a jump is compared with is known
WINDOW_DAYS = 100
RECENT_SESSIONS = 5  # jumps further back have been traded through


@dataclass(frozen=True)
class Verdict:
    """What one look came to.

    Attributes
    ----------
    blocked
        Symbols that are held back.
    unquoted
        Why quotes were not looked at, or not of every symbol; empty when they were.
    """

    doubts: tuple[Doubt, ...]
    blocked: tuple[str, ...] = ()
    unquoted: str = ""


def guard(resources: Resources, day: dt.date, symbols: Collection[str]) -> Verdict | None:
    """Examine the symbols about to be entered and store what was found; None while DATA_GUARD=off."""
    if resources.settings.data_guard == "off" or not symbols:
        return None
    return run(day.isoformat(), symbols=symbols, strict=resources.settings.data_guard == "strict", resources=resources)


def run(session: str, *, symbols: Collection[str] = (), strict: bool = False, resources: Resources | None = None) -> Verdict:
    """Examine symbols (default: the universe) at a session, store the verdict on each, and mail when one is blocked.

    The newest verdict counts, so that running it again once the bars are right lifts the block. During a session quotes are
    looked at for the decision at its close, bars for the one before.

    Raises
    ------
    core.errors.RetryLater
        When the broker does not tell its quotes; nothing is concluded then.
    """
    resources = resources or live()
    day = dt.date.fromisoformat(session)
    names = sorted(symbols or resources.universe())
    sight = look(resources, day, names)
    bars = resources.bars.read(names, start=day - dt.timedelta(days=WINDOW_DAYS), end=day)
    splits = resources.bars.actions(names)
    said = {(name, day): examine(resources, day, name, bars[bars["symbol"] == name], splits) for name in names}
    for key, doubts in sight.said.items():
        said[key] = [*said.get(key, ()), *doubts]
    return _concluded(resources, said, sight, strict=strict)


def _concluded(resources: Resources, said: Mapping[tuple[str, dt.date], list[Doubt]], sight: Sight, *, strict: bool) -> Verdict:
    """Store what was found of each symbol in each session, and tell a person of those that are blocked."""
    blocks = {key: any(strict or doubt.severity == "fail" for doubt in doubts) for key, doubts in said.items()}
    resources.guard_findings.add(
        [
            {"symbol": name, "session": day, "blocked": blocks[name, day], "findings": [asdict(doubt) for doubt in doubts]}
            for (name, day), doubts in said.items()
        ],
    )
    if sight.unquoted:
        log.info("quotes_not_looked_at", reason=sight.unquoted)
    doubts = tuple(doubt for each in said.values() for doubt in each)
    held_back = sorted({name for (name, _), blocked in blocks.items() if blocked})
    if held_back:
        sessions = ", ".join(sorted({str(day) for (_, day), blocked in blocks.items() if blocked}))
        log.warning("symbols_blocked", session=sessions, symbols=held_back, strict=strict)
        text = "\n".join(f"{each.symbol}: {each.rule} {each.words} ({each.session})" for each in doubts)
        resources.alerts.send(f"No entries in {', '.join(held_back)} on {sessions}: their bars or quotes are in doubt", text)
    return Verdict(doubts, tuple(held_back), sight.unquoted)


def examine(resources: Resources, day: dt.date, symbol: str, bars: pd.DataFrame, actions: pd.DataFrame) -> list[Doubt]:
    """What is wrong with one symbol's bars up to `day`, worst kind first: too old, missing between, jumped.

    A move of more than JUMP_WARN_BPS is a warning; over JUMP_FAIL_BPS it fails, unless a split of that session explains it.
    """
    expected = [stamp.date() for stamp in sessions_between(day - dt.timedelta(days=WINDOW_DAYS), day, calendar_name(symbol))]
    present = {stamp.date() for stamp in bars["session"]}
    last = max(present, default=None)
    behind = len([each for each in expected if last is None or each > last])
    doubts = [Doubt(symbol, "freshness", "fail", 0, behind, "sessions behind", str(last))] if behind else []
    window = [each for each in expected[-WINDOW_SESSIONS:] if present and min(present) < each <= max(present)]
    missing = [each for each in window if each not in present]
    if missing:
        recent = missing[-1] in expected[-RECENT_SESSIONS:]
        doubts.append(Doubt(symbol, "gap", "fail" if recent else "warn", 0, len(missing), "sessions missing", str(missing[-1])))
    return doubts + _jumps(resources, symbol, bars, actions)


def _jumps(resources: Resources, symbol: str, bars: pd.DataFrame, actions: pd.DataFrame) -> list[Doubt]:
    from ingestion.jumps import moves_bps

    warn, fail = resources.settings.jump_warn_bps, resources.settings.jump_fail_bps
    split = set(actions.loc[(actions["symbol"] == symbol) & (actions["kind"] == "split"), "session"])
    recent = bars.assign(move=moves_bps(bars).abs()).tail(RECENT_SESSIONS)
    return [
        Doubt(
            symbol,
            "jump",
            "fail" if move > fail else "warn",
            fail if move > fail else warn,
            float(move),
            "bps",
            str(session.date()),
        )
        for session, move in zip(recent["session"], recent["move"], strict=True)
        if move > warn and session not in split
    ]
