"""The base of a settings group, and the kinds of values that more than one group has."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, SecretStr

from core.configuration.alert_urls import require_services

MIN_KEY_LENGTH = 20


class Group(BaseModel):
    """Settings of one component: frozen, and closed to names that it does not have."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)  # an input may be a secret


def split_commas(value: object) -> object:
    """Return the parts of a comma-separated text; leave anything else as it is."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def require_length(value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    """Refuse API keys that could be guessed."""
    if any(len(key.get_secret_value()) < MIN_KEY_LENGTH for key in value):
        raise ValueError(
            f"An API key needs {MIN_KEY_LENGTH} characters: python -c 'import secrets; print(secrets.token_hex())'"
        )
    return value


def none_when_off(value: object) -> object:
    """Return None for the word `off`; leave anything else as it is."""
    return None if isinstance(value, str) and value.strip().lower() == "off" else value


OffAllowed = BeforeValidator(none_when_off)  # a limit that may be turned off by name: an empty variable is one not set
Names = Annotated[tuple[str, ...], BeforeValidator(split_commas)]
ApiKeys = Annotated[tuple[SecretStr, ...], BeforeValidator(split_commas), AfterValidator(require_length)]
AlertUrls = Annotated[tuple[SecretStr, ...], BeforeValidator(split_commas), AfterValidator(require_services)]
