"""The names of settings: in Python, in the environment, of version 0.1; and the nearest to a name that does not exist."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

from pydantic import BaseModel, SecretStr

from core.configuration.renamed import RENAMED

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

SEPARATOR: Final = "__"
LEAST_LENGTH: Final = 11
LENGTH_FOR_TWO: Final = 14

# Names that docker-compose.yml alone reads, with default and meaning. The first five are secret and have none.
COMPOSE: Final = {
    "POSTGRES_PASSWORD": ("", "Password of PostgreSQL. Passwords stand in addresses: use letters, digits, `-` and `_`."),
    "REDIS_PASSWORD": ("", "Password of Redis, of the same characters."),
    "AIRFLOW_FERNET_KEY": ("", "32 random bytes in URL-safe base64; encrypts Airflow's connections."),
    "AIRFLOW_JWT_SECRET": ("", "Random text; signs the tokens of Airflow's API."),
    "AIRFLOW_SECRET_KEY": ("", "Random text; signs the sessions of Airflow's UI."),
    "AIRFLOW_USERS": ("admin:admin", "Airflow users as name:role pairs."),
    "AIRFLOW_BASE_URL": (
        "http://localhost:8080",
        "Address of Airflow's UI as a browser sees it; it stands in the links of failure mails.",
    ),
    "BIND_ADDRESS": ("127.0.0.1", "Address on which the ports are published."),
    "DESK_TAG": ("latest", "Tag of the image."),
    "WORKER_CONCURRENCY": ("2", "Tasks that a Celery worker runs at once."),
}
# Other programs' names that may stand in a shared `.env`.
FOREIGN: Final = frozenset({*COMPOSE, "DATABASE_URI", "DO_NOT_TRACK", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "TZ"})
FOREIGN_PREFIXES: Final = (
    "AIRFLOW_", "AWS_", "BUILDKIT_", "CELERY_", "COMPOSE_", "DOCKER_", "FEAST_", "GOOGLE_", "MLFLOW_", "NUMBA_", "OMP_", "PG",
    "POSTGRES_", "PYTHON", "REDIS_", "UVICORN_",
)  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """One setting: its path through the groups, and what its field declares."""

    path: tuple[str, ...]
    field: FieldInfo

    @property
    def name(self) -> str:
        """The name in Python, as in `risk__max_positions`."""
        return SEPARATOR.join(self.path)

    @property
    def variable(self) -> str:
        """The name in the environment, as in `RISK__MAX_POSITIONS`."""
        return self.name.upper()

    @property
    def dotted(self) -> str:
        """The name in `desk.toml` and in prose, as in `risk.max_positions`."""
        return ".".join(self.path)

    @property
    def secret(self) -> bool:
        """True for a setting that is read from the environment and `.env` alone, and never shown."""
        return _holds_secret(self.field.annotation)


class SettingNames:
    """Every name under which the settings of a model are read."""

    def __init__(self, model: type[BaseModel]) -> None:
        self.by_variable = {setting.variable: setting for setting in each_setting(model)}
        self.groups = frozenset(setting.path[0].upper() for setting in self.by_variable.values() if len(setting.path) > 1)

    @cached_property
    def all(self) -> dict[str, Setting]:
        """Each variable, today's and that of version 0.1, with its setting."""
        return self.by_variable | {old: self.by_variable[new.upper()] for old, new in RENAMED.items()}

    def is_misspelt(self, variable: str) -> bool:
        """Return True for a name that is so near to a setting's that it is rather a mistake than another program's.

        It has two words and eleven characters or more, the same first letter, and differs by one letter left out, added,
        replaced or swapped with its neighbour; by two such mistakes from fourteen characters on. `API_URI`, `DB_PORT` and
        `APP_URL` are too short for that, and belong to other programs.
        """
        length = len(variable)
        allowed = 2 if length >= LENGTH_FOR_TWO else 1
        near = (name for name in self.all if name[0] == variable[0] and abs(len(name) - length) <= allowed)
        return length >= LEAST_LENGTH and "_" in variable and any(edit_distance(variable, name) <= allowed for name in near)

    def nearest(self, variable: str) -> Setting | None:
        """The setting whose name, today's or that of version 0.1, is most like this one; None when none is."""
        found = get_close_matches(variable, self.all, n=1, cutoff=0.7)
        return self.all[found[0]] if found else None


def each_setting(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[Setting]:
    """Yield the settings of a model and of its groups, in the order in which they are declared."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from each_setting(kind, (*above, name))
        else:
            yield Setting((*above, name), field)


def text_of(value: object) -> str:
    """Return a default as one writes it in the environment; empty for none.

    >>> text_of(100_000.0), text_of(True), text_of(("SPY", "QQQ")), text_of(None)
    ('100000', '1', 'SPY,QQQ', '')
    """
    match value:
        case None:
            return ""
        case bool():
            return str(int(value))
        case float():
            return f"{value:.15g}"
        case tuple():
            return ",".join(value)
        case Path():
            return value.as_posix()
        case _:
            return str(value)


def is_foreign(variable: str) -> bool:
    """Return True for a name of Airflow, MLflow, PostgreSQL and the like, which a shared `.env` may hold.

    >>> is_foreign("AIRFLOW__CORE__PARALLELISM"), is_foreign("MAX_POSTIONS")
    (True, False)
    """
    return variable in FOREIGN or variable.startswith(FOREIGN_PREFIXES)


def edit_distance(left: str, right: str) -> int:
    """Count the letters to leave out, add, replace or swap with their neighbour to turn one word into the other.

    The optimal string alignment distance (Damerau 1964).

    >>> edit_distance("MAX_POSTIONS", "MAX_POSITIONS"), edit_distance("SEED", "SPEED"), edit_distance("AB", "BA")
    (1, 1, 1)
    """
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, letter in enumerate(left, 1):
        last, before, row = before, row, [i]
        for j, other in enumerate(right, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == right[j - 2] and left[i - 2] == other:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]


def _holds_secret(kind: Any) -> bool:  # noqa: ANN401  # any type annotation
    return kind is SecretStr or any(_holds_secret(part) for part in get_args(kind))
