"""Check a symbol's quote before entries: believable at all, and narrow enough.

A quote is meaningful only while the symbol's market is open: after the close sides are missing and spreads are wide in the best
of shares. Findings made during a session therefore count for the decision at its close, and crypto pairs, which trade around
the clock, are checked when they are decided.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Self

from core.sessions import ROUND_THE_CLOCK, calendar_name, last_closed_session, session_at

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping, Sequence

    from core.models import Quote
    from pipeline.resources import Resources
    from storage.trading.guard_findings import GuardFindings
    from trading.brokers.base import Quotes
    from trading.brokers.placing import Patience

QUOTE: Final = "quote"
SPREAD: Final = "spread"


@dataclass(frozen=True)
class Finding:
    """A fault of a symbol's bars or quote, with its numbers.

    Attributes
    ----------
    severity
        `fail` blocks entries in the symbol, `warn` blocks them in strict mode alone.
    says
        The fault in words, where there are no numbers or more than two.
    """

    symbol: str
    rule: Literal["freshness", "gap", "jump", "quote", "spread"]
    severity: Literal["warn", "fail"]
    limit: float | None
    found: float | None
    unit: str
    session: str
    says: str = ""

    @property
    def words(self) -> str:
        """The fault in words."""
        return self.says or f"{self.found:g} {self.unit}"


@dataclass(frozen=True)
class QuoteFindings:
    """Findings by symbol and session, and the reason why some quotes were not checked; empty when all were."""

    by_symbol: Mapping[tuple[str, dt.date], list[Finding]] = field(default_factory=dict)
    unquoted: str = ""


@dataclass(frozen=True)
class QuoteGuard:
    """Checks newest quotes against limits of age and spread.

    Attributes
    ----------
    quotes
        Source of quotes; None where the broker has none.
    findings
        Stored findings: those made during a session count for the decision at its close.
    """

    broker: str
    quotes: Quotes | None
    patience: Patience
    findings: GuardFindings
    clock: Callable[[], dt.datetime]
    historical: bool
    max_age_seconds: float
    spread_warn_bps: float
    spread_fail_bps: float

    @classmethod
    def of(cls, resources: Resources) -> Self:
        """Build from the broker's quotes and the limits of the settings."""
        settings = resources.settings
        return cls(
            broker=settings.venue.kind,
            quotes=resources.quotes,
            patience=resources.patience,
            findings=resources.guard_findings,
            clock=resources.clock,
            historical=resources.historical,
            max_age_seconds=settings.guard.quote_max_age_seconds,
            spread_warn_bps=settings.guard.spread_warn_bps,
            spread_fail_bps=settings.guard.spread_fail_bps,
        )

    def check(self, day: dt.date, symbols: Sequence[str]) -> QuoteFindings:
        """Check the quotes of the symbols that trade at this moment; for the others the last findings for `day` stand.

        Parameters
        ----------
        day
            The newest session that has closed. A share that trades now is checked for the session in progress, a crypto pair
            for this one.
        """
        if self.quotes is None:
            return QuoteFindings(unquoted=f"VENUE__KIND={self.broker} has no quotes: the spread is not checked")
        now, findings = self.clock(), self._last(day, symbols)
        if self.historical or day < last_closed_session(now):
            return QuoteFindings(findings, f"quotes are of this moment and do not apply to {day}")
        trading = {symbol: session_at(now, calendar_name(symbol)) for symbol in symbols}
        awake = [symbol for symbol in symbols if trading[symbol] is not None]
        quotes = self.patience.retrying()(self.quotes.latest, awake)
        for symbol in awake:
            session = trading[symbol] if calendar_name(symbol) not in ROUND_THE_CLOCK else None
            findings[symbol, session or day] = self.check_quote(symbol, quotes.get(symbol), session or day)
        asleep = ", ".join(symbol for symbol in symbols if trading[symbol] is None)
        unquoted = f"no trading in {asleep} at this hour; the findings made during the session count" if asleep else ""
        return QuoteFindings(findings, unquoted)

    def check_quote(self, symbol: str, quote: Quote | None, session: dt.date) -> list[Finding]:
        """Return the faults of a quote in an open market: absent, absurd or old, or its spread over a limit."""
        objection = "none at all"
        if quote is not None:
            objection = quote.objection(self.clock(), max_age_seconds=self.max_age_seconds) or ""
        if quote is None or objection:
            return [Finding(symbol, QUOTE, "fail", None, None, "", str(session), objection)]
        spread_bps = float(quote.spread_bps)
        if spread_bps <= self.spread_warn_bps:
            return []
        fails = spread_bps > self.spread_fail_bps
        limit = self.spread_fail_bps if fails else self.spread_warn_bps
        says = f"{spread_bps:.1f} bps: {quote.bid} bid, {quote.ask} asked at {quote.at:%H:%M:%S} UTC"
        return [Finding(symbol, SPREAD, "fail" if fails else "warn", limit, spread_bps, "bps", str(session), says)]

    def _last(self, day: dt.date, symbols: Sequence[str]) -> dict[tuple[str, dt.date], list[Finding]]:
        """Return the last findings about a session's quotes; they are stored again with the row that replaces theirs."""
        return {
            (symbol, day): [Finding(**each) for each in findings if each["rule"] in {QUOTE, SPREAD}]
            for symbol, findings in self.findings.last(day, symbols).items()
        }
