"""The verbs of the views over a record on a real PostgreSQL: tables, JSON, files and what they refuse."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from core.errors import ConfigError
from core.settings import Settings, get_settings
from desk.cli import app
from pipeline.resources import live
from pipeline.views.catalogue import VIEWS
from tests.standins.long_record import write_long_record
from tests.standins.present_desk import write_present

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module", autouse=True)
def environment(module_settings: Settings) -> Iterator[None]:
    """The process's environment names a database with a quarter of a year on record."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(module_settings.data_dir)
        for name in ("data_dir", "database__name"):
            patch.setenv(name.upper(), str(module_settings.value_of(name)))
        patch.setenv("DATABASE__URL", module_settings.database.url.get_secret_value())  # type: ignore[union-attr]
        patch.setenv("PORTFOLIO", "main")
        get_settings.cache_clear()
        live.cache_clear()
        for day in write_long_record(live().engine, dt.date(2024, 1, 2), dt.date(2024, 3, 28), width=5):
            at = dt.datetime.combine(day, dt.time(22), dt.UTC)
            live().evening_steps.start(book="main", session=day, step="settle", at=at)
        write_present(live().engine, dt.date(2023, 9, 1), dt.date(2024, 3, 28), live().universe()[:1])
        yield
        live().engine.dispose()
    get_settings.cache_clear()
    live.cache_clear()


def call(*arguments: str) -> str:
    result = CliRunner().invoke(app.cli, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_json_has_the_fields_of_the_route(view: object) -> None:
    page = json.loads(call(view.name, "--json", "--limit", "3"))  # type: ignore[attr-defined]

    assert [*page["rows"][0]] == [*view.row.model_fields]  # type: ignore[attr-defined]
    assert len(page["rows"]) == 3


def test_the_next_page_begins_where_the_first_ends() -> None:
    first = json.loads(call("orders", "--json", "--limit", "5"))
    second = json.loads(call("orders", "--json", "--limit", "5", "--after", first["next"]))

    assert first["rows"] + second["rows"] == json.loads(call("orders", "--json", "--limit", "10"))["rows"]


def test_a_table_shows_units_and_how_to_see_more() -> None:
    output = call("trades", "--symbol", "SYM1", "--from", "2024-02-01", "--to", "2024-02-29")

    assert "SYM1" in output
    assert "SYM2" not in output
    assert "pnl usd" in output
    assert "--export" in call("orders", "--limit", "2")


def test_every_row_is_exported(tmp_path: Path) -> None:
    output = call("fills", "--export", str(tmp_path / "fills.parquet"))

    call("fills", "--export", str(tmp_path / "fills.csv"))

    rows = pq.read_table(tmp_path / "fills.parquet").num_rows
    assert f"{rows:,} rows" in output
    assert rows == len((tmp_path / "fills.csv").read_text().splitlines()) - 1 > 100


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("orders", "--leg", "middle"), "--leg: input should be 'entry' or 'exit', found 'middle'"),
        (("orders", "--export", "orders.xls"), "ends in .csv or .parquet"),
        (("orders", "--export", "nowhere/orders.csv"), "an existing folder"),
        (("orders", "--after", "nonsense"), "the `next` of a page of orders"),
    ],
)
def test_a_wrong_option_is_named(arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words.replace(".", r"\.")):
        CliRunner().invoke(app.cli, list(arguments), catch_exceptions=False)


def test_a_day_that_is_no_date_is_refused() -> None:
    result = CliRunner().invoke(app.cli, ["orders", "--from", "2024-02-30"])

    assert result.exit_code == 2
    assert "2024-02-30" in result.output


def test_a_book_without_a_record_has_no_row() -> None:
    assert call("equity", "--book", "nobody").strip() == "No row."


def test_deployments_and_alerts_are_printed_and_exported_as_the_routes_have_them(tmp_path: Path) -> None:
    (row,) = json.loads(call("deployments", "--json"))["rows"]
    call("deployments", "--export", str(tmp_path / "deployments.csv"))

    assert (row["name"], row["stage"]) == ("main", "paper")
    assert [*row] == (tmp_path / "deployments.csv").read_text().splitlines()[0].split(",")
    assert json.loads(call("alerts", "--json")) == {"rows": [], "next": None}
