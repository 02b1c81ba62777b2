"""Champion, challengers and their moves on an SQLite store of MLflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from core.errors import ConfigError
from ml.tracking.aliases import Aliases
from ml.tracking.registry import quiet_mlflow

if TYPE_CHECKING:
    from mlflow import MlflowClient


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> MlflowClient:
    store = f"sqlite:///{tmp_path_factory.mktemp('aliases')}/mlflow.db"
    found: MlflowClient = quiet_mlflow().MlflowClient(store, store)
    return found


@pytest.fixture
def aliases(client: MlflowClient, request: pytest.FixtureRequest) -> Aliases:
    """A registered model without versions."""
    client.create_registered_model(request.node.name)
    return Aliases(client, request.node.name)


def version(aliases: Aliases) -> str:
    return str(aliases._client.create_model_version(aliases._name, "file:///nowhere").version)


def test_the_first_version_is_champion_whatever_is_held_against_it(aliases: Aliases) -> None:
    assert aliases.all() == {}
    assert aliases.admit(version(aliases), ["12 candidates out of sample, 200 are needed"]) == "champion"
    assert aliases.champion() == "1"
    assert aliases.versions()[0].gates == "12 candidates out of sample, 200 are needed"


def test_later_versions_challenge_one_after_the_other(aliases: Aliases) -> None:
    given = [aliases.admit(version(aliases)) for _ in range(4)]

    assert given == ["champion", "challenger", "challenger-2", "challenger-3"]
    assert aliases.challengers() == ["2", "3", "4"]
    assert [row.aliases for row in aliases.versions()] == [("challenger-3",), ("challenger-2",), ("challenger",), ("champion",)]


def test_a_version_takes_the_place_of_a_champion_that_cannot_be_loaded(aliases: Aliases) -> None:
    aliases.admit(version(aliases))

    assert aliases.admit(version(aliases), ["no better than chance"], unusable="1") == "champion"
    assert aliases.champion() == "2"


def test_a_version_with_objections_gets_no_alias(aliases: Aliases) -> None:
    aliases.admit(version(aliases))

    assert aliases.admit(version(aliases), ["no better than chance"]) is None
    assert aliases.challengers() == []


def test_the_new_champion_challenges_no_longer_and_the_others_move_up(aliases: Aliases) -> None:
    for _ in range(4):
        aliases.admit(version(aliases))

    aliases.crown("2")

    assert aliases.all() == {"champion": "2", "challenger": "3", "challenger-2": "4"}


def test_a_challenger_in_the_middle_leaves_no_gap(aliases: Aliases) -> None:
    for _ in range(4):
        aliases.admit(version(aliases))

    aliases.withdraw("3")
    aliases.withdraw("3")

    assert aliases.all() == {"champion": "1", "challenger": "2", "challenger-2": "4"}


def test_an_unknown_version_is_not_crowned(aliases: Aliases) -> None:
    aliases.admit(version(aliases))

    with pytest.raises(ConfigError, match="expected a version of 1, found '9'"):
        aliases.crown("9")


def test_nothing_registered_is_no_error(client: MlflowClient) -> None:
    found = Aliases(client, "entry-filter")

    assert (found.all(), found.champion(), found.challengers(), found.versions()) == ({}, None, [], [])
