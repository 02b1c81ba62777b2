"""The desk's day on real bars and a real PostgreSQL: load, features, training, prediction over HTTP, orders, record."""

from __future__ import annotations

import datetime as dt
import socket
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
import uvicorn

from core.errors import RetryLater
from core.frames import FEATURES
from core.models import OrderState
from core.sessions import next_session, sessions_between
from features.build import build_features
from ml.entry_filter.predict import Payoff
from pipeline.bars import VIX, bars_by_symbol, load_bars
from pipeline.data import build_features as feature_step
from pipeline.data import ingest
from pipeline.execution import daily_trade
from pipeline.execution.prediction_client import request_predictions
from pipeline.research import backtest
from pipeline.research.backtest_terms import BacktestTerms
from pipeline.resources import Resources
from pipeline.training import train_entry_filter
from serving.app import create_app

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.settings import Settings

pytestmark = pytest.mark.integration
LAST = "2018-12-31"
NOW = dt.datetime(2019, 1, 1, 12, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def settings(module_settings: Settings) -> Settings:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return module_settings.with_changes(
        ingestion__history_start="2008-01-02", api__url=f"http://127.0.0.1:{port}", api__max_feature_age_sessions=1000
    )  # a replay asks about the past


@pytest.fixture(scope="module")
def loads() -> dict[str, Any]:
    return {}


@pytest.fixture(scope="module")
def desk(settings: Settings, loads: dict[str, Any]) -> Resources:
    """A desk with everything loaded and a champion trained."""
    resources = Resources(settings, clock=lambda: NOW)
    loads["vix"] = ingest.fetch_vix(LAST, full_history=True, resources=resources)
    loads["bars"] = ingest.fetch_symbols(LAST, resources.universe(), full_history=True, resources=resources)
    loads["features"] = feature_step.write_features(LAST, resources=resources)
    loads["online"] = feature_step.materialise(LAST, resources=resources)
    loads["training"] = train_entry_filter.train_entry_filter(LAST, resources=resources).as_dict()
    return resources


@pytest.fixture(scope="module")
def api(desk: Resources) -> Iterator[str]:
    """The prediction API on a real socket, with a filter that lets about half of the candidates pass."""
    url = desk.settings.api.url
    app = create_app(desk)
    app.state.desk.entry_models.serve("champion", replace(desk.registry.champion(), payoffs={"bollinger": Payoff(0.02, -0.01)}))
    server = uvicorn.Server(uvicorn.Config(app, port=int(url.rsplit(":", 1)[1]), log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    yield url
    server.should_exit = True
    thread.join(timeout=10)


def test_everything_is_loaded_once(desk: Resources, loads: dict[str, Any]) -> None:
    again = ingest.fetch_symbols(LAST, desk.universe(), full_history=True, resources=desk)
    daily = ingest.fetch_symbols(LAST, desk.universe(), resources=desk)

    assert loads["bars"].new == again.unchanged == 2 * len(sessions_between(dt.date(2008, 1, 2), dt.date(2018, 12, 31)))
    assert (again.new, again.revised, daily.new, daily.revised) == (0, 0, 0, 0)
    assert daily.fetched == 20, "the last ten sessions of two symbols"
    assert feature_step.write_features(LAST, resources=desk).written == 0
    assert (desk.data_dir / "data_docs" / "index.html").exists()


def test_what_is_served_online_is_what_training_sees_for_every_feature(desk: Resources) -> None:
    online = desk.features.online(desk.universe())
    trained = desk.features.training_frame(online[["symbol", "event_timestamp"]])
    bars, vix = load_bars(desk.bars, LAST, desk.universe())
    computed = build_features(bars, vix).groupby("symbol").tail(1)

    assert set(online["event_timestamp"]) == {pd.Timestamp("2018-12-31 21:00", tz="UTC")}
    for name in FEATURES:
        np.testing.assert_array_equal(online[name], trained[name], err_msg=name)
        np.testing.assert_array_equal(online[name], computed[name], err_msg=name)


def test_a_correction_seen_later_does_not_reach_into_the_training_of_the_past(desk: Resources) -> None:
    bars, vix = load_bars(desk.bars, LAST, desk.universe())
    frame = build_features(bars, vix)
    decided = frame[frame["session"] < LAST].tail(50)  # their orders had to go before NOW
    keys = decided[["symbol", "event_timestamp"]].reset_index(drop=True)
    before = desk.features.training_frame(keys)

    assert desk.features.write_offline(decided.assign(rsi_14=99.0)) == 50

    pd.testing.assert_frame_equal(desk.features.training_frame(keys), before)
    desk.features.write_offline(decided)


def test_training_reports_both_models_and_both_backtests(desk: Resources, loads: dict[str, Any]) -> None:
    training = loads["training"]

    assert set(training["auc"]) == {"logistic", "lightgbm"}  # type: ignore[call-overload]
    assert training["model_version"] == "1"
    stored = desk.runs.latest("filtered")
    assert stored is not None
    assert stored.metrics == pytest.approx(training["filtered"], nan_ok=True)
    assert stored.metrics["trade_count"] < training["unfiltered"]["trade_count"]  # type: ignore[index]
    assert stored.meta["commission_bps"] == 1.0


def test_the_backtest_verb_stores_a_run_over_everything(desk: Resources) -> None:
    figures = backtest.run_backtest_report(LAST, resources=desk).figures

    assert figures["trade_count"] > 0
    assert desk.runs.latest("unfiltered").metrics["trade_count"] == figures["trade_count"]  # type: ignore[union-attr]


def test_the_api_serves_the_latest_backtest(desk: Resources, api: str) -> None:
    answer = httpx.get(f"{api}/backtest-metrics", params={"kind": "filtered"}).json()

    assert answer["run_id"] == desk.runs.latest("filtered").run_id  # type: ignore[union-attr]
    assert httpx.get(f"{api}/backtest-metrics", params={"kind": "none"}).status_code == 404


@pytest.mark.usefixtures("api")
def test_a_month_of_days_leaves_the_trades_of_the_backtest(desk: Resources) -> None:
    """Each day at its close, online features of that day: orders, fills and equity on record."""
    first, last = dt.date(2018, 11, 19), dt.date(2018, 12, 31)
    for stamp in sessions_between(first, last):
        day = stamp.date().isoformat()
        feature_step.materialise(day, resources=desk)
        run_day(desk, day)

    equity = desk.ledger.equity("main")
    assert equity["session"].tolist() == list(sessions_between(first, last))

    predictions = all_predictions(desk)
    accept = predictions.assign(session=pd.to_datetime(predictions["session"]), accept=predictions["signal"] == "enter")
    bars, terms = bars_by_symbol(desk.bars, LAST, desk.universe()), BacktestTerms.of(desk)
    simulated = backtest.run_backtest(
        bars, desk.strategies, terms, trials=desk.trials, runs=desk.runs, kind="replay", accept=accept, start=first
    )
    made = desk.ledger.trades("main")
    finished = simulated.trades[simulated.trades["reason"] != "end_of_data"].reset_index(drop=True)
    assert len(made) > 0, "an empty comparison proves nothing"
    pd.testing.assert_frame_equal(made, finished, rtol=1e-9)
    np.testing.assert_allclose(equity["equity_usd"].iloc[:-1], simulated.equity["equity_usd"].iloc[:-1], atol=0.005)


@pytest.mark.usefixtures("api")
def test_a_day_run_twice_places_nothing_twice(desk: Resources) -> None:
    before = snapshot(desk)

    run_day(desk, LAST)
    outcome = daily_trade.place(LAST, resources=desk)

    assert outcome.placed == 0
    assert snapshot(desk) == before


@pytest.mark.usefixtures("api")
def test_a_past_session_decides_nothing_new(desk: Resources) -> None:
    before = snapshot(desk)

    assert daily_trade.place("2018-12-28", resources=desk).reason == "a later session is on record"
    assert daily_trade.record("2018-12-28", resources=desk).reason == "a later session is on record"

    assert snapshot(desk) == before


@pytest.mark.usefixtures("api")
def test_predictions_on_features_of_another_session_are_not_used(desk: Resources) -> None:
    feature_step.materialise("2018-12-27", resources=desk)
    signals = desk.ledger.signals(dt.date(2018, 12, 31)).assign(entry=np.int8(1))
    desk.ledger.save_signals(signals)

    assert daily_trade.predict(LAST, resources=desk).predictions == 0

    feature_step.materialise(LAST, resources=desk)
    assert daily_trade.predict(LAST, resources=desk).predictions == 2
    daily_trade.candidates(LAST, resources=desk)


def test_without_the_api_the_step_can_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)

    with pytest.raises(RetryLater, match="make up"):
        request_predictions("http://127.0.0.1:9", [("bollinger_vix", "SPY")])


def run_day(desk: Resources, day: str) -> None:
    for step in (daily_trade.settle, daily_trade.candidates, daily_trade.predict, daily_trade.place, daily_trade.record):
        step(day, resources=desk)


def all_predictions(desk: Resources) -> pd.DataFrame:
    with desk.engine.connect() as connection:
        return pd.read_sql(sa.text("SELECT symbol, session, signal FROM trading.predictions"), connection)


def snapshot(desk: Resources) -> tuple[object, ...]:
    with desk.engine.connect() as connection:
        counts = tuple(
            connection.execute(sa.text(f"SELECT count(*) FROM trading.{name}")).scalar()  # noqa: S608  # names from here
            for name in ("order_intents", "order_events", "fills", "trades", "equity")
        )
    orders = desk.ledger.open_orders("main")
    assert all(state is OrderState.ACCEPTED for _, state in orders)
    assert all(order.session == next_session(dt.date(2018, 12, 31)) for order, _ in orders)
    return (*counts, tuple(orders), tuple(desk.ledger.positions("main")), desk.broker.cash_usd())


def test_vix_is_stored_beside_the_symbols_and_traded_by_nobody(desk: Resources) -> None:
    assert VIX in desk.bars.symbols()
    assert VIX not in bars_by_symbol(desk.bars, LAST, desk.universe())
