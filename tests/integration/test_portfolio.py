"""From a sweep to a portfolio on a real PostgreSQL: what is chosen, on which sessions, what is stored, and what it may do."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from backtest.engine import backtest
from core.errors import ConfigError, DataError, UnknownSymbol
from core.models import Leg
from core.sessions import close_of
from pipeline.bars import VIX
from pipeline.execution import daily_trade
from pipeline.execution.entry_blocks import entry_blocks
from pipeline.research import chain, portfolio
from pipeline.research.candidates import rank_candidates
from pipeline.research.portfolio_validation import validate_portfolio
from pipeline.research.shortlist import Selection, make_shortlist
from pipeline.resources import Resources
from tests.standins.evidence import vouch
from tests.standins.feed import walk

if TYPE_CHECKING:
    from backtest.engine import Result
    from backtest.panel import Panel
    from core.settings import Settings
    from trading.strategies.base import Strategy

pytestmark = pytest.mark.integration
START, END = dt.date(2010, 1, 4), dt.date(2018, 12, 31)
SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
NOW = dt.datetime(2019, 1, 2, tzinfo=dt.UTC)
LAST = "2018-12-31"
STRATEGIES = ("bollinger", "zscore")


def swinging(symbol: str, seed: int) -> pd.DataFrame:
    """Bars that come back to 100 after a fall, so that reversion earns."""
    bars = walk(symbol, START, END, seed=seed)
    noise, level = np.random.default_rng([seed, 1]).normal(0, 0.012, len(bars)), np.zeros(len(bars))
    for t in range(1, len(bars)):
        level[t] = 0.93 * level[t - 1] + noise[t]
    close = 100 * np.exp(level)
    open_ = np.concatenate([[100.0], close[:-1]])
    high, low = np.maximum(open_, close) * 1.002, np.minimum(open_, close) * 0.998
    return bars.assign(open=open_, high=high, low=low, close=close, adj_close=close)


@pytest.fixture
def desk(database_settings: Settings) -> Resources:
    made = Resources(database_settings.with_changes(universe=SYMBOLS), clock=lambda: NOW)
    bars = [*(swinging(name, seed) for seed, name in enumerate(SYMBOLS)), walk(VIX, START, END)]
    made.bars.write(
        pd.concat(bars, ignore_index=True).sort_values(["symbol", "session"], ignore_index=True),
        source="test",
        ingested_at=NOW,
        backfilled=True,
    )
    vouch(made.engine, pd.concat(bars), first=DAY)
    return made


def planned(desk: Resources) -> chain.ChainPlan:
    made = chain.make_plan(LAST, STRATEGIES, holdout_sessions=504, resources=desk)
    chain.sweep(made, jobs=1, resources=desk)
    return made


def test_the_chain_chooses_on_the_past_and_is_held_against_what_came_after(desk: Resources) -> None:
    plan = planned(desk)

    found = chain.choose(plan, min_trades=10, resources=desk)

    assert plan.split == "2016-12-28"
    table = found.shortlist.table
    assert table["profit_per_trade"].is_monotonic_decreasing
    assert all(curve.equity["session"].max() <= pd.Timestamp(plan.split) for curve in found.shortlist.curves.values())
    assert 1 <= len(found.allocation.usd) <= 3
    assert found.allocation.usd.sum() + found.allocation.cash_usd == pytest.approx(1000.0)
    assert list(found.held_out["sleeve"]) == list(found.allocation.usd.index)
    assert found.evidence["trials"].unique().tolist() == [8], "two strategies on four symbols"
    assert any("deflation" in line for line in found.statements)
    stored = desk.portfolios.latest()
    assert stored is not None
    assert stored.id == found.portfolio_id
    last = desk.portfolios.latest_validation(stored.id)
    assert last is not None
    assert (last.status, last.session.isoformat()) == (found.validation.status, LAST)
    text = (found.report / "research.md").read_text()
    assert all(line in text for line in found.statements)
    assert "## Scorecard after 2016-12-28" in text
    assert found.scorecard.summary in text
    scored = {row.name: row for row in found.scorecard.rows}
    weights = found.held_out["trade_count"].astype(float)
    assert scored["profit_per_trade"].n == weights.sum()
    assert scored["profit_per_trade"].measured == pytest.approx(
        100 * (found.held_out["profit_per_trade"].astype(float).fillna(0) * weights).sum() / weights.sum()
    )
    assert scored["sharpe_least"].n == 504, "the held-out sessions"
    assert found.scorecard.first == "2016-12-29"
    assert {path.name for path in found.report.iterdir()} >= {
        "scorecard.json",
        "ranked.csv",
        "evidence.csv",
        "held_out.csv",
        "correlation.html",
    }


def test_what_comes_after_the_split_changes_no_choice(desk: Resources) -> None:
    plan = planned(desk)
    before = make_shortlist(plan.split, Selection(min_trades=10), among=plan.labels, resources=desk)

    rng = np.random.default_rng(0)
    later = pd.concat(
        [walk(name, dt.date(2016, 12, 29), END, seed=int(rng.integers(1e6))) for name in SYMBOLS], ignore_index=True
    )
    desk.bars.write(later, source="test", ingested_at=NOW)
    chain.sweep(plan, jobs=1, resources=desk)
    after = make_shortlist(plan.split, Selection(min_trades=10), among=plan.labels, resources=desk)

    assert after.pick.chosen == before.pick.chosen
    pd.testing.assert_frame_equal(after.table, before.table)
    assert desk.trials.count(*STRATEGIES) == 8, "the same backtests, found on record"


class Backtests:
    """Counts the backtests of a choice by strategy, symbol, first and last session."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.run: Counter[tuple[str, str, dt.date, dt.date]] = Counter()

        def counted(panel: Panel, strategy: Strategy, *args: object, **terms: Any) -> Result:
            first = terms["start"] or panel.sessions[0].date()
            self.run[strategy.name, panel.symbols[0], first, panel.sessions[-1].date()] += 1
            return backtest(panel, strategy, *args, **terms)  # type: ignore[arg-type]

        monkeypatch.setattr("backtest.engine.backtest", counted)

    def up_to(self, session: str) -> Counter[tuple[str, str]]:
        """Count the backtests that end with a session, by strategy and symbol."""
        counts: Counter[tuple[str, str]] = Counter()
        for (strategy, symbol, _, last), times in self.run.items():
            if last.isoformat() == session:
                counts[strategy, symbol] += times
        return counts


