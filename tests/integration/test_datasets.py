"""Frozen datasets on a real PostgreSQL: what is pinned stays, whatever arrives later, and research reproduces from it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd
import pytest
import sqlalchemy as sa

from core.errors import ConfigError, DataError, UnknownSymbol
from pipeline.bars import VIX
from pipeline.research import chain
from pipeline.research.backtest import run_backtest_report
from pipeline.research.candidates import rank_candidates
from pipeline.research.datasets import ResearchData, check_dataset, freeze_dataset
from pipeline.research.portfolio_validation import validate_portfolio
from pipeline.research.shortlist import Selection, make_shortlist
from pipeline.research.sweep import run_sweep
from pipeline.research.walk_forward import run_walk_forward
from pipeline.research.walk_forward_window import SearchPlan
from pipeline.resources import Resources
from research.search import Constraints
from tests.standins.feed import walk
from trading.strategies.registry import make_strategy

if TYPE_CHECKING:
    from core.settings import Settings
    from storage.research.datasets import Dataset

pytestmark = pytest.mark.integration
START, END, LAST = dt.date(2014, 1, 2), dt.date(2018, 12, 31), "2018-12-31"
SYMBOLS = ("AAA", "BBB")
NOW = dt.datetime(2019, 1, 2, tzinfo=dt.UTC)
RULES = ("bollinger", "rsi")


@dataclass
class Clock:
    """A clock that a test moves."""

    now: dt.datetime = field(default=NOW)

    def __call__(self) -> dt.datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def desk(database_settings: Settings, clock: Clock) -> Resources:
    made = Resources(database_settings.with_changes(universe=SYMBOLS), clock=clock)
    bars = pd.concat([walk(name, START, END) for name in (*SYMBOLS, VIX)], ignore_index=True)
    made.bars.write(bars, source="test", ingested_at=NOW, backfilled=True)
    clock.now = NOW + dt.timedelta(hours=1)
    return made


def revise(desk: Resources, clock: Clock, symbol: str = "AAA") -> None:
    """New versions of every bar of a symbol arrive a day later, a tenth of a per cent up and down by turns."""
    clock.now += dt.timedelta(days=1)
    bars = walk(symbol, START, END)
    factor = 1 + 0.001 * (-1.0) ** pd.Series(range(len(bars)))
    changed = bars.assign(**{name: bars[name] * factor for name in ("open", "high", "low", "close", "adj_close")})
    assert desk.bars.write(changed, source="test", ingested_at=clock.now).revised == len(bars)


def extend(desk: Resources, clock: Clock) -> None:
    """A backfill brings older bars, known long ago by their closes, and written only now."""
    clock.now += dt.timedelta(days=1)
    older = walk("AAA", dt.date(2012, 1, 3), dt.date(2013, 12, 31))
    assert desk.bars.write(older, source="test", ingested_at=clock.now, backfilled=True).new == len(older)


def test_a_sweep_on_a_dataset_gives_the_same_cells_bit_for_bit_after_a_revision(desk: Resources, clock: Clock) -> None:
    freeze_dataset("spring", first=dt.date(2012, 1, 3), resources=desk)
    frozen = run_sweep(LAST, RULES, dataset="spring", resources=desk)
    live = run_sweep(LAST, RULES, resources=desk)
    pd.testing.assert_frame_equal(frozen, live, check_exact=True)

    revise(desk, clock)
    extend(desk, clock)
    with desk.engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM research.trials"))  # every cell is computed again
    pd.testing.assert_frame_equal(run_sweep(LAST, RULES, dataset="spring", resources=desk), frozen, check_exact=True)
    now = run_sweep(LAST, RULES, resources=desk)
    assert not now[now["symbol"] == "AAA"].equals(frozen[frozen["symbol"] == "AAA"])
    assert check_dataset("spring", resources=desk).name == "spring"


def test_ranks_of_a_dataset_and_of_the_live_bars_stand_apart_and_a_trial_counts_once(desk: Resources, clock: Clock) -> None:
    made = freeze_dataset("spring", resources=desk)
    run_sweep(LAST, ("bollinger",), dataset="spring", resources=desk)
    with pytest.raises(DataError, match=r"expected a sweep up to 2018-12-31, found none"):
        rank_candidates(LAST, min_trades=1, resources=desk)

    run_sweep(LAST, ("bollinger",), resources=desk)
    assert desk.trials.count("bollinger") == 2, "the same backtests on the same bars"
    frozen = rank_candidates(LAST, min_trades=1, dataset="spring", resources=desk)
    revise(desk, clock)
    run_sweep(LAST, ("bollinger",), resources=desk)

    assert desk.trials.count("bollinger") == 3
    pd.testing.assert_frame_equal(rank_candidates(LAST, min_trades=1, dataset="spring", resources=desk), frozen)
    assert not rank_candidates(LAST, min_trades=1, resources=desk)["sharpe"].equals(frozen["sharpe"])
    with desk.engine.connect() as connection:
        stored = set(connection.execute(sa.text("SELECT dataset FROM research.trials")).scalars())
    assert stored == {None, made.reference}


def test_the_chain_on_a_dataset_makes_the_same_choice_after_a_revision_and_records_the_dataset(
    desk: Resources, clock: Clock
) -> None:
    made = freeze_dataset("spring", resources=desk)
    plan = chain.make_plan(LAST, RULES, holdout_sessions=250, dataset="spring", resources=desk)
    chain.sweep(plan, jobs=1, resources=desk)
    first = chain.choose(plan, min_trades=5, resources=desk)
    revise(desk, clock)
    chain.sweep(plan, jobs=1, resources=desk)
    again = chain.choose(plan, min_trades=5, resources=desk)

    pd.testing.assert_frame_equal(again.held_out, first.held_out, check_exact=True)
    pd.testing.assert_frame_equal(again.shortlist.returns, first.shortlist.returns, check_exact=True)
    assert chain.ChainPlan.of(plan.as_dict()) == plan
    portfolio = desk.portfolios.latest()
    assert portfolio is not None
    assert portfolio.dataset == made.reference
    validation = desk.portfolios.latest_validation(portfolio.id)
    assert validation is not None
    assert validation.dataset == made.reference
    with desk.engine.connect() as connection:
        assert set(connection.execute(sa.text("SELECT dataset FROM research.shortlists")).scalars()) == {made.reference}
    client = desk.tracking._client
    experiment = client.get_experiment_by_name("research")
    runs = client.search_runs([experiment.experiment_id])
    assert {run.data.tags["dataset"] for run in runs} == {made.reference}


def test_a_backtest_and_a_validation_take_the_dataset_too(desk: Resources, clock: Clock) -> None:
    made = freeze_dataset("spring", resources=desk)
    rule = make_strategy("bollinger")
    first = run_backtest_report(LAST, strategy=rule, dataset="spring", resources=desk)
    revise(desk, clock)
    again = run_backtest_report(LAST, strategy=rule, dataset="spring", resources=desk)
    other = run_backtest_report(LAST, strategy=rule, resources=desk)

    def total(run_id: str) -> float:
        return float(desk.runs.find(run_id).metrics["total_return"])

    assert desk.runs.find(first.run_id).meta["dataset"] == made.reference
    assert total(again.run_id) == total(first.run_id)
    assert total(other.run_id) != total(first.run_id)
    assert "dataset" not in desk.runs.find(other.run_id).meta
    run_sweep(LAST, RULES, dataset="spring", resources=desk)
    assert make_shortlist(LAST, Selection(min_trades=5), dataset="spring", resources=desk).dataset == made.reference
    with pytest.raises(DataError, match="expected a portfolio"):
        validate_portfolio(LAST, dataset="spring", resources=desk)


def test_a_walk_forward_on_a_dataset_trades_the_same_after_a_revision(desk: Resources, clock: Clock) -> None:
    made = freeze_dataset("spring", resources=desk)
    plan = SearchPlan("bollinger", trials=3, train_sessions=500, test_sessions=250, constraints=Constraints(-100.0, 0.0, 0.0))
    first = run_walk_forward(LAST, plan, dataset="spring", resources=desk)
    revise(desk, clock)
    again = run_walk_forward(LAST, plan, dataset="spring", resources=desk)
    live = run_walk_forward(LAST, plan, resources=desk)

    pd.testing.assert_frame_equal(again.record.equity, first.record.equity, check_exact=True)
    assert not live.record.equity.equals(first.record.equity)
    assert desk.runs.find(first.run_id).meta["dataset"] == made.reference
    assert desk.tracking._client.get_run(again.mlflow_run_id).data.tags["dataset"] == made.reference
    with desk.engine.connect() as connection:
        stored = set(connection.execute(sa.text("SELECT dataset FROM research.trials WHERE kind = 'optimise'")).scalars())
    assert stored == {None, made.reference}


def test_the_moment_decides_which_version_counts(desk: Resources, clock: Clock) -> None:
    before = freeze_dataset("before", resources=desk)
    moment = clock()
    revise(desk, clock)
    after = freeze_dataset("after", resources=desk)
    earlier = freeze_dataset("earlier", as_of=moment, resources=desk)

    assert after.sha256 != before.sha256
    assert earlier.sha256 == before.sha256
    assert [each.name for each in desk.datasets.all()] == ["after", "earlier", "before"]
    assert desk.datasets.get("before") == before


def test_a_dataset_holds_its_period_and_refuses_sessions_outside(desk: Resources) -> None:
    made = freeze_dataset("short", ("AAA",), first=dt.date(2016, 1, 1), last=dt.date(2016, 12, 31), resources=desk)
    data = ResearchData.of(desk, "short")

    bars = data.by_symbol("2016-06-30")
    assert list(bars) == ["AAA"]
    assert (bars["AAA"]["session"].min(), bars["AAA"]["session"].max()) == (
        pd.Timestamp("2016-01-04"),
        pd.Timestamp("2016-06-30"),
    )
    assert made.bars == 2 * 252, "AAA and the VIX"
    with pytest.raises(ConfigError, match=r"2016-01-01 to 2016-12-31"):
        data.by_symbol(LAST)


def test_a_check_names_the_symbol_and_the_month_of_bars_that_are_gone_or_other(desk: Resources) -> None:
    freeze_dataset("spring", resources=desk)
    with desk.engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM market.raw_prices WHERE symbol = 'BBB' AND ts::date = '2015-03-16'"))
        connection.execute(
            sa.text("UPDATE market.raw_prices SET close = close * 1.01 WHERE symbol = 'AAA' AND ts::date = '2016-07-01'")
        )

    with pytest.raises(DataError, match=r"AAA 2016-07 \(20 bars, other values\), BBB 2015-03 \(22 bars frozen, 21 found\)"):
        check_dataset("spring", resources=desk)
    with pytest.raises(DataError, match="BBB 2015-03"):
        run_sweep(LAST, RULES, dataset="spring", resources=desk)
    assert desk.trials.count(*RULES) == 0, "nothing is computed from other bars"


def test_an_action_recorded_later_is_no_part_of_the_dataset(desk: Resources, clock: Clock) -> None:
    freeze_dataset("spring", resources=desk)
    action = {"symbol": ["AAA"], "session": [pd.Timestamp("2018-06-01")], "kind": ["delisting"], "value": [3.0]}
    clock.now += dt.timedelta(days=1)
    desk.bars.write_actions(pd.DataFrame(action).astype({"session": "datetime64[ns]"}), clock())
    freeze_dataset("later", resources=desk)

    assert ResearchData.of(desk, "spring").bars.actions(["AAA"]).empty
    assert len(ResearchData.of(desk, "later").bars.actions(["AAA"])) == 1
    assert check_dataset("spring", resources=desk).parts != check_dataset("later", resources=desk).parts


def test_bad_requests_are_refused_and_nothing_is_stored(desk: Resources, clock: Clock) -> None:
    def refused(error: type[Exception], match: str, name: str = "x", *symbols: str, **period: dt.date | dt.datetime) -> None:
        with pytest.raises(error, match=match):
            freeze_dataset(name, symbols, resources=desk, **period)  # type: ignore[arg-type]

    refused(ConfigError, r"--as-of up to now", as_of=clock() + dt.timedelta(minutes=1))
    refused(ConfigError, r"2018-01-02 after 2018-01-01", first=dt.date(2018, 1, 2), last=dt.date(2018, 1, 1))
    refused(ConfigError, r"letters, digits", "a@b")
    refused(UnknownSymbol, r"Did you mean AAA", "x", "AAB")
    refused(DataError, r"found none of AAA, BBB", first=dt.date(2010, 1, 1), last=dt.date(2010, 12, 31))
    refused(DataError, r"known at 2010-01-01 00:00 UTC", as_of=dt.datetime(2010, 1, 1, tzinfo=dt.UTC))
    desk.bars.write(walk("CCC", dt.date(2012, 1, 3), dt.date(2012, 3, 30)), source="test", ingested_at=NOW, backfilled=True)
    refused(DataError, r"found none of CCC", "x", "AAA", "CCC", first=START)
    assert desk.datasets.all() == []


def test_a_name_is_used_once_and_an_unknown_one_is_answered_with_the_nearest(desk: Resources) -> None:
    made: Dataset = freeze_dataset("spring", resources=desk)
    with pytest.raises(ConfigError, match="A name is used once"):
        freeze_dataset("spring", ("AAA",), resources=desk)
    with pytest.raises(ConfigError, match="A name is used once"):
        desk.datasets.add(made)
    with pytest.raises(ConfigError, match="Did you mean spring"):
        run_sweep(LAST, RULES, dataset="sprnig", resources=desk)

    assert desk.datasets.all() == [made]
    assert desk.trials.count(*RULES) == 0
