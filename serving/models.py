"""The models that serve, champion and challengers: loaded once, exchanged when an alias moves. It predicts nothing.

What is loaded goes on serving whatever happens to the registry. A version that cannot be loaded, answers trial rows with
nonsense or wants other features than these is refused, once with an alert, and tried again every `RETRY_SECONDS`.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import structlog

from core.errors import ConfigError, NoChampion
from core.frames import FEATURES
from ml.tracking.aliases import CHALLENGERS, CHAMPION

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping

    from monitoring.alerts import Alerts
    from serving.metrics import Metrics

ARM = re.compile(rf"{CHAMPION}|{CHALLENGERS.pattern}")
RETRY_SECONDS = 5.0
# A registry over HTTP that is down answers within seconds: MLflow's own patience is minutes.
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
log = structlog.get_logger()


class Registered(Protocol):
    """A registered model of any kind."""

    @property
    def name(self) -> str:
        """Registered name."""
        ...

    @property
    def version(self) -> str:
        """Registered version."""
        ...

    @property
    def features(self) -> tuple[str, ...]:
        """Columns that it takes."""
        ...


class Scores(Protocol):
    """A scorer of any kind; `fast` is True when single rows take microseconds."""

    fast: bool


M = TypeVar("M", bound=Registered)
S = TypeVar("S", bound=Scores)


class NoChallenger(ConfigError):
    """No model is under the alias of the challenger."""


class NoNextDayModel(NoChampion):
    """No next-day model has been registered yet."""


@dataclass(frozen=True)
class Kind(Generic[M, S]):
    """One kind of prediction: its models in MLflow, how they are loaded and trained.

    Attributes
    ----------
    name
        Name of the prediction, as it is stored with each.
    registered
        Name of the models in MLflow.
    aliases
        Reads the version of each alias from MLflow.
    command
        The command that trains one.
    missing
        The error while there is no champion.
    """

    name: str
    registered: str
    aliases: Callable[[], Mapping[str, str]]
    load: Callable[[str], M]
    scorer: Callable[[M], S]
    command: str
    missing: type[NoChampion] = NoChampion


@dataclass(frozen=True)
class Loaded(Generic[M, S]):
    """A model that serves, whole: readers keep the one they got."""

    kind: str
    arm: str
    model: M
    scorer: S
    loaded_at: dt.datetime


@dataclass(frozen=True)
class Refusal:
    """A version that an arm refused (None: its alias points nowhere), why, and when it is tried again."""

    version: str | None
    reason: str
    retry_at: float


class Models(Generic[M, S]):
    """Holds the model of one kind under each alias."""

    def __init__(self, kind: Kind[M, S], metrics: Metrics, alerts: Alerts, clock: Callable[[], dt.datetime]) -> None:
        self.kind = kind
        self._metrics, self._alerts, self._clock = metrics, alerts, clock
        self._loaded: dict[str, Loaded[M, S]] = {}
        self.refused: dict[str, Refusal] = {}
        self.unreachable: str | None = None
        for name, value in PATIENCE.items():
            os.environ.setdefault(name, value)

    def get(self, arm: str = CHAMPION) -> Loaded[M, S]:
        """Return the model of an arm.

        Raises
        ------
        NoChampion
            When none has been registered yet.
        NoChallenger
            When no challenger is.
        """
        loaded = self._loaded.get(arm)
        if loaded is None:
            missing = self.kind.missing if arm == CHAMPION else NoChallenger
            raise missing(f"No {arm} of {self.kind.registered!r} is registered.")
        return loaded

    def serve(self, arm: str, model: M) -> None:
        """Put a model into an arm's place.

        Raises
        ------
        ConfigError
            When it wants other features, or answers trial rows with nonsense; what serves stays.
        """
        require_features(model, self.kind.command)
        before = self._version(arm)
        fresh = Loaded(self.kind.name, arm, model, self.kind.scorer(model), self._clock())
        self._loaded[arm] = fresh
        self.refused.pop(arm, None)
        log.info("model_loaded", arm=arm, name=model.name, version=model.version, before=before, fast=fresh.scorer.fast)
        self._metrics.reloads.labels(self.kind.name, arm, "loaded").inc()
        self._metrics.serve_model(self.kind.name, arm, model.name, model.version)

    def loaded(self) -> list[Loaded[M, S]]:
        """Return every model that serves now."""
        loaded = dict(self._loaded)
        return [loaded[arm] for arm in sorted(loaded)]

    @property
    def ready(self) -> bool:
        """True when a champion serves."""
        return CHAMPION in self._loaded

    def version(self, arm: str = CHAMPION) -> str | None:
        """Return the version that serves as an arm; None when none does."""
        return self._version(arm)

    def serving(self) -> str:
        """Return the champion that serves, in words."""
        version = self._version(CHAMPION)
        return f"version {version}" if version else f"none: run `{self.kind.command}`"

    def amber(self) -> list[str]:
        """Return what is wrong while models go on serving."""
        refused = [f"{self.kind.name} {arm}: {refusal.reason}" for arm, refusal in dict(self.refused).items()]
        return [*refused, f"{self.kind.name} registry: {self.unreachable}"] if self.unreachable else refused

    def refresh(self) -> None:
        """Load the versions under the aliases. After a failure the loaded models go on serving; it is logged and counted."""
        try:
            aliases = self.kind.aliases()
        except Exception as error:  # whatever the registry throws, the loaded models go on serving
            if self.unreachable is None:
                log.exception("registry_does_not_answer", serving=sorted(self._loaded), error=type(error).__name__)
            self._metrics.reloads.labels(self.kind.name, "any", "failed").inc()
            self.unreachable = f"does not answer: {type(error).__name__}"
            return
        self.unreachable = None
        arms = {alias: version for alias, version in aliases.items() if ARM.fullmatch(alias)}
        for arm in sorted({CHAMPION, *arms, *self._loaded, *self.refused}):
            self._follow(arm, arms.get(arm))

    def _version(self, arm: str) -> str | None:
        return self._loaded[arm].model.version if arm in self._loaded else None

    def _follow(self, arm: str, version: str | None) -> None:
        """Bring an arm to the version under its alias."""
        if version is not None and version == self._version(arm):
            self.refused.pop(arm, None)
        elif version is None:
            self._point_nowhere(arm)
        elif self._may_try(arm, version):
            self._load(arm, version)

    def _may_try(self, arm: str, version: str) -> bool:
        refusal = self.refused.get(arm)
        return refusal is None or refusal.version != version or time.monotonic() >= refusal.retry_at

    def _point_nowhere(self, arm: str) -> None:
        """A challenger that was withdrawn stops serving; a champion goes on until there is another."""
        if arm != CHAMPION:
            before = self._loaded.pop(arm, None)
            self._metrics.drop_model(self.kind.name, arm)
            self.refused.pop(arm, None)
            log.info("model_withdrawn", arm=arm, before=before.model.version if before else None)
        elif arm in self._loaded:
            self._refuse(arm, None, f"the alias {arm!r} points nowhere; version {self._version(arm)} goes on serving")

    def _load(self, arm: str, version: str) -> None:
        try:
            self.serve(arm, self.kind.load(version))
        except Exception as error:  # noqa: BLE001  # whatever is wrong with it, the old model goes on serving
            serving = self._version(arm)
            kept = f"version {serving} goes on serving" if serving else "nothing serves in its place"
            self._refuse(arm, version, f"version {version} was refused ({type(error).__name__}: {error}); {kept}")

    def _refuse(self, arm: str, version: str | None, reason: str) -> None:
        """Note a refusal; the first of its kind is alerted."""
        before = self.refused.get(arm)
        self.refused[arm] = Refusal(version, reason, time.monotonic() + RETRY_SECONDS)
        if before is None or before.version != version:
            self._metrics.reloads.labels(self.kind.name, arm, "refused").inc()
            log.error("model_refused", arm=arm, version=version, serving=self._version(arm), reason=reason)
            remedy = f"Look at it in MLflow; train again (`{self.kind.command}`) or move the alias to a version that loads."
            self._alerts.send(f"The {arm} of {self.kind.registered!r} was not loaded", f"{reason}.\n{remedy}")


def require_features(model: Registered, command: str) -> None:
    """Refuse a model that was trained on other features than this process makes.

    Raises
    ------
    ConfigError
        Names what is missing on either side.
    """
    missing, strange = sorted(set(model.features) - set(FEATURES)), sorted(set(FEATURES) - set(model.features))
    if missing or strange:
        raise ConfigError(
            f"{model.name} {model.version} was trained on another feature set: it wants {missing or 'nothing'} that is not "
            f"made here, and does not know {strange or 'nothing'} that is. Train again: `{command}`."
        )
