"""The loop over order checks: their order, what each receives, and what every check must leave alone."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

from core.models import Position
from trading.decide import Refusal
from trading.order_check import OrderContext, run_order_checks
from trading.orders import entry_order, exit_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.models import OrderIntent
    from trading.order_check import Intents

DAY, NEXT = dt.date(2018, 12, 27), dt.date(2018, 12, 28)
HELD = Position("main", "rsi", "HELD", Decimal(5), DAY, Decimal(100), None, None, None, "entry")


def entry(symbol: str) -> OrderIntent:
    return entry_order(
        "main", "rsi", symbol, decision_session=DAY, session=NEXT, signed_quantity=1.0, stop_pct=1.0, target_pct=2.0,
        max_sessions=2,
    )  # fmt: skip


class Refusing:
    """Refuses new entries in some symbols, and writes down which symbols it was shown."""

    def __init__(self, reason: str, *symbols: str) -> None:
        self.reason, self.symbols, self.shown = reason, symbols, list[str]()

    def __call__(self, context: OrderContext, intents: Intents) -> tuple[Intents, Sequence[Refusal]]:
        self.shown += [order.symbol for order in intents]
        refused = [order for order in context.new_entries(intents) if order.symbol in self.symbols]
        kept = tuple(order for order in intents if order not in refused)
        return kept, [Refusal(order.strategy, order.symbol, context.session, self.reason) for order in refused]


def test_an_order_that_one_check_refuses_is_not_seen_by_the_next_and_refused_once() -> None:
    first, second = Refusing("first", "AAA"), Refusing("second", "AAA", "BBB")

    kept, refusals = run_order_checks([first, second], OrderContext(DAY), (entry("AAA"), entry("BBB"), entry("CCC")))

    assert [order.symbol for order in kept] == ["CCC"]
    assert [(each.symbol, each.reason) for each in refusals] == [("AAA", "first"), ("BBB", "second")]
    assert (first.shown, second.shown) == (["AAA", "BBB", "CCC"], ["BBB", "CCC"])


def test_what_a_check_changes_is_what_the_next_one_receives() -> None:
    def check_added(_context: OrderContext, intents: Intents) -> tuple[Intents, Sequence[Refusal]]:
        return (*intents, entry("NEW")), []

    last = Refusing("last")

    kept, refusals = run_order_checks([check_added, last], OrderContext(DAY), (entry("AAA"),))

    assert [order.symbol for order in kept] == last.shown == ["AAA", "NEW"]
    assert refusals == []


def test_exits_and_orders_on_record_are_no_new_entries_and_pass() -> None:
    leaving, written, fresh = exit_order(HELD, decision_session=DAY, session=NEXT), entry("OLD"), entry("NEW")
    context = OrderContext(DAY, frozenset({written.client_order_id}))

    kept, refusals = run_order_checks([Refusing("no", "HELD", "OLD", "NEW")], context, (leaving, written, fresh))

    assert kept == (leaving, written)
    assert [each.symbol for each in refusals] == ["NEW"]
    assert [context.is_new(order) for order in (leaving, written, fresh)] == [True, False, True]


def test_no_checks_keep_everything() -> None:
    assert run_order_checks((), OrderContext(DAY), (entry("AAA"),)) == ((entry("AAA"),), [])
