"""The verbs `corporate-actions`, `deposit` and `withdraw` on a real database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from core.errors import ConfigError, DataError
from core.settings import get_settings
from desk.cli import app
from pipeline.resources import live
from tests.integration.test_corporate_actions import holding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.settings import Settings
    from pipeline.resources import Resources

pytestmark = pytest.mark.integration


@pytest.fixture
def desk(database_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Resources]:
    """A paper desk that holds 400 AAA; the process's environment names its database."""
    made = holding(database_settings)
    monkeypatch.chdir(database_settings.data_dir)
    for name in ("data_dir", "database__name", "database__feast_name", "database__mlflow_name", "database__airflow_name"):
        monkeypatch.setenv(name.upper(), str(database_settings.value_of(name)))
    monkeypatch.setenv("DATABASE__URL", database_settings.database.url.get_secret_value())  # type: ignore[union-attr]
    monkeypatch.setenv("UNIVERSE", "AAA")
    monkeypatch.setenv("COLUMNS", "240")
    get_settings.cache_clear()
    live.cache_clear()
    yield made
    get_settings.cache_clear()
    live.cache_clear()


def call(*arguments: str) -> str:
    result = CliRunner().invoke(app.cli, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_split_is_listed_until_bars_or_a_person_settle_it(desk: Resources) -> None:
    assert "No recorded action waits" in call("corporate-actions", "list")
    assert "follow at once: 0" in call("corporate-actions", "record", "AAA", "2018-12-13", "split", "2")

    assert "bars and venue do not show it" in call("corporate-actions", "list")
    resolved = call("corporate-actions", "resolve", "AAA", "--session", "2018-12-13", "--split", "2", "--reason", "2:1")
    listed = call("corporate-actions", "list")

    assert "AAA bollinger: split 2 from 2018-12-13 on" in resolved
    assert "No recorded action waits" in listed
    assert "2:1" in listed
    assert "nothing changed" in call("corporate-actions", "resolve", "AAA", "--session", "2018-12-13", "--split", "2")
    assert [held.quantity for held in desk.ledger.positions("main")] == [800]


def test_deposits_and_withdrawals_are_booked_with_their_author(desk: Resources) -> None:
    call("deposit", "5000", "--reason", "savings", "--author", "ada")
    call("withdraw", "1500.50", "--reason", "rent", "--author", "ada")

    assert [(str(event.kind), float(event.cash_usd), event.author) for event in desk.ledger.book_events("main")] == [
        ("deposit", 5000.0, "ada"),
        ("withdrawal", -1500.5, "ada"),
    ]


@pytest.mark.parametrize(
    ("words", "error", "says"),
    [
        (("record", "AAA", "2018-12-13", "merger", "2"), ConfigError, "expected one of split"),
        (("record", "AAA", "2018-12-13", "split", "0"), ConfigError, "over 0"),
        (("record", "AAA", "13.12.2018", "split", "2"), ConfigError, "YYYY-MM-DD"),
        (("resolve", "AAA", "--session", "2018-12-13"), ConfigError, "Name one change"),
        (("resolve", "AAA", "--session", "2018-12-13", "--split", "2", "--cash", "5"), ConfigError, "Name one change"),
        (("resolve", "ZZZ", "--session", "2018-12-13", "--split", "2"), DataError, "not held"),
    ],
)
def test_what_cannot_be_is_refused_in_words(desk: Resources, words: tuple[str, ...], error: type[Exception], says: str) -> None:
    assert desk.ledger.positions("main")

    with pytest.raises(error, match=says):
        CliRunner().invoke(app.cli, ["corporate-actions", *words], catch_exceptions=False)


def test_a_deposit_of_nothing_is_refused(desk: Resources) -> None:
    result = CliRunner().invoke(app.cli, ["deposit", "0"])

    assert result.exit_code != 0
    assert desk.ledger.book_events("main") == []
