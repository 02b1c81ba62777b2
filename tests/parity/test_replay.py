"""The replay of past sessions on stored bars makes the backtest's trades, to the cent; and says so when it does not."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from core.sessions import sessions_between
from desk.cli import audit
from ingestion.providers.files import FilesProvider
from ml.entry_filter.predict import EntryFilter, Payoff
from pipeline.audit import parity, replay
from pipeline.audit.parity import Reference, TradingRecord, compare_with_backtest, run_reference_backtest
from pipeline.audit.vintages import decision_deadlines, read_vintages
from pipeline.bars import VIX
from pipeline.data import ingest
from pipeline.resources import Resources
from tests.standins.feed import walk
from trading.strategies.registry import make_strategy

if TYPE_CHECKING:
    from core.settings import Settings

pytestmark = pytest.mark.integration
CORPUS = Path(__file__).parents[3] / "shared" / "data"
START, END = dt.date(2017, 1, 3), dt.date(2018, 12, 31)
FIRST = dt.date(2018, 1, 2)
SYMBOLS = ("AAA", "BBB", "CCC")
LATER = dt.datetime(2019, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def desk(database_settings: Settings) -> Resources:
    """Three random walks whose bars were known a quarter of an hour after their closes."""
    desk = Resources(database_settings.with_changes(universe=SYMBOLS))
    walks = pd.concat([walk(name, START, END, seed=3) for name in SYMBOLS], ignore_index=True)
    desk.bars.write(walks, source="walk", ingested_at=LATER, backfilled=True)
    calm = walk(VIX, START, END)
    prices = ["open", "high", "low", "close", "adj_close"]
    desk.bars.write(calm.assign(**dict.fromkeys(prices, 20.0)), source="walk", ingested_at=LATER, backfilled=True)
    return desk


def lively(desk: Resources) -> Resources:
    desk.__dict__["strategies"] = (make_strategy("bollinger", {"deviations": 1.0}),)
    return desk


def revise(desk: Resources, symbol: str, session: str, factor: float, seen: dt.datetime) -> None:
    day = dt.date.fromisoformat(session)
    bar = desk.bars.read([symbol], start=day, end=day).drop(columns="known_at")
    bar[["open", "high", "low", "close", "adj_close"]] *= factor
    desk.bars.write(bar, source="walk", ingested_at=seen)


def test_the_sample_of_the_first_run_has_parity(database_settings: Settings) -> None:
    desk = Resources(database_settings.with_changes(ingestion__history_start="2012-01-03"))
    ingest.fetch_vix("2018-12-31", full_history=True, resources=desk)
    ingest.fetch_symbols("2018-12-31", desk.universe(), full_history=True, resources=desk)
    unfiltered = desk.candidate_strategies[0]  # the filter needs the VIX, which the sample has from 2014 on

    outcome = replay.run_replay(dt.date(2013, 1, 2), END, strategies=[unfiltered], resources=desk)
    found = parity.compare_replay(outcome, resources=desk)

    assert found.trades > 50
    assert found.sessions == len(sessions_between(dt.date(2013, 1, 2), END))
    assert found.differences.empty
    assert found.equity_gap_usd < 1e-6
    assert found.holds


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"needs the real data at {CORPUS}")
def test_nineteen_symbols_over_four_years_have_parity(database_settings: Settings) -> None:
    source = FilesProvider(CORPUS)
    desk = Resources(
        database_settings.with_changes(provider="files", ingestion__files_dir=CORPUS, universe=tuple(source.default_universe))
    )
    first, last = dt.date(2018, 1, 2), dt.date(2021, 12, 31)
    bars = source.fetch([*source.default_universe, VIX], dt.date(2010, 1, 1), last).bars
    desk.bars.write(bars, source="files", ingested_at=LATER, backfilled=True)

    outcome = replay.run_replay(first, last, resources=desk)
    found = parity.compare_replay(outcome, resources=desk)

    assert len(source.default_universe) == 19
    assert found.trades == 379
    assert found.differences.empty
    assert found.holds


def test_the_filters_answers_are_acted_on_in_both_worlds_alike(desk: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    def score(X: pd.DataFrame) -> np.ndarray:
        return np.asarray(np.clip(X["rsi_14"] / 100, 0.0, 1.0).fillna(0.5))

    half = EntryFilter("f", "7", score, {"bollinger": Payoff(0.02, -0.01, 0.35)}, ("rsi_14",), "2017-12-29")
    monkeypatch.setattr(replay, "_load_filter", lambda *_: half)

    everything = replay.run_replay(FIRST, END, resources=lively(desk))
    outcome = replay.run_replay(FIRST, END, model="7", resources=desk)

    assert 0 < len(outcome.trades) < len(everything.trades)
    assert {refusal.reason for refusal in outcome.refusals} >= {"filter"}
    assert parity.compare_replay(outcome, resources=desk).holds


def test_a_filter_that_is_never_asked_accepts_nothing(desk: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    no = EntryFilter("f", "7", lambda X: np.zeros(len(X)), {"bollinger": Payoff(0.02, -0.01, 0.5)}, ("rsi_14",), "2017-12-29")
    monkeypatch.setattr(replay, "_load_filter", lambda *_: no)
    desk.__dict__["strategies"] = (make_strategy("bollinger", {"deviations": 10.0}),)

    outcome = replay.run_replay(FIRST, END, model="7", resources=desk)

    assert outcome.accept is not None
    assert len(outcome.accept) == len(outcome.trades) == 0
    assert parity.compare_replay(outcome, resources=desk).holds


def test_a_replay_leaves_the_live_ledger_as_it_was(desk: Resources) -> None:
    outcome = replay.run_replay(FIRST, END, resources=lively(desk))

    assert len(outcome.trades) > 5
    for portfolio in (desk.settings.portfolio, outcome.portfolio):
        assert desk.ledger.fills(portfolio) == []
        assert desk.ledger.equity(portfolio).empty
    assert desk.ledger.signals(FIRST).empty
    assert desk.evening_steps.evenings(now=LATER) == []


def test_each_decision_sees_the_bars_known_before_its_open_and_no_later_revision(desk: Resources) -> None:
    seen = dt.datetime(2018, 6, 20, 18, tzinfo=dt.UTC)  # between the open and the close of Wednesday
    revise(desk, "AAA", "2018-06-11", 1.25, seen)
    vintages = read_vintages(desk.bars, FIRST, END, SYMBOLS)

    before, after = vintages.of_symbol("AAA")

    assert vintages.sessions[after.first] == pd.Timestamp("2018-06-20")
    at = pd.Timestamp("2018-06-11")
    old, new = (part.bars.set_index("session")["close"][at] for part in (before, after))
    assert new == pytest.approx(1.25 * old)
    assert len(list(vintages.of_symbol("BBB"))) == 1
    for stamp, moment in zip(vintages.sessions, vintages.moments, strict=True):
        vintage = before if stamp < pd.Timestamp("2018-06-20") else after
        part = vintage.bars[vintage.bars["session"] <= stamp]
        read = desk.bars.read(["AAA"], end=stamp.date(), as_of=moment.to_pydatetime())
        np.testing.assert_array_equal(part["close"], read["close"])


def test_the_deadline_of_a_decision_is_just_before_the_next_open() -> None:
    friday = pd.DatetimeIndex(["2018-11-23"])  # a half day before a weekend

    assert decision_deadlines(friday)[0] == pd.Timestamp("2018-11-26 14:30", tz="UTC") - pd.Timedelta(microseconds=1)


def test_a_revision_is_named_as_a_difference_of_signals(desk: Resources) -> None:
    lively(desk)
    untouched = replay.run_replay(FIRST, END, resources=desk)
    victim = untouched.trades[untouched.trades["symbol"] == "AAA"].iloc[0]
    decided = victim["decision_session"].date().isoformat()
    revise(desk, "AAA", decided, 1.1, LATER + dt.timedelta(days=30))  # a close that is no entry any more

    outcome = replay.run_replay(FIRST, END, resources=desk)
    found = parity.compare_replay(outcome, resources=desk)

    pd.testing.assert_frame_equal(outcome.trades, untouched.trades)
    assert not found.holds
    split = found.split().set_index("cause")
    assert split.loc["signal", "differences"] > 0
    rows = found.differences.query("symbol == 'AAA' and session == @victim.decision_session")
    assert set(rows["cause"]) == {"signal"}
    assert rows["gap_usd"].sum() == pytest.approx(victim["pnl_usd"])


@pytest.fixture
def sides(desk: Resources) -> tuple[TradingRecord, object, pd.DataFrame]:
    outcome = replay.run_replay(FIRST, END, resources=lively(desk))
    reference = Reference(desk.bars, SYMBOLS, outcome.strategies, desk.costs, desk.limits, desk.settings.initial_cash_usd)
    result, signals = run_reference_backtest(reference, FIRST, END, accept=None)
    return TradingRecord(outcome.trades, outcome.positions, outcome.equity, outcome.signals), result, signals


def test_causes_and_money_of_differences_are_told_apart(sides: tuple[TradingRecord, object, pd.DataFrame]) -> None:
    record, result, signals = sides
    trades = record.trades.copy()
    dear, worse, gone = trades.index[:3]
    trades.loc[dear, ["pnl_usd", "cost_usd"]] += [-3.0, 3.0]
    trades.loc[worse, ["entry_price", "pnl_usd"]] += [0.5, -20.0]
    lost = trades.loc[gone, "pnl_usd"]

    found = compare_with_backtest(replace(record, trades=trades.drop(index=gone)), result, signals)  # type: ignore[arg-type]

    split = found.split().set_index("cause")
    assert split["differences"].to_dict() == {"signal": 0, "fill": 1, "cost": 1, "missed": 1}
    assert split["gap_usd"].to_dict() == pytest.approx({"signal": 0.0, "fill": -20.0, "cost": -3.0, "missed": -lost})
    assert not found.holds
    assert found.differences["gap_usd"].sum() == pytest.approx(-23.0 - lost)


def test_a_close_that_is_a_cent_off_breaks_parity(sides: tuple[TradingRecord, object, pd.DataFrame]) -> None:
    record, result, signals = sides
    off = record.equity.copy()
    off.loc[5, "equity_usd"] += 0.01

    assert compare_with_backtest(record, result, signals).holds  # type: ignore[arg-type]
    assert not compare_with_backtest(replace(record, equity=off), result, signals).holds  # type: ignore[arg-type]


def test_the_verbs_print_the_result_and_exit_by_it(desk: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.resources.live", lambda: lively(desk))
    for module in (parity, replay):
        monkeypatch.setattr(module, "live", lambda: desk)
    arguments = ["--from", str(FIRST), "--to", str(END)]

    replayed = CliRunner().invoke(audit.verbs, ["replay", *arguments, "--symbols", "aaa,bbb"])
    held = CliRunner().invoke(audit.verbs, ["parity", *arguments])
    revise(desk, "AAA", "2018-03-05", 1.1, LATER)
    broken = CliRunner().invoke(audit.verbs, ["parity", *arguments])

    assert replayed.exit_code == 0, replayed.output
    assert "sessions a second" in replayed.output
    assert (held.exit_code, "no difference" in held.output) == (0, True), held.output
    assert (broken.exit_code, "No parity" in broken.output) == (1, True), broken.output
