"""`desk models` on a real registry: list, show, promote, rollback, judge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from desk.cli.app import cli
from pipeline.resources import Resources

if TYPE_CHECKING:
    from core.settings import Settings

pytestmark = pytest.mark.integration


@pytest.fixture
def desk(database_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Resources:
    """Three versions: a champion, a challenger, and one that its gates refused."""
    resources = Resources(database_settings)
    client, name = resources.registry.aliases._client, database_settings.training.model_name
    client.create_registered_model(name)
    for objections in ([], [], ["no better than chance"]):
        resources.registry.aliases.admit(str(client.create_model_version(name, "file:///nowhere").version), objections)
    for module in ("resources", "training.promotion", "training.ab_test", "training.next_day_judge"):
        monkeypatch.setattr(f"pipeline.{module}.live", lambda: resources)
    return resources


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


def test_the_next_day_model_is_moved_by_its_name(desk: Resources) -> None:
    name = desk.settings.next_day.model_name
    aliases = desk.next_day_registry.aliases
    aliases._client.create_registered_model(name)
    for _ in range(2):
        aliases.admit(str(aliases._client.create_model_version(name, "file:///nowhere").version))

    assert "2 versions of next-day-return" in run("list", "--model", name).output
    assert run("promote", "2", "--model", name, "--reason", "newer", "--author", "me").exit_code == 0, "no gate is in the way"
    assert (aliases.champion(), desk.registry.aliases.champion()) == ("2", "1")
    shown = run("show", "2", "--model", name).output
    assert "newer" in shown
    assert "Sharpe" not in shown, "it trades nothing"
    assert run("rollback", "--model", name, "--reason", "older was better", "--author", "me").exit_code == 0
    assert aliases.champion() == "1"
    assert desk.promotions.history(desk.settings.training.model_name) == []
    judged = run("judge", "--model", name, "--session", "2020-03-04").output
    assert "no challenger waits" in judged

    refused = run("list", "--model", "next-day")
    assert "expected 'entry-filter' or 'next-day-return'" in str(refused.exception)


def test_without_an_experiment_there_is_nothing_to_judge(desk: Resources) -> None:
    judged = run("judge", "--session", "2020-03-04").output

    assert "No challenger is being compared." in judged
    assert desk.registry.aliases.champion() == "1"
