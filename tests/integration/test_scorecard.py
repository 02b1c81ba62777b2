"""The scorecard on a real PostgreSQL: a backtest's, a dataset's, a book's, and what nobody measured."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

import pandas as pd
import pytest
import sqlalchemy as sa

from core.book_events import BookEvent, BookEventKind
from core.errors import ConfigError
from core.frames import FEATURES
from pipeline.bars import VIX
from pipeline.research.backtest_terms import BacktestTerms
from pipeline.research.datasets import ResearchData, freeze_dataset
from pipeline.research.scorecard import BACKTESTS, book_record, score_backtest, score_book
from pipeline.resources import Resources
from research.scorecard import CRITERIA, NOT_ENOUGH, NOT_MEASURED
from storage.trading.served import Served, encode
from tests.standins.feed import walk

if TYPE_CHECKING:
    from core.settings import Settings
    from research.scorecard import Row, Scorecard

pytestmark = pytest.mark.integration
START, END, LAST = dt.date(2015, 1, 2), dt.date(2018, 12, 31), "2018-12-31"
NOW = dt.datetime(2019, 1, 2, tzinfo=dt.UTC)
SYMBOLS = ("AAA", "BBB", "CCC")


@pytest.fixture
def desk(database_settings: Settings) -> Resources:
    made = Resources(database_settings.with_changes(universe=SYMBOLS, strategies=("bollinger", "rsi")), clock=lambda: NOW)
    bars = pd.concat([walk(name, START, END) for name in (*SYMBOLS, VIX)], ignore_index=True)
    made.bars.write(bars, source="test", ingested_at=NOW, backfilled=True)
    return made


def rows(card: Scorecard) -> dict[str, Row]:
    return {row.name: row for row in card.rows}


def serve(desk: Resources, *latencies_ms: float, at: dt.datetime = NOW) -> None:
    """Predictions on record that took so long."""
    desk.served.name_features()
    desk.served.append(
        [
            encode(
                Served(
                    at,
                    "next_day",
                    "",
                    "AAA",
                    END,
                    END,
                    "champion",
                    "m",
                    "1",
                    None,
                    0.0,
                    None,
                    None,
                    None,
                    "HOLD",
                    "online",
                    None,
                    "x",
                    [0.0] * len(FEATURES),
                    round(1000 * each),
                )
            )
            for each in latencies_ms
        ]
    )


def test_a_backtest_is_judged_by_its_own_figures_and_counts_as_a_trial(desk: Resources) -> None:
    card = score_backtest(LAST, resources=desk)
    again = score_backtest(LAST, resources=desk)
    found = rows(card)
    result = BacktestTerms.of(desk).run(ResearchData.of(desk).by_symbol(LAST), desk.strategies)

    assert again == card
    assert [row.name for row in card.rows] == [each.name for each in CRITERIA]
    assert found["profit_per_trade"].measured == pytest.approx(100 * result.metrics["profit_per_trade"])
    assert found["win_rate"].measured == pytest.approx(100 * result.metrics["win_rate"])
    assert found["sharpe_least"].measured == pytest.approx(result.metrics["sharpe"])
    assert found["drawdown_most"].measured == pytest.approx(-100 * result.metrics["max_drawdown"])
    assert found["profit_factor"].measured == pytest.approx(result.metrics["profit_factor"])
    assert found["trades_a_month"].measured == pytest.approx(result.metrics["trades_per_month"])
    for name in ("live_profit", "live_sharpe", "api_p99", "sixty_backtests"):
        assert (found[name].verdict, found[name].measured) == (NOT_MEASURED, None)
    assert desk.trials.count("bollinger+rsi") == 1


def test_a_dataset_gives_the_same_scorecard_after_a_revision(desk: Resources) -> None:
    made = freeze_dataset("spring", resources=desk)
    card = score_backtest(LAST, dataset="spring", resources=desk)
    later = Resources(desk.settings, clock=lambda: NOW + dt.timedelta(days=1))
    bars = walk("AAA", START, END)
    later.bars.write(bars.assign(close=bars[["high", "close"]].mean(axis=1)), source="test", ingested_at=later.clock())

    assert made.short in card.source
    assert score_backtest(LAST, dataset="spring", resources=later).rows == card.rows
    assert score_backtest(LAST, resources=later).rows != card.rows


def test_sixty_backtests_are_timed_only_on_request(desk: Resources) -> None:
    row = rows(score_backtest(LAST, measure=True, resources=desk))["sixty_backtests"]
    assert row.n == BACKTESTS
    assert row.measured is not None
    assert row.measured > 0


def test_the_latency_is_that_of_the_predictions_served_lately(desk: Resources) -> None:
    serve(desk, *[10.0] * 1980, *[250.0] * 20)
    serve(desk, *[9000.0] * 5, at=NOW - dt.timedelta(days=31))
    row = rows(score_backtest(LAST, resources=desk))["api_p99"]
    assert (row.measured, row.n) == (10.0, 2000)
    assert (row.low, row.high, row.verdict) == (10.0, 250.0, "met by the estimate, not by the interval")

    serve(desk, *[10.0] * 60_000)
    assert rows(score_backtest(LAST, resources=desk))["api_p99"].verdict == "met"


def test_few_predictions_are_not_enough(desk: Resources) -> None:
    serve(desk, 10.0, 12.0)
    row = rows(score_backtest(LAST, resources=desk))["api_p99"]
    assert (row.verdict, row.n, row.measured) == (NOT_ENOUGH, 2, 12.0)


def test_a_book_is_judged_by_its_ledger_and_held_against_the_backtest_of_its_sessions(desk: Resources) -> None:
    first = dt.date(2017, 1, 3)
    result = BacktestTerms.of(desk).run(ResearchData.of(desk).by_symbol(LAST), desk.strategies, start=first)
    desk.ledger.save_trades("swing", result.trades)
    held = result.equity[result.equity["session"] >= pd.Timestamp(first)]
    for session, worth in zip(held["session"], held["equity_usd"], strict=True):
        desk.ledger.save_equity(
            {"portfolio": "swing", "session": session.date(), "cash_usd": worth, "equity_usd": worth, "exposure_usd": 0,
             "positions": 0}
        )  # fmt: skip

    found = rows(score_book("swing", resources=desk))

    assert found["profit_per_trade"].n == len(result.trades)
    assert found["live_profit"].measured == pytest.approx(100.0)
    assert found["live_sharpe"].measured == pytest.approx(100.0, abs=2.0), "the first close is the start"
    assert rows(score_book("swing", compare=False, resources=desk))["live_profit"].verdict == NOT_MEASURED
    with pytest.raises(ConfigError, match="Did you mean swing"):
        score_book("swnig", resources=desk)


def test_a_book_without_a_trade_has_no_numbers(desk: Resources) -> None:
    desk.ledger.save_equity(
        {"portfolio": "new", "session": END, "cash_usd": 1000, "equity_usd": 1000, "exposure_usd": 0, "positions": 0}
    )
    card = score_book("new", resources=desk)

    assert {row.verdict for row in card.rows} == {NOT_ENOUGH, NOT_MEASURED}
    assert all(row.measured is None for row in card.rows)
    with desk.engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM research.backtest_runs")).scalar() == 0


def test_deposits_are_no_profit_and_later_sessions_are_left_out() -> None:
    days = pd.to_datetime(["2018-01-02", "2018-01-03", "2018-01-04"]).astype("datetime64[ns]")
    equity = pd.DataFrame({"session": days, "equity_usd": [1010.0, 1515.0, 1500.0]})
    deposit = BookEvent("d", "swing", BookEventKind.DEPOSIT, dt.date(2018, 1, 3), cash_usd=Decimal(500))
    dividend = BookEvent("e", "swing", BookEventKind.DIVIDEND, dt.date(2018, 1, 3), cash_usd=Decimal(5))
    trades = pd.DataFrame({"exit_session": days[[0, 2]], "net_return": [0.1, 0.2]})

    whole = book_record(trades, equity, [deposit, dividend], dt.date.max)
    early = book_record(trades, equity, [deposit, dividend], dt.date(2018, 1, 3))

    assert whole.returns == pytest.approx([0.0, 1515 / 1510 - 1, 1500 / 1515 - 1])
    assert early.returns == pytest.approx(whole.returns[:2])
    assert list(early.trades["net_return"]) == [0.1]
