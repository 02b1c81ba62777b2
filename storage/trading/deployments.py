"""Deployments, version by version, and the value of their sleeves. Rows of deployments are only added."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on, insert

from core.deployments import Deployment, Sleeve, Stage, State
from core.errors import ConfigError, VersionConflict
from core.frames import SESSION
from storage.trading.deployment_tables import deployments, sleeve_equity

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

COLUMNS = tuple(Deployment.__dataclass_fields__)


class Deployments:
    """Rows of `trading.deployments` and `trading.sleeve_equity`."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, wanted: Deployment) -> Deployment:
        """Add a version of a deployment and return it as stored.

        Parameters
        ----------
        wanted
            Its `version` must be one above the newest stored, 1 for a new name.

        Raises
        ------
        VersionConflict
            When somebody changed the deployment meanwhile, or the name is taken.
        ConfigError
            When no author or reason is given.
        """
        for name in ("author", "reason"):
            if not getattr(wanted, name).strip():
                raise ConfigError(f"Deployment {wanted.name!r}: expected {name}, found none. It is kept in the history.")
        row = {name: getattr(wanted, name) for name in COLUMNS if name != "created_at"}
        row |= {"sleeves": [sleeve.as_dict() for sleeve in wanted.sleeves], "promise": dict(wanted.promise)}
        with self._engine.begin() as connection:
            # One writer at a time, so that versions have no gaps; readers go on.
            connection.execute(sa.text("LOCK TABLE trading.deployments IN SHARE ROW EXCLUSIVE MODE"))
            newest = sa.select(sa.func.coalesce(sa.func.max(deployments.c.version), 0))
            found = int(connection.execute(newest.where(deployments.c.name == wanted.name)).scalar_one())
            if wanted.version != found + 1:
                raise VersionConflict(
                    f"Deployment {wanted.name!r}: expected version {wanted.version - 1} as the newest, found {found}. "
                    f"Somebody changed it since: look at `desk deployments --history {wanted.name}`."
                )
            stored = connection.execute(sa.insert(deployments).values(row).returning(deployments)).mappings().one()
        return _deployment(stored)

    def get(self, name: str, *, until: dt.datetime | None = None) -> Deployment | None:
        """Return the newest version of a deployment, or the newest up to a moment (aware); None when there is none."""
        query = sa.select(deployments).where(deployments.c.name == name).order_by(deployments.c.version.desc()).limit(1)
        if until is not None:
            query = query.where(deployments.c.created_at <= until)
        with self._engine.connect() as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else _deployment(row)

    def all(self) -> list[Deployment]:
        """Return the newest version of every deployment with sleeves, in the order in which they were made.

        One without is a default deployment: the settings describe it, and only those under whose `PORTFOLIO` it was made.
        """
        rows = deployments.c
        first = sa.select(rows.name, sa.func.min(rows.id).label("first")).group_by(rows.name).subquery()
        newest = sa.select(deployments).ext(distinct_on(rows.name)).order_by(rows.name, rows.version.desc()).subquery("newest")
        query = sa.select(newest).join(first, first.c.name == newest.c.name).order_by(first.c.first)
        with self._engine.connect() as connection:
            found = [_deployment(row) for row in connection.execute(query).mappings()]
        return [each for each in found if each.sleeves]

    def history(self, name: str) -> list[Deployment]:
        """Return every version of a deployment, oldest first."""
        query = sa.select(deployments).where(deployments.c.name == name).order_by(deployments.c.version)
        with self._engine.connect() as connection:
            return [_deployment(row) for row in connection.execute(query).mappings()]

    def save_sleeve_equity(self, portfolio: str, session: dt.date, equity_usd: Mapping[str, float]) -> None:
        """Upsert the value of each sleeve at a close, by the sleeve's name."""
        rows = [
            {"portfolio": portfolio, "strategy": name, "session": session, "equity_usd": value}
            for name, value in equity_usd.items()
        ]
        if rows:
            statement = insert(sleeve_equity)
            upsert = statement.on_conflict_do_update(
                index_elements=["portfolio", "strategy", "session"], set_={"equity_usd": statement.excluded.equity_usd}
            )
            with self._engine.begin() as connection:
                connection.execute(upsert, rows)

    def sleeve_equity(self, portfolio: str) -> pd.DataFrame:
        """Return the value of each sleeve at each close: strategy, session, equity_usd, sorted by session and strategy."""
        rows = sleeve_equity.c
        query = sa.select(rows.strategy, rows.session, rows.equity_usd).where(rows.portfolio == portfolio)
        with self._engine.connect() as connection:
            found = connection.execute(query.order_by(rows.session, rows.strategy)).all()
        frame = pd.DataFrame(found, columns=["strategy", "session", "equity_usd"])
        return frame.assign(session=pd.to_datetime(frame["session"]).astype(SESSION))


def _deployment(row: Mapping[Any, Any]) -> Deployment:
    values = {name: row[name] for name in COLUMNS}
    sleeves = tuple(Sleeve.of(each) for each in row["sleeves"])
    return Deployment(**{**values, "stage": Stage(row["stage"]), "state": State(row["state"]), "sleeves": sleeves})
