"""Verbs of live against backtest, models, research and parameters on a real PostgreSQL: tables, JSON, an empty desk."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from core.deployments import Deployment, Sleeve, Stage, State
from core.errors import ConfigError
from core.frames import TRADES
from core.settings import Settings, get_settings
from desk.cli import app
from monitoring.performance.expectation import Expectation
from monitoring.performance.sequential import Promise
from pipeline.resources import live
from storage.models.experiments import Experiment
from storage.models.promotions import Promotion
from tests.standins.long_record import write_long_record

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration
FIRST, LAST = dt.date(2024, 1, 2), dt.date(2024, 3, 28)
PROMISE = Expectation(
    "", 1000, 400, Promise(0.01, 0.03, 400, 40), 0.6, 0.0005, 0.01, Promise(0.05, 1.0, 1000, 48), None, None, 0
)


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
        write()
        yield
        live().engine.dispose()
    get_settings.cache_clear()
    live.cache_clear()


def write() -> None:
    """Write two books, one of them a deployment with a promise and a measured gap; a run, trials and an A/B test."""
    desk = live()
    days = write_long_record(desk.engine, FIRST, LAST, books=("main", "trio"), width=5)
    sleeve = Sleeve("trio/bollinger", "bollinger", ("SYM1",), 100_000.0)
    promise = {"": PROMISE.as_dict(), "trio/bollinger": PROMISE.as_dict()}
    made = Deployment("trio", 1, Stage.PAPER, State.ACTIVE, (sleeve,), 100_000.0, "desk", None, promise, "ann", "why")
    desk.deployments.add(made)
    causes = {"signal_usd": 0.0, "fill_usd": -3.0, "cost_usd": -1.0, "missed_usd": 0.0}
    counts = {name.replace("_usd", "_differences"): 0 for name in causes}
    about = {"portfolio": "trio", "strategy": "s", "session": days[-1], "record_usd": 1.0, "backtest_usd": 5.0, "details": []}
    desk.parity_ledger.add({**about, **causes, **counts})
    curve = pd.DataFrame({"session": pd.date_range("2024-01-02", periods=3), "equity_usd": [1.0, 2.0, 3.0], "drawdown": 0.0})
    meta = {"strategy": "rsi", "symbols": ["AAPL"], "first_session": "2024-01-02", "last_session": "2024-01-04"}
    desk.runs.save(kind="unfiltered", meta=meta, metrics={"sharpe": 1.5}, trades=TRADES.empty(), equity=curve)
    span = {"first_session": FIRST, "last_session": LAST, "error": None}
    desk.trials.record(
        {
            "key": f"k{number}",
            "strategy": "rsi",
            "symbol": "AAPL",
            "params": {"oversold": 20 + number % 2, "stop_pct": None},
            "kind": "sweep",
            "metrics": {"sharpe": float(number), "trade_count": 40, "profit_per_trade": 0.01 * number},
            **span,
        }
        for number in range(4)
    )
    desk.experiments.begin(Experiment("entry-filter:1-vs-2", "entry-filter", "1", ("2",), {}, FIRST))
    with desk.promotions.one_at_a_time("entry-filter") as connection:
        desk.promotions.add(connection, Promotion("entry-filter", "promote", "1", "2", "better", "ann"))


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
        call("models", "drift", "--kind", "x" * 100)


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
