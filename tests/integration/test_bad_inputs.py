"""What execution is given and must not act on: `place` and `reconcile` on PostgreSQL, with Alpaca's stand-in as the broker.

docs/brokers.md lists each bad input with the test that shows what becomes of it; those with a home elsewhere are not here.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from core.errors import ConfigError
from core.models import OrderState
from pipeline.execution import daily_report, daily_trade, reconcile
from pipeline.risk import kill_switch
from tests.standins.alpaca import KEY, SECRET, AlpacaStandIn
from tests.standins.alpaca_desk import DAY, YESTERDAY, decided, desk_at, last_words, mailbox, placed, risk_events
from trading.brokers.placing import place
from trading.brokers.reconcile import Mismatch
from trading.orders import entry_order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.models import OrderIntent
    from core.settings import Settings
    from pipeline.resources import Resources

pytestmark = pytest.mark.integration
SESSION = DAY.isoformat()


@pytest.fixture
def alpaca() -> Iterator[AlpacaStandIn]:
    with AlpacaStandIn() as stand_in:
        yield stand_in


def reasons(desk: Resources) -> dict[str, str]:
    """Why each entry was refused, by symbol, whether it was before it was written down or at the broker."""
    said = dict(sorted(risk_events(desk)))
    return said | {
        order.symbol: last_words(desk)[order.symbol].partition(":")[0]
        for order, state in decided(desk)
        if state is OrderState.REJECTED
    }


def shares_at_venue(alpaca: AlpacaStandIn) -> dict[str, Decimal]:
    return {order.symbol: order.qty for order in alpaca.exchange.orders.values() if order.client_order_id != "by-hand"}


def by_hand(alpaca: AlpacaStandIn, **changes: str) -> None:
    """An order that somebody else places in the account."""
    order = {"symbol": "CCC", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}
    alpaca.exchange.submit({**order, "client_order_id": "by-hand", **changes})


def bought(symbol: str, quantity: float) -> OrderIntent:
    return entry_order(
        "main", "bollinger", symbol, decision_session=YESTERDAY, session=DAY, signed_quantity=quantity, stop_pct=50.0,
        target_pct=50.0, max_sessions=None,
    )  # fmt: skip


# Money.


@pytest.mark.parametrize("cash", ["0", "-500"])
def test_without_money_nothing_is_ordered(database_settings: Settings, alpaca: AlpacaStandIn, cash: str) -> None:
    desk = desk_at(database_settings, alpaca)
    alpaca.exchange.cash = Decimal(cash)

    outcome = daily_trade.place(SESSION, resources=desk)

    assert (outcome.orders, sum(outcome.refusals.values())) == (0, 3)
    assert alpaca.exchange.orders == {}
    assert daily_trade.record(SESSION, resources=desk).equity_usd in {0.0, None}, "a debt is not believed, nor put on record"


def test_an_account_in_debt_is_mailed_and_nothing_is_sold_for_it(database_settings: Settings, alpaca: AlpacaStandIn) -> None:
    desk = desk_at(database_settings, alpaca, monitor__mode="enforce")
    alpaca.exchange.cash = Decimal(-500)

    assert placed(desk) == {}

    assert mailbox(desk).about("The equity of main is not believed")
    assert kill_switch.halt_reason(resources=desk) is None


def test_buying_power_that_is_taken_elsewhere_is_refused_by_name_and_a_person_reads_it(
    database_settings: Settings, alpaca: AlpacaStandIn
) -> None:
    desk = desk_at(database_settings, alpaca)
    by_hand(alpaca, qty="999", type="limit", limit_price="100", time_in_force="gtc")

    assert set(placed(desk).values()) == {OrderState.REJECTED}

    assert set(reasons(desk).values()) == {"buying_power"}
    attention = daily_report.evening_of(desk, SESSION).attention
    assert len(attention) == 3
    assert all(
        "alpaca refused the entry of " in said and "buying_power: insufficient buying power" in said for said in attention
    )


# The symbol and the size.


def test_an_order_under_the_brokers_minimum_is_refused_by_name(database_settings: Settings, alpaca: AlpacaStandIn) -> None:
    desk = desk_at(database_settings, alpaca)
    alpaca.exchange.cash = Decimal(2)  # a position is at most 40 % of it, and an order at least a dollar

    daily_trade.place(SESSION, resources=desk)

    assert shares_at_venue(alpaca) == {}
    assert reasons(desk)["CCC"] == "notional"


def test_a_symbol_that_the_broker_does_not_know_costs_the_others_nothing(
    database_settings: Settings, alpaca: AlpacaStandIn
) -> None:
    desk = desk_at(database_settings, alpaca)
    del alpaca.exchange.assets["BBB"]

    daily_trade.place(SESSION, resources=desk)

    assert set(shares_at_venue(alpaca)) == {"AAA", "CCC"}
    assert reasons(desk) == {"BBB": "unknown_symbol"}


def test_a_halted_symbol_is_refused_by_name_and_costs_the_others_nothing(
    database_settings: Settings, alpaca: AlpacaStandIn
) -> None:
    desk = desk_at(database_settings, alpaca)
    alpaca.exchange.assets["BBB"].halted = True

    states = placed(desk)

    assert states == {"AAA": OrderState.ACCEPTED, "BBB": OrderState.REJECTED, "CCC": OrderState.ACCEPTED}
    assert last_words(desk)["BBB"] == "halted: trading in BBB is halted"
    (said,) = daily_report.evening_of(desk, SESSION).attention
    assert said.endswith("BBB: halted: trading in BBB is halted.")
    assert placed(desk) == states, "a refusal is final: a second run does not send it again"


# What the broker tells of orders and holdings.


def test_more_filled_than_was_ordered_halts_the_desk_and_nothing_of_it_is_booked(
    database_settings: Settings, alpaca: AlpacaStandIn
) -> None:
    desk = desk_at(database_settings, alpaca)
    order = bought("AAA", 10.0)
    place(desk.ledger, desk.broker, [order])
    alpaca.exchange.by_client_id(order.client_order_id).qty = Decimal(25)
    alpaca.exchange.open_market()
    alpaca.exchange.is_open = False

    outcome = reconcile.reconcile(SESSION, resources=desk)

    assert Mismatch.CONTRADICTION in {each.rule for each in outcome.differences}
    assert outcome.halted
    assert desk.ledger.positions("main") == []
    assert desk.ledger.filled(order.client_order_id) == 0
    assert any("expected at most 10" in each.found for each in outcome.differences)
    assert set(placed(desk).values()) == {OrderState.CANCELLED}


def test_a_position_nobody_here_opened_halts_the_desk_before_anything_is_entered(
    database_settings: Settings, alpaca: AlpacaStandIn
) -> None:
    desk = desk_at(database_settings, alpaca)
    by_hand(alpaca)
    alpaca.exchange.open_market()
    alpaca.exchange.is_open = False

    outcome = reconcile.reconcile(SESSION, resources=desk)

    assert [(each.rule, each.subject) for each in outcome.differences] == [(Mismatch.EXTERNAL_POSITION, "CCC")]
    assert set(placed(desk).values()) == {OrderState.CANCELLED}
    assert {reason for _, reason in risk_events(desk)} == {"kill_switch"}
    assert shares_at_venue(alpaca) == {}
    (halted, difference) = daily_report.evening_of(desk, SESSION).attention
    assert "external_position CCC" in halted
    assert difference == "external_position CCC: 0 here, 1 there."


# Keys.


def test_wrong_keys_end_the_step_with_the_setting_to_change_and_are_logged_nowhere(
    database_settings: Settings,
    alpaca: AlpacaStandIn,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    desk = desk_at(database_settings, alpaca, venue__alpaca__secret_key="wrong-secret-wrong-secret")

    with pytest.raises(ConfigError, match="Check VENUE__ALPACA__API_KEY and VENUE__ALPACA__SECRET_KEY") as caught:
        daily_trade.place(SESSION, resources=desk)

    shown = f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r} {caplog.text} {capsys.readouterr()}"
    assert "/v2/account" in shown
    assert not any(part in shown for part in (KEY, "wrong-secret"))
    assert desk.ledger.orders_decided("main", DAY) == []


def cli(settings: Settings, alpaca: AlpacaStandIn, *words: str, **changes: str | None) -> subprocess.CompletedProcess[str]:
    """A verb as a process of its own, everything logged."""
    assert settings.database.url is not None
    environment = {
        "VENUE__KIND": "alpaca",
        "VENUE__ALPACA__API_KEY": KEY,
        "VENUE__ALPACA__SECRET_KEY": SECRET,
        "VENUE__ALPACA__URL": alpaca.url,
        "DATABASE__URL": settings.database.url.get_secret_value(),
        "DATABASE__NAME": settings.database.name,
        "DATA_DIR": str(settings.data_dir),
        "LOG_LEVEL": "DEBUG",
        "COLUMNS": "300",
        **changes,
    }
    known = {name: value for name, value in (os.environ | environment).items() if value is not None}
    command = [sys.executable, "-m", "desk", *words]
    return subprocess.run(command, cwd=settings.data_dir, env=known, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"VENUE__ALPACA__SECRET_KEY": "wrong-secret-wrong-secret"}, "Alpaca does not accept the keys"),
        ({"VENUE__ALPACA__SECRET_KEY": None}, "VENUE__KIND=alpaca needs VENUE__ALPACA__API_KEY and VENUE__ALPACA__SECRET_KEY"),
        ({"VENUE__KIND": "paper", "VENUE__LIVE": "1"}, "VENUE__LIVE=1 asks for real money, and VENUE__KIND=paper has none"),
        ({"VENUE__LIVE": "1"}, "Unset VENUE__ALPACA__URL"),
    ],
    ids=["wrong", "missing", "live without a broker", "live at another address"],
)
def test_a_verb_says_in_one_line_what_to_change_and_shows_no_key(
    database_settings: Settings, alpaca: AlpacaStandIn, changes: dict[str, str | None], says: str
) -> None:
    done = cli(database_settings, alpaca, "reconcile", "--session", SESSION, **changes)

    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "ConfigError" in line]
    assert says in line
    assert "Traceback" not in done.stderr
    assert not any(part in done.stdout + done.stderr for part in (KEY, SECRET, "wrong-secret"))
    assert alpaca.exchange.orders == {}
