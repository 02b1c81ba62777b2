"""A deployment trades what research validated: its sleeves make the trades of their backtests, alone and beside another."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from core.errors import ConfigError
from core.sessions import sessions_between
from pipeline.audit import parity, parity_day
from pipeline.audit.deployment_replay import compare_deployment_replay, replay_deployment
from pipeline.audit.explain_order import explain
from pipeline.bars import VIX
from pipeline.deployments.books import desk_of
from pipeline.deployments.deploy import DeployRequest, deploy
from pipeline.execution import daily_trade
from pipeline.resources import Resources
from tests.parity.test_parity_day import LOADED, Mailbox
from tests.standins.evidence import vouch
from tests.standins.feed import walk

if TYPE_CHECKING:
    from core.settings import Settings

pytestmark = pytest.mark.integration
START, END = dt.date(2017, 6, 1), dt.date(2018, 12, 31)
FIRST, LAST = dt.date(2018, 6, 4), dt.date(2018, 8, 10)
SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
TRIO = (
    ("bollinger", "AAA", {"deviations": 1.0}, 400.0),
    ("rsi", "BBB", {"oversold": 45.0}, 350.0),
    ("zscore", "CCC", {}, 250.0),
)
PAIR = (("bollinger", "AAA", {"deviations": 1.2}, 600.0), ("zscore", "AAA", {}, 400.0))


def stored_portfolio(desk: Resources, members: tuple[tuple[str, str, dict[str, Any], float], ...], status: str = "PASS") -> int:
    rows = [
        {"strategy": strategy, "symbol": symbol, "params": params, "vix_gate": False, "usd": usd}
        for strategy, symbol, params, usd in members
    ]
    capital = sum(usd for *_, usd in members)
    number = desk.portfolios.save(session=FIRST, method="equal", members=rows, figures={"capital_usd": capital})
    desk.portfolios.save_validation(portfolio_id=number, session=FIRST, status=status, report={})
    return number


@pytest.fixture(scope="module")
def desk(module_settings: Settings) -> Resources:
    made = Resources(module_settings.with_changes(universe=SYMBOLS, validation__max_age_days=3650), clock=lambda: LOADED)
    walks = pd.concat([walk(name, START, END, seed=3) for name in SYMBOLS], ignore_index=True)
    calm = walk(VIX, START, END).assign(**dict.fromkeys(["open", "high", "low", "close", "adj_close"], 20.0))
    for bars in (walks, calm):
        made.bars.write(bars, source="walk", ingested_at=LOADED, backfilled=True)
        vouch(made.engine, bars, first=FIRST)
    made.__dict__["alerts"] = Mailbox()
    deploy(DeployRequest(stored_portfolio(made, TRIO), "trio", "validated", "anna"), resources=made)
    deploy(DeployRequest(stored_portfolio(made, PAIR), "pair", "beside it", "anna"), resources=made)
    for stamp in sessions_between(FIRST, LAST):
        session = stamp.date().isoformat()
        for name in ("trio", "pair"):
            own = desk_of(name, resources=made)
            for step in (
                daily_trade.settle,
                daily_trade.candidates,
                daily_trade.predict,
                daily_trade.place,
                daily_trade.record,
            ):
                step(session, resources=own)
    return made


@pytest.mark.parametrize("name", ["trio", "pair"])
def test_a_deployment_makes_the_trades_of_its_sleeves_backtests(desk: Resources, name: str) -> None:
    own = desk_of(name, resources=desk)

    found = parity.compare_ledger(None, None, resources=own)

    assert found.trades > 5
    assert found.differences.to_dict("records") == []
    assert found.equity_gap_usd < 1e-6
    assert found.holds


@pytest.mark.parametrize("name", ["trio", "pair"])
def test_a_replay_of_a_deployment_makes_the_trades_that_it_made_live(desk: Resources, name: str) -> None:
    own = desk_of(name, resources=desk)

    replayed = replay_deployment(FIRST, LAST, resources=own)
    found = compare_deployment_replay(replayed, resources=own)

    order = ["strategy", "symbol", "entry_session"]
    pd.testing.assert_frame_equal(
        replayed.trades.sort_values(order, ignore_index=True), desk.ledger.trades(name).sort_values(order, ignore_index=True)
    )
    assert found.holds
    with pytest.raises(ConfigError, match="no sleeves of its own"):
        replay_deployment(FIRST, LAST, resources=desk)


def test_the_values_of_the_sleeves_sum_to_the_value_of_the_book(desk: Resources) -> None:
    sleeves = desk.deployments.sleeve_equity("trio").groupby("session")["equity_usd"].sum()

    book = desk.ledger.equity("trio").set_index("session")["equity_usd"]

    pd.testing.assert_series_equal(sleeves, book, check_freq=False)


def test_the_days_of_a_deployment_have_no_gap(desk: Resources) -> None:
    own = desk_of("trio", resources=desk)

    days = [parity_day.record_day(stamp.date().isoformat(), resources=own) for stamp in sessions_between(FIRST, LAST)[1:]]

    assert [each for day in days for each in day.details()] == []
    assert sum(day.record_usd != 0 for day in days) > 5


def test_every_order_of_a_deployment_is_explained_and_computed_again_alike(desk: Resources) -> None:
    orders = [order for order, _ in desk.ledger.fills("trio")][:6]

    pages = [explain(order.client_order_id, replay=True, resources=desk) for order in orders]

    assert {order.leg for order in orders} == {"entry", "exit"}
    assert [page.recomputed["same"] for page in pages if page.recomputed] == [True] * 6
    entries = [page for order, page in zip(orders, pages, strict=True) if order.leg == "entry"]
    assert all(page.signal is not None and page.prediction is None for page in entries)


def test_one_symbol_is_in_two_sleeves_and_two_books(desk: Resources) -> None:
    names = {
        (order.portfolio, order.strategy)
        for book in ("trio", "pair")
        for order, _ in desk.ledger.fills(book)
        if order.symbol == "AAA"
    }

    assert names == {("trio", "trio/bollinger@AAA"), ("pair", "pair/bollinger@AAA"), ("pair", "pair/zscore@AAA")}
    assert desk.ledger.fills("main") == []
