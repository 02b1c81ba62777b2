"""Read the dashboard's own settings from the environment.

The dashboard imports nothing of the desk, so it does not read `core.settings`: `make up` and docker-compose.yml hand it the
settings of the group `dashboard` as the variables of the same names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "DASHBOARD__"


class Environment(BaseModel):
    """Addresses, key and intervals of one dashboard process.

    Attributes
    ----------
    read_key
        Key for `X-API-Key`; None where the API answers this machine without one. The first counts where several are given.
    hosts
        Names under which a browser may reach the dashboard, beside those of loopback.
    airflow_url, mlflow_url
        Addresses of those pages as a browser reaches them; empty shows no links.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    api_url: str = "http://127.0.0.1:8000"
    read_key: SecretStr | None = None
    timeout_seconds: float = Field(10.0, gt=0)
    refresh_seconds: float = Field(30.0, gt=0)
    hosts: tuple[str, ...] = ()
    airflow_url: str = ""
    mlflow_url: str = ""

    @field_validator("hosts", mode="before")
    @classmethod
    def _separate(cls, value: object) -> object:
        """Separate a list by its commas."""
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("read_key", mode="before")
    @classmethod
    def _take_first(cls, value: object) -> object:
        """Take the first of several keys: a key can be replaced without a gap."""
        return value.partition(",")[0].strip() if isinstance(value, str) else value

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> Environment:
        """Return the settings that these variables give; an empty one is not set.

        Examples
        --------
        >>> Environment.of({"DASHBOARD__HOSTS": "desk.lan, desk", "DASHBOARD__READ_KEY": ""}).hosts
        ('desk.lan', 'desk')
        """
        given = {name: variables.get(f"{PREFIX}{name.upper()}", "").strip() for name in cls.model_fields}
        return cls.model_validate({name: value for name, value in given.items() if value})
