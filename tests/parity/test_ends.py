"""Parity where a universe's symbols begin, pause, end and are delisted at different dates, for every strategy, long and short.

Three witnesses: the replay's desk with the paper broker, the backtest, and the rules written a second time for reading.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.engine import backtest, cost_terms
from backtest.panel import prepare, rules_of
from core.frames import ACTIONS, BARS
from core.sessions import calendar_name, closes_of
from ingestion.providers.files import FilesProvider
from pipeline.audit import parity, replay
from pipeline.audit.parity import Parity, TradingRecord, compare_with_backtest
from pipeline.audit.replay import ReplayDesk, session_inputs
from pipeline.audit.vintages import BarVintages, decision_deadlines
from pipeline.bars import VIX
from pipeline.resources import Resources
from pipeline.signals import signals_of
from tests.properties import examples
from tests.standins.feed import walk
from tests.unit.backtest import reading_copy
from trading.costs import Costs
from trading.delistings import actions_until, delistings_of
from trading.portfolio import trades_of
from trading.risk import Limits
from trading.strategies.base import Wrapper
from trading.strategies.registry import STRATEGIES, make_strategy

if TYPE_CHECKING:
    from core.settings import Settings
    from pipeline.audit.replay import SessionInputs
    from trading.strategies.base import Strategy

CORPUS = Path(__file__).parents[3] / "shared" / "data"
START, END = dt.date(2017, 1, 3), dt.date(2017, 10, 29)  # a Sunday, on which crypto alone trades
COSTS, CASH = Costs(1.0, 2.0), 100_000.0
# Wide or no stops and long holding times, so that positions are held where bars stop; trend has no stop to widen.
PATIENT: dict[str, dict[str, Any]] = {
    "bollinger": {"deviations": 1.0, "max_sessions": 60, "stop_pct": 30.0, "target_pct": 6.0},
    "rsi": {"oversold": 40.0, "recovered": 75.0, "max_sessions": 60, "stop_pct": 30.0, "target_pct": None},
    "gap": {"gap_pct": 0.4, "max_sessions": 40, "stop_pct": 5.0, "filled": 1.0},
    "compression": {
        "compressed": 1.0,
        "expanded": 1.001,
        "quiet_sessions": 1,
        "max_sessions": None,
        "target_pct": None,
        "stop_pct": 9.0,
    },
    "zscore": {"sessions": 20, "stop_z": 9.0},
    "trend": {"fast_sessions": 5, "slow_sessions": 15, "adx_least": 5.0},
}


@dataclass(frozen=True)
class Short(Wrapper):
    """The strategy inside, on the other side."""

    strategy: Strategy

    def signals(self, bars: pd.DataFrame) -> pd.DataFrame:
        """Signals with the sides exchanged."""
        found = self.strategy.signals(bars)
        return found.assign(entry=-found["entry"], exit_long=found["exit_short"], exit_short=found["exit_long"])

    def describe(self) -> dict[str, Any]:
        """As the strategy inside."""
        return self.strategy.describe()


class World(NamedTuple):
    """Bars by symbol and recorded actions."""

    bars: dict[str, pd.DataFrame]
    actions: pd.DataFrame


def world(seed: int = 0) -> World:
    """Symbols that begin late, end early, pause for weeks, end on a weekend, are delisted for cash or nothing, come back."""
    spans: dict[str, list[tuple[int, int]]] = {
        "A": [(0, 999)],
        "B": [(0, 90)],  # these three end, and nobody says why
        "C": [(0, 112)],
        "D": [(40, 131)],
        "E": [(0, 60), (85, 110), (145, 999)],  # pauses for weeks, and begins again
        "F": [(30, 120)],  # delisted for cash three weeks after its last bar
        "G": [(0, 100)],  # worth nothing
        "H": [(0, 999)],  # delisted twice, and another listing of the name goes on
        "I": [(0, 195)],  # all but the run's last bars
        "J": [(0, 80)],  # delisted in the session of its last bar
        "BTC-USD": [(0, 140)],
        "ETH-USD": [(90, 999)],
    }
    bars = {}
    for name, parts in spans.items():
        whole = walk(name, START, END, seed).assign(vix=15.0)
        bars[name] = pd.concat([whole.iloc[slice(*part)] for part in parts], ignore_index=True)
    days = {name: frame["session"] for name, frame in bars.items()}
    rows = [
        ("F", days["F"].iloc[-1] + pd.Timedelta(days=21), 104.5),
        ("G", days["G"].iloc[-1] + pd.Timedelta(days=1), 0.0),
        ("H", days["H"].iloc[105], 90.0),
        ("H", days["H"].iloc[150], 111.0),
        ("I", pd.Timestamp("2019-06-03"), 1.0),  # after the run
        ("J", days["J"].iloc[-1], 99.0),
        ("BTC-USD", days["BTC-USD"].iloc[-1] + pd.Timedelta(days=9), 88.0),
    ]
    frame = pd.DataFrame([(*row[:2], "delisting", row[2]) for row in rows], columns=list(ACTIONS.columns))
    return World(bars, ACTIONS.coerce(frame))


def replayed(place: World, strategies: list[Strategy], limits: Limits, last: dt.date) -> tuple[ReplayDesk, SessionInputs]:
    """Every session once on the desk that `desk parity` replays, on bars that were known at their closes."""
    around_the_clock = any(calendar_name(name) == "24/7" for name in place.bars)
    sessions = pd.date_range(START, last) if around_the_clock else pd.DatetimeIndex(sorted({*place.bars["A"]["session"]}))
    versions = {
        name: frame[[*BARS.columns]].assign(known_at=closes_of(pd.DatetimeIndex(frame["session"]), calendar_name(name)))
        for name, frame in place.bars.items()
    }
    calm = walk(VIX, START, last).assign(**dict.fromkeys(("open", "high", "low", "close", "adj_close"), 15.0))
    vix = calm.assign(known_at=closes_of(pd.DatetimeIndex(calm["session"])))
    name = "24/7" if around_the_clock else "XNYS"
    vintages = BarVintages(sessions, decision_deadlines(sessions, name), versions, vix)
    inputs = session_inputs(vintages, strategies)
    inputs = replace(inputs, delistings=delistings_of(place.actions))
    desk = ReplayDesk("replay", tuple(strategies), limits, COSTS, CASH)
    for stamp in inputs.sessions:
        desk.process_session(stamp, inputs)
    return desk, inputs


def compared(place: World, strategies: list[Strategy], limits: Limits) -> tuple[Parity, pd.DataFrame]:
    """Compare the replay with the backtest, and the backtest with the copy for reading; return the backtest's trades too."""
    last = max(frame["session"].iloc[-1] for frame in place.bars.values()).date()
    desk, inputs = replayed(place, strategies, limits, last)
    actions = actions_until(place.actions, last)
    result = backtest(place.bars, strategies, COSTS, limits=limits, initial_cash_usd=CASH, actions=actions)
    panel = prepare(place.bars, actions=actions)
    copy = reading_copy.run(panel.market, rules_of(panel, strategies), cost_terms(COSTS, limits), CASH)
    np.testing.assert_allclose(result.equity_usd, copy.equity, rtol=1e-11)
    assert len(result.trades) == len(copy.done)
    record = TradingRecord(
        trades_of(desk.book.fills("replay")),
        tuple(desk.book.positions("replay")),
        desk.equity(),
        pd.concat(inputs.signals.values(), ignore_index=True),
    )
    expected = pd.concat([signals_of(strategies, frame) for frame in place.bars.values()], ignore_index=True)
    return compare_with_backtest(record, result, expected), result.trades


