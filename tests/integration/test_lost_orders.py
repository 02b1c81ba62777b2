"""Orders that the ledger believes open and the venue does not have: they end by rule, and a person is told."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from core.models import OrderState
from core.sessions import last_closed_session, next_session
from pipeline.execution import daily_trade, reconcile
from pipeline.resources import Resources, utc_now
from pipeline.risk import kill_switch
from tests.standins.alpaca import KEY, SECRET, AlpacaStandIn
from tests.standins.feed import walk
from tests.standins.mail import mail_server, text_of
from tests.standins.tws import TwsStandIn
from trading.brokers.placing import place
from trading.brokers.reconcile import Mismatch
from trading.orders import entry_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from core.models import OrderIntent
    from core.settings import Settings
    from tests.standins.mail import Inbox

pytestmark = pytest.mark.integration
YESTERDAY = last_closed_session(utc_now())
SESSION = YESTERDAY.isoformat()


@pytest.fixture
def inbox() -> Iterator[tuple[Inbox, int]]:
    with mail_server() as server:
        yield server


@pytest.fixture
def tws() -> Iterator[TwsStandIn]:
    with TwsStandIn() as stand_in:
        stand_in.exchange.is_open = False
        stand_in.exchange.list_asset("AAPL", "100")
        yield stand_in


@pytest.fixture
def alpaca() -> Iterator[AlpacaStandIn]:
    with AlpacaStandIn() as stand_in:
        stand_in.exchange.is_open = False
        stand_in.exchange.list_asset("AAPL", "100")
        yield stand_in


@pytest.fixture(params=["alpaca", "ib"])
def desk(
    request: pytest.FixtureRequest,
    database_settings: Settings,
    inbox: tuple[Inbox, int],
    tws: TwsStandIn,
    alpaca: AlpacaStandIn,
) -> Iterator[Resources]:
    values = {
        "provider": "yfinance",
        "venue__kind": request.param,
        "venue__alpaca__api_key": KEY,
        "venue__alpaca__secret_key": SECRET,
        "venue__alpaca__url": alpaca.url,
        "venue__ib__port": tws.port,
        "venue__timeout_seconds": 0.5,
        "venue__deadline_seconds": 3.0,
        "mail__host": "127.0.0.1",
        "mail__port": inbox[1],
        "mail__recipients": ("desk@example.org",),
    }
    resources = Resources(database_settings.with_changes(**values))
    bars = walk("AAPL", YESTERDAY - dt.timedelta(days=60), YESTERDAY)
    resources.bars.write(bars, source="test", ingested_at=utc_now(), backfilled=True)
    yield resources
    resources.engine.dispose()
    if request.param == "ib":
        resources.ib.wire.disconnect()


@pytest.fixture
def lose(desk: Resources, tws: TwsStandIn, alpaca: AlpacaStandIn) -> Callable[[str], None]:
    """Make the venue lose an order."""

    def at_alpaca(order_id: str) -> None:
        alpaca.exchange.orders.pop(alpaca.exchange.by_client_id(order_id).id)

    return tws.forget if desk.broker.name == "ib" else at_alpaca


def entry(session: dt.date) -> OrderIntent:
    return entry_order(
        "main", "bollinger", "AAPL", decision_session=YESTERDAY, session=session, signed_quantity=10.0, stop_pct=40.0,
        target_pct=40.0, max_sessions=5,
    )  # fmt: skip


def state(desk: Resources, order: OrderIntent) -> OrderState:
    known = desk.ledger.order(order.client_order_id)
    assert known is not None
    return known[1]


def test_an_accepted_order_that_the_venue_lost_expires_and_is_mailed(
    desk: Resources, lose: Callable[[str], None], inbox: tuple[Inbox, int]
) -> None:
    order = entry(YESTERDAY)
    place(desk.ledger, desk.broker, [order])
    lose(order.client_order_id)
    assert state(desk, order) is OrderState.ACCEPTED

    outcome = reconcile.reconcile(SESSION, resources=desk)

    assert [each.rule for each in outcome.differences] == [Mismatch.VANISHED]
    assert not outcome.halted
    assert kill_switch.halt_reason(resources=desk) is None
    assert state(desk, order) is OrderState.EXPIRED
    assert desk.ledger.open_orders("main") == [], "it takes no place among MAX_POSITIONS"
    assert f"vanished {order.client_order_id}" in text_of(inbox[0].mails[-1])
    assert reconcile.reconcile(SESSION, resources=desk).differences == ()


def test_after_settle_has_asked_for_its_cancellation_it_expires_as_well(desk: Resources, lose: Callable[[str], None]) -> None:
    order = entry(YESTERDAY)
    place(desk.ledger, desk.broker, [order])
    lose(order.client_order_id)

    daily_trade.settle(SESSION, resources=desk)
    assert state(desk, order) is OrderState.CANCEL_PENDING
    outcome = reconcile.reconcile(SESSION, resources=desk)

    assert [each.rule for each in outcome.differences] == [Mismatch.VANISHED]
    assert state(desk, order) is OrderState.EXPIRED


def test_one_that_is_not_listed_before_its_open_is_mailed_and_keeps_its_state(
    desk: Resources, lose: Callable[[str], None], inbox: tuple[Inbox, int]
) -> None:
    order = entry(next_session(YESTERDAY))
    place(desk.ledger, desk.broker, [order])
    lose(order.client_order_id)

    outcome = reconcile.reconcile(SESSION, resources=desk)

    assert [(each.rule, each.resolved) for each in outcome.differences] == [(Mismatch.NOT_LISTED, False)]
    assert not outcome.halted
    assert state(desk, order) is OrderState.ACCEPTED
    assert "not_listed" in text_of(inbox[0].mails[-1])


def test_an_order_that_works_at_the_venue_and_is_over_here_halts_the_desk(desk: Resources) -> None:
    order = entry(next_session(YESTERDAY))
    place(desk.ledger, desk.broker, [order])
    desk.ledger.transition(order.client_order_id, OrderState.EXPIRED, "taken for lost")

    outcome = reconcile.reconcile(SESSION, resources=desk)

    assert [each.rule for each in outcome.differences] == [Mismatch.STILL_WORKING]
    assert outcome.halted
    assert order.client_order_id in (kill_switch.halt_reason(resources=desk) or "")


@pytest.mark.parametrize("desk", ["ib"], indirect=True)
def test_evenings_with_a_read_only_tws_reject_each_order_and_leave_nothing_open(desk: Resources, tws: TwsStandIn) -> None:
    tws.read_only = True

    for session in (YESTERDAY, next_session(YESTERDAY)):
        placed = place(desk.ledger, desk.broker, [entry(session)])
        assert list(placed.values()) == [OrderState.REJECTED]
        daily_trade.settle(SESSION, resources=desk)
        assert reconcile.reconcile(SESSION, resources=desk).differences == ()

    assert desk.ledger.open_orders("main") == []
