"""`desk sql` on a real PostgreSQL: one statement that reads, psql, the address; and `desk open`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from core.errors import ConfigError, RetryLater
from core.settings import get_settings
from desk.cli import app
from desk.ops import psql
from storage.engine import open_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click.testing import Result

    from core.settings import Settings

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", autouse=True)
def environment(module_settings: Settings) -> Iterator[None]:
    """The process's environment names a database with three halts."""
    engine = open_engine(module_settings)
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO trading.halts (portfolio, halted, reason, author) SELECT 'main', true, '[b]' || n, 'ana' "
                "FROM generate_series(1, 3) AS s(n)"
            )
        )
    engine.dispose()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(module_settings.data_dir)
        patch.setenv("DATA_DIR", str(module_settings.data_dir))
        patch.setenv("DATABASE__NAME", module_settings.database.name)
        patch.setenv("DATABASE__URL", module_settings.database.url.get_secret_value())  # type: ignore[union-attr]
        get_settings.cache_clear()
        yield
    get_settings.cache_clear()


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app.cli, list(arguments), catch_exceptions=False)


def test_a_statement_is_answered_as_a_table() -> None:
    output = call(
        "sql", "SELECT reason, halted, NULL AS nothing, '{\"a\": [1]}'::jsonb AS json FROM trading.halts ORDER BY id"
    ).output

    assert "[b]2" in output, "no markup of the terminal's"
    assert "null" in output
    assert '{"a": [1]}' in output
    assert "More rows" not in output
    assert call("sql", "SELECT 1 WHERE false").output.strip() == "No row."
    assert "QUERY PLAN" in call("sql", "EXPLAIN SELECT 1").output


def test_of_a_long_answer_the_first_rows_are_fetched() -> None:
    output = call("sql", "SELECT generate_series(1, 100000000) AS n", "--limit", "3").output

    assert [line.strip(" │|") for line in output.splitlines() if line.strip(" │|").isdigit()] == ["1", "2", "3"]
    assert "More rows: the first 3 are shown" in output


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("DELETE FROM trading.alerts", "found one that writes"),
        ("CREATE TABLE trading.mine (a int)", "found one that writes"),
        ("SELECT 1; DROP TABLE trading.halts", "found several"),
        ("SELECT 1; COMMIT; SET default_transaction_read_only = off; DROP TABLE trading.halts", "found several"),
        ("SELECT nextval('trading.halts_id_seq')", "found one that writes"),
        ("SELECT pg_sleep(30)", "Ended after 0.2 s"),
        ("SELEC 1", 'syntax error at or near "SELEC"'),
        ("SELECT * FROM trading.holts", "does not exist"),
        ("BEGIN", "refuses the statement"),
        (" -- nothing", "found none"),
    ],
)
def test_what_is_not_one_statement_that_reads_is_refused(statement: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        call("sql", statement, "--timeout", "0.2")

    assert call("sql", "SELECT count(*) AS n FROM trading.halts").output.count("3") >= 1


def test_a_server_that_does_not_answer_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    address = sa.make_url("postgresql://desk:secret@127.0.0.1:9/desk")
    monkeypatch.setattr(psql, "database_address", lambda _: address)

    with pytest.raises(RetryLater, match="does not answer") as raised:
        call("sql", "SELECT 1")
    assert "secret" not in str(raised.value)


def test_the_address_is_printed_with_its_password_masked_unless_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    address = sa.make_url("postgresql://desk:secret@127.0.0.1:9/desk")
    monkeypatch.setattr(psql, "database_address", lambda _: address)

    assert call("sql", "--print").output.strip() == "postgresql://desk:***@127.0.0.1:9/desk"
    assert call("sql", "--print", "--show-password").output.strip() == "postgresql://desk:secret@127.0.0.1:9/desk"


def test_psql_opens_on_the_desks_database() -> None:
    command = [sys.executable, "-m", "desk", "sql"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    asked = "SELECT count(*) AS halts FROM trading.halts;\n"
    answer = subprocess.run(command, input=asked, env=environment, capture_output=True, text=True, timeout=120, check=False)

    assert answer.returncode == 0, answer.stderr
    assert [word for word in answer.stdout.split() if word.isalnum()][:2] == ["halts", "3"]


def test_the_password_is_in_the_environment_of_psql_and_not_on_its_command_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "psql"
    program.write_text('#!/bin/sh\necho "$@ $PGPASSWORD"\nexit 3\n')
    program.chmod(0o755)
    monkeypatch.setattr(psql, "find_psql", lambda: str(program))

    assert psql.run_psql(sa.make_url("postgresql://desk:secret@127.0.0.1:9/desk")) == 3
    assert capfd.readouterr().out.strip() == "postgresql://desk@127.0.0.1:9/desk secret"


def test_without_psql_the_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psql, "find_psql", lambda: None)

    with pytest.raises(ConfigError, match=r"open postgresql://desk:\*\*\*@127.0.0.1:9/desk in another program"):
        psql.run_psql(sa.make_url("postgresql://desk:secret@127.0.0.1:9/desk"))
