"""A/B experiments: their terms, the arm of each candidate, and the decisions.

Rows are only added, and the database refuses to change them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from core.frames import SESSION
from storage.models.tables import ab_assignments, ab_decisions, experiments

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping, Sequence

STORED = ("name", "model_name", "champion", "challengers", "terms", "first_session")
FINAL = ("promote", "keep")
ASSIGNED = ("strategy", "symbol", "session", "arm", "scores", "created_at")


@dataclass(frozen=True)
class Experiment:
    """A stored experiment; `terms` as they were agreed at its beginning, `decided` once it was promoted or kept."""

    name: str
    model_name: str
    champion: str
    challengers: tuple[str, ...]
    terms: dict[str, Any]
    first_session: dt.date
    decided: bool = False


@dataclass(frozen=True)
class Judgement:
    """A stored decision record."""

    id: int
    experiment: str
    session: dt.date
    kind: str
    challenger: str | None
    reason: str
    report: dict[str, Any]
    created_at: dt.datetime

    @property
    def versions(self) -> set[str]:
        """The challengers that were compared."""
        return {str(each["challenger"]) for each in self.report.get("comparisons", [])}


class Experiments:
    """Rows of `ml.experiments`, `ml.ab_assignments` and `ml.ab_decisions`."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def begin(self, experiment: Experiment) -> Experiment:
        """Store an experiment unless it is on record; returns the one on record."""
        row = {name: getattr(experiment, name) for name in STORED} | {"challengers": list(experiment.challengers)}
        with self._engine.begin() as connection:
            connection.execute(insert(experiments).values(row).on_conflict_do_nothing())
        return self._read(experiments.c.name == experiment.name)[0]

    def get(self, name: str) -> Experiment | None:
        """An experiment by its name."""
        found = self._read(experiments.c.name == name)
        return found[0] if found else None

    def of(self, model_name: str, champion: str) -> list[Experiment]:
        """Experiments against a champion, the newest first."""
        return self._read((experiments.c.model_name == model_name) & (experiments.c.champion == champion))

    def assign(self, experiment: str, session: dt.date, rows: Sequence[Mapping[str, Any]]) -> None:
        """Store strategy, symbol, arm and scores of candidates; what is on record stays as it is."""
        values = [{"experiment": experiment, "session": session, **row} for row in rows]
        if values:
            with self._engine.begin() as connection:
                connection.execute(insert(ab_assignments).on_conflict_do_nothing(), values)

    def assignments(self, experiment: str, *, session: dt.date | None = None, until: dt.date | None = None) -> pd.DataFrame:
        """The columns of `ASSIGNED`, sorted by session, symbol and strategy: all, of one session, or up to one."""
        columns = ab_assignments.c
        query = sa.select(*(columns[name] for name in ASSIGNED)).where(columns.experiment == experiment)
        if session is not None:
            query = query.where(columns.session == session)
        if until is not None:
            query = query.where(columns.session <= until)
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(columns.session, columns.symbol, columns.strategy)).all()
        frame = pd.DataFrame(rows, columns=list(ASSIGNED))
        frame["session"] = pd.to_datetime(frame["session"]).astype(SESSION)
        return frame

    def record(
        self, experiment: str, session: dt.date, *, kind: str, challenger: str | None, reason: str, report: Mapping[str, Any]
    ) -> int:
        """Add a decision record and return its id."""
        row = {"experiment": experiment, "session": session, "kind": kind, "challenger": challenger, "reason": reason}
        query = sa.insert(ab_decisions).values(**row, report=dict(report)).returning(ab_decisions.c.id)
        with self._engine.begin() as connection:
            return int(connection.execute(query).scalar_one())

    def decisions(
        self,
        experiment: str | None = None,
        *,
        model_name: str | None = None,
        kinds: Iterable[str] | None = None,
        limit: int = 100,
    ) -> list[Judgement]:
        """Decision records, the newest first."""
        columns = ab_decisions.c
        query = (
            sa.select(*(columns[field] for field in Judgement.__dataclass_fields__)).order_by(columns.id.desc()).limit(limit)
        )
        if experiment is not None:
            query = query.where(columns.experiment == experiment)
        if model_name is not None:
            query = query.join(experiments, experiments.c.name == columns.experiment).where(
                experiments.c.model_name == model_name
            )
        if kinds is not None:
            query = query.where(columns.kind.in_(list(kinds)))
        with self._engine.connect() as connection:
            return [Judgement(**row) for row in connection.execute(query).mappings()]

    def _read(self, condition: sa.ColumnElement[bool]) -> list[Experiment]:
        final = sa.select(ab_decisions.c.id).where(
            ab_decisions.c.experiment == experiments.c.name, ab_decisions.c.kind.in_(FINAL)
        )
        query = (
            sa.select(*(experiments.c[name] for name in STORED), final.exists().label("decided"))
            .where(condition)
            .order_by(experiments.c.created_at.desc())
        )
        with self._engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return [Experiment(**{**row, "challengers": tuple(row["challengers"])}) for row in rows]
