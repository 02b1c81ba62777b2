"""Verbs of live against backtest, models, research and parameters on a real PostgreSQL: tables, JSON, an empty desk."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from typer.testing import CliRunner

from core.errors import ConfigError
from core.settings import Settings, get_settings
from desk.cli import app
from pipeline.resources import live
from tests.standins.researched_desk import write_researched

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module", autouse=True)
def environment(module_settings: Settings) -> Iterator[None]:
    """The process's environment names a database with a quarter of a year on record, of two books."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(module_settings.data_dir)
        for name in ("data_dir", "database__name", "database__mlflow_name"):
            patch.setenv(name.upper(), str(module_settings.value_of(name)))
        patch.setenv("DATABASE__URL", module_settings.database.url.get_secret_value())  # type: ignore[union-attr]
        patch.setenv("PORTFOLIO", "main")
        get_settings.cache_clear()
        live.cache_clear()
        write_researched(live())
        yield
        live().engine.dispose()
    get_settings.cache_clear()
    live.cache_clear()


def call(*arguments: str) -> str:
    result = CliRunner(env={"COLUMNS": "220"}).invoke(app.cli, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_deployment_is_shown_beside_its_promise_with_its_gap() -> None:
    output = call("live-vs-backtest", "--book", "trio")
    found = json.loads(call("live-vs-backtest", "--book", "trio", "--json"))

    assert "trio, 2024-01-02 to 2024-03-28" in output
    assert f"{0.05 * np.sqrt(252):.2f}" in output
    assert any(light in output for light in ("green", "yellow", "red"))
    assert (
        "Live less backtest: -4.00 USD (signal 0.00, fill -3.00, cost -1.00, missed 0.00, carried 0.00), by parity days."
        in output
    )
    assert found["curve"]["gap_usd"][-1] == -4


def test_the_desks_own_book_says_why_nothing_is_promised() -> None:
    output = call("live-vs-backtest")

    assert "nobody deployed it" in output
    assert "No session was compared with the backtest yet" in output
    with pytest.raises(ConfigError, match="nobody"):
        call("live-vs-backtest", "--book", "nobody")


def test_models_without_mlflow_set_up_have_no_version_and_what_is_on_record_is_shown() -> None:
    assert "No version is registered." in call("models", "versions")
    assert json.loads(call("models", "versions", "--kind", "next_day", "--json"))["model"] == "next-day-return"
    assert "No champion is registered." in call("models", "calibration")
    assert json.loads(call("models", "calibration", "--json"))["version"] is None
    assert "superseded" in call("models", "ab-tests")
    assert json.loads(call("models", "promotions", "--json"))["rows"][0]["reason"] == "better"
    assert call("models", "drift").strip() == "No row."
    with pytest.raises(ConfigError, match="entry or next_day"):
        call("models", "versions", "--kind", "other")
    with pytest.raises(ConfigError, match="See `desk models drift --help`"):
        call("models", "drift", "--family", "x" * 100)


def test_runs_rankings_and_heat_maps_are_tables_and_json() -> None:
    assert json.loads(call("runs", "--json"))["rows"][0]["sharpe"] == 1.5
    assert "rsi" in call("runs", "--kind", "unfiltered")
    assert [row["rank"] for row in json.loads(call("rankings", "--min-trades", "1", "--json"))["rows"]] == [1, 2]
    assert "AAPL" in call("rankings")
    output = call("heatmap", "--x", "oversold", "--y", "stop_pct")
    assert all(part in output for part in ("sharpe, mean (trials)", "none", "1 (2)", "2 (2)"))
    assert json.loads(call("heatmap", "--x", "oversold", "--y", "stop_pct", "--json"))["mean"] == [[1.0, 2.0]]
    assert "No trial has both parameters." in call("heatmap", "--x", "oversold", "--y", "moon")


def test_a_strategys_parameters_are_shown_with_their_bounds() -> None:
    output = call("params", "schema", "bollinger")

    assert all(part in output for part in ("above 0, below 100, or none", "standard deviations", "from 2", "0.8"))
    assert json.loads(call("params", "schema", "rsi", "--json"))["parameters"][0]["name"] == "rsi_sessions"
    with pytest.raises(ConfigError, match="bolinger"):
        call("params", "schema", "bolinger")
