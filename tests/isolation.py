"""A test run that the developer's own desk cannot change: neither exported settings nor a `.env` reach the tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from core import settings
from core.configuration.names import SEPARATOR
from core.failpoints import VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterable


def desk_variables(names: Iterable[str]) -> list[str]:
    """Return the names of those environment variables that the desk reads, or would refuse as unknown in a group of its own."""
    known = settings.environment_names()
    groups = {name.partition(SEPARATOR)[0] for name in known if SEPARATOR in name}
    return [name for name in names if name.upper() in known or in_group(name, groups) or name == VARIABLE]


def in_group(name: str, groups: set[str]) -> bool:
    """Return True for a name that begins with a group of settings."""
    group, separator, _ = name.upper().partition(SEPARATOR)
    return bool(separator) and group in groups


def leave_the_developers_desk() -> None:
    """Remove the desk's variables from this process and let no `.env` or `desk.toml` be read in it."""
    for name in desk_variables(list(os.environ)):
        del os.environ[name]
    settings.FOLDER = Path("no settings here")