def test_the_table_of_patient_parameters_names_every_strategy() -> None:
    assert set(PATIENT) == set(STRATEGIES)


@pytest.mark.parametrize("side", ["long", "short"])
@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_has_parity_where_symbols_end(name: str, side: str) -> None:
    strategy = make_strategy(name, PATIENT[name])
    traded: list[Strategy] = [Short(strategy) if side == "short" else strategy]
    seen = pd.DataFrame()

    for seed, limits in enumerate((Limits(0.5, 12.0, 12), Limits(2.0, 30.0, 3, 90.0))):
        found, trades = compared(world(seed), traded, limits)
        assert found.differences.empty, found.differences
        assert found.equity_gap_usd < 1e-6
        seen = pd.concat([seen, trades])

    ended = seen[seen["reason"] == "end_of_data"]
    assert {"B", "C", "D"} & set(ended["symbol"]), "held to the run's last session"
    assert {str(day.date()) for day in ended["exit_session"]} == {END.isoformat()}
    assert "delisted" in set(seen["reason"])


@pytest.mark.parametrize("names", [("gap", "bollinger"), ("rsi", "trend", "zscore"), tuple(STRATEGIES)])
def test_strategies_that_share_cash_and_slots_have_parity_where_symbols_end(names: tuple[str, ...]) -> None:
    mixed: list[Strategy] = [make_strategy(name, PATIENT[name]) for name in names]
    mixed[-1] = Short(mixed[-1])

    found, _ = compared(world(), mixed, Limits(1.0, 25.0, 4, 95.0, 20.0))

    assert found.differences.empty, found.differences
    assert found.equity_gap_usd < 1e-6


