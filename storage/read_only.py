"""Runs one statement of a person's on a database, read-only: in a session that cannot write, for a limited time."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.errors import ConfigError, RetryLater

if TYPE_CHECKING:
    from collections.abc import Sequence

CONNECT_SECONDS = 10
SEVERAL, NONE = "multiple commands", "EMPTY_QUERY"  # in the sentences about more than one statement, and about none


@dataclass(frozen=True)
class Answer:
    """The first rows of an answer; `more` when there are others."""

    columns: Sequence[str]
    rows: Sequence[tuple[Any, ...]]
    more: bool


def run_read_only(address: str, statement: str, *, most_rows: int, timeout_seconds: float) -> Answer:
    """Return what one statement answers.

    Parameters
    ----------
    address
        `postgresql://...`, password included.
    most_rows
        Rows that are fetched; the others stay in the server.

    Raises
    ------
    core.errors.ConfigError
        When PostgreSQL refuses the statement: it would write, is none, are several, or takes too long.
    core.errors.RetryLater
        When the server does not answer.
    """
    import psycopg
    from psycopg.conninfo import make_conninfo

    options = f"-c default_transaction_read_only=on -c statement_timeout={timeout_seconds * 1000:.0f} -c timezone=utc"
    try:
        connection = psycopg.connect(make_conninfo(address, options=options, connect_timeout=CONNECT_SECONDS), autocommit=True)
    except psycopg.OperationalError as error:
        raise RetryLater(f"PostgreSQL does not answer: {str(error).strip()}. Start it, or unset DATABASE__URL.") from error
    with contextlib.closing(connection), connection.cursor() as cursor:
        rows: list[tuple[Any, ...]] = []
        try:
            for row in cursor.stream(statement.encode()):  # the extended protocol, which takes one statement alone
                if len(rows) == most_rows:
                    return Answer(_names(cursor), rows, more=True)
                rows.append(row)
        except psycopg.errors.ReadOnlySqlTransaction as error:
            raise ConfigError(
                f"Expected a statement that reads, found one that writes: {error}. `desk sql` opens psql."
            ) from error
        except psycopg.errors.QueryCanceled as error:
            raise ConfigError(f"Ended after {timeout_seconds:g} s. Ask for less, or give --timeout.") from error
        except psycopg.Error as error:
            raise ConfigError(_refusal(str(error).strip())) from error
        return Answer(_names(cursor), rows, more=False)


def _refusal(words: str) -> str:
    if SEVERAL in words:
        return "Expected one statement, found several. Run each by itself, or in psql: `desk sql`."
    return "Expected one statement, found none." if NONE in words else f"PostgreSQL refuses the statement: {words}"


def _names(cursor: Any) -> list[str]:  # noqa: ANN401  # psycopg's
    return [column.name for column in cursor.description or ()]
