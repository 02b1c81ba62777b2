"""Pages of the life of models: A/B tests with their newest decision, drift of the newest session, moves of the champion."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from storage.models.experiments import FINAL
from storage.models.tables import ab_assignments, ab_decisions, drift, experiments, promotions
from storage.views.reading import Reader, Rows, newest_first

if TYPE_CHECKING:
    from collections.abc import Sequence

NEWEST_WITHIN: Final = dt.timedelta(days=30)  # a family that was not measured for longer is not the newest of anything
DRIFT: Final = tuple(column.name for column in drift.c)


class ModelPages(Reader):
    """Rows of `ml.experiments` with `ab_decisions` and `ab_assignments`, of `ml.drift` and `ml.promotions`."""

    def ab_tests(self, model: str | None = None, after: Sequence[Any] | None = None, limit: int = 100) -> Rows:
        """Return A/B tests with their newest decision, the candidates of each arm, and whether the champion has moved since.

        Newest first; `after` is created_at and name of the last row of the page before.
        """
        test = experiments.c
        wanted = newest_first(sa.select(experiments), (test.created_at, test.name), after).limit(limit)
        if model is not None:
            wanted = wanted.where(test.model_name == model)
        page = wanted.subquery("page")
        decision, arms, moved = _newest_decision(page), _arms(page), _moved(page.c)
        query = (
            sa.select(*page.c, *list(decision.c)[1:], *list(arms.c)[1:], moved.label("champion_moved"))
            .select_from(page)
            .outerjoin(decision, decision.c.experiment == page.c.name)
            .outerjoin(arms, arms.c.experiment == page.c.name)
            .order_by(page.c.created_at.desc(), page.c.name.desc())
        )
        return self._rows(query)

    def drift(self, *, session: dt.date | None = None, family: str | None = None) -> Rows:
        """Return the drift of a session by family and name; of the newest session of each family unless it is given."""
        row = drift.c
        query = sa.select(*(row[name] for name in DRIFT)).order_by(row.family, row.name)
        if session is not None:
            query = query.where(row.session == session)
        else:
            newest = sa.select(sa.func.max(row.session)).scalar_subquery()
            recent = row.session > newest - NEWEST_WITHIN.days
            of = sa.select(row.family, sa.func.max(row.session).label("session")).where(recent).group_by(row.family).subquery()
            query = query.join(of, (of.c.family == row.family) & (of.c.session == row.session))
        return self._rows(query if family is None else query.where(row.family == family))

    def promotions(self, model: str | None = None, after: Sequence[Any] | None = None, limit: int = 100) -> Rows:
        """Return moves of the champion's alias, newest first; `after` is the id of the last row of the page before."""
        row = promotions.c
        query = newest_first(sa.select(promotions), (row.id,), after).limit(limit)
        return self._rows(query if model is None else query.where(row.model_name == model))


def _newest_decision(page: sa.Subquery) -> sa.Subquery:
    """Return the newest decision by experiment; nothing follows a final one but its own repetition."""
    row = ab_decisions.c
    final = sa.func.max(row.id).filter(row.kind.in_(FINAL))
    newest = (
        sa.select(sa.func.coalesce(final, sa.func.max(row.id)).label("id"))
        .where(row.experiment.in_(sa.select(page.c.name)))
        .group_by(row.experiment)
        .subquery()
    )
    names = ("session", "kind", "challenger", "reason", "report")
    columns = (row[name].label(f"decision_{name}") for name in names)
    return (
        sa.select(row.experiment, *columns, row.created_at.label("decided_at"))
        .join(newest, newest.c.id == row.id)
        .subquery("decision")
    )


def _arms(page: sa.Subquery) -> sa.Subquery:
    """Return the candidates of each arm by experiment, as one object."""
    row = ab_assignments.c
    counted = (
        sa.select(row.experiment, row.arm, sa.func.count().label("candidates"), sa.func.max(row.session).label("last"))
        .where(row.experiment.in_(sa.select(page.c.name)))
        .group_by(row.experiment, row.arm)
        .subquery()
    )
    of = counted.c
    totals = (sa.func.jsonb_object_agg(of.arm, of.candidates).label("assigned"), sa.func.max(of.last).label("last_assigned"))
    return sa.select(of.experiment, *totals).group_by(of.experiment).subquery("arms")


def _moved(test: Any) -> sa.ColumnElement[bool]:  # noqa: ANN401
    row = promotions.c
    since = (row.model_name == test.model_name) & (row.from_version == test.champion) & (row.created_at > test.created_at)
    return sa.exists().where(since)