def test_the_tasks_of_the_dag_backtest_the_shortlist_once_and_choose_what_the_command_chooses(
    desk: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(desk)
    whole = chain.choose(plan, min_trades=10, resources=desk)
    counted = Backtests(monkeypatch)

    def task() -> Resources:
        """A process of its own: nothing in memory of the task before."""
        return Resources(desk.settings, clock=lambda: NOW)

    ranked = chain.rank(plan, resources=task())
    assert not counted.run, "a ranking reads the ledger"
    picked = chain.correlate(plan, min_trades=10, resources=task())
    shortlisted = counted.up_to(plan.split)
    assert len(shortlisted) == len(whole.shortlist.curves)
    allocated = chain.allocate(plan, method="risk_parity_profit_weighted", min_trades=10, resources=task())
    validation = chain.validate(plan, resources=task())
    reported = chain.report(plan, min_trades=10, resources=task())

    assert set(counted.up_to(plan.split).values()) == {1}, "every candidate, and every other cell of the search, once"
    assert set(counted.up_to(plan.split)) == {(name, symbol) for name in STRATEGIES for symbol in SYMBOLS}
    members = counted.up_to(plan.session)
    assert set(members.values()) == {2}, "once for the validation, and once on the held-out sessions"
    assert len(members) == len(whole.allocation.usd)
    assert ranked.ranked == len(rank_candidates(plan.split, among=plan.labels, resources=desk))
    assert picked.picked == list(whole.shortlist.pick.chosen)
    assert allocated.portfolio == whole.portfolio_id + 1
    assert allocated.usd == whole.allocation.usd.to_dict()
    assert validation == whole.validation
    assert reported.statements == list(whole.statements)
    folder = desk.data_dir / "research"
    for file in ("ranked.csv", "evidence.csv", "held_out.csv", "correlation.csv"):
        again = folder / f"{plan.session}-{allocated.portfolio}" / file
        assert again.read_text() == (whole.report / file).read_text()


def test_a_step_without_what_the_step_before_stored_says_which_to_run(desk: Resources) -> None:
    plan = planned(desk)

    with pytest.raises(DataError, match="`correlate`"):
        chain.allocate(plan, method="equal", min_trades=10, resources=desk)
    with pytest.raises(DataError, match="`validate_risk`"):
        chain.report(plan, min_trades=10, resources=desk)


def test_a_message_between_tasks_carries_the_plan(desk: Resources) -> None:
    plan = chain.make_plan(LAST, STRATEGIES, SYMBOLS[:2], vix_gate=True, resources=desk)

    assert chain.ChainPlan.of(plan.as_dict()) == plan
    assert plan.labels == {"bollinger_vix@AAA", "bollinger_vix@BBB", "zscore_vix@AAA", "zscore_vix@BBB"}


def test_what_cannot_be_researched_is_said_first(desk: Resources) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'zscore'"):
        chain.make_plan(LAST, ["zscor"], resources=desk)
    with pytest.raises(UnknownSymbol, match="Did you mean AAA"):
        chain.make_plan(LAST, STRATEGIES, ["AAAA"], resources=desk)
    with pytest.raises(ConfigError, match="less than half"):
        chain.make_plan(LAST, STRATEGIES, holdout_sessions=1500, resources=desk)
    with pytest.raises(DataError, match="desk sweep"):
        rank_candidates(LAST, resources=desk)
    with pytest.raises(DataError, match="desk allocate"):
        validate_portfolio(LAST, resources=desk)
    planned(desk)
    with pytest.raises(DataError, match="lower --min-trades"):
        rank_candidates("2016-12-28", min_trades=10_000, resources=desk)


def test_ten_thousand_runs_are_ranked_from_the_ledger(desk: Resources) -> None:
    rng = np.random.default_rng(1)
    figures = dict.fromkeys(("profit_per_trade", "win_rate", "sharpe", "max_drawdown", "avg_hold_days"), 0.1)
    desk.trials.record(
        {
            "key": str(i),
            "strategy": "zscore",
            "symbol": SYMBOLS[i % 4],
            "params": {"sessions": i},
            "kind": "sweep",
            "first_session": START,
            "last_session": END,
            "metrics": {**figures, "trade_count": 50, "profit_per_trade": float(rng.normal())},
            "error": None,
        }
        for i in range(10_000)
    )

    table = rank_candidates(LAST, resources=desk)

    assert len(table) == 10_000
    assert table["rank"].tolist() == list(range(1, 10_001))


def test_the_ledger_knows_how_many_were_tried_and_how_far_they_spread(desk: Resources) -> None:
    planned(desk)

    sharpes = rank_candidates("2016-12-28", min_trades=1, resources=desk).query("strategy == 'zscore'")["sharpe"].dropna()
    assert desk.trials.count("zscore") == 4
    assert desk.trials.count("zscore", "bollinger") == 8
    assert desk.trials.sharpe_variance("zscore") == pytest.approx(sharpes.var(ddof=1))
    assert desk.trials.sharpe_variance("rsi") is None


def with_a_candidate(desk: Resources, day: dt.date) -> None:
    """An accepted candidate of the desk's own strategy on that day."""
    daily_trade.candidates(day.isoformat(), resources=desk)
    signals = desk.ledger.signals(day)
    assert len(signals) == len(SYMBOLS)
    signals.loc[0, "entry"] = 1
    desk.ledger.save_signals(signals)
    answer = {
        "strategy": desk.strategies[0].name,
        "symbol": signals["symbol"][0],
        "model_name": "m",
        "model_version": "1",
        "probability": 0.9,
        "predicted_return": 0.01,
        "signal": "enter",
        "feature_timestamp": close_of(day),
    }
    desk.ledger.save_predictions(day, [answer])


DAY = dt.date(2018, 12, 20)


def test_looking_at_research_changes_nothing_in_what_trades(desk: Resources) -> None:
    with_a_candidate(desk, DAY)
    plan = planned(desk)
    found = chain.choose(plan, min_trades=10, resources=desk)
    desk.portfolios.save_validation(portfolio_id=found.portfolio_id, session=DAY, status="FAIL", report={})

    placed = daily_trade.place(DAY.isoformat(), resources=desk)

    assert desk.portfolios.latest().draft  # type: ignore[union-attr]
    assert placed.refusals.get("deployment", 0) == 0
    assert len([order for order, _ in desk.ledger.open_orders("main") if order.leg is Leg.ENTRY]) == 1
    assert entry_blocks(DAY, resources=desk) == []


def test_a_kept_portfolio_is_no_draft_any_more_and_an_unknown_one_is_named(desk: Resources) -> None:
    number = desk.portfolios.save(session=DAY, method="equal", members=[], figures={}, draft=True)

    portfolio.confirm_draft(number, resources=desk)

    assert [(each.id, each.draft, validation) for each, validation in portfolio.list_portfolios(resources=desk)] == [
        (number, False, None)
    ]
    with pytest.raises(DataError, match="Portfolio 99: there is none"):
        portfolio.confirm_draft(99, resources=desk)
