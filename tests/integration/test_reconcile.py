"""Reconciliation with Alpaca's stand-in over real sockets, and with the paper broker: what is brought in, what halts."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from core.errors import RetryLater
from core.models import OrderState
from core.sessions import last_closed_session, next_session
from pipeline.execution import reconcile
from pipeline.resources import Resources, utc_now
from pipeline.risk import kill_switch
from tests.standins.alpaca import KEY, SECRET, AlpacaStandIn, Fault
from tests.standins.feed import walk
from trading.brokers.placing import place
from trading.brokers.reconcile import Mismatch
from trading.orders import entry_order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.models import OrderIntent
    from core.settings import Settings

pytestmark = pytest.mark.integration
YESTERDAY = last_closed_session(utc_now())
SESSION = YESTERDAY.isoformat()


@pytest.fixture
def alpaca() -> Iterator[AlpacaStandIn]:
    with AlpacaStandIn() as stand_in:
        stand_in.exchange.list_asset("AAPL", "100")
        stand_in.exchange.list_asset("TSLA", "200")
        yield stand_in


@pytest.fixture
def desk(database_settings: Settings, alpaca: AlpacaStandIn) -> Iterator[Resources]:
    values = {
        "provider": "yfinance",
        "broker": "alpaca",
        "alpaca_api_key": KEY,
        "alpaca_secret_key": SECRET,
        "alpaca_url": alpaca.url,
        "broker_timeout_seconds": 0.5,
        "broker_deadline_seconds": 0.1,
        "broker_initial_cash_usd": 100_000.0,
    }
    resources = Resources(database_settings.__class__(_env_file=None, **database_settings.model_dump() | values))
    bars = walk("AAPL", YESTERDAY - dt.timedelta(days=60), YESTERDAY)
    resources.bars.write(bars, source="test", ingested_at=utc_now(), backfilled=True)
    yield resources
    resources.engine.dispose()


def entry(session: dt.date | None = None) -> OrderIntent:
    return entry_order(
        "main", "bollinger", "AAPL", decision_session=YESTERDAY, session=session or next_session(YESTERDAY),
        signed_quantity=10.0, stop_pct=40.0, target_pct=40.0, max_sessions=5,
    )  # fmt: skip


def rules(outcome: reconcile.ReconcileResult) -> list[Mismatch]:
    return [each.rule for each in outcome.differences]


def external(alpaca: AlpacaStandIn, **changes: str) -> None:
    """An order that somebody places by hand in the same account."""
    order = {"symbol": "TSLA", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}
    alpaca.exchange.submit({**order, "client_order_id": "by-hand", **changes})


def test_nothing_has_happened_and_nothing_differs(desk: Resources) -> None:
    outcome = reconcile.reconcile(SESSION, resources=desk)

    assert (outcome.differences, outcome.halted, outcome.broker) == ((), False, "alpaca")
    assert kill_switch.halt_reason(resources=desk) is None


def test_a_fill_that_the_desk_missed_is_brought_in_once(desk: Resources, alpaca: AlpacaStandIn) -> None:
    place(desk.ledger, desk.broker, [entry()])
    alpaca.exchange.trade("AAPL", "100")

    first, second = (reconcile.reconcile(SESSION, resources=desk) for _ in range(2))

    assert rules(first) == [Mismatch.MISSED_FILL]
    assert rules(second) == []
    assert [(held.symbol, held.quantity) for held in desk.ledger.positions("main")] == [("AAPL", Decimal(10))]
    assert not first.halted


def test_a_fill_while_the_venue_is_asked_is_looked_at_again_and_halts_nothing(
    desk: Resources, alpaca: AlpacaStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes between the question for orders and the one for positions."""
    alpaca.exchange.is_open = False
    place(desk.ledger, desk.broker, [entry()])
    asked = desk.broker.positions

    def positions() -> object:
        monkeypatch.undo()
        alpaca.exchange.open_market()
        return asked()

    monkeypatch.setattr(desk.broker, "positions", positions)

    outcome = reconcile.reconcile(SESSION, resources=desk)

    assert rules(outcome) == [Mismatch.MISSED_FILL]
    assert not outcome.halted
    assert kill_switch.halt_reason(resources=desk) is None


def test_an_order_of_somebody_else_halts_the_desk_until_it_is_gone(desk: Resources, alpaca: AlpacaStandIn) -> None:
    external(alpaca, type="limit", limit_price="10")

    outcome = reconcile.reconcile(SESSION, resources=desk)

    assert rules(outcome) == [Mismatch.EXTERNAL_ORDER]
    assert outcome.halted
    assert "external_order by-hand" in (kill_switch.halt_reason(resources=desk) or "")
    stored = desk.reconciliations.last("main")
    assert stored is not None
    assert (stored.halted, stored.differences[0]["rule"]) == (True, "external_order")
    alpaca.exchange.cancel(alpaca.exchange.by_client_id("by-hand").id)
    assert reconcile.reconcile(SESSION, resources=desk).differences == ()
    assert kill_switch.halt_reason(resources=desk) is not None, "a person resumes"


def test_a_position_that_the_desk_never_opened_halts_it(desk: Resources, alpaca: AlpacaStandIn) -> None:
    external(alpaca)
    alpaca.exchange.trade("TSLA", "200")

    outcome = reconcile.reconcile(SESSION, resources=desk)

    assert Mismatch.EXTERNAL_POSITION in rules(outcome)
    assert outcome.halted


def test_an_order_that_never_arrived_and_is_too_late_expires(desk: Resources) -> None:
    late = entry(YESTERDAY)
    desk.ledger.record_intents([late])
    desk.ledger.transition(late.client_order_id, OrderState.SUBMITTED)
    desk.ledger.transition(late.client_order_id, OrderState.UNKNOWN, "no answer")

    outcome = reconcile.reconcile(SESSION, resources=desk)

    assert rules(outcome) == [Mismatch.NEVER_ARRIVED]
    assert desk.ledger.order(late.client_order_id)[1] is OrderState.EXPIRED  # type: ignore[index]
    assert reconcile.reconcile(SESSION, resources=desk).differences == ()


def test_a_venue_that_does_not_answer_proves_nothing(desk: Resources, alpaca: AlpacaStandIn) -> None:
    alpaca.fail("GET", "/", Fault.broken(), times=100)

    with pytest.raises(RetryLater):
        reconcile.reconcile(SESSION, resources=desk)

    assert kill_switch.halt_reason(resources=desk) is None
    assert desk.reconciliations.last("main") is None


def test_the_paper_broker_always_agrees_with_its_own_ledger(database_settings: Settings) -> None:
    paper = Resources(database_settings)

    assert reconcile.reconcile("2018-12-31", resources=paper).differences == ()
