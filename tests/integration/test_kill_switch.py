"""The kill switch on a real PostgreSQL: table and file, asked before every order, turned back by a person alone."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from core.errors import ConfigError, StopTrading
from core.models import OrderState
from core.settings import Settings
from pipeline.resources import Resources
from pipeline.risk import kill_switch
from pipeline.risk.pre_send import risk_checks
from trading.brokers.placing import place
from trading.orders import entry_order, exit_order

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from core.models import OrderIntent


pytestmark = pytest.mark.integration
DAY, NEXT = dt.date(2018, 12, 27), dt.date(2018, 12, 28)


@pytest.fixture
def desk(database_settings: Settings) -> Resources:
    return Resources(database_settings)


def entry(symbol: str = "SPY") -> OrderIntent:
    return entry_order(
        "main",
        "bollinger",
        symbol,
        decision_session=DAY,
        session=NEXT,
        signed_quantity=10.0,
        stop_pct=2.0,
        target_pct=3.0,
        max_sessions=5,
    )


def send(desk: Resources, *orders: OrderIntent) -> list[OrderState]:
    return list(place(desk.ledger, desk.broker, orders, pre_send=risk_checks(resources=desk)).values())


def test_a_desk_never_halted_sends(desk: Resources) -> None:
    assert kill_switch.halt_reason(resources=desk) is None
    assert send(desk, entry()) == [OrderState.ACCEPTED]


def test_a_halt_holds_the_next_entry_back_and_leaves_a_row(desk: Resources) -> None:
    kill_switch.halt("prices look wrong", "ada", resources=desk)

    assert send(desk, entry()) == [OrderState.CANCELLED]

    with desk.engine.connect() as connection:
        row = connection.execute(sa.text("SELECT symbol, session, reason, details FROM trading.risk_events")).one()
        event = connection.execute(sa.text("SELECT reason FROM trading.order_events ORDER BY id DESC LIMIT 1")).scalar_one()
    assert row[:3] == ("SPY", DAY, "kill_switch")
    assert "ada" in row.details["says"]
    assert "prices look wrong" in row.details["says"]
    assert event.startswith("kill_switch: halted by ada at ")


def test_the_switch_is_asked_for_every_order_and_not_once_a_run(desk: Resources) -> None:
    ask = risk_checks(resources=desk)

    assert ask(entry("SPY")) is None
    kill_switch.halt("in between", "ada", resources=desk)
    assert ask(entry("QQQ")) is not None


def test_the_file_halts_without_a_word_to_the_database(desk: Resources) -> None:
    desk.data_dir.mkdir(exist_ok=True)
    kill_switch.halt_file(desk.data_dir).write_text("broker called\n")

    assert kill_switch.halt_reason(resources=desk) == "halted by the file HALT: broker called"
    assert desk.halts.current("main") is None
    assert send(desk, entry()) == [OrderState.CANCELLED]


def test_resuming_turns_both_switches_back(desk: Resources) -> None:
    kill_switch.halt("drill", "ada", resources=desk)
    kill_switch.halt_file(desk.data_dir).touch()

    kill_switch.resume("drill is over", "grace", resources=desk)

    assert kill_switch.halt_reason(resources=desk) is None
    assert send(desk, entry()) == [OrderState.ACCEPTED]


@pytest.mark.parametrize("machine", sorted(kill_switch.MACHINES))
def test_no_machine_resumes(desk: Resources, machine: str) -> None:
    kill_switch.halt("drawdown", machine, resources=desk)

    with pytest.raises(StopTrading, match="expected a person"):
        kill_switch.resume("it looks better now", machine, resources=desk)

    assert kill_switch.halt_reason(resources=desk) is not None


@pytest.mark.parametrize("turn", [kill_switch.halt, kill_switch.resume])
def test_a_turn_without_a_reason_is_refused(desk: Resources, turn: Callable[..., object]) -> None:
    with pytest.raises(ConfigError, match="expected reason, found none"):
        turn(" ", "ada", resources=desk)


@pytest.mark.parametrize(("blocks", "reached"), [(False, OrderState.ACCEPTED), (True, OrderState.CANCELLED)])
def test_an_exit_of_a_halted_desk_goes_unless_set_otherwise(
    database_settings: Settings, blocks: bool, reached: OrderState
) -> None:
    desk = Resources(database_settings.with_changes(pre_send__halt_blocks_exits=blocks))
    bought = entry()
    desk.ledger.record_intents([bought])
    kill_switch.halt("drill", "ada", resources=desk)

    assert send(desk, closing(bought)) == [reached]


def test_without_the_database_nothing_is_sent(desk: Resources) -> None:
    asked = risk_checks(resources=desk)
    desk.engine.dispose()
    broken = Resources(desk.settings)
    broken.engine = sa.create_engine("postgresql+psycopg2://nobody@127.0.0.1:9/none")

    with pytest.raises(sa.exc.OperationalError):
        risk_checks(resources=broken)(entry())
    assert asked(entry()) is None


def test_the_verbs_halt_and_resume(database_settings: Settings) -> None:
    assert "Halted main: drill (ada)" in cli(database_settings, "halt", "--reason", "drill", "--author", "ada")
    assert kill_switch.halt_reason(resources=Resources(database_settings)) is not None
    assert "goes on" in cli(database_settings, "resume", "--reason", "over", "--author", "ada")
    assert kill_switch.halt_reason(resources=Resources(database_settings)) is None


def closing(bought: OrderIntent) -> OrderIntent:
    from decimal import Decimal

    from core.models import Position

    held = Position("main", "bollinger", "SPY", Decimal(10), DAY, Decimal(100), None, None, 5, bought.client_order_id)
    return replace(exit_order(held, decision_session=DAY, session=NEXT))


def cli(settings: Settings, *words: str) -> str:
    assert settings.database.url is not None
    environment = {
        "PATH": "",
        "DATABASE__URL": settings.database.url.get_secret_value(),
        "DATABASE__NAME": settings.database.name,
        "DATA_DIR": str(settings.data_dir),
    }
    done = subprocess.run(
        [sys.executable, "-m", "desk", *words],
        cwd=settings.data_dir,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_file_halts_while_the_database_cannot_be_reached(tmp_path: Path) -> None:
    settings = Settings.of(database__url="postgresql://desk:none@127.0.0.1:1/desk", data_dir=tmp_path)
    (tmp_path / "HALT").write_text("by hand")

    assert kill_switch.halt_reason(resources=Resources(settings)) == "halted by the file HALT: by hand"
