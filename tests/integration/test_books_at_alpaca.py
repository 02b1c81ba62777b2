"""Two books in one account at Alpaca's stand-in: money, splits, reconciliation, sales and the end of a deployment."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from core.book_events import BookEventKind
from core.errors import ConfigError
from core.models import OrderState
from pipeline.accounts.valuation import capital_usd, peak_equity_usd
from pipeline.deployments import changes
from pipeline.deployments.books import desk_of
from pipeline.deployments.deploy import DeployRequest, deploy, plan_deployment
from pipeline.deployments.venue_books import CapitalMoves, return_capital
from pipeline.execution import book_changes, daily_trade, reconcile
from pipeline.execution.position_watch import check_positions
from pipeline.resources import Resources
from pipeline.risk import kill_switch
from pipeline.risk.flatten import flatten
from pipeline.risk.monitor import check_portfolio
from tests.integration.test_alpaca_splits import FRIDAY, MONDAY, NEXT_NOON, NOON, TUESDAY, at, holding
from tests.standins.alpaca import AlpacaStandIn
from tests.standins.alpaca_corporate import split
from tests.standins.feed import walk
from trading.brokers.intake import collect
from trading.brokers.placing import place
from trading.orders import entry_order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.settings import Settings

pytestmark = pytest.mark.integration
BEFORE = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)


@pytest.fixture
def alpaca() -> Iterator[AlpacaStandIn]:
    with AlpacaStandIn() as stand_in:
        stand_in.exchange.list_asset("AAA", "100")
        stand_in.exchange.refuses_wash_trades = True
        yield stand_in


@pytest.fixture
def desk(database_settings: Settings, alpaca: AlpacaStandIn) -> Resources:
    """The first book holds 40 AAA; a deployment `duo` with 20,000 USD of the same account holds 30 of it."""
    made = holding(database_settings, alpaca, 40.0)
    deploy(DeployRequest(stored(made, 20_000.0), "duo", "it passed", "anna"), resources=made)
    buy(made, alpaca, "duo", 30.0)
    return made


def stored(desk: Resources, usd: float) -> int:
    member = {
        "strategy": "bollinger",
        "symbol": "AAA",
        "params": {"stop_pct": 5.0, "deviations": 0.5},
        "vix_gate": False,
        "usd": usd,
    }
    number = desk.portfolios.save(session=FRIDAY, method="equal", members=[member], figures={"capital_usd": usd})
    desk.portfolios.save_validation(portfolio_id=number, session=MONDAY, status="PASS", report={})
    return number


def buy(desk: Resources, alpaca: AlpacaStandIn, book: str, quantity: float) -> None:
    at(alpaca, NOON)
    own = desk_of(book, resources=desk)
    order = entry_order(
        book, f"{book}/bollinger@AAA", "AAA", decision_session=FRIDAY, session=MONDAY, signed_quantity=quantity,
        stop_pct=5.0, target_pct=10.0, max_sessions=5,
    )  # fmt: skip
    assert place(own.ledger, own.broker, [order], patience=own.patience)[order.client_order_id] is not OrderState.REJECTED
    alpaca.exchange.trade("AAA", "100")
    collect(own.ledger, own.broker, book, BEFORE)
    at(alpaca, NEXT_NOON)


def held(desk: Resources) -> dict[str, list[Decimal]]:
    return {book: [each.quantity for each in desk.ledger.positions(book)] for book in ("main", "duo")}


def test_capital_moves_between_the_books_and_is_no_loss(desk: Resources, alpaca: AlpacaStandIn) -> None:
    duo = desk_of("duo", resources=desk)

    assert desk.broker.cash_usd() + duo.broker.cash_usd() == alpaca.exchange.cash
    assert duo.broker.cash_usd() == Decimal(20_000) - 30 * 100
    (moved,) = [each for each in desk.ledger.book_events("main") if each.kind is BookEventKind.WITHDRAWAL]
    assert moved.cash_usd == -20_000
    assert capital_usd(desk.account, TUESDAY) == pytest.approx(peak_equity_usd(desk.account, TUESDAY))
    assert check_portfolio(resources=desk).heartbeat.drawdown_pct == pytest.approx(0.0, abs=0.1)
    assert check_portfolio(resources=duo).heartbeat.equity_usd == pytest.approx(20_000.0)


def test_a_deployment_made_before_the_first_evening_is_no_withdrawal_of_what_never_was_there(
    database_settings: Settings, alpaca: AlpacaStandIn
) -> None:
    made = holding(database_settings, alpaca, 40.0)
    with made.engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM trading.equity"))

    deploy(DeployRequest(stored(made, 20_000.0), "duo", "on the first day", "anna"), resources=made)

    assert made.ledger.book_events("main") == []
    rest = float(alpaca.exchange.cash) - 20_000.0
    assert float(made.broker.cash_usd()) == rest
    assert capital_usd(made.account, TUESDAY) == pytest.approx(rest + 40 * 100)


def test_more_than_the_first_book_has_is_not_deployed(desk: Resources) -> None:
    with pytest.raises(ConfigError, match="of free cash in main"):
        deploy(DeployRequest(stored(desk, 500_000.0), "huge", "all of it", "anna"), resources=desk)


def test_capital_that_buys_no_share_is_refused_and_a_fraction_is_said_to_be_watched(
    database_settings: Settings, alpaca: AlpacaStandIn
) -> None:
    whole = holding(database_settings, alpaca, 40.0, venue__alpaca__brackets=True)
    request = DeployRequest(stored(whole, 200.0), "small", "a try", "anna")

    with pytest.raises(ConfigError, match=r"'small/bollinger@AAA': \$200.00 buys no unit of AAA at \$100.00"):
        deploy(request, resources=whole)
    fractions = whole.for_portfolio("main")
    fractions.settings = whole.settings.with_changes(venue__alpaca__brackets=False)
    del fractions.alpaca, fractions.broker
    notes = plan_deployment(request, resources=fractions).notes
    assert any("takes no bracket for a fraction" in note for note in notes)


def test_both_books_reconcile_with_their_part_of_the_account(desk: Resources, alpaca: AlpacaStandIn) -> None:
    results = [reconcile.reconcile(MONDAY.isoformat(), resources=desk_of(book, resources=desk)) for book in ("main", "duo")]

    assert [(result.differences, result.halted) for result in results] == [((), False), ((), False)]
    alpaca.exchange.list_asset("ZZZ", "10")
    alpaca.exchange.held["ZZZ"] = (Decimal(3), Decimal(10))
    foreign = [reconcile.reconcile(MONDAY.isoformat(), resources=desk_of(book, resources=desk)) for book in ("duo", "main")]
    assert [result.halted for result in foreign] == [False, True], "what nobody bought is the first book's to show"


def test_a_fill_of_one_book_that_no_ledger_has_yet_is_no_loss_and_no_difference_of_the_other(
    desk: Resources, alpaca: AlpacaStandIn
) -> None:
    before = check_portfolio(resources=desk).heartbeat
    own = desk_of("duo", resources=desk)
    order = entry_order(
        "duo", "duo/bollinger@BBB", "BBB", decision_session=FRIDAY, session=MONDAY, signed_quantity=100.0, stop_pct=5.0,
        target_pct=10.0, max_sessions=5,
    )  # fmt: skip
    alpaca.exchange.list_asset("BBB", "100")
    place(own.ledger, own.broker, [order], patience=own.patience)
    alpaca.exchange.trade("BBB", "100")  # 10,000 USD of the account, and nobody has told the ledger
    rows = walk("BBB", FRIDAY - dt.timedelta(days=60), MONDAY)
    desk.bars.write(
        rows.assign(**dict.fromkeys(["open", "high", "low", "close", "adj_close"], 100.0)), source="t", ingested_at=BEFORE
    )

    after = check_portfolio(resources=desk).heartbeat
    halted = reconcile.reconcile(MONDAY.isoformat(), resources=desk).halted

    assert after.equity_usd == pytest.approx(before.equity_usd)
    assert not halted
    assert {each.symbol for each in desk.ledger.positions("duo")} == {"AAA", "BBB"}


def test_an_order_by_hand_is_the_first_books_to_show(desk: Resources, alpaca: AlpacaStandIn) -> None:
    alpaca.exchange.list_asset("CCC", "10")
    body = {"symbol": "CCC", "qty": "1", "side": "buy", "type": "limit", "limit_price": "1", "time_in_force": "gtc"}
    alpaca.exchange.submit(body | {"client_order_id": "by-hand"})

    shown = {
        book: [view.client_order_id for view in desk_of(book, resources=desk).broker.open_orders()] for book in ("main", "duo")
    }
    assert shown == {"main": ["by-hand"], "duo": []}


def test_capital_that_moves_after_a_recorded_close_is_no_drawdown(desk: Resources) -> None:
    event = next(each for each in desk.ledger.book_events("main") if each.event_id == "deploy-duo")

    assert event.session > MONDAY, "the value of Monday's close has it still"
    assert peak_equity_usd(desk.account, event.session) == pytest.approx(capital_usd(desk.account, event.session))


def test_another_amount_under_a_name_whose_capital_has_moved_is_refused(desk: Resources) -> None:
    moves = CapitalMoves.of(desk_of("duo", resources=desk))
    duo = desk.deployments.get("duo")
    assert duo is not None

    assert not moves.give(duo), "once"
    with pytest.raises(ConfigError, match=r"has moved \$20,000.00 already"):
        moves.give(replace(duo, capital_usd=5000.0))


def test_a_book_at_another_venue_does_not_trade_here(desk: Resources) -> None:
    paper = Resources(desk.settings.with_changes(venue__kind="paper"), clock=desk.clock)
    paper.engine = desk.engine

    with pytest.raises(ConfigError, match="holds its book at alpaca, and VENUE__KIND is paper"):
        desk_of("duo", resources=paper)


def test_a_split_is_followed_by_both_books_whichever_comes_first(desk: Resources, alpaca: AlpacaStandIn) -> None:
    at(alpaca, NEXT_NOON)
    split(alpaca.exchange, "AAA", "2", TUESDAY)
    alpaca.exchange.trade("AAA", "50")

    assert book_changes.record_action("AAA", TUESDAY, "split", 2.0, resources=desk) == 2

    assert held(desk) == {"main": [Decimal(80)], "duo": [Decimal(60)]}
    assert check_positions(resources=desk).exits == {}
    for book in ("main", "duo"):
        assert not reconcile.reconcile(MONDAY.isoformat(), resources=desk_of(book, resources=desk)).halted


def test_a_fall_sells_what_each_book_holds_and_nothing_twice(desk: Resources, alpaca: AlpacaStandIn) -> None:
    at(alpaca, NEXT_NOON)
    alpaca.exchange.trade("AAA", "94")

    sold = check_positions(resources=desk)
    alpaca.exchange.trade("AAA", "94")
    check_positions(resources=desk)
    for book in ("main", "duo"):
        own = desk_of(book, resources=desk)
        collect(own.ledger, own.broker, book, BEFORE)

    assert len(sold.exits) == 2
    assert held(desk) == {"main": [], "duo": []}
    assert alpaca.exchange.held == {}


def test_selling_one_book_leaves_the_other(desk: Resources, alpaca: AlpacaStandIn) -> None:
    flatten("drill", resources=desk_of("duo", resources=desk))
    alpaca.exchange.trade("AAA", "100")
    flatten("drill", resources=desk_of("duo", resources=desk))

    assert held(desk) == {"main": [Decimal(40)], "duo": []}
    assert alpaca.exchange.held["AAA"][0] == 40


def test_a_retired_deployment_gives_back_what_it_has_left_once_it_is_flat(desk: Resources, alpaca: AlpacaStandIn) -> None:
    changes.retire("duo", reason="enough", author="anna", resources=desk)
    assert not return_capital("duo", resources=desk), "it still holds something"
    alpaca.exchange.trade("AAA", "110")
    flatten("ended", resources=desk_of("duo", resources=desk))
    flatten("ended", resources=desk_of("duo", resources=desk))

    given = return_capital("duo", resources=desk)

    left = Decimal(20_000) + 30 * 10
    assert given
    assert [each.cash_usd for each in desk.ledger.book_events("main") if each.kind is BookEventKind.DEPOSIT] == [left]
    assert desk_of("duo", resources=desk).broker.cash_usd() == 0
    assert desk.broker.cash_usd() == alpaca.exchange.cash
    assert not return_capital("duo", resources=desk), "once"


def test_the_evening_of_the_first_book_takes_back_what_ended_between_two_evenings(
    desk: Resources, alpaca: AlpacaStandIn
) -> None:
    changes.retire("duo", reason="enough", author="anna", resources=desk)
    flatten("ended", resources=desk_of("duo", resources=desk))
    alpaca.exchange.trade("AAA", "110")
    flatten("ended", resources=desk_of("duo", resources=desk))

    for _ in range(2):
        daily_trade.record(MONDAY.isoformat(), resources=desk)

    given = [each.cash_usd for each in desk.ledger.book_events("main") if each.kind is BookEventKind.DEPOSIT]
    assert len(given) == 1, "once"
    assert desk_of("duo", resources=desk).broker.cash_usd() == 0
    assert desk.broker.cash_usd() == alpaca.exchange.cash


def test_a_flat_deployment_gives_its_money_back_when_it_is_retired(desk: Resources, alpaca: AlpacaStandIn) -> None:
    flatten("ended", resources=desk_of("duo", resources=desk))
    alpaca.exchange.trade("AAA", "110")
    flatten("ended", resources=desk_of("duo", resources=desk))

    changes.retire("duo", reason="enough", author="anna", resources=desk)

    assert desk_of("duo", resources=desk).broker.cash_usd() == 0
    assert desk.broker.cash_usd() == alpaca.exchange.cash


def test_a_halt_of_one_book_lets_the_other_trade(desk: Resources) -> None:
    kill_switch.halt("drill", "anna", portfolio="duo", resources=desk)

    assert kill_switch.halt_reason(resources=desk) is None
    assert kill_switch.halt_reason(resources=desk_of("duo", resources=desk)) is not None
