"""`.env.example` and docs/configuration.md name every setting once, with its real default, and nothing that nobody reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core import settings_document as document
from core.configuration.names import COMPOSE
from core.configuration.renamed import RENAMED
from core.settings import NAMES, Settings, read_settings

ROOT = Path(__file__).resolve().parents[2]
ASSIGNMENT = re.compile(r"^# (?P<name>[A-Z][A-Z0-9_]*)=(?P<value>.*)$")
VARIABLE = re.compile(r"\$\{(?P<name>[A-Z_]+)(?::(?P<kind>[-?])(?P<text>[^{}]*))?\}")  # the innermost


@pytest.fixture(scope="module")
def documented() -> dict[str, str]:
    """Name and value of each line that a user may uncomment."""
    found = [ASSIGNMENT.match(line) for line in (ROOT / ".env.example").read_text().splitlines()]
    pairs = [(match["name"], match["value"]) for match in found if match]
    assert len(dict(pairs)) == len(pairs), "a name occurs twice"
    return dict(pairs)


def compose_variables() -> dict[str, str]:
    """What docker-compose.yml asks the environment for, with its defaults; today's names alone."""
    text, found = (ROOT / "docker-compose.yml").read_text(), {}
    while VARIABLE.search(text):
        found |= {each["name"]: each["text"] if each["kind"] == "-" else "" for each in VARIABLE.finditer(text)}
        text = VARIABLE.sub(lambda each: each["text"] if each["kind"] == "-" else "", text)
    return {name: default for name, default in found.items() if name not in RENAMED}


@pytest.mark.parametrize(("path", "text"), [(document.EXAMPLE, document.example), (document.PAGE, document.page)])
def test_the_files_are_what_the_settings_make_of_them(path: str, text: object) -> None:
    assert callable(text)
    assert (ROOT / path).read_text() == text(), "stale: run `make configuration`"


def test_every_setting_is_there_and_nothing_else(documented: dict[str, str]) -> None:
    assert set(documented) == set(NAMES.by_variable) | set(compose_variables())


def test_the_whole_file_uncommented_gives_the_defaults(documented: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in documented.items() if value))
    assert read_settings({}, tmp_path) == Settings()


def test_a_copy_changes_nothing_until_a_line_is_uncommented() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == []


def test_a_line_is_empty_exactly_where_there_is_no_default(documented: dict[str, str]) -> None:
    for name in NAMES.by_variable:
        assert (documented[name] == "") == (Settings().value_of(name) in (None, ())), name


def test_the_defaults_of_docker_compose_are_the_ones_in_its_file(documented: dict[str, str]) -> None:
    assert set(compose_variables()) - set(NAMES.by_variable) == set(COMPOSE)
    for name, default in compose_variables().items():
        if name in COMPOSE:
            assert documented[name] == default, name


def test_each_setting_has_a_line_of_meaning_above_it(documented: dict[str, str]) -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    for name in set(NAMES.by_variable) & set(documented):
        above = lines[next(i for i, line in enumerate(lines) if line.startswith(f"# {name}=")) - 1]
        assert above.startswith("# "), name
        assert not ASSIGNMENT.match(above), name


def test_the_page_has_a_row_for_each_setting_and_each_old_name() -> None:
    text = (ROOT / document.PAGE).read_text()
    assert all(text.count(f"| `{name}` | ") == 1 for name in [*NAMES.by_variable, *RENAMED])
