"""Reads settings from the environment, `.env` and `desk.toml`; refuses names that do not exist and secrets in a file.

The environment takes precedence over `.env`, `.env` over `desk.toml`, and that over the defaults.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from core.configuration.names import FOREIGN, Setting, SettingNames, is_foreign
from core.errors import ConfigError

DOTENV: Final = ".env"
TOML: Final = "desk.toml"


@dataclass(frozen=True)
class Given:
    """A value with the name under which it was given, and the file; None stands for the environment."""

    setting: Setting
    value: Any
    typed: str
    file: str | None

    @property
    def where(self) -> str:
        """The name as the user typed it, and the file it stands in."""
        return self.typed + (f" in {self.file}" if self.file else "")


@dataclass
class Reading:
    """Values of the settings that the sources give, and the problems found in them."""

    given: dict[str, Given] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    renamed: dict[str, Setting] = field(default_factory=dict)  # by the name of version 0.1 that was found

    def nested(self) -> dict[str, Any]:
        """Return the values as the model takes them, group in group."""
        content: dict[str, Any] = {}
        for each in self.given.values():
            place(content, each.setting.path, each.value)
        return content


def place(content: dict[str, Any], path: tuple[str, ...], value: Any) -> None:  # noqa: ANN401  # of any setting
    """Set a value in nested dictionaries, making those that are missing."""
    *groups, name = path
    for group in groups:
        content = content.setdefault(group, {})
    content[name] = value


def read_sources(names: SettingNames, environment: Mapping[str, str], folder: Path) -> Reading:
    """Read the three sources, the later over the earlier.

    Raises
    ------
    core.errors.ConfigError
        When `desk.toml` is no TOML.
    """
    reading = Reading()
    _read_toml(names, folder / TOML, reading)
    if (folder / DOTENV).is_file():
        from dotenv import dotenv_values

        variables = {name: value or "" for name, value in dotenv_values(folder / DOTENV).items()}
        _read_variables(names, variables, DOTENV, reading)
    _read_variables(names, environment, None, reading)
    return reading


def _read_variables(names: SettingNames, variables: Mapping[str, str], file: str | None, reading: Reading) -> None:
    """Take the settings among the variables; an empty one is not set."""
    here: dict[str, Given] = {}
    for typed, value in variables.items():
        setting = names.all.get(typed.upper())
        if setting is None:
            if _is_unknown(names, typed.upper(), file):
                reading.problems.append(_unknown(names, typed, file))
        elif value:
            given = Given(setting, value, typed.upper(), file)
            other = here.setdefault(setting.name, given)
            if other.value.strip() != value.strip():
                reading.problems.append(_contradiction(given, other))
            if given.typed == setting.variable:
                here[setting.name] = given
            else:
                reading.renamed[given.typed] = setting
    reading.given |= here


def _is_unknown(names: SettingNames, variable: str, file: str | None) -> bool:
    """Return True for a variable that was meant for the desk, and that the desk does not have."""
    group, separator, _ = variable.partition("__")
    if (separator and group in names.groups) or (variable not in FOREIGN and names.is_misspelt(variable)):
        return True
    return file is not None and not is_foreign(variable)


def _unknown(names: SettingNames, typed: str, file: str | None) -> str:
    near = names.nearest(typed.upper())
    hint = f"Did you mean {near.variable}?" if near else "docs/configuration.md lists all settings."
    return f"{typed}{f' in {file}' if file else ''}: no such setting. {hint}"


def _contradiction(one: Given, other: Given) -> str:
    old = one.typed if one.typed != one.setting.variable else other.typed
    return f"{old} and {one.setting.variable} are both set and differ. {old} is the old name: remove it."


def _read_toml(names: SettingNames, path: Path, reading: Reading) -> None:
    """Take the settings of `desk.toml`, where there is one."""
    if not path.is_file():
        return
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{TOML}: expected TOML, found something else: {error}.") from None
    by_path = {setting.path: setting for setting in names.by_variable.values()}
    groups = {setting.path[:depth] for setting in by_path.values() for depth in range(1, len(setting.path))}
    for where, value in _leaves(content):
        setting, dotted = by_path.get(where), ".".join(where)
        if setting is None:
            reading.problems.append(_unknown_key(names, where, is_group=where in groups))
        elif setting.secret:
            reading.problems.append(
                f"{TOML}: {dotted} is a secret. Set {setting.variable} in the environment or in {DOTENV}, and remove it here."
            )
        else:
            reading.given[setting.name] = Given(setting, value, dotted, TOML)


def _leaves(content: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the path and the value of each key of a file that is no table."""
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value


def _unknown_key(names: SettingNames, where: tuple[str, ...], *, is_group: bool) -> str:
    dotted = ".".join(where)
    if is_group:
        return f"{TOML}: {dotted}: expected a table [{dotted}], found a value."
    near = names.nearest("__".join(where).upper())
    hint = f"Did you mean {near.dotted}?" if near else "docs/configuration.md lists all settings."
    return f"{TOML}: {dotted}: no such setting. {hint}"
