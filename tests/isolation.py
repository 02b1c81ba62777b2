"""A test run that the developer's own desk cannot change: neither exported settings nor a `.env` reach the tests."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from core.failpoints import VARIABLE
from core.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable

BETWEEN_GROUP_AND_NAME = "__"


def desk_variables(names: Iterable[str]) -> list[str]:
    """Return the names of those environment variables that the desk reads.

    Settings are read in upper and lower case. A field that is a model of its own is read from `FIELD` and from `FIELD__NAME`.
    """
    fields = {name.upper() for name in Settings.model_fields}
    return [name for name in names if name.upper().partition(BETWEEN_GROUP_AND_NAME)[0] in fields or name == VARIABLE]


def leave_the_developers_desk() -> None:
    """Remove the desk's variables from this process and let no `.env` be read in it."""
    for name in desk_variables(list(os.environ)):
        del os.environ[name]
    Settings.model_config["env_file"] = None
