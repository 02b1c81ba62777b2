"""`cli models` on a real registry: list, show, promote, rollback, judge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from pipeline.cli import cli
from pipeline.resources import Resources

if TYPE_CHECKING:
    from core.settings import Settings

pytestmark = pytest.mark.integration


@pytest.fixture
def desk(database_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Resources:
    """Three versions: a champion, a challenger, and one that its gates refused."""
    found = Resources(database_settings)
    client, name = found.registry.aliases._client, database_settings.model_name
    client.create_registered_model(name)
    for objections in ([], [], ["no better than chance"]):
        found.registry.aliases.admit(str(client.create_model_version(name, "file:///nowhere").version), objections)
    for module in ("resources", "promotion", "ab"):
        monkeypatch.setattr(f"pipeline.{module}.live", lambda: found)
    return found


def run(*words: str) -> Any:
    return CliRunner(env={"COLUMNS": "200"}).invoke(cli, ["models", *words])


def test_models_are_listed_shown_promoted_and_taken_back(desk: Resources) -> None:
    listed = run("list").output
    assert "champion" in listed
    assert "challenger" in listed
    assert "no better than chance" in listed

    shown = run("show", "2").output
    assert "deflated Sharpe ratio of the filtered strategy undefined" in shown

    refused = run("promote", "2", "--reason", "it looks good", "--author", "me")
    assert "not promoted" in str(refused.exception)
    assert desk.registry.aliases.champion() == "1"

    assert run("promote", "2", "--reason", "it looks good", "--author", "me", "--force").exit_code == 0
    assert desk.registry.aliases.champion() == "2"

    assert run("rollback", "--reason", "it was not", "--author", "me").exit_code == 0
    assert desk.registry.aliases.champion() == "1"
    assert "it looks good (forced)" in run("show", "2").output


def test_without_an_experiment_there_is_nothing_to_judge(desk: Resources) -> None:
    judged = run("judge", "--session", "2020-03-04").output

    assert "No challenger is being compared." in judged
    assert desk.registry.aliases.champion() == "1"
