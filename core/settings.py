"""Every setting of the desk: a model for each component, nested in `Settings`, and read once with `get_settings()`.

The environment takes precedence over `.env`, `.env` over `desk.toml`, and that over the defaults. `risk.max_positions` is
`RISK__MAX_POSITIONS` in the environment and `max_positions` under `[risk]` in `desk.toml`. docs/configuration.md lists all.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import structlog
from pydantic import Field, PrivateAttr, SecretStr, ValidationError, field_validator, model_validator

from core.configuration.kinds import Group, Names
from core.configuration.models import (
    AbTest,
    Drift,
    Gates,
    Ingestion,
    NextDay,
    Optimise,
    Performance,
    Promotion,
    Tracking,
    Training,
    Validation,
)
from core.configuration.names import SEPARATOR, SettingNames, text_of
from core.configuration.real_money import RULES, overlaid, with_rules
from core.configuration.renamed import READ_UNTIL, RENAMED
from core.configuration.risk_profiles import profile_named, tightened
from core.configuration.services import AlertChannels, Api, Dashboard, Database, Health, Mail, Ports
from core.configuration.sources import Reading, place, read_sources
from core.configuration.trading import Costs, Filters, Guard, Monitor, PositionWatch, PreSend, Risk, Venue
from core.errors import ConfigError
from core.log import configure_logging

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

log = structlog.get_logger()

PLACEHOLDERS = {"changeme", "change-me", "password", "secret"}
DEFAULT_UNIVERSE = ("AAPL", "AMZN", "GOOGL", "MSFT", "NVDA", "SPY", "QQQ", "IWM", "XLE", "XLF", "XLK")


def _own_folder(provider: str) -> Path:
    """Return a data folder for each provider: in one folder two sources would revise each other's bars."""
    return Path(".local") if provider == "sample" else Path(".local") / provider


