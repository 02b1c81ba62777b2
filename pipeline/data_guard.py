"""Whether a symbol's newest bars may be traded on: fresh, without gaps, without jumps that no split explains. Sends nothing.

Ingestion refuses bars that are wrong (`ingestion.expectations`); this asks about what it let in. A failure blocks entries in
the symbol for the session, a warning in strict mode alone. No provider here brings quotes, so nothing looks at the spread.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

import structlog

from core.sessions import calendar_name, sessions_between
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from collections.abc import Collection

    import pandas as pd

log = structlog.get_logger()
WINDOW_SESSIONS = 60  # in which gaps are looked for, and the volatility that a jump is compared with is known
WINDOW_DAYS = 100
RECENT_SESSIONS = 5  # jumps further back have been traded through


@dataclass(frozen=True)
class Doubt:
    """Something about a symbol's bars, with the numbers."""

    symbol: str
    rule: Literal["freshness", "gap", "jump"]
    severity: Literal["warn", "fail"]
    limit: float
    found: float
    unit: str
    session: str


def guard(found: Resources, day: dt.date, symbols: Collection[str]) -> list[Doubt]:
    """Examine the symbols about to be entered and store what was found; nothing while DATA_GUARD=off."""
    if found.settings.data_guard == "off" or not symbols:
        return []
    return run(day.isoformat(), symbols=symbols, strict=found.settings.data_guard == "strict", resources=found)


def run(
    session: str, *, symbols: Collection[str] = (), strict: bool = False, resources: Resources | None = None
) -> list[Doubt]:
    """Examine symbols (default: the universe) at a session, store the verdict on each, and mail when one is blocked.

    The newest verdict counts, so that running it again once the bars are right lifts the block.
    """
    from storage.risk import save_findings

    found = resources or live()
    day = dt.date.fromisoformat(session)
    names = sorted(symbols or found.universe())
    bars = found.bars.read(names, start=day - dt.timedelta(days=WINDOW_DAYS), end=day)
    splits = found.bars.actions(names)
    doubts = [doubt for name in names for doubt in examine(found, day, name, bars[bars["symbol"] == name], splits)]
    by_symbol = {name: [doubt for doubt in doubts if doubt.symbol == name] for name in names}
    verdicts = {name: any(strict or doubt.severity == "fail" for doubt in said) for name, said in by_symbol.items()}
    save_findings(
        found.engine,
        [
            {"symbol": name, "session": day, "blocked": verdicts[name], "findings": [asdict(doubt) for doubt in said]}
            for name, said in by_symbol.items()
        ],
    )
    held_back = [name for name, blocked in verdicts.items() if blocked]
    if held_back:
        log.warning("symbols_blocked", session=session, symbols=held_back, strict=strict)
        text = "\n".join(f"{each.symbol}: {each.rule} {each.found:g} {each.unit} ({each.session})" for each in doubts)
        found.alerts.send(f"No entries in {', '.join(held_back)} on {session}: their bars are in doubt", text)
    return doubts


def examine(found: Resources, day: dt.date, symbol: str, bars: pd.DataFrame, actions: pd.DataFrame) -> list[Doubt]:
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
    return doubts + _jumps(found, symbol, bars, actions)


def _jumps(found: Resources, symbol: str, bars: pd.DataFrame, actions: pd.DataFrame) -> list[Doubt]:
    from ingestion.jumps import moves_bps

    warn, fail = found.settings.jump_warn_bps, found.settings.jump_fail_bps
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
