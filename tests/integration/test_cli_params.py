"""The verbs `params` and `earnings` on a real database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from core.errors import BatchRejected, ConfigError
from core.settings import get_settings
from desk.cli import app
from pipeline.resources import live
from tests.standins.yahoo import YahooStandIn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from core.settings import Settings

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module", autouse=True)
def environment(module_settings: Settings) -> Iterator[None]:
    """The process's environment names the module's databases."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(module_settings.data_dir)
        for name in ("data_dir", "database__name", "database__feast_name", "database__mlflow_name", "database__airflow_name"):
            patch.setenv(name.upper(), str(module_settings.value_of(name)))
        patch.setenv("DATABASE__URL", module_settings.database.url.get_secret_value())  # type: ignore[union-attr]
        patch.setenv("PROVIDER", "sample")
        patch.setenv("UNIVERSE", "AAPL,MSFT,SPY")
        patch.setenv("COLUMNS", "240")
        get_settings.cache_clear()
        live.cache_clear()
        yield
    get_settings.cache_clear()
    live.cache_clear()


def call(*arguments: str) -> str:
    result = CliRunner().invoke(app.cli, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def row(output: str, *cells: str) -> str:
    """The first line of a table that holds all the cells."""
    found = [line for line in output.splitlines() if all(f" {cell} " in line for cell in cells)]
    assert found, output
    return found[0]


def test_a_change_is_shown_in_force_and_in_the_history() -> None:
    assert "deviations=2.0" in row(call("params", "show", "bollinger"), "all others", "-", "on")

    output = call(
        "params",
        "set",
        "bollinger",
        "deviations=2.5",
        "stop_pct=null",
        "--symbol",
        "aapl",
        "--reason",
        "calmer",
        "--author",
        "kim",
    )

    assert "bollinger for AAPL, version 1: band_sessions=20, deviations=2.5, max_sessions=2, stop_pct=null" in output
    shown = call("params", "show", "bollinger")
    assert "deviations=2.5" in row(shown, "AAPL", "1 (AAPL)")
    assert "deviations=2.0" in row(shown, "all others")
    assert "deviations=2.0" in row(call("params", "show", "bollinger", "--symbol", "MSFT"), "MSFT")
    assert "stop_pct=null" in row(call("params", "history", "bollinger"), "AAPL", "kim", "calmer")


def test_a_symbol_is_switched_off_and_on() -> None:
    assert "version 1, switched off: as for all symbols" in call(
        "params", "disable", "bollinger", "--symbol", "MSFT", "--reason", "merger"
    )
    assert "off" in row(call("params", "show", "bollinger"), "MSFT", "1 (MSFT)")
    assert "version 2: as for all symbols" in call(
        "params", "enable", "bollinger", "--symbol", "MSFT", "--reason", "merger off"
    )
    assert row(call("params", "history", "bollinger", "--symbol", "MSFT"), "merger off", "on")


def test_a_preset_and_a_reset() -> None:
    stated = call("params", "set", "gap", "gap_pct=2", "--preset", "as_specified", "--reason", "stated")
    assert 'version 1: direction="both", filled=0.5, gap_pct=2.0' in stated
    assert row(call("params", "show", "gap"), "as_specified", "1 (all symbols)")

    assert 'direction="down"' in call("params", "set", "gap", "direction=down", "--reason", "gaps down only")
    assert "version 3: the defaults" in call("params", "set", "gap", "--reset", "--reason", "as it was")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rsi", "oversold"], "expected key=value, found 'oversold'"),
        (["rsi", "=3"], "expected key=value"),
        (["rsi", "oversold=NaN"], "oversold: expected a finite number"),
        (["rsi", "oversold=many"], "oversold: expected a valid number"),
        (["rsi"], "found none of them"),
        (["rsi", "oversold=20", "--reset"], "found both"),
        (["rsi", "--preset", "as_specifed"], "Did you mean 'as_specified'"),
        (["rsi", "oversold=20", "--expected-version", "4"], "expected version 4, found 0"),
        (["rsi", "oversold=20", "--reason", ""], "expected a reason"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        call("params", "set", "--reason", "why", *arguments)

    assert "0 versions of rsi" in call("params", "history", "rsi")


def test_a_change_needs_a_reason() -> None:
    result = CliRunner().invoke(app.cli, ["params", "set", "rsi", "oversold=20"])

    assert result.exit_code == 2
    assert "--reason" in result.output


def test_earnings_dates_come_from_a_file_and_bad_lines_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "earnings.csv"
    path.write_text("symbol,announced\nAAPL,2018-11-01\nAAPL,soon\nAPPL,2018-11-01\n")
    with pytest.raises(BatchRejected, match="line 3: AAPL: expected a date YYYY-MM-DD, found 'soon'"):
        call("earnings", "--file", str(path))

    monkeypatch.setenv("INGESTION__MAX_BAD_FRACTION", "0.5")
    get_settings.cache_clear()
    live.cache_clear()
    output = call("earnings", "--file", str(path))

    assert "refused line 3: AAPL" in output
    assert "Not in the universe: APPL." in output
    assert "No date known, so never held back: MSFT, SPY." in output
    assert row(call("earnings"), "AAPL", "1", "2018-11-01")


def test_earnings_dates_come_from_yahoo(monkeypatch: pytest.MonkeyPatch) -> None:
    with YahooStandIn({}) as yahoo:
        yahoo.install(monkeypatch)
        yahoo.earnings["MSFT"] = ["October 24, 2018 at 4 PM EDT"]
        output = call("earnings", "--from-yfinance", "--symbols", "MSFT,SPY")

    assert "SPY: no announcement on Yahoo's page; a fund has none" in output
    assert row(call("earnings"), "MSFT", "1", "2018-10-24")


def test_two_sources_at_once_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="found both"):
        call("earnings", "--file", str(tmp_path / "any.csv"), "--from-yfinance")
