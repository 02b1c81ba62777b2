"""The command `desk`: its groups of verbs, its version, and its former names."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from desk.cli import app
from pipeline.views.catalogue import VIEWS

ROOT = Path(__file__).resolve().parents[4]
GROUPS = {
    "Data": {"ingest", "featurize", "earnings", "instruments"},
    "Research": {
        "backtest", "runs", "rankings", "heatmap", "report", "compare", "strategies", "sweep", "check-leakage", "warm-up",
        "optimise", "rank", "correlate", "allocate", "validate-risk", "research", "dataset", "scorecard", "portfolios",
    },
    "Models": {"train", "lift", "train-next-day", "models"},
    "Trading": {
        "trade", "listen", "watch-positions", "reconcile", "params", "corporate-actions", "deposit", "withdraw", "hand-over",
        "deploy", "deployments", "pause", "unpause", "retire",
    },
    "Record": {"live-vs-backtest", *(view.name for view in VIEWS)},
    "Risk": {"halt", "resume", "risk-worker", "risk-profiles", "data-guard", "performance"},
    "Audit": {"replay", "parity", "parity-day", "explain-order"},
    "System": {"alerts", "demo", "health", "open", "sql", "status"},
}  # fmt: skip


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_every_verb_stands_in_its_group_and_the_groups_in_their_order() -> None:
    command: Any = get_command(app.cli)
    listed: dict[str, set[str]] = {}
    for name, verb in command.commands.items():
        listed.setdefault(verb.rich_help_panel, set()).add(name)

    assert listed == GROUPS
    output = CliRunner().invoke(app.cli, ["--help"], env={"COLUMNS": "120"}).output
    places = [output.index(f"─ {group} ─") for group in GROUPS]
    assert places == sorted(places)
    assert "--install-completion" in output


def test_the_version_is_the_project_s() -> None:
    assert CliRunner().invoke(app.cli, ["--version"]).output == f"desk {project()['version']}\n"


def test_the_former_verb_works_and_names_the_new_one_on_stderr() -> None:
    former = CliRunner().invoke(app.cli, ["optimize", "--help"])
    verb = CliRunner().invoke(app.cli, ["optimise", "--help"])

    assert former.exit_code == 0
    assert "`desk optimize` is now `desk optimise`" in former.stderr
    assert verb.stderr == ""
    assert former.stdout.replace("optimize", "optimise") == verb.stdout
    assert "optimize" not in CliRunner().invoke(app.cli, ["--help"]).output


def test_a_mistyped_verb_is_answered_with_the_nearest() -> None:
    answer = CliRunner().invoke(app.cli, ["optimis"])

    assert answer.exit_code == 2
    assert "Did you mean 'optimise'?" in answer.output


def test_both_commands_are_installed_and_the_former_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert project()["scripts"] == {"desk": "desk.cli.app:main", "cli": "desk.cli.app:legacy_main"}
    monkeypatch.setattr(sys, "argv", ["cli", "--version"])

    with pytest.raises(SystemExit) as stop:
        app.legacy_main()

    printed = capsys.readouterr()
    assert stop.value.code == 0
    assert printed.out == f"desk {project()['version']}\n"
    assert printed.err.splitlines() == ["The command is now `desk`; `cli` ends with version 0.2."]


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "desk", "--version"], capture_output=True, text=True, check=True, cwd=ROOT)

    assert done.stdout == f"desk {project()['version']}\n"


def test_no_text_of_the_product_names_the_former_command() -> None:
    verbs = "|".join(sorted(set().union(*GROUPS.values())))
    former = re.compile(rf"(?<![./\w-])cli (?:{verbs}|optimize)\b")
    folders = [path for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".") and path.name != "tests"]
    files = [path for folder in folders for suffix in ("py", "md", "yaml", "html") for path in folder.rglob(f"*.{suffix}")]
    files += [ROOT / name for name in ("README.md", ".env.example", "docker-compose.yml", "Makefile", "Dockerfile")]

    assert len(files) > 200
    assert [f"{path}: {found[0]}" for path in files if (found := former.search(path.read_text()))] == []
