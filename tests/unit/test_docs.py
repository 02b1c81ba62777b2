"""README and docs name only what exists: links, make targets, commands, settings, features, libraries."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from core import errors
from core.frames import FEATURES
from core.settings import Settings
from features.build import WARM_UP

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
LINK = re.compile(r"\[[^\]]*\]\((?!https?:)(?P<path>[^)#\s]*)(?:#(?P<anchor>[^)]*))?\)")
CODE = re.compile(r"```.*?\n(?P<block>.*?)```|`(?P<inline>[^`\n]+)`", re.DOTALL)


def code(text: str) -> list[str]:
    """Lines of code blocks, and inline code."""
    return [line for found in CODE.finditer(text) for line in (found["block"] or found["inline"]).splitlines()]


def anchors(document: Path) -> set[str]:
    """Headings as GitHub turns them into anchors."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def table_rows(document: Path, heading: str) -> list[list[str]]:
    """Cells of the body of the first table under a heading."""
    section = re.split(rf"^#+ {re.escape(heading)}$", document.read_text(), flags=re.MULTILINE)[1]
    lines = [line for line in re.split(r"^#+ ", section, flags=re.MULTILINE)[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.fixture(params=DOCUMENTS, ids=[str(path.relative_to(ROOT)) for path in DOCUMENTS])
def document(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_every_relative_link_leads_somewhere(document: Path) -> None:
    for found in LINK.finditer(document.read_text()):
        target = (document.parent / found["path"]).resolve() if found["path"] else document
        assert target.exists(), found[0]
        assert found["anchor"] is None or found["anchor"] in anchors(target), found[0]


def test_every_make_target_named_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {target for line in code(document.read_text()) for target in re.findall(r"^make ([a-z-]+)", line)}
    assert named <= targets


def test_every_verb_and_option_of_the_command_exists(document: Path) -> None:
    from typer.main import get_command

    from desk.cli.app import cli

    for line in code(document.read_text()):
        former = re.match(r"(?:\.venv/bin/)?cli(?: |$)", line)
        assert not former or document.name == "CHANGELOG.md", f"{line}: the command is `desk`"
        if found := re.match(r"(?:[A-Z_]+=\S+ )*(?:\.venv/bin/|python -m )?desk ([a-z][a-z-]*(?: [a-z][a-z-]*)*)", line):
            command: Any = get_command(cli)
            for word in found[1].split():
                if not hasattr(command, "commands"):  # what follows a verb are its arguments
                    break
                assert word in command.commands, line
                command = command.commands[word]
            options = {option for parameter in command.params for option in parameter.opts}
            assert set(re.findall(r"--[a-z-]+", line)) <= options, line


def test_every_path_named_exists(document: Path) -> None:
    roots = "|".join(path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith("."))
    named = {line for line in code(document.read_text()) if re.fullmatch(rf"(?:{roots})/[\w./-]+\.\w+", line)}
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


def test_every_test_named_exists(document: Path) -> None:
    named = [line.split("::") for line in code(document.read_text()) if re.fullmatch(r"tests/[\w/]+\.py::test_\w+", line)]
    assert [f"{path}::{name}" for path, name in named if f"\ndef {name}(" not in (ROOT / path).read_text()] == []


@pytest.mark.parametrize(("page", "least"), [("brokers", 20), ("training", 12)])
def test_every_bad_input_has_a_test(page: str, least: int) -> None:
    rows = table_rows(ROOT / f"docs/{page}.md", "Bad inputs")
    assert len(rows) >= least
    assert all(re.search(r"`tests/[\w/]+\.py::test_\w+`", row[2]) for row in rows)


def test_the_settings_in_the_readme_exist_with_the_default_it_names() -> None:
    rows = table_rows(ROOT / "README.md", "Configuration")
    assert len(rows) > 10
    for names, defaults, _ in rows:
        settings = re.findall(r"`([A-Z_]+)`", names)
        shown = [text.strip("` ") for text in defaults.split(", ")] if defaults else [""] * len(settings)
        for name, text in zip(settings, shown, strict=True):
            default = getattr(Settings(_env_file=None), name.lower())
            if text in {"", "the provider's own"}:
                assert default in (None, ()), name
            else:
                values: dict[str, Any] = {name.lower(): text}
                given = Settings(_env_file=None, **values)
                assert getattr(given, name.lower()) == default, name


def test_every_feature_is_documented_with_its_warm_up() -> None:
    rows = table_rows(ROOT / "docs/features.md", "Features")
    assert [row[0].strip("`") for row in rows] == list(FEATURES)
    assert {row[0].strip("`"): int(row[3]) for row in rows} == dict(WARM_UP)


def test_every_error_is_documented_with_what_to_do() -> None:
    tree = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.DeskError)}
    rows = table_rows(ROOT / "docs/operating.md", "When a mail arrives")
    assert {row[0].strip("`") for row in rows} - {"anything else"} == tree - {"DeskError"}


def test_every_runtime_dependency_has_a_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {Requirement(text).name for text in project["dependencies"]}
    rows = table_rows(ROOT / "docs/decisions/0006-libraries.md", "6. Libraries")
    assert {row[0] for row in rows} == needed


def test_the_strategy_defaults_are_the_documented_ones() -> None:
    from trading.strategies.bollinger import BollingerReversal

    rows = table_rows(ROOT / "docs/strategies.md", "Bollinger reversal (`bollinger`)")
    documented = {row[0].strip("`"): row[1] for row in rows if len(row) == 4 and row[0].startswith("`")}
    assert documented == {name: str(value) for name, value in BollingerReversal().describe().items()}


def test_every_figure_of_a_backtest_is_defined() -> None:
    import numpy as np

    from backtest.metrics import summarise
    from core.frames import TRADES

    figures = summarise(TRADES.empty(), np.array([100.0]), np.array([0.0]), 100.0)
    rows = table_rows(ROOT / "docs/backtest-assumptions.md", "Figures")
    named = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row[0])}
    assert set(figures) <= named
    assert {name for name in named - set(figures) if not name.startswith("refused_")} == set()
