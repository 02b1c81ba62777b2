"""Whether a symbol's quote lets it be traded: believable at all, and narrow enough. Owns when a quote may be judged.

A quote says something only while the symbol's market is open: after the close sides are missing and spreads are wide in the
best of shares. What was found during a session therefore counts for the decision at its close, and crypto pairs, which trade
around the clock, are judged when they are decided.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from core.sessions import calendar_name, last_closed_session, session_at

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from core.models import Quote
    from pipeline.resources import Resources

QUOTE: Final = "quote"
SPREAD: Final = "spread"


@dataclass(frozen=True)
class Doubt:
    """Something about a symbol's bars or quote, with the numbers; `says` where there are none, or more than two."""

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
        """What was found, in words."""
        return self.says or f"{self.found:g} {self.unit}"


@dataclass(frozen=True)
class Sight:
    """What was seen of quotes: the doubts about each symbol for a session, and why not every quote was looked at."""

    said: Mapping[tuple[str, dt.date], list[Doubt]] = field(default_factory=dict)
    unquoted: str = ""


def look(resources: Resources, day: dt.date, symbols: Sequence[str]) -> Sight:
    """Judge the quotes of the symbols that trade at this moment; of the others what was last found for `day` stands.

    Parameters
    ----------
    day
        The newest session that has closed. A share that trades now is judged for the session in progress, a crypto pair for
        this one.
    """
    if resources.quotes is None:
        return Sight(unquoted=f"BROKER={resources.settings.broker} has no quotes: nobody looks at the spread")
    now, said = resources.clock(), _standing(resources, day, symbols)
    if resources.historical or day < last_closed_session(now):
        return Sight(said, f"quotes are of this moment, and say nothing of {day}")
    trading = {symbol: session_at(now, calendar_name(symbol)) for symbol in symbols}
    awake = [symbol for symbol in symbols if trading[symbol] is not None]
    quotes = resources.patience.retrying()(resources.quotes.latest, awake)
    for symbol in awake:
        session = trading[symbol] if calendar_name(symbol) == "XNYS" else None
        said[symbol, session or day] = judge(resources, symbol, quotes.get(symbol), session or day)
    asleep = ", ".join(symbol for symbol in symbols if trading[symbol] is None)
    return Sight(said, f"no trading in {asleep} at this hour; what a look during the session found counts" if asleep else "")


def judge(resources: Resources, symbol: str, quote: Quote | None, session: dt.date) -> list[Doubt]:
    """What is wrong with a quote of an open market: absurd or none at all, or its spread over a limit."""
    settings, why = resources.settings, "none at all"
    if quote is not None:
        why = quote.objection(resources.clock(), max_age_seconds=settings.quote_max_age_seconds) or ""
    if quote is None or why:
        return [Doubt(symbol, QUOTE, "fail", None, None, "", str(session), why)]
    found_bps = float(quote.spread_bps)
    if found_bps <= settings.spread_warn_bps:
        return []
    fails = found_bps > settings.spread_fail_bps
    limit = settings.spread_fail_bps if fails else settings.spread_warn_bps
    says = f"{found_bps:.1f} bps: {quote.bid} bid, {quote.ask} asked at {quote.at:%H:%M:%S} UTC"
    return [Doubt(symbol, SPREAD, "fail" if fails else "warn", limit, found_bps, "bps", str(session), says)]


def _standing(resources: Resources, day: dt.date, symbols: Sequence[str]) -> dict[tuple[str, dt.date], list[Doubt]]:
    """What the last look at a session's quotes found; it is stored again with the verdict that replaces it."""
    return {
        (symbol, day): [Doubt(**each) for each in known if each["rule"] in {QUOTE, SPREAD}]
        for symbol, known in resources.guard_findings.last(day, symbols).items()
    }
