"""Writes docs/configuration.md and `.env.example` from the models: `python -m core.settings_document`."""

from __future__ import annotations

import inspect
import textwrap
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr

from core.configuration.names import COMPOSE, Setting, each_setting, text_of
from core.configuration.renamed import READ_UNTIL, RENAMED
from core.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = "docs/configuration.md"
EXAMPLE: Final = ".env.example"
WIDTH: Final = 126
BOUNDS: Final = {"gt": "over", "ge": "at least", "lt": "under", "le": "at most"}
KINDS: Final = {bool: "0 or 1", int: "whole number", float: "number", str: "text", Path: "path", SecretStr: "secret"}

INTRODUCTION: Final = """\
# Configuration

The desk reads each setting from the environment, else from `.env`, else from `desk.toml`, and else uses its default. Both files
are optional and stand in the working directory. The settings of a component form a group: `risk.max_positions` is
`RISK__MAX_POSITIONS` in the environment and in `.env`, and in `desk.toml` it is

```toml
strategies = ["bollinger"]

[risk]
max_positions = 2

[venue.paper]
leverage = 1.5
```

- **An unknown name is an error** in `desk.toml`, in `.env`, and in the environment under a group's prefix (`RISK__...`).
  Elsewhere in the environment it is one when it is nearly a setting's name:
  `MAX_POSTIONS: no such setting. Did you mean RISK__MAX_POSITIONS?` Names of Airflow, MLflow, PostgreSQL and docker-compose.yml
  may stand in the same `.env`.
- **Secrets** come from the environment and `.env` alone. `desk.toml` may be committed, and a secret in it is refused.
- **Units** are in the names: `_bps` basis points, `_pct` percent, `_usd` US dollars, `_sessions` trading sessions. An empty
  variable is not set. Lists are separated by commas; `desk.toml` may use arrays.
- **In Python**, `core.settings.get_settings().risk.max_positions` is the same value. `Settings.of(risk__max_positions=1)` makes
  settings without reading any source.

`make configuration` writes this page and `.env.example` from the models in `core/configuration/`.
"""

PREAMBLE: Final = f"""\
# Every setting of the desk, with its default. Copy this file to `.env` and uncomment what you change.
# The environment takes precedence over `.env`, and `.env` over `desk.toml`. docs/configuration.md has the same as tables.
# Units are in the names: _bps basis points, _pct percent, _usd US dollars, _sessions trading sessions.
# A line that ends with `=` has no default. Lists are separated by commas. Names of version 0.1 are read until {READ_UNTIL}.
"""

RENAMES: Final = f"""\
## Names of version 0.1

These names are read until version {READ_UNTIL}; the log of a process that finds one says which to change. When the old and
the new name are both set in one place and differ, the desk does not start. The other names of version 0.1 have not changed.

| Version 0.1 | Now |
|---|---|
"""


def page() -> str:
    """Return the text of docs/configuration.md."""
    parts = [INTRODUCTION]
    for name, meaning, settings in sections():
        rows = "".join(_row(setting) for setting in settings)
        parts.append(
            f"## {name or 'General'}\n\n{meaning}\n\n| Setting | Default | Value | Meaning |\n|---|---|---|---|\n{rows}"
        )
    parts.append(RENAMES + "".join(f"| `{old}` | `{new.upper()}` |\n" for old, new in sorted(RENAMED.items())))
    return "\n".join(parts)


def example() -> str:
    """Return the text of `.env.example`."""
    parts = [PREAMBLE]
    for name, meaning, settings in sections():
        lines = [_comment(f"--- {name or 'General'}: {meaning}")]
        for setting in settings:
            secret = " Secret." if setting.secret else ""
            lines += [_comment(f"{setting.field.description}{secret}"), f"# {setting.variable}={_default(setting)}"]
        parts.append("\n".join(lines) + "\n")
    lines = [_comment("--- docker-compose.yml alone. The first five are secret and must be set there.")]
    for name, (default, meaning) in COMPOSE.items():
        lines += [_comment(meaning), f"# {name}={default}"]
    return "\n".join([*parts, "\n".join(lines) + "\n"])


def sections() -> Iterator[tuple[str, str, list[Setting]]]:
    """Yield each group's dotted name, its meaning and its settings; those without a group first, under an empty name."""
    settings = list(each_setting(Settings))
    paths = dict.fromkeys(setting.path[:-1] for setting in settings)
    for path in sorted(paths, key=_position):
        own = [setting for setting in settings if setting.path[:-1] == path]
        meaning = inspect.getdoc(_model(path)) if path else "Settings that several components share."
        yield ".".join(path), (meaning or "").partition("\n\n")[0].replace("\n", " "), own


def main() -> None:
    """Write both files."""
    (ROOT / PAGE).write_text(page(), encoding="utf-8")
    (ROOT / EXAMPLE).write_text(example(), encoding="utf-8")


def _position(path: tuple[str, ...]) -> tuple[int, ...]:
    """Order groups as they are declared, a group before those within it."""
    model: type[BaseModel] = Settings
    found = []
    for name in path:
        found.append(list(model.model_fields).index(name))
        model = _model_of(model, name)
    return tuple(found)


def _model(path: tuple[str, ...]) -> type[BaseModel]:
    model: type[BaseModel] = Settings
    for name in path:
        model = _model_of(model, name)
    return model


def _model_of(model: type[BaseModel], name: str) -> type[BaseModel]:
    kind = model.model_fields[name].annotation
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        raise TypeError(f"Expected a group, found the setting {name!r}.")
    return kind


def _row(setting: Setting) -> str:
    default = _default(setting)
    shown = f"`{default}`" if default else ""
    return f"| `{setting.variable}` | {shown} | {_value(setting)} | {setting.field.description} |\n"


def _default(setting: Setting) -> str:
    return text_of(Settings().value_of(setting.name))


def _value(setting: Setting) -> str:
    """Return what a setting accepts, in words: its kind, then its bounds."""
    bounds = [
        f"{words} {getattr(rule, short):g}"
        for short, words in BOUNDS.items()
        for rule in setting.field.metadata
        if hasattr(rule, short)
    ]
    return ", ".join([_kind(setting.field.annotation), *bounds])


def _kind(annotation: Any) -> str:  # noqa: ANN401  # any type annotation
    origin, parts = get_origin(annotation), [part for part in get_args(annotation) if part is not type(None)]
    if origin is Literal:
        return ", ".join(f"`{part}`" for part in parts)
    if origin in {Union, types.UnionType}:
        return _kind(parts[0])
    if origin is tuple:
        return "secrets" if parts[0] is SecretStr else "list"
    return KINDS[annotation]


def _comment(text: str) -> str:
    return "\n".join(textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ", break_long_words=False))


if __name__ == "__main__":
    main()
