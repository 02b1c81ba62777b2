"""Heartbeats of the risk worker: a table that only grows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from core.models import MOST_USD
from storage.trading.control_tables import risk_heartbeats
from storage.trading.tables import equity

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from core.book_events import BookEvent


@dataclass(frozen=True)
class Heartbeat:
    """The portfolio's risk at one moment, as the risk worker measured it.

    Attributes
    ----------
    mode, level
        `MONITOR__MODE` of the worker, and the worst level of `trading.drawdown.Level`.
    breaches
        The broken rules by name, each with its numbers.
    """

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


class Heartbeats:
    """Rows of `trading.risk_heartbeats`; they are only added."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, heartbeat: Heartbeat) -> None:
        """Store a heartbeat."""
        with self._engine.begin() as connection:
            connection.execute(sa.insert(risk_heartbeats).values(asdict(heartbeat)))

    def last(self, portfolio: str) -> Heartbeat | None:
        """Return the heartbeat of a portfolio that was written last, whatever its clock said; None before the first."""
        table = risk_heartbeats.c
        columns = [column for column in table if column.name != "id"]
        query = sa.select(*columns).where(table.portfolio == portfolio).order_by(table.id.desc()).limit(1)
        with self._engine.connect() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return Heartbeat(**row) if row else None

    def peak_equity_usd(self, portfolio: str, since: dt.datetime | None, transfers: Sequence[BookEvent] = ()) -> float | None:
        """Return the highest equity of a heartbeat after `since` or of a later session's close; None without either.

        Deposits and withdrawals count as if they had been there from the start: they move no drawdown.
        """
        moved = sorted((each for each in transfers if each.created_at is not None), key=lambda each: str(each.created_at))
        peaks = []
        for place in range(len(moved) + 1):
            later = float(sum((each.cash_usd for each in moved[place:]), Decimal(0)))
            after, before = (moved[place - 1] if place else None), (moved[place] if place < len(moved) else None)
            peaks += [peak + later for peak in self._peaks_between(portfolio, since, after, before)]
        return max(peaks, default=None)

    def _peaks_between(
        self, portfolio: str, since: dt.datetime | None, after: BookEvent | None, before: BookEvent | None
    ) -> list[float]:
        """Return the highest equity of heartbeats and of closes between two transfers, those that there are.

        Rows that hold no amount, NaN and infinity above all, which PostgreSQL sorts last, are passed over.
        """
        of_beats, of_closes = risk_heartbeats.c.equity_usd, equity.c.equity_usd
        beats = sa.select(sa.func.max(of_beats)).where(risk_heartbeats.c.portfolio == portfolio, of_beats < MOST_USD)
        closes = sa.select(sa.func.max(of_closes)).where(equity.c.portfolio == portfolio, of_closes < MOST_USD)
        if since is not None:
            beats = beats.where(risk_heartbeats.c.at > since)
            closes = closes.where(equity.c.session > since.date())
        if after is not None:
            beats = beats.where(risk_heartbeats.c.at >= after.created_at)
            closes = closes.where(equity.c.session >= after.session)
        if before is not None:
            beats = beats.where(risk_heartbeats.c.at < before.created_at)
            closes = closes.where(equity.c.session < before.session)
        with self._engine.connect() as connection:
            found = [connection.execute(query).scalar() for query in (beats, closes)]
        return [float(value) for value in found if value is not None]
