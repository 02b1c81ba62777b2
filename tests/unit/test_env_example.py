"""`.env.example` names every setting once, with its real default, and nothing that nobody reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
ASSIGNMENT = re.compile(r"^# (?P<name>[A-Z][A-Z0-9_]*)=(?P<value>.*)$")
VARIABLE = re.compile(r"\$\{(?P<name>[A-Z_]+)(?::(?P<kind>[-?])(?P<text>[^}]*))?\}")


@pytest.fixture(scope="module")
def documented() -> dict[str, str]:
    """Name and value of each line that a user may uncomment."""
    found = [ASSIGNMENT.match(line) for line in (ROOT / ".env.example").read_text().splitlines()]
    pairs = [(match["name"], match["value"]) for match in found if match]
    assert len(dict(pairs)) == len(pairs), "a name occurs twice"
    return dict(pairs)


def compose_variables() -> dict[str, str]:
    """What docker-compose.yml asks the environment for, with its defaults."""
    text = (ROOT / "docker-compose.yml").read_text()
    return {found["name"]: found["text"] if found["kind"] == "-" else "" for found in VARIABLE.finditer(text)}


def test_every_setting_is_there_and_nothing_else(documented: dict[str, str]) -> None:
    settings = {name.upper() for name in Settings.model_fields}
    assert set(documented) == settings | set(compose_variables())


def test_the_whole_file_uncommented_gives_the_defaults(
    documented: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in documented:
        monkeypatch.delenv(name, raising=False)
    env_file = tmp_path / ".env"
    env_file.write_text("".join(f"{name}={value}\n" for name, value in documented.items() if value))
    assert Settings(_env_file=env_file) == Settings(_env_file=None)


def test_a_copy_changes_nothing_until_a_line_is_uncommented() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == []


def test_a_line_is_empty_exactly_where_there_is_no_default(documented: dict[str, str]) -> None:
    defaults = Settings(_env_file=None)
    for name in Settings.model_fields:
        assert (documented[name.upper()] == "") == (getattr(defaults, name) in (None, ())), name


def test_the_defaults_of_docker_compose_are_the_ones_in_its_file(documented: dict[str, str]) -> None:
    for name, default in compose_variables().items():
        if name.lower() not in Settings.model_fields:
            assert documented[name] == default, name


def test_each_setting_has_a_line_of_meaning_above_it(documented: dict[str, str]) -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    for name in {name.upper() for name in Settings.model_fields} & set(documented):
        above = lines[next(i for i, line in enumerate(lines) if line.startswith(f"# {name}=")) - 1]
        assert above.startswith("# "), name
        assert not ASSIGNMENT.match(above), name