class Settings(Group):
    """Settings of the desk. What several components share has no group. Constructing one reads no source."""

    environment: Literal["local", "production"] = Field(
        "local", description="`production` refuses placeholder secrets; `local` accepts them."
    )
    log_level: str = Field("INFO", description="Level of the log: DEBUG, INFO, WARNING or ERROR.")
    provider: Literal["sample", "files", "yfinance"] = Field(
        "sample",
        description="Source of bars: `sample` (embedded, no network), `files` (a folder) or `yfinance` (Yahoo Finance). "
        "`make demo` and `make up` take it from their own command line: `make up PROVIDER=yfinance`.",
    )
    data_dir: Path = Field(
        default_factory=lambda known: _own_folder(known.get("provider", "sample")),
        description="Folder of all local files: embedded database, artefacts, logs, reports. "
        "`.local/yfinance` and `.local/files` for those providers, unless set.",
    )
    universe: Names = Field((), description="Symbols to trade. Empty: the provider's own list.")
    strategies: Names = Field(
        ("bollinger",), description="Strategies that trade: names that `desk strategies` lists, or path/to/file.py:Class."
    )
    portfolio: str = Field("main", description="Name of the portfolio in the ledger.")
    initial_cash_usd: float = Field(100_000.0, gt=0, description="Cash at the start of a backtest and of the paper portfolio.")
    seed: int = Field(7, description="Seed of everything random in training and A/B tests.")

    database: Database = Database()
    ingestion: Ingestion = Ingestion()
    costs: Costs = Costs()
    filters: Filters = Filters()
    risk: Risk = Risk()
    monitor: Monitor = Monitor()
    pre_send: PreSend = PreSend()
    guard: Guard = Guard()
    position_watch: PositionWatch = PositionWatch()
    venue: Venue = Venue()
    optimise: Optimise = Optimise()
    validation: Validation = Validation()
    tracking: Tracking = Tracking()
    training: Training = Training()
    next_day: NextDay = NextDay()
    ab_test: AbTest = AbTest()
    gates: Gates = Gates()
    promotion: Promotion = Promotion()
    drift: Drift = Drift()
    performance: Performance = Performance()
    api: Api = Api()
    dashboard: Dashboard = Dashboard()
    ports: Ports = Ports()
    mail: Mail = Mail()
    alerts: AlertChannels = AlertChannels()
    health: Health = Health()

    _as_set: dict[str, dict[str, Any]] = PrivateAttr(default_factory=dict)  # what a profile tightened, by group, as it was set

    @classmethod
    def of(cls, **values: object) -> Self:
        """Return settings with these values and defaults for the rest; names are those of the environment, in lower case.

        >>> Settings.of(risk__max_positions=1, provider="yfinance").risk.max_positions
        1
        """
        return cls().with_changes(**values)

    def with_changes(self, **values: object) -> Self:
        """Return validated settings that differ in these values; what was never set takes its default anew.

        Raises
        ------
        pydantic.ValidationError
            When a value is refused or a name does not exist.

        Examples
        --------
        >>> settings = Settings.of(risk__max_positions=1)
        >>> settings.with_changes(risk__max_position_pct=20).risk.max_positions
        1
        """
        content = self.model_dump(exclude_unset=True)
        for group, values_set in self._as_set.items():
            content[group] |= values_set
        for name, value in values.items():
            place(content, tuple(name.split(SEPARATOR)), value)
        return self.model_validate(content)

    def with_profile(self, name: str) -> Self:
        """Return the settings under a risk profile; of its values and those set by name, the stricter hold.

        Raises
        ------
        core.errors.ConfigError
            When there is no profile of this name; it suggests the nearest.

        Examples
        --------
        >>> settings = Settings.of(risk__max_positions=9, risk__max_position_pct=20).with_profile("director")
        >>> settings.risk.max_positions, settings.risk.max_position_pct, settings.monitor.mode
        (3, 20.0, 'enforce')
        """
        profile_named(name)
        return self.with_changes(risk__profile=name)

    def value_of(self, name: str) -> Any:  # noqa: ANN401  # of any setting
        """Return a setting's value by its name in the environment, in either case.

        >>> Settings().value_of("RISK__MAX_POSITIONS")
        3
        """
        return reduce(getattr, name.lower().split(SEPARATOR), self)

    @field_validator("strategies")
    @classmethod
    def _at_least_one(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("STRATEGIES: expected one or more names, found none. `desk strategies` lists them.")
        return value

    @field_validator("universe")
    @classmethod
    def _normalise(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        from core.sessions import normalise_symbol  # pandas takes a third of a second

        return tuple(normalise_symbol(symbol) for symbol in value)

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Self:
        if self.provider == "files" and self.ingestion.files_dir is None:
            raise ValueError("PROVIDER=files needs INGESTION__FILES_DIR: the folder that holds the CSV or Parquet files.")
        if self.venue.live and self.provider in {"sample", "files"}:
            raise ValueError(
                f"PROVIDER={self.provider} is a finished history, and VENUE__LIVE=1 asks for real money. Set PROVIDER=yfinance."
            )
        if self.environment != "local":
            for name in ("DATABASE__URL", "MAIL__PASSWORD"):
                secret: SecretStr | None = self.value_of(name)
                if secret and any(word in secret.get_secret_value().lower() for word in PLACEHOLDERS):
                    raise ValueError(f"{name} still holds a placeholder; set a real secret outside ENVIRONMENT=local.")
        return self

    @model_validator(mode="after")
    def _switch_rules_on(self) -> Self:
        """Real money is not traded without the rules of `core.configuration.real_money`, unless they are turned off by name."""
        if self.venue.live:
            self.__dict__.update({name: with_rules(name, getattr(self, name)) for name in RULES})
        return self

    @model_validator(mode="after")
    def _apply_profile(self) -> Self:
        """The risk profile tightens what it has a value for; `core.configuration.risk_profiles` says by which order."""
        named = "profile" in self.risk.model_fields_set
        for name, values in profile_named(self.risk.profile).items():
            group: Group = getattr(self, name)
            changes = tightened(group, values, named=named)
            if as_set := {field: getattr(group, field) for field in changes if field in group.model_fields_set}:
                self._as_set[name] = as_set
            self.__dict__[name] = overlaid(group, changes)
        return self


NAMES = SettingNames(Settings)
FOLDER = Path()  # holds `.env` and `desk.toml`: the working directory


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Read the settings on first use and keep them for the life of the process.

    Raises
    ------
    core.errors.ConfigError
        When one is wrong or unknown; it names the setting and shows no value.
    """
    return read_settings(os.environ, FOLDER)


def read_settings(environment: Mapping[str, str], folder: Path = Path()) -> Settings:
    """Read the settings from variables and from the `.env` and `desk.toml` of a folder; log the old names among them.

    Raises
    ------
    core.errors.ConfigError
        When one is wrong or unknown; it names the setting and shows no value.

    Examples
    --------
    >>> read_settings({"RISK__MAX_POSITIONS": "2"}, Path("nowhere")).risk.max_positions
    2
    >>> read_settings({"MAX_POSTIONS": "9"}, Path("nowhere"))
    Traceback (most recent call last):
    core.errors.ConfigError: MAX_POSTIONS: no such setting. Did you mean RISK__MAX_POSITIONS?
    """
    reading = read_sources(NAMES, environment, folder)
    settings, problems = None, list(reading.problems)
    try:
        settings = Settings.model_validate(reading.nested())
    except ValidationError as error:
        problems += [_complaint(each, reading) for each in error.errors(include_input=False)]
    if settings is None or problems:
        raise ConfigError("; ".join(problems))
    if reading.renamed:
        _warn_of_old_names(reading, settings.log_level)
    return settings


def environment_names() -> frozenset[str]:
    """Return every name under which a setting is read from the environment, today's and those of version 0.1."""
    return frozenset(NAMES.all)


def environment_for(**values: object) -> dict[str, str]:
    """Return the variables that give a child process these settings, whatever names its environment has otherwise.

    An old name is emptied, so that it does not contradict the new one.

    >>> environment_for(risk__max_positions=1)
    {'RISK__MAX_POSITIONS': '1', 'MAX_POSITIONS': ''}
    """
    old = {new: name for name, new in RENAMED.items()}
    variables: dict[str, str] = {}
    for name, value in values.items():
        variables[NAMES.by_variable[name.upper()].variable] = str(value)
        variables |= {old[name]: ""} if name in old else {}
    return variables


def _warn_of_old_names(reading: Reading, level: str) -> None:
    """Log which names to change; `get_settings` does so once a process."""
    if not structlog.is_configured():
        configure_logging(level)
    names = [f"{old} is now {setting.variable}" for old, setting in sorted(reading.renamed.items())]
    log.warning("settings_renamed", names=names, remedy=f"Rename them: the old names are read until version {READ_UNTIL}")


def _complaint(error: ErrorDetails, reading: Reading) -> str:
    """Return what is wrong with a setting, under the name that was typed, without its value."""
    words = error["msg"].removeprefix("Value error, ").replace("Input should be", "expected").rstrip(".")
    parts = [str(part) for part in error["loc"] if not isinstance(part, int)]
    setting = NAMES.by_variable.get(SEPARATOR.join(parts).upper())
    if setting is None or error["type"] == "value_error":
        given = reading.given.get(setting.name) if setting else None
        sentence = words if words.endswith("?") else f"{words}."
        return f"{given.where}: {sentence}" if given and not words.startswith(given.typed) else sentence
    given = reading.given.get(setting.name)
    default = text_of(Settings().value_of(setting.name)) or "none"
    remedy = "Change it." if setting.secret else f"Change it, or remove it to use the default ({default})."
    return f"{given.where if given else setting.variable}: {words}. {remedy}"
