"""Shortlists of the research chain: the candidates of a choice with their equity curves, kept between the chain's steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import sqlalchemy as sa

from core.frames import SESSION
from storage.engine import copy_in
from storage.research.tables import shortlist_equity, shortlists

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

EQUITY_COLUMNS = ("label", "session", "equity_usd")


@dataclass(frozen=True)
class StoredShortlist:
    """A stored shortlist.

    Attributes
    ----------
    key
        Hash of what the choice was made from.
    session
        Last session that the choice has seen.
    members
        Plain values of each candidate, in the order of the ranking; each has a `label`.
    equity
        Columns label, session, equity_usd.
    """

    key: str
    session: dt.date
    created_at: dt.datetime
    members: list[dict[str, Any]]
    equity: pd.DataFrame


class Shortlists:
    """Rows of `research.shortlists` and `research.shortlist_equity`, one shortlist a key."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def save(
        self,
        key: str,
        *,
        session: dt.date,
        members: Sequence[Mapping[str, Any]],
        equity: pd.DataFrame,
        dataset: str | None = None,
    ) -> None:
        """Store a shortlist with its curves in one transaction; it replaces an earlier one of the same key.

        Parameters
        ----------
        equity
            Columns label, session, equity_usd.
        dataset
            Research dataset that the choice was made on (NAME@SHA256); None: the live bars.
        """
        row = {"key": key, "session": session, "members": [dict(member) for member in members], "dataset": dataset}
        with self._engine.begin() as connection:
            connection.execute(sa.delete(shortlists).where(shortlists.c.key == key))
            connection.execute(sa.insert(shortlists).values(row))
            copy_in(connection, equity.assign(key=key), shortlist_equity.fullname, ("key", *EQUITY_COLUMNS))

    def get(self, key: str) -> StoredShortlist | None:
        """Return a shortlist by its key; None when there is none."""
        curves = shortlist_equity.c
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(shortlists).where(shortlists.c.key == key)).mappings().first()
            if row is None:
                return None
            query = sa.select(*(curves[name] for name in EQUITY_COLUMNS)).where(curves.key == key)
            rows = connection.execute(query.order_by(curves.label, curves.session)).all()
        frame = pd.DataFrame(rows, columns=list(EQUITY_COLUMNS))
        equity = frame.assign(session=pd.to_datetime(frame["session"]).astype(SESSION))
        return StoredShortlist(row["key"], row["session"], row["created_at"], row["members"], equity)
