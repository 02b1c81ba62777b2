"""The whole optimisation on a small history: what it stores, what it repeats, and that no window sees its own test."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from core.errors import ConfigError, UnknownSymbol
from core.settings import get_settings
from desk.cli.app import cli
from pipeline.bars import VIX
from pipeline.research.walk_forward import EXPERIMENT, WalkForward, run_walk_forward
from pipeline.research.walk_forward_window import SearchPlan
from pipeline.resources import Resources, live
from research.search import Best, Constraints, Refused
from storage.research.tables import trials as ledger
from tests.standins.feed import walk
from trading.strategies.registry import make_strategy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.settings import Settings

pytestmark = pytest.mark.integration
START, END = dt.date(2016, 1, 4), dt.date(2018, 12, 31)
NOW = dt.datetime(2019, 1, 2, tzinfo=dt.UTC)
FREE = Constraints(None, None, None)
SMALL: dict[str, Any] = {"trials": 6, "train_sessions": 250, "test_sessions": 125, "constraints": FREE}


def desk_of(settings: Settings, bars: pd.DataFrame) -> Resources:
    made = Resources(settings.model_copy(update={"universe": ("AAA", "BBB")}), clock=lambda: NOW)
    made.bars.write(bars, source="test", ingested_at=NOW, backfilled=True)
    return made


def history() -> pd.DataFrame:
    return pd.concat([walk(name, START, END) for name in ("AAA", "BBB", VIX)], ignore_index=True)


@pytest.fixture(scope="module")
def desk(module_settings: Settings) -> Resources:
    return desk_of(module_settings, history())


@pytest.fixture(scope="module")
def steps() -> list[tuple[int, int]]:
    return []


@pytest.fixture(scope="module")
def found(desk: Resources, steps: list[tuple[int, int]]) -> WalkForward:
    """One walk-forward, which most tests look at."""
    return run_walk_forward(
        "2018-12-31", SearchPlan("bollinger", **SMALL), on_progress=lambda *step: steps.append(step), resources=desk
    )


def rows(desk: Resources) -> pd.DataFrame:
    with desk.engine.connect() as connection:
        return pd.read_sql_query(ledger.select(), connection)


def test_windows_follow_each_other_and_the_joined_curve_has_no_jump(found: WalkForward) -> None:
    assert len(found.steps) == 4
    equity = found.record.equity
    assert equity["session"].is_monotonic_increasing
    assert len(equity) == sum(len(step.record.equity) for step in found.steps)
    returns = np.diff(np.concatenate([[100_000.0], equity["equity_usd"]])) / np.concatenate(
        [[100_000.0], equity["equity_usd"].to_numpy()[:-1]]
    )
    inside = [
        np.diff(np.r_[100_000.0, e]) / np.r_[100_000.0, e[:-1]]
        for e in (step.record.equity["equity_usd"].to_numpy() for step in found.steps)
    ]
    np.testing.assert_allclose(returns, np.concatenate(inside), atol=1e-12)
    assert equity["equity_usd"].iloc[-1] == pytest.approx(100_000 + found.record.trades["pnl_usd"].sum())


def test_what_was_tuned_is_the_newest_choice_and_complete(found: WalkForward) -> None:
    newest = found.steps[-1].choice

    assert isinstance(newest, Best)
    assert found.tuned == make_strategy("bollinger", newest.params).describe()


def test_every_trial_and_every_test_is_in_the_ledger(desk: Resources, found: WalkForward, steps: list[tuple[int, int]]) -> None:
    recorded = rows(desk).query("strategy == 'bollinger'")

    by_kind = recorded["kind"].value_counts().to_dict()
    assert by_kind == {"optimise": 24, "walk_forward": 4}
    assert found.evidence.trials == recorded["key"].nunique()
    assert set(recorded["symbol"]) == {"AAA,BBB"}
    for step in found.steps:
        trained = recorded[(recorded["kind"] == "optimise") & (recorded["first_session"] == step.window.train_start)]
        assert set(trained["last_session"]) == {step.window.train_end}
    sets = recorded[recorded["kind"] == "optimise"]["params"].map(str).nunique()
    assert steps[-1] == (24 + sets, 24 + sets)


def test_the_windows_are_runs_within_the_walk_forwards_run(desk: Resources, found: WalkForward) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(desk.registry._uri)
    parent = client.get_run(found.mlflow_run_id)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    children = client.search_runs(
        [experiment.experiment_id], f"tags.mlflow.parentRunId = '{found.mlflow_run_id}'", order_by=["attributes.start_time ASC"]
    )

    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["trade_count"] == found.record.metrics["trade_count"]
    assert parent.data.params["train_sessions"] == "250"
    assert {file.path for file in client.list_artifacts(found.mlflow_run_id)} == {"equity.csv", "trades.csv"}
    assert [child.data.params["test"][:10] for child in children] == [str(step.window.test_start) for step in found.steps]
    best = found.steps[0].choice
    assert isinstance(best, Best)
    assert children[0].data.params["band_sessions"] == str(best.params["band_sessions"])
    assert children[0].data.metrics["train_profit_per_trade"] == pytest.approx(best.value)


def test_the_run_is_stored_with_its_verdict(desk: Resources, found: WalkForward) -> None:
    stored = desk.runs.latest("walk_forward")

    assert stored is not None
    assert stored.run_id == found.run_id
    assert stored.metrics == found.record.metrics
    assert stored.meta["verdict"]["trials"] == found.evidence.trials
    assert stored.meta["params"] == found.tuned


def test_again_is_the_same_and_nothing_is_searched_twice(desk: Resources, found: WalkForward) -> None:
    before = len(rows(desk))
    again = run_walk_forward("2018-12-31", SearchPlan("bollinger", **SMALL), jobs=2, resources=desk)

    assert [step.choice for step in again.steps] == [step.choice for step in found.steps]
    pd.testing.assert_frame_equal(again.record.equity, found.record.equity)
    assert again.evidence == found.evidence
    assert len(rows(desk)) == before + 4, "the tests alone are run again, under the same keys"


def test_threads_change_nothing(desk: Resources, database_settings: Settings) -> None:
    plan = SearchPlan("rsi", **SMALL)
    one = run_walk_forward("2018-12-31", plan, resources=desk)
    two = run_walk_forward("2018-12-31", plan, jobs=2, resources=desk_of(database_settings, history()))

    assert [step.choice for step in one.steps] == [step.choice for step in two.steps]


def test_noise_for_a_future_changes_no_earlier_choice(found: WalkForward, database_settings: Settings) -> None:
    bars = history()
    third = found.steps[2].window
    late = bars["session"] > pd.Timestamp(third.train_end)
    close = 300 * np.exp(np.random.default_rng(1).normal(0, 0.1, int(late.sum())))
    for name, factor in (("open", 1.0), ("close", 1.0), ("adj_close", 1.0), ("high", 1.01), ("low", 0.99)):
        bars.loc[late, name] = close * factor

    spoilt = run_walk_forward("2018-12-31", SearchPlan("bollinger", **SMALL), resources=desk_of(database_settings, bars))

    assert [step.choice for step in spoilt.steps[:3]] == [step.choice for step in found.steps[:3]]
    pd.testing.assert_frame_equal(spoilt.steps[0].record.equity, found.steps[0].record.equity)
    assert spoilt.steps[3].choice != found.steps[3].choice
    assert not spoilt.steps[2].record.equity.equals(found.steps[2].record.equity)


def test_where_nothing_is_feasible_it_stays_in_cash_and_says_why(desk: Resources) -> None:
    impossible = {**SMALL, "constraints": Constraints(60.0, None, None), "trials": 3}
    refused = run_walk_forward("2018-12-31", SearchPlan("zscore", **impossible), resources=desk)

    assert refused.tuned is None
    for step in refused.steps:
        assert isinstance(step.choice, Refused)
        assert "All 3 trials rejected: min_profit_per_trade_pct 3" in str(step.choice)
    assert (refused.record.equity["equity_usd"] == 100_000).all()
    assert refused.record.metrics["profit_per_trade"] is None
    assert refused.profit_interval is None
    assert not refused.evidence.survives


def test_what_cannot_be_run_is_said_before_anything_is(desk: Resources) -> None:
    before = len(rows(desk))

    def attempt(strategy: str = "gap", **changes: Any) -> None:
        run_walk_forward("2018-12-31", SearchPlan(strategy, **{**SMALL, **changes}), resources=desk)

    with pytest.raises(ConfigError, match="Did you mean 'bollinger'"):
        attempt("bolinger")
    with pytest.raises(UnknownSymbol, match="Did you mean AAA"):
        attempt(symbols=("AAAA",))
    with pytest.raises(ConfigError, match="at least 5130 sessions"):
        attempt(train_sessions=5000)
    with pytest.raises(ConfigError, match="Metric: expected one of"):
        attempt(metric="profits")
    with pytest.raises(ConfigError, match="Sampler: expected one of tpe, grid, found 'random'"):
        attempt(sampler="random")
    assert len(rows(desk)) == before


@pytest.fixture
def environment(desk: Resources, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings = desk.settings
    for name in ("data_dir", "database_name", "feast_database_name", "mlflow_database_name", "airflow_database_name"):
        monkeypatch.setenv(name.upper(), str(getattr(settings, name)))
    monkeypatch.setenv("DATABASE_URL", settings.database_url.get_secret_value())  # type: ignore[union-attr]
    monkeypatch.setenv("UNIVERSE", "AAA,BBB")
    monkeypatch.setenv("OPTIMISE_MIN_PROFIT_PER_TRADE_PCT", "70")
    monkeypatch.setenv("COLUMNS", "220")
    get_settings.cache_clear()
    live.cache_clear()
    yield
    get_settings.cache_clear()
    live.cache_clear()


@pytest.mark.usefixtures("environment")
def test_the_verb_prints_the_record_its_weight_and_the_parameters() -> None:
    arguments = ["optimise", "--strategy", "gap", "--session", "2018-12-31", "--trials", "4", "--sampler", "grid"]
    arguments += ["--train-sessions", "250", "--test-sessions", "250", "--anchored", "--symbols", "AAA"]

    strict = CliRunner().invoke(cli, arguments)
    free = ["--min-profit-per-trade-pct", "-100", "--min-trades-a-month", "0", "--min-profit-factor", "0"]
    relaxed = CliRunner().invoke(cli, [*arguments, *free], catch_exceptions=False)

    assert strict.exit_code == 1, strict.output
    assert "min_profit_per_trade_pct 4" in strict.output
    assert "No window had a parameter set" in strict.output
    assert relaxed.exit_code == 0, relaxed.output
    for shown in ("profit_per_trade", "win_rate", "average_winner", "average_loser", "trade_count", "Deflated Sharpe", "PBO"):
        assert shown in relaxed.output
    assert '"gap_pct":' in relaxed.output
