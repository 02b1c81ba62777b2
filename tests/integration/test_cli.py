"""The command line, verb by verb, on a real database; and the demo's table from what the verbs left behind."""

from __future__ import annotations

import datetime as dt
import io
import json
import sys
from typing import TYPE_CHECKING

import pytest
from rich.console import Console
from typer.testing import CliRunner

from core.errors import ConfigError, DataError, DeskError, NoChampion, RetryLater
from core.settings import Settings, get_settings
from desk.cli import app
from desk.ops import bootstrap, demo
from pipeline.resources import live

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration
LAST = "2018-12-31"


@pytest.fixture(scope="module", autouse=True)
def environment(module_settings: Settings) -> Iterator[Settings]:
    """The process's environment names the module's databases."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(module_settings.data_dir)
        for name in ("data_dir", "database__name", "database__feast_name", "database__mlflow_name", "database__airflow_name"):
            patch.setenv(name.upper(), str(module_settings.value_of(name)))
        patch.setenv("DATABASE__URL", module_settings.database.url.get_secret_value())  # type: ignore[union-attr]
        patch.setenv("PROVIDER", "sample")
        patch.setenv("INGESTION__HISTORY_START", "2010-01-04")
        patch.setenv("API__URL", "http://127.0.0.1:9")
        patch.setenv("COLUMNS", "200")
        get_settings.cache_clear()
        live.cache_clear()
        yield get_settings()
    get_settings.cache_clear()
    live.cache_clear()


def call(*arguments: str) -> str:
    result = CliRunner().invoke(app.cli, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_without_a_verb_the_verbs_are_listed() -> None:
    output = CliRunner().invoke(app.cli, ["--help"]).output

    for verb in ("ingest", "featurize", "train", "backtest", "trade", "demo"):
        assert verb in output


def test_performance_shows_every_check_of_a_book_without_a_trade() -> None:
    shown = call("performance", "--book", "nobody")
    findings = json.loads(call("performance", "--book", "nobody", "--json"))["findings"]

    assert "No backtest is on record." in shown
    assert {each["verdict"] for each in findings} == {"ok", "not enough"}
    assert all(each["kind"].replace("_", " ") in shown for each in findings)


def test_an_error_of_the_desk_is_one_readable_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["desk", "train", "--session", LAST])
    monkeypatch.setattr(
        "pipeline.training.train_entry_filter.train_entry_filter",
        lambda *_, **__: (_ for _ in ()).throw(NoChampion("nothing there")),
    )

    with pytest.raises(SystemExit) as stop:
        app.main()

    assert stop.value.code == 1
    assert capsys.readouterr().err.strip() == "NoChampion: nothing there"


def test_the_demo_reports_nothing_before_a_training() -> None:
    with pytest.raises(NoChampion, match="desk train"):
        demo.summary(live(), LAST, [], [])


def test_the_verbs_build_on_each_other(tmp_path: Path) -> None:
    assert "2018-12-31" in call("ingest", "--full-history")
    assert "unchanged" in call("ingest", "--session", LAST, "--symbols", "^GSPC")
    assert "4528" in call("featurize")
    assert "model_version" in call("train")
    assert "coverage" in call("train-next-day"), "although the sample has no VIX before 2014"
    assert "trade_count" in call("backtest")
    assert "trade_count" in call("backtest", "--strategy", "rsi", "--params", '{"oversold": 30}', "--no-gate")
    runs = [run.run_id for run in live().runs.recent("unfiltered")]
    assert runs[0] in call("runs")
    assert "Max drawdown" in call("report", runs[0])
    assert runs[1] in call("compare", runs[0], runs[1], "--html", str(tmp_path / "c.html"), "--csv", str(tmp_path / "c.csv"))
    assert {path.name for path in tmp_path.iterdir()} == {"c.html", "c.csv"}


def test_a_dataset_is_frozen_listed_checked_and_swept() -> None:
    assert "2018-12-31" in call("ingest", "--full-history")
    with pytest.raises(ConfigError, match="expected a date"):
        call("dataset", "freeze", "spring", "--first", "soon")
    frozen = call("dataset", "freeze", "spring", "--symbols", "^GSPC", "--first", "2015-01-01", "--last", "2017-12-29")
    made = live().datasets.get("spring")

    assert made.sha256 in frozen
    assert made.sha256[:12] in call("dataset", "list")
    assert "2015-01-01 to 2017-12-29" in call("dataset", "show", "spring")
    assert f"{made.bars:,} bars" in call("dataset", "check", "spring")
    assert "1 backtests" in call("sweep", "--dataset", "spring", "--strategies", "bollinger", "--jobs", "1")
    assert "bollinger" in call("rank", "--dataset", "spring", "--min-trades", "1")
    assert "Profit a trade" in call("scorecard", "--dataset", "spring")
    card = json.loads(call("scorecard", "--dataset", "spring", "--json"))
    assert made.short in card["source"]
    assert {row["name"]: row["verdict"] for row in card["rows"]}["live_profit"] == "not measured"
    with pytest.raises(ConfigError, match="expected one of them"):
        call("scorecard", "--dataset", "spring", "--deployment", "main")
    with pytest.raises(ConfigError, match="none yet"):
        call("scorecard", "--deployment", "main")
    with pytest.raises(DataError, match="--dataset spring"):
        call("rank", "--dataset", "spring", "--session", "2016-12-30")


def test_an_instrument_is_shown_corrected_and_listed() -> None:
    assert "rule" in call("instruments", "show", "brk.b")
    output = call("instruments", "set", "BRK.B", "calendar=LSE", "currency=GBP")
    assert "XLON" in output
    assert "person" in output
    assert "BRK-B" in call("instruments", "list")
    assert "^GSPC" in call("instruments", "refresh")
    with pytest.raises(ConfigError, match="field=value"):
        call("instruments", "set", "AAPL", "calendar")


def test_the_strategies_are_listed_with_their_rules() -> None:
    output = call("strategies")

    assert "zscore" in output
    assert "oversold=25.0" in output


def test_a_leak_is_named_and_ends_with_an_error(tmp_path: Path) -> None:
    assert "No look-ahead found in features" in call("check-leakage", "--features", "--cuts", "20")
    assert "No look-ahead found in gap" in call("check-leakage", "--strategy", "gap", "--cuts", "20")
    assert "Warm-up of trend" in call("warm-up", "--strategy", "trend")
    (tmp_path / "own.py").write_text(
        "from trading.strategies.base import Parameters, to_signals\n"
        "class Prophet(Parameters):\n"
        "    name, entry, exit = 'prophet', 'next_open', 'next_open'; max_sessions: None = None\n"
        "    def signals(self, bars):\n"
        "        return to_signals(bars, entry=(bars['close'].shift(-1) > bars['close']).to_numpy())\n"
    )

    result = CliRunner().invoke(app.cli, ["check-leakage", "--strategy", f"{tmp_path}/own.py:Prophet", "--cuts", "50"])

    assert result.exit_code == 1
    assert "entry" in result.output
    assert "Look-ahead in prophet" in result.output


def test_parameters_that_are_no_json_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected JSON"):
        call("backtest", "--params", "{stop: 1}")


def test_a_weekend_is_not_traded() -> None:
    with pytest.raises(ConfigError, match="Sunday 2018-12-30 is not an XNYS session"):
        call("trade", "--session", "2018-12-30")


def test_a_day_without_entries_needs_no_prediction() -> None:
    output = call("trade", "--session", LAST)

    assert "equity_usd" in output
    assert "100000" in output
    [evening] = live().evening_steps.evenings(now=live().clock(), book="main", first=dt.date.fromisoformat(LAST))
    assert [run.step for run in evening.steps] == [
        "settle", "renew_validation", "find_candidates", "predict", "place", "record",
    ]  # fmt: skip
    assert evening.outcome == "done"


def test_the_demo_shows_what_the_stores_hold() -> None:
    prediction = {
        "symbol": "^GSPC",
        "signal": "skip",
        "for_session": "2019-01-02",
        "probability": 0.367,
        "predicted_return": -0.0007,
    }
    shown = Console(file=io.StringIO(), width=160)

    tomorrow = {"symbol": "^GSPC", "signal": "HOLD", "for_session": "2019-01-02"}
    tomorrow |= {"predicted_return": 0.0004, "low": -0.021, "high": 0.019}
    shown.print(demo.summary(live(), LAST, [prediction], [tomorrow]))
    shown.print(demo.where_next(live(), 66))

    text = shown.file.getvalue()  # type: ignore[attr-defined]
    assert "5,785 of 3 symbols" in text
    assert "skip on 2019-01-02: probability 0.367, expected -0.07%" in text
    assert "HOLD for 2019-01-02: expected +0.04%, 90 % interval -2.10% to +1.90%" in text
    assert "0 for the open of 2019-01-02; the strategy saw no entry" in text
    assert "95 % interval" in text
    assert "out of sample from" in text
    assert "make up" in text


def test_an_undefined_figure_is_a_dash() -> None:
    line = demo.backtest_line({"trade_count": 0, "profit_per_trade": None, "max_drawdown": 0.0})

    assert line == "0 trades, - a trade, - winners, Sharpe -, drawdown 0.0%"


def test_a_dag_that_fails_names_its_log(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=160)
    ended = "print('[DAG TEST] end task task_id=load_bars map_index=0')\n" * 2

    demo.run_dag(console, "good", [sys.executable, "-c", ended], {}, tmp_path)
    assert "load_bars x 2" in console.file.getvalue()  # type: ignore[attr-defined]
    assert (tmp_path / "demo-good.log").read_text().count("end task") == 2
    for code in ("raise SystemExit(1)", "print('DagRun Finished: dag_id=bad, state=failed')"):
        with pytest.raises(DeskError, match=r"bad failed; its log is .*demo-bad\.log"):
            demo.run_dag(console, "bad", [sys.executable, "-c", code], {}, tmp_path)


def test_the_demo_starts_the_real_api_and_waits_for_its_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # the checkout may hold a `.env`
    with demo.prediction_api(live()) as url:
        demo.wait_for_model(url, tmp_path)
        from pipeline.execution.prediction_client import request_predictions

        assert [answer["symbol"] for answer in request_predictions(url, [("bollinger_vix", "^GSPC")])] == ["^GSPC"]
        assert request_predictions(url, [("bollinger_vix", "NOWHERE")]) == []
        assert [answer["symbol"] for answer in demo.request_next_day(url, live())] == live().universe()

    monkeypatch.setattr(demo, "API_START_SECONDS", 0.3)
    with pytest.raises(RetryLater, match="not ready in time"):
        demo.wait_for_model("http://127.0.0.1:9", tmp_path / "api.log")


def test_a_deployment_is_prepared_as_often_as_one_likes(environment: Settings) -> None:
    assert bootstrap.prepare(environment) == bootstrap.prepare(environment)
