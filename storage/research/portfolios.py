"""Portfolios that research chose, and their validations: two tables that only grow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from storage.research.tables import portfolios, validations

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

WITHDRAWN: Final = "withdrawn"  # rows of before deployments, which took back the portfolio that traded then


@dataclass(frozen=True)
class Portfolio:
    """A stored portfolio: `members` hold strategy, symbol, params and usd each; figures that are not defined are None.

    A draft is the outcome of a look: it is validated and reported, and cannot be deployed until somebody stores it.
    `dataset` is the research dataset it was chosen on (NAME@SHA256); None: the live bars.
    """

    id: int
    session: dt.date
    created_at: dt.datetime
    method: str
    members: list[dict[str, Any]]
    figures: dict[str, Any]
    draft: bool = False
    dataset: str | None = None


@dataclass(frozen=True)
class StoredValidation:
    """A stored validation of a portfolio: `status` PASS, WARN or FAIL, and the whole report."""

    id: int
    portfolio_id: int
    session: dt.date
    created_at: dt.datetime
    status: str
    report: dict[str, Any]
    dataset: str | None = None


class Portfolios:
    """Rows of `research.portfolios` and `research.validations`."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def save(
        self,
        *,
        session: dt.date,
        method: str,
        members: Sequence[Mapping[str, Any]],
        figures: Mapping[str, Any],
        draft: bool = False,
        dataset: str | None = None,
    ) -> int:
        """Add a portfolio and return its id."""
        row = {"session": session, "method": method, "members": [dict(member) for member in members], "figures": dict(figures)}
        return self._insert(portfolios, row | {"draft": draft, "dataset": dataset})

    def confirm(self, number: int) -> None:
        """Make a draft a stored portfolio, which can be deployed; one that is stored stays as it is."""
        with self._engine.begin() as connection:
            connection.execute(sa.update(portfolios).where(portfolios.c.id == number).values(draft=False))

    def get(self, number: int) -> Portfolio | None:
        """Return the portfolio of an id; None when there is none."""
        row = self._first(sa.select(portfolios).where(portfolios.c.id == number, portfolios.c.method != WITHDRAWN))
        return None if row is None else Portfolio(**row)

    def all(self) -> list[Portfolio]:
        """Return every portfolio, drafts included, newest first."""
        query = sa.select(portfolios).where(portfolios.c.method != WITHDRAWN).order_by(portfolios.c.id.desc())
        with self._engine.connect() as connection:
            return [Portfolio(**row) for row in connection.execute(query).mappings()]

    def latest(self, by: dt.date | None = None) -> Portfolio | None:
        """Return the portfolio made last, a draft or not; None when there is none.

        Parameters
        ----------
        by
            Only portfolios of this session or an earlier one, so that a past session run again does not see later research.
        """
        query = sa.select(portfolios).where(portfolios.c.method != WITHDRAWN).order_by(portfolios.c.id.desc()).limit(1)
        if by is not None:
            query = query.where(portfolios.c.session <= by)
        row = self._first(query)
        return None if row is None else Portfolio(**row)

    def save_validation(
        self, *, portfolio_id: int, session: dt.date, status: str, report: Mapping[str, Any], dataset: str | None = None
    ) -> int:
        """Add a validation of a stored portfolio and return its id."""
        row: dict[str, Any] = {"portfolio_id": portfolio_id, "session": session, "status": status, "report": dict(report)}
        row["dataset"] = dataset
        return self._insert(validations, row)

    def latest_validation(self, portfolio_id: int, by: dt.date | None = None) -> StoredValidation | None:
        """Return a portfolio's validation stored last, of a session at or before `by` if given; None when there is none."""
        table = validations.c
        query = sa.select(validations).where(table.portfolio_id == portfolio_id).order_by(table.id.desc()).limit(1)
        if by is not None:
            query = query.where(table.session <= by)
        row = self._first(query)
        return None if row is None else StoredValidation(**row)

    def _insert(self, table: sa.Table, row: Mapping[str, Any]) -> int:
        with self._engine.begin() as connection:
            return int(connection.execute(sa.insert(table).values(**row).returning(table.c.id)).scalar_one())

    def _first(self, query: sa.Select[Any]) -> dict[str, Any] | None:
        with self._engine.connect() as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else {str(name): value for name, value in row.items()}