@settings(max_examples=examples(15), deadline=None)
@given(data=st.data())
def test_any_dates_have_parity(data: st.DataObject) -> None:
    """Whatever spans the symbols have, and wherever delistings fall."""
    seed = data.draw(st.integers(0, 10_000))
    bars, rows = {}, []
    names = data.draw(st.lists(st.sampled_from(["A", "B", "C", "D", "BTC-USD"]), min_size=1, max_size=4, unique=True))
    for name in {"A", *names}:
        whole = walk(name, START, dt.date(2017, 6, 30), seed).assign(vix=15.0)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), min_size=2, max_size=4, unique=True)))
        parts = [whole.iloc[slice(*cuts[i : i + 2])] for i in range(0, len(cuts) - 1, 2)]
        bars[name] = whole if name == "A" else pd.concat(parts, ignore_index=True)
        days = data.draw(st.lists(st.integers(0, 190), max_size=2, unique=True))
        rows += [(name, pd.Timestamp(START) + pd.Timedelta(days=day), "delisting", float(day)) for day in days]
    actions = ACTIONS.coerce(pd.DataFrame(rows, columns=list(ACTIONS.columns)))
    kind = data.draw(st.sampled_from(sorted(STRATEGIES)))
    strategy = make_strategy(kind, PATIENT[kind])
    traded: list[Strategy] = [Short(strategy) if data.draw(st.booleans()) else strategy]

    found, _ = compared(World(bars, actions), traded, Limits(2.0, 40.0, data.draw(st.integers(1, 4))))

    assert found.differences.empty, found.differences
    assert found.equity_gap_usd < 1e-6


@pytest.fixture
def desk(database_settings: Settings) -> Resources:
    """The generated world in the bar store, known at its closes, with the recorded delistings."""
    place = world()
    desk = Resources(database_settings.with_changes(universe=tuple(place.bars)))
    later = dt.datetime(2019, 1, 1, tzinfo=dt.UTC)
    whole = pd.concat([*place.bars.values(), walk(VIX, START, END)], ignore_index=True)
    desk.bars.write(BARS.coerce(whole), source="walk", ingested_at=later, backfilled=True)
    desk.bars.write_actions(place.actions, later)
    desk.__dict__["strategies"] = (make_strategy("bollinger", PATIENT["bollinger"]),)
    return desk


@pytest.mark.integration
@pytest.mark.parametrize("last", [END, END + dt.timedelta(days=3), dt.date(2017, 7, 14)])
def test_parity_reads_the_delistings_on_record(desk: Resources, last: dt.date) -> None:
    outcome = replay.run_replay(START, last, resources=desk)
    found = parity.compare_replay(outcome, resources=desk)

    assert found.differences.empty, found.differences
    assert found.holds
    paid = outcome.trades[outcome.trades["reason"] == "delisted"].set_index("symbol")["exit_price"]
    assert set(paid.items()) <= {("F", 104.5), ("G", 0.0), ("H", 90.0), ("H", 111.0), ("J", 99.0), ("BTC-USD", 88.0)}
    assert len(paid) >= 2


def desk_on_the_corpus(settings: Settings, universe: tuple[str, ...], strategy: Strategy) -> Resources:
    desk = Resources(settings.with_changes(provider="files", ingestion__files_dir=CORPUS, universe=universe))
    bars = FilesProvider(CORPUS).fetch([*universe, VIX], dt.date(2010, 1, 1), dt.date(2021, 12, 31)).bars
    desk.bars.write(bars, source="files", ingested_at=dt.datetime(2022, 1, 1, tzinfo=dt.UTC), backfilled=True)
    desk.__dict__["strategies"] = (strategy,)
    return desk


@pytest.mark.integration
@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"needs the real data at {CORPUS}")
def test_a_fund_that_stopped_in_2018_beside_a_share_that_goes_on_has_parity(database_settings: Settings) -> None:
    desk = desk_on_the_corpus(database_settings, ("XLK", "AAPL"), make_strategy("trend"))

    outcome = replay.run_replay(dt.date(2017, 1, 3), dt.date(2019, 12, 31), resources=desk)
    found = parity.compare_replay(outcome, resources=desk)

    assert [held.symbol for held in outcome.positions] == ["AAPL", "XLK"]
    assert (found.trades, found.sessions, found.differences.empty) == (4, 754, True)
    assert found.equity_gap_usd < 1e-6
    assert found.holds


@pytest.mark.integration
@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"needs the real data at {CORPUS}")
@pytest.mark.parametrize("side", ["long", "short"])
@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_has_parity_on_real_bars_of_which_some_stop(database_settings: Settings, name: str, side: str) -> None:
    strategy = make_strategy(name, PATIENT[name])
    traded = Short(strategy) if side == "short" else strategy
    desk = desk_on_the_corpus(database_settings, ("AAPL", "SPY", "TQQQ", "XLE", "XLF", "XLK"), traded)

    found = parity.compare_replay(replay.run_replay(dt.date(2018, 1, 2), dt.date(2019, 3, 29), resources=desk), resources=desk)

    assert found.trades > 5
    assert found.differences.empty, found.differences
    assert found.holds
