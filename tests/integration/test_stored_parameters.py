"""Stored parameters at work: what the daily path, the backtest and the training do with them, on a real PostgreSQL."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from structlog.testing import capture_logs

from core.errors import ConfigError, UnknownSymbol
from core.sessions import close_of, sessions_between
from pipeline import strategy_parameters
from pipeline.bars import VIX, bars_by_symbol
from pipeline.data import load_earnings
from pipeline.execution import daily_trade
from pipeline.research import backtest
from pipeline.research.backtest_terms import BacktestTerms
from pipeline.resources import Resources
from pipeline.strategies import rule_of
from pipeline.training import train_entry_filter
from storage.trading.strategy_params import Snapshot
from tests.standins.evidence import vouch
from tests.standins.feed import Feed, walk
from trading.strategies.earnings_filter import EarningsFilter
from trading.strategies.per_symbol import PerSymbol
from trading.strategies.registry import make_strategy
from trading.strategies.vix_filter import VixFilter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from core.settings import Settings
    from trading.strategies.base import Strategy

pytestmark = pytest.mark.integration
START, END = dt.date(2017, 1, 3), dt.date(2018, 12, 31)
NOW = dt.datetime(2019, 1, 1, 12, tzinfo=dt.UTC)
LAST = END.isoformat()
PATIENT = {"stop_pct": None, "target_pct": None, "max_sessions": 3}  # every trade ends by the rule or by time


@pytest.fixture
def table() -> pd.DataFrame:
    """Two symbols of bars and a VIX at which the filter lets entries through."""
    vix = walk(VIX, START, END)
    vix[["open", "high", "low", "close", "adj_close"]] = 20.0
    return pd.concat([walk(VIX, START, END).assign(**vix), walk("AAA", START, END), walk("BBB", START, END)], ignore_index=True)


@pytest.fixture
def start(database_settings: Settings, table: pd.DataFrame) -> Callable[..., Resources]:
    """Starts a process of the desk: fresh resources on the same database."""

    def fresh(**settings: object) -> Resources:
        resources = Resources(database_settings.with_changes(**settings), clock=lambda: NOW)
        resources.provider = Feed(table)
        return resources

    found = fresh()
    found.bars.write(
        table.sort_values(["symbol", "session"], ignore_index=True), source="feed", ingested_at=NOW, backfilled=True
    )
    vouch(found.engine, table)
    return fresh


def live_through(desk: Resources, first: dt.date, last: dt.date) -> None:
    """Every session once; the filter lets all candidates pass."""
    for stamp in sessions_between(first, last):
        day = stamp.date()
        daily_trade.settle(day.isoformat(), resources=desk)
        daily_trade.candidates(day.isoformat(), resources=desk)
        signals = desk.ledger.signals(day)
        yes = {"model_name": "m", "model_version": "1", "probability": 0.9, "predicted_return": 0.01, "signal": "enter"}
        entering = signals.loc[signals["entry"] != 0, ["strategy", "symbol"]].to_dict("records")
        answers = [{**yes, **row, "feature_timestamp": close_of(day)} for row in entering]
        desk.ledger.save_predictions(day, answers)
        daily_trade.place(day.isoformat(), resources=desk)
        daily_trade.record(day.isoformat(), resources=desk)


def traded(desk: Resources) -> pd.DataFrame:
    return backtested(desk, bars_by_symbol(desk.bars, LAST, desk.universe()), desk.strategies)


def backtested(desk: Resources, bars: dict[str, pd.DataFrame], strategies: Sequence[Strategy]) -> pd.DataFrame:
    terms = BacktestTerms.of(desk)
    return backtest.run_backtest(bars, strategies, terms, trials=desk.trials, runs=desk.runs, kind="test").trades


def test_nothing_stored_trades_what_was_always_traded(start: Callable[..., Resources]) -> None:
    desk = start()

    assert desk.strategies[0] == make_strategy("bollinger", vix_filter=True)
    assert desk.candidate_strategies[0] == make_strategy("bollinger")


def test_a_stored_parameter_changes_what_is_traded_and_one_for_a_symbol_that_symbol_alone(
    start: Callable[..., Resources],
) -> None:
    before = traded(start())
    strategy_parameters.change("bollinger", {"deviations": 1.0}, symbol="aaa", reason="more of it", resources=start())
    after = traded(start())

    aaa, bbb = ([len(trades[trades["symbol"] == symbol]) for trades in (before, after)] for symbol in ("AAA", "BBB"))
    assert aaa[1] > 1.5 * aaa[0]
    expected = traded_by(start(), make_strategy("bollinger", {"deviations": 1.0}, vix_filter=True), "AAA")
    assert after.loc[after["symbol"] == "AAA", "entry_session"].tolist() == expected
    assert bbb[0] == pytest.approx(bbb[1], abs=3), "its own rule is as before; the slots are shared"


def traded_by(desk: Resources, strategy: Strategy, symbol: str) -> list[pd.Timestamp]:
    """Entry sessions of a strategy on one symbol."""
    bars = {symbol: bars_by_symbol(desk.bars, LAST, desk.universe())[symbol]}
    trades = backtested(desk, bars, [strategy])
    return trades["entry_session"].tolist()


def test_a_symbol_switched_off_enters_no_more_while_its_exit_goes_on(start: Callable[..., Resources]) -> None:
    desk = start()
    strategy_parameters.change("bollinger", PATIENT, reason="no stop, so that rules decide", resources=desk)
    desk = start()
    whole = traded(desk)
    held = whole[(whole["symbol"] == "AAA") & (whole["exit_session"] > whole["entry_session"])].iloc[2]
    days = sessions_between(START, END)
    decided = days[days.get_loc(held["entry_session"]) - 1].date()
    live_through(desk, decided, held["entry_session"].date())
    assert [position.symbol for position in desk.broker.positions()] == ["AAA"]

    strategy_parameters.switch("bollinger", enabled=False, symbol="AAA", reason="merger", resources=desk)
    desk = start()
    last = days[days.get_loc(held["entry_session"]) + 50].date()
    live_through(desk, days[days.get_loc(held["entry_session"]) + 1].date(), last)

    made = desk.ledger.trades("main")
    own = made[made["symbol"] == "AAA"]
    assert own[["entry_session", "exit_session", "reason"]].to_dict("records") == [
        {name: held[name] for name in ("entry_session", "exit_session", "reason")}
    ]
    assert held["reason"] in {"rule", "time"}
    later = whole[(whole["entry_session"] > held["entry_session"]) & (whole["entry_session"] <= pd.Timestamp(last))]
    assert "AAA" in set(later["symbol"]), "it would have entered again"
    assert set(made.loc[made["entry_session"] > held["entry_session"], "symbol"]) == {"BBB"}

    strategy_parameters.switch("bollinger", enabled=True, symbol="AAA", reason="merger off", resources=desk)
    pd.testing.assert_frame_equal(traded(start()), whole)


def test_the_whole_strategy_switched_off_enters_nothing_anywhere(start: Callable[..., Resources]) -> None:
    strategy_parameters.change("bollinger", {"deviations": 1.0}, symbol="AAA", reason="own row", resources=start())
    strategy_parameters.switch("bollinger", enabled=False, reason="stop", resources=start())

    assert len(traded(start())) == 0
    assert strategy_parameters.in_force("bollinger", "AAA", resources=start())[0].stored.enabled is False  # type: ignore[union-attr]


@dataclass
class Echo:
    """A feature store that knows the keys alone."""

    def training_frame(self, keys: pd.DataFrame) -> pd.DataFrame:
        return keys


def test_training_backtest_and_trading_use_one_strategy(start: Callable[..., Resources]) -> None:
    strategy_parameters.change("bollinger", {"deviations": 1.0}, symbol="AAA", reason="own", resources=start())
    strategy_parameters.switch("bollinger", enabled=False, symbol="BBB", reason="pause", resources=start())
    desk = start()
    desk.features = Echo()  # type: ignore[assignment]
    bars = bars_by_symbol(desk.bars, LAST, desk.universe())

    dataset = train_entry_filter.build_dataset(bars, desk.candidate_strategies, costs=desk.costs, features=desk.features)
    backtest.run_backtest_report(LAST, resources=desk)

    own = make_strategy("bollinger", {"deviations": 1.0}).signals(bars["AAA"])
    entered = dataset[dataset["symbol"] == "AAA"]
    assert 0 < len(entered) <= (own["entry"] != 0).sum()
    assert len(entered) > (make_strategy("bollinger").signals(bars["AAA"])["entry"] != 0).sum()
    assert "BBB" in set(dataset["symbol"]), "the filter learns from what is switched off today"
    assert isinstance(desk.candidate_strategies[0], PerSymbol)
    assert desk.strategies[0].strategy.strategy is desk.candidate_strategies[0]  # type: ignore[attr-defined]
    stored = desk.runs.latest("unfiltered")
    assert stored is not None
    assert stored.meta["params"] == desk.strategies[0].describe()
    assert stored.meta["params"]["switched_off"] == ["BBB"]
    assert stored.meta["params"]["by_symbol"]["AAA"]["deviations"] == 1.0


def test_a_process_decides_by_one_set_of_parameters_to_its_end(start: Callable[..., Resources]) -> None:
    desk = start()
    first = desk.candidate_strategies[0]
    strategy_parameters.change("bollinger", {"deviations": 1.0}, reason="in between", resources=start())

    assert desk.strategies[0].strategy is first  # type: ignore[attr-defined]
    assert start().candidate_strategies[0] == make_strategy("bollinger", {"deviations": 1.0})


def test_the_time_limit_of_all_is_the_time_limit_of_each(start: Callable[..., Resources]) -> None:
    desk = start()
    strategy_parameters.change("bollinger", {"deviations": 1.0}, symbol="AAA", reason="own", resources=desk)
    with pytest.raises(ConfigError, match=r"for AAA: expected max_sessions 2 as for all other symbols, found 5"):
        strategy_parameters.change("bollinger", {"max_sessions": 5}, symbol="AAA", reason="longer", resources=desk)

    strategy_parameters.change("bollinger", {"max_sessions": 5}, reason="longer", resources=desk)

    strategy = start().candidate_strategies[0]
    assert isinstance(strategy, PerSymbol)
    assert {strategy.max_sessions, strategy.strategy_by_symbol["AAA"].max_sessions} == {5}
    assert strategy.strategy_by_symbol["AAA"].describe()["deviations"] == 1.0


def test_a_change_starts_from_what_is_in_force_and_a_reset_follows_all_again(start: Callable[..., Resources]) -> None:
    desk = start()
    strategy_parameters.change("bollinger", {"deviations": 1.5}, reason="all", resources=desk)
    own = strategy_parameters.change("bollinger", {"stop_pct": 0.4}, symbol="AAA", reason="own", resources=desk)
    assert (own.params["deviations"], own.params["stop_pct"], own.params["target_pct"]) == (1.5, 0.4, 1.5)

    reset = strategy_parameters.change("bollinger", {}, symbol="AAA", reset=True, reason="as all", resources=desk)
    strategy_parameters.change("bollinger", {"deviations": 1.8}, reason="all again", resources=desk)

    assert (reset.version, reset.params) == (2, {})
    shown = strategy_parameters.in_force("bollinger", "AAA", resources=desk)
    assert [row.params["deviations"] for row in shown] == [1.8]
    assert isinstance(start().candidate_strategies[0], type(make_strategy("bollinger")))


def test_a_preset_is_stored_whole_and_named(start: Callable[..., Resources]) -> None:
    stored = strategy_parameters.change(
        "bollinger:as_specified", {"deviations": 2.5}, reason="stated", author="kim", resources=start()
    )

    assert stored.params == make_strategy("bollinger:as_specified", {"deviations": 2.5}).describe()
    assert (stored.preset, stored.author, stored.version) == ("as_specified", "kim", 1)


def test_a_switched_off_symbol_stays_off_when_its_parameters_change(start: Callable[..., Resources]) -> None:
    strategy_parameters.switch("bollinger", enabled=False, symbol="AAA", reason="pause", resources=start())

    assert not strategy_parameters.change(
        "bollinger", {"deviations": 3.0}, symbol="AAA", reason="later", resources=start()
    ).enabled


def test_what_cannot_be_traded_is_not_stored(start: Callable[..., Resources]) -> None:
    desk = start()
    for strategy, values, message in (
        ("bollinger", {"deviatons": 2.0}, "Did you mean 'deviations'"),
        ("bollinger", {"deviations": -1}, "deviations"),
        ("bollinger", {"deviations": float("nan")}, "finite"),
        ("bolinger", {"deviations": 2.0}, "Did you mean 'bollinger'"),
        ("bollinger:nowhere", {}, "Unknown preset"),
        ("bollinger", {}, "found none of them"),
    ):
        with pytest.raises(ConfigError, match=message):
            strategy_parameters.change(strategy, values, reason="wrong", resources=desk)
    with pytest.raises(UnknownSymbol, match="Did you mean AAA"):
        strategy_parameters.switch("bollinger", enabled=False, symbol="AAB", reason="slip", resources=desk)
    with pytest.raises(ConfigError, match="expected version 3, found 0"):
        strategy_parameters.change("bollinger", {"deviations": 2.0}, expected_version=3, reason="late", resources=desk)

    assert strategy_parameters.history("bollinger", resources=desk).empty


def test_a_row_that_fits_no_more_stops_the_desk_and_names_itself(start: Callable[..., Resources]) -> None:
    start().parameters.set("bollinger", {"renamed": 1}, symbol="AAA", reason="of an older release")

    with pytest.raises(
        ConfigError, match=r"Stored parameters of 'bollinger' for AAA, version 1: there is no|version 1.*renamed"
    ):
        _ = start().strategies[0]


def test_no_rows_at_all_are_the_defaults() -> None:
    assert rule_of("rsi", Snapshot({})) == make_strategy("rsi")


def test_the_earnings_filter_is_up_only_when_the_setting_says_so(start: Callable[..., Resources], tmp_path: Path) -> None:
    whole = traded(start())
    entered = whole[whole["symbol"] == "AAA"].iloc[3]["entry_session"]
    path = tmp_path / "earnings.csv"
    path.write_text(f"symbol,announced\nAAA,{entered.date()}\n")
    outcome = load_earnings.load_file(path, resources=start())

    assert (outcome.new, outcome.without, outcome.not_traded) == (1, ["BBB"], [])
    pd.testing.assert_frame_equal(traded(start()), whole)

    filtered = start(filters__earnings=True)
    assert isinstance(filtered.strategies[0], EarningsFilter)
    assert filtered.strategies[0].name == start().strategies[0].name == "bollinger_vix"
    assert isinstance(filtered.strategies[0].strategy, VixFilter)
    without = traded(filtered)
    assert entered not in set(without.loc[without["symbol"] == "AAA", "entry_session"])
    assert entered in set(whole.loc[whole["symbol"] == "AAA", "entry_session"])


def test_an_earnings_filter_without_dates_is_said(start: Callable[..., Resources]) -> None:
    with capture_logs() as logs:
        _ = start(filters__earnings=True).strategies

    assert [entry["event"] for entry in logs] == ["earnings_calendar_empty"]


def test_symbols_whose_dates_have_run_out_are_said_on_a_live_desk(start: Callable[..., Resources], tmp_path: Path) -> None:
    path = tmp_path / "earnings.csv"
    path.write_text("symbol,announced\nAAA,2018-10-25\nBBB,2018-10-25\nBBB,2019-01-25\n")
    load_earnings.load_file(path, resources=start())

    with capture_logs() as logs:
        _ = start(filters__earnings=True, provider="yfinance").strategies

    assert [(entry["event"], entry["symbols"]) for entry in logs] == [("earnings_dates_lapsed", ["AAA"])]


def test_what_is_known_is_shown_for_each_symbol(start: Callable[..., Resources], tmp_path: Path) -> None:
    path = tmp_path / "earnings.csv"
    path.write_text("symbol,announced\nAAA,2018-10-25\nAAA,2019-01-25\nZZZ,2019-01-25\n")
    outcome = load_earnings.load_file(path, resources=start())

    shown = load_earnings.list_dates(resources=start())

    assert outcome.not_traded == ["ZZZ"]
    assert shown.to_dict("records")[:2] == [
        {"symbol": "AAA", "dates": 2, "first": "2018-10-25", "newest": "2019-01-25"},
        {"symbol": "BBB", "dates": 0, "first": None, "newest": None},
    ]
