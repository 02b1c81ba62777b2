"""Data-guard: check a symbol's bars and quote before entries: fresh, without gaps, without unexplained jumps, spread narrow.

Ingestion refuses bars that are wrong (`ingestion.expectations`); data-guard checks what it accepted, and quotes where the
broker has them (`pipeline.risk.quote_guard`). A failure blocks entries in the symbol for the session, a warning in strict mode
alone. Sends no order.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, Self

import structlog

from core.sessions import calendar_name, sessions_between
from pipeline.resources import Resources, live
from pipeline.risk.quote_guard import Finding, QuoteGuard

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import pandas as pd

    from monitoring.alerts import Alerts
    from pipeline.risk.quote_guard import QuoteFindings
    from storage.market.bars import BarStore
    from storage.trading.guard_findings import GuardFindings

log = structlog.get_logger()
WINDOW_SESSIONS = 60  # window of the search for gaps, and of the volatility that jumps are compared with
WINDOW_DAYS = 100
RECENT_SESSIONS = 5  # jumps further back have been traded through


@dataclass(frozen=True)
class GuardResult:
    """Result of one check.

    Attributes
    ----------
    findings
        Every fault, of bars and of quotes.
    blocked
        Symbols whose entries are blocked.
    unquoted
        Reason why quotes were not checked, or not of every symbol; empty when they were.
    """

    findings: tuple[Finding, ...]
    blocked: tuple[str, ...] = ()
    unquoted: str = ""


@dataclass(frozen=True)
class DataGuard:
    """Checks bars and quotes, stores the findings and alerts when a symbol is blocked.

    Attributes
    ----------
    jump_warn_bps, jump_fail_bps
        Moves of a close from which a jump is a warning, and a failure.
    """

    bars: BarStore
    findings: GuardFindings
    quotes: QuoteGuard
    alerts: Alerts
    jump_warn_bps: float
    jump_fail_bps: float

    @classmethod
    def of(cls, resources: Resources) -> Self:
        """Build from the desk's stores and the limits of the settings."""
        return cls(
            bars=resources.bars,
            findings=resources.guard_findings,
            quotes=QuoteGuard.of(resources),
            alerts=resources.alerts,
            jump_warn_bps=resources.settings.guard.jump_warn_bps,
            jump_fail_bps=resources.settings.ingestion.jump_fail_bps,
        )

    def check(self, day: dt.date, symbols: Collection[str], *, strict: bool = False) -> GuardResult:
        """Check the symbols at a session, store the findings on each, and mail when one is blocked.

        The newest row counts, so that another check once the bars are right lifts the block. During a session quotes are
        checked for the decision at its close, bars for the one before.

        Raises
        ------
        core.errors.RetryLater
            When the broker does not answer with its quotes; nothing is concluded then.
        """
        names = sorted(symbols)
        quotes = self.quotes.check(day, names)
        bars = self.bars.read(names, start=day - dt.timedelta(days=WINDOW_DAYS), end=day)
        splits = self.bars.actions(names)
        findings = {(name, day): self.check_bars(day, name, bars[bars["symbol"] == name], splits) for name in names}
        for key, of_quote in quotes.by_symbol.items():
            findings[key] = [*findings.get(key, ()), *of_quote]
        return self._conclude(findings, quotes, strict=strict)

    def check_bars(self, day: dt.date, symbol: str, bars: pd.DataFrame, actions: pd.DataFrame) -> list[Finding]:
        """Return the faults of one symbol's bars up to `day`, worst kind first: too old, missing between, jumped.

        A move of more than GUARD__JUMP_WARN_BPS is a warning; over INGESTION__JUMP_FAIL_BPS it fails, unless a split of that
        session explains it.
        """
        expected = [
            stamp.date() for stamp in sessions_between(day - dt.timedelta(days=WINDOW_DAYS), day, calendar_name(symbol))
        ]
        present = {stamp.date() for stamp in bars["session"]}
        last = max(present, default=None)
        behind = len([each for each in expected if last is None or each > last])
        findings = [Finding(symbol, "freshness", "fail", 0, behind, "sessions behind", str(last))] if behind else []
        window = [each for each in expected[-WINDOW_SESSIONS:] if present and min(present) < each <= max(present)]
        missing = [each for each in window if each not in present]
        if missing:
            recent = missing[-1] in expected[-RECENT_SESSIONS:]
            severity: Literal["warn", "fail"] = "fail" if recent else "warn"
            findings.append(Finding(symbol, "gap", severity, 0, len(missing), "sessions missing", str(missing[-1])))
        return findings + self._jumps(symbol, bars, actions)

    def _jumps(self, symbol: str, bars: pd.DataFrame, actions: pd.DataFrame) -> list[Finding]:
        from ingestion.jumps import moves_bps

        warn, fail = self.jump_warn_bps, self.jump_fail_bps
        split = set(actions.loc[(actions["symbol"] == symbol) & (actions["kind"] == "split"), "session"])
        recent = bars.assign(move=moves_bps(bars).abs()).tail(RECENT_SESSIONS)
        return [
            Finding(
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

    def _conclude(
        self, findings: Mapping[tuple[str, dt.date], list[Finding]], quotes: QuoteFindings, *, strict: bool
    ) -> GuardResult:
        """Store the findings of each symbol and session, and mail the symbols that are blocked."""
        blocks = {key: any(strict or each.severity == "fail" for each in of_key) for key, of_key in findings.items()}
        self.findings.add(
            {"symbol": name, "session": day, "blocked": blocks[name, day], "findings": [asdict(each) for each in of_key]}
            for (name, day), of_key in findings.items()
        )
        if quotes.unquoted:
            log.info("quotes_not_looked_at", reason=quotes.unquoted)
        everything = tuple(each for of_key in findings.values() for each in of_key)
        blocked = sorted({name for (name, _), blocks_it in blocks.items() if blocks_it})
        if blocked:
            sessions = ", ".join(sorted({str(day) for (_, day), blocks_it in blocks.items() if blocks_it}))
            log.warning("symbols_blocked", session=sessions, symbols=blocked, strict=strict)
            text = "\n".join(f"{each.symbol}: {each.rule} {each.words} ({each.session})" for each in everything)
            self.alerts.send(f"No entries in {', '.join(blocked)} on {sessions}: their bars or quotes are in doubt", text)
        return GuardResult(everything, tuple(blocked), quotes.unquoted)


def check_data(
    session: str, *, symbols: Collection[str] = (), strict: bool = False, resources: Resources | None = None
) -> GuardResult:
    """Check symbols (default: the universe) at a session; see `DataGuard.check`."""
    resources = resources or live()
    return DataGuard.of(resources).check(dt.date.fromisoformat(session), symbols or resources.universe(), strict=strict)
