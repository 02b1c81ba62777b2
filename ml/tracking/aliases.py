"""Champion and challengers as aliases of a registered model: their names and moves.

MLflow keeps an alias in one row, so that whoever reads it sees the old version or the new one, never none.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow import MlflowClient

log = structlog.get_logger()
CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"  # the first; others are challenger-2, challenger-3, ...
CHALLENGERS: Final = re.compile(r"challenger(?:-(\d+))?")
GATES: Final = "gates"  # tag of a version: what its training was found wanting in
PASSED: Final = "passed"


@dataclass(frozen=True)
class Version:
    """A registered version; `gates` is what was said of its training, `passed` or the objections."""

    version: str
    aliases: tuple[str, ...]
    created_at: dt.datetime
    gates: str
    run_id: str


class Aliases:
    """Aliases of one registered model."""

    def __init__(self, client: MlflowClient, model_name: str) -> None:
        self._client = client
        self._name = model_name

    def all(self) -> dict[str, str]:
        """Version of each alias; empty where nothing is registered."""
        from mlflow.exceptions import MlflowException

        try:
            found = self._client.get_registered_model(self._name).aliases
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return {}
            raise
        return {str(alias): str(version) for alias, version in found.items()}

    def champion(self) -> str | None:
        """Version that decides; None before the first training."""
        return self.all().get(CHAMPION)

    def challengers(self) -> list[str]:
        """Versions that want to be champion, the one that has waited longest first."""
        found = [
            (int(match[1] or 1), version) for alias, version in self.all().items() if (match := CHALLENGERS.fullmatch(alias))
        ]
        return [version for _, version in sorted(found)]

    def admit(self, version: str, objections: Sequence[str] = (), *, unusable: str | None = None) -> str | None:
        """Give a new version its alias: the first is champion, another challenger if nothing is held against it.

        `unusable` is a champion that this code cannot load, as after an upgrade: it judges nothing, so it is no champion.
        """
        taken = self.all()
        self._client.set_model_version_tag(self._name, version, GATES, "; ".join(objections) or PASSED)
        if taken.get(CHAMPION) in {None, unusable}:
            self._set(CHAMPION, version)
            log.info("champion", model=self._name, version=version, first=True, objections=list(objections))
            return CHAMPION
        if objections:
            log.warning("challenger_refused", model=self._name, version=version, objections=list(objections))
            return None
        names = (CHALLENGER, *(f"{CHALLENGER}-{place}" for place in range(2, len(taken) + 2)))
        alias = next(name for name in names if name not in taken)
        self._set(alias, version)
        log.info("challenger", model=self._name, version=version, alias=alias)
        return alias

    def crown(self, version: str) -> None:
        """Make a version champion, and challenger no longer."""
        self._require(version)
        self._set(CHAMPION, version)
        self.withdraw(version)
        log.info("champion", model=self._name, version=version)

    def withdraw(self, version: str) -> None:
        """Take a challenger's alias away; the next in line moves up."""
        waiting = [other for other in self.challengers() if other != version]
        wanted = {CHALLENGER if place == 1 else f"{CHALLENGER}-{place}": other for place, other in enumerate(waiting, start=1)}
        taken = self.all()
        for alias, other in wanted.items():
            if taken.get(alias) != other:
                self._set(alias, other)
        for alias in taken:
            if CHALLENGERS.fullmatch(alias) and alias not in wanted:
                self._client.delete_registered_model_alias(self._name, alias)

    def versions(self) -> list[Version]:
        """Every version, the newest first."""
        by_version: dict[str, list[str]] = {}
        for alias, version in self.all().items():
            by_version.setdefault(version, []).append(alias)
        found = self._client.search_model_versions(f"name = '{self._name}'")
        rows = [
            Version(
                version=str(each.version),
                aliases=tuple(sorted(by_version.get(str(each.version), ()))),
                created_at=dt.datetime.fromtimestamp(each.creation_timestamp / 1000, dt.UTC),
                gates=str(each.tags.get(GATES, "")),
                run_id=str(each.run_id),
            )
            for each in found
        ]
        return sorted(rows, key=lambda row: int(row.version), reverse=True)

    def _set(self, alias: str, version: str) -> None:
        self._client.set_registered_model_alias(self._name, alias, version)

    def _require(self, version: str) -> None:
        known = [each.version for each in self.versions()]
        if version not in known:
            raise ConfigError(f"Model {self._name!r}: expected a version of {', '.join(known) or 'none'}, found {version!r}.")
