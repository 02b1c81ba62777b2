"""Portfolios that research chose, and their validations. Owns two tables that only grow; it chooses and judges nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from storage.research.tables import portfolios, validations

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Portfolio:
    """A stored portfolio: `members` hold strategy, symbol, params and usd each; figures that are not defined are None."""

    id: int
    session: dt.date
    created_at: dt.datetime
    method: str
    members: list[dict[str, Any]]
    figures: dict[str, Any]


@dataclass(frozen=True)
class StoredValidation:
    """What the limits said about a portfolio: `status` PASS, WARN or FAIL, and the whole report."""

    id: int
    portfolio_id: int
    session: dt.date
    created_at: dt.datetime
    status: str
    report: dict[str, Any]


def save_portfolio(
    engine: sa.Engine,
    *,
    session: dt.date,
    method: str,
    members: Sequence[Mapping[str, Any]],
    figures: Mapping[str, Any],
) -> int:
    """Add a portfolio and return its id."""
    row = {"session": session, "method": method, "members": [dict(member) for member in members], "figures": dict(figures)}
    return _insert(engine, portfolios, row)


def latest_portfolio(engine: sa.Engine, by: dt.date | None = None) -> Portfolio | None:
    """The portfolio stored last; None when there is none.

    Parameters
    ----------
    by
        Only portfolios of this session or an earlier one, so that a past session run again does not see later research.
    """
    query = sa.select(portfolios).order_by(portfolios.c.id.desc()).limit(1)
    if by is not None:
        query = query.where(portfolios.c.session <= by)
    row = _first(engine, query)
    return None if row is None else Portfolio(**row)


def save_validation(engine: sa.Engine, *, portfolio_id: int, session: dt.date, status: str, report: Mapping[str, Any]) -> int:
    """Add a validation of a stored portfolio and return its id."""
    row = {"portfolio_id": portfolio_id, "session": session, "status": status, "report": dict(report)}
    return _insert(engine, validations, row)


def latest_validation(engine: sa.Engine, portfolio_id: int, by: dt.date | None = None) -> StoredValidation | None:
    """The validation of a portfolio that was stored last, of a session at or before `by` if given; None when there is none."""
    query = sa.select(validations).where(validations.c.portfolio_id == portfolio_id).order_by(validations.c.id.desc()).limit(1)
    if by is not None:
        query = query.where(validations.c.session <= by)
    row = _first(engine, query)
    return None if row is None else StoredValidation(**row)


def _insert(engine: sa.Engine, table: sa.Table, row: Mapping[str, Any]) -> int:
    with engine.begin() as connection:
        return int(connection.execute(sa.insert(table).values(**row).returning(table.c.id)).scalar_one())


def _first(engine: sa.Engine, query: sa.Select[Any]) -> dict[str, Any] | None:
    with engine.connect() as connection:
        row = connection.execute(query).mappings().first()
    return None if row is None else {str(name): value for name, value in row.items()}
