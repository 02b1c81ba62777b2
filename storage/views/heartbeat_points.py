"""Heartbeats of the risk worker as points of a chart, and the newest of each book."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from storage.columns import INSTANT
from storage.trading.control_tables import risk_heartbeats
from storage.views.places import arrays_of, places
from storage.views.reading import Reader

if TYPE_CHECKING:
    from collections.abc import Collection

beat = risk_heartbeats.c
figures: Final = tuple(each for each in beat if each.name not in {"id", "portfolio"})
_book, _first, _last = (
    sa.bindparam(name, type_=kind) for name, kind in (("book", sa.Text), ("first", INSTANT), ("last", INSTANT))
)
_within = sa.and_(beat.portfolio == _book, beat.at >= _first, beat.at < _last)
_some = sa.select(beat.at).where(_within).limit(sa.bindparam("most", type_=sa.Integer)).subquery("some")

ENDS: Final = sa.select(sa.func.min(beat.at), sa.func.max(beat.at)).where(_within)
COUNT: Final = sa.select(sa.func.count()).select_from(_some)
EVERY: Final = sa.select(*figures).where(_within).order_by(beat.at, beat.id)

parts = places(start=sa.DateTime, stop=sa.DateTime)
_last_of_part = (
    sa.select(*figures)
    .where(
        beat.portfolio == _book,
        beat.at >= sa.func.timezone("UTC", parts.c.start),
        beat.at < sa.func.timezone("UTC", parts.c.stop),
    )
    .order_by(beat.at.desc(), beat.id.desc())
    .limit(1)
    .lateral("last_of_part")
)
SAMPLED: Final = sa.select(*_last_of_part.c).select_from(parts.join(_last_of_part, sa.true())).order_by(_last_of_part.c.at)

books = places(book=sa.Text)
_newest = (
    sa.select(*figures)
    .where(beat.portfolio == books.c.book)
    .order_by(beat.at.desc(), beat.id.desc())
    .limit(1)
    .lateral("newest")
)
NEWEST: Final = sa.select(books.c.book, *_newest.c).select_from(books.join(_newest, sa.true()))


class HeartbeatPoints(Reader):
    """Reads of `trading.risk_heartbeats`."""

    def newest(self, books: Collection[str]) -> dict[str, dict[str, Any]]:
        """Return the heartbeat of each book with the newest time; absent before the first."""
        rows = [dict(row._mapping) for row in self._all(NEWEST, {"books": list(books)})]  # noqa: SLF001  # a public name of SQLAlchemy
        return {row["book"]: row for row in rows}

    def between(self, book: str, first: dt.datetime, last: dt.datetime, most: int, sampled: int) -> list[dict[str, Any]]:
        """Return the heartbeats of a book from one moment (aware) to before another, oldest first.

        Of more than `most`, the span is cut into `sampled` parts of equal length, and the last heartbeat of each is returned.
        """
        span = {"book": book, "first": first, "last": last}
        ((count,),) = self._all(COUNT, span | {"most": most + 1})
        if count <= most:
            rows = self._all(EVERY, span)
        else:
            ((begin, end),) = self._all(ENDS, span)
            rows = self._all(SAMPLED, {"book": book} | arrays_of(parts, parts_of(begin, end, sampled)))
        return [dict(row._mapping) for row in rows]  # noqa: SLF001


def parts_of(begin: dt.datetime, end: dt.datetime, parts: int) -> list[tuple[dt.datetime, dt.datetime]]:
    """Return the starts and ends of parts of equal length, of a span whose end is in the last one; UTC, without zones.

    >>> day = dt.datetime(2024, 7, 1, tzinfo=dt.UTC)
    >>> [(str(start.time()), str(stop.time())) for start, stop in parts_of(day, day + dt.timedelta(hours=4), 2)]
    [('00:00:00', '02:00:00'), ('02:00:00', '04:00:00.000001')]
    """
    begin, end = (each.astimezone(dt.UTC).replace(tzinfo=None) for each in (begin, end))
    cuts = [begin + (end - begin) * number / parts for number in range(parts)]
    return list(zip(cuts, [*cuts[1:], end + dt.timedelta(microseconds=1)], strict=True))
