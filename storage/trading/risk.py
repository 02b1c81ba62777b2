"""Heartbeats of the risk worker and findings of data-guard. Owns two tables that only grow; it judges nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on

from storage.trading.tables import data_guard, equity, risk_heartbeats

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True)
class Heartbeat:
    """What the risk worker saw at one moment; `breaches` names the rules that are broken, with their numbers."""

    portfolio: str
    at: dt.datetime
    mode: str
    level: str
    equity_usd: float
    peak_usd: float
    drawdown_pct: float
    gross_usd: float
    net_usd: float
    var_historical_usd: float | None
    var_parametric_usd: float | None
    positions: int
    breaches: Mapping[str, Any]


def beat(engine: sa.Engine, heartbeat: Heartbeat) -> None:
    """Store a heartbeat."""
    with engine.begin() as connection:
        connection.execute(sa.insert(risk_heartbeats).values(asdict(heartbeat)))


def last_beat(engine: sa.Engine, portfolio: str) -> Heartbeat | None:
    """The newest heartbeat of a portfolio."""
    table = risk_heartbeats.c
    columns = [column for column in table if column.name != "id"]
    query = sa.select(*columns).where(table.portfolio == portfolio).order_by(table.at.desc(), table.id.desc()).limit(1)
    with engine.connect() as connection:
        row = connection.execute(query).mappings().one_or_none()
    return Heartbeat(**row) if row else None


def highest_usd(engine: sa.Engine, portfolio: str, since: dt.datetime | None) -> float | None:
    """The highest equity on record, at a heartbeat after `since` or at the close of a later session; None without any."""
    beats = sa.select(sa.func.max(risk_heartbeats.c.equity_usd)).where(risk_heartbeats.c.portfolio == portfolio)
    closes = sa.select(sa.func.max(equity.c.equity_usd)).where(equity.c.portfolio == portfolio)
    if since is not None:
        beats = beats.where(risk_heartbeats.c.at > since)
        closes = closes.where(equity.c.session > since.date())
    with engine.connect() as connection:
        found = [connection.execute(query).scalar() for query in (beats, closes)]
    return max((float(value) for value in found if value is not None), default=None)


def save_findings(engine: sa.Engine, rows: Iterable[Mapping[str, Any]]) -> None:
    """Store what data-guard found: symbol, session, blocked, findings."""
    values = [dict(row) for row in rows]
    if values:
        with engine.begin() as connection:
            connection.execute(sa.insert(data_guard), values)


def blocked(engine: sa.Engine, session: dt.date, symbol: str) -> list[dict[str, Any]] | None:
    """The findings for which data-guard blocks the symbol in the session; None when it does not."""
    says, findings = _newest(engine, session, [symbol]).get(symbol, (False, []))
    return findings if says else None


def findings(engine: sa.Engine, session: dt.date, symbols: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """What data-guard found last of each symbol in a session; symbols it never looked at are left out."""
    return {symbol: found for symbol, (_, found) in _newest(engine, session, symbols).items()}


def _newest(engine: sa.Engine, session: dt.date, symbols: Iterable[str]) -> dict[str, tuple[bool, list[dict[str, Any]]]]:
    """Whether the newest verdict on each symbol blocks it, and its findings."""
    table = data_guard.c
    query = (
        sa.select(table.symbol, table.blocked, table.findings)
        .ext(distinct_on(table.symbol))
        .where(table.session == session, table.symbol.in_(list(symbols)))
        .order_by(table.symbol, table.id.desc())
    )
    with engine.connect() as connection:
        return {symbol: (says, list(found)) for symbol, says, found in connection.execute(query)}
