"""Every limit of a book: its figure, its setting and whose it is, on a book that a person can follow."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from core.models import Leg, OrderIntent, Position, Side
from core.settings import NAMES, Settings
from monitoring.performance.findings import Finding
from pipeline.views.money.held import HeldNow, Quoted
from pipeline.views.risk.held_figures import HeldFigures, Most, held_figures
from pipeline.views.risk.limit_list import limit_uses
from pipeline.views.risk.recent_record import BookRecent, Drawdown
from storage.views.book_figures import Close

if TYPE_CHECKING:
    from pipeline.risk.limit_use import LimitUse

DAY = dt.date(2018, 12, 14)
MOVES = np.array([0.01, -0.02, 0.005, 0.015, -0.01] * 12)


def position(symbol: str, quantity: int, price: int, stop: int | None) -> Position:
    return Position(
        "main", "rsi", symbol, Decimal(quantity), DAY, Decimal(price), None if stop is None else Decimal(stop), None, None, "id"
    )


def waiting(symbol: str, quantity: int, side: Side = Side.BUY) -> OrderIntent:
    return OrderIntent(f"order-{symbol}", "main", "rsi", symbol, DAY, DAY, Leg.ENTRY, side, Decimal(quantity))


def held(*positions: Position, orders: tuple[OrderIntent, ...] = (), equity_usd: float = 100_000.0) -> HeldNow:
    prices = {symbol: Quoted(DAY, price) for symbol, price in (("AAA", 100.0), ("BBB", 50.0), ("CCC", 10.0))}
    return HeldNow({"main": equity_usd}, positions, orders, prices, {"main": Close(DAY, equity_usd)})


def figures(now: HeldNow, returns: pd.DataFrame | None = None) -> HeldFigures:
    frame = pd.DataFrame({"AAA": MOVES, "BBB": 2 * MOVES, "CCC": -MOVES}) if returns is None else returns
    frame.index = pd.DatetimeIndex(pd.bdate_range("2018-09-03", periods=len(frame)))
    return held_figures("main", now, frame, 60, 250)


NOTHING = BookRecent(
    now=Drawdown(0.0, "note"), closes=Drawdown(0.0, "note"), equity_pct=100.0, entries=None, since_loss=None,
    heartbeat_age_seconds=None, blocked={}, spread_bps=None, blocks=(), trades=0, winners=0, frequency=(), gap=(),
)  # fmt: skip


def uses(held_now: HeldFigures, recent: BookRecent = NOTHING, **settings: Any) -> dict[str, LimitUse]:
    return {each.name: each for each in limit_uses(Settings.of(**settings), held_now, recent)}


def test_sizes_are_those_of_positions_and_waiting_entries_together() -> None:
    # 20,000 long, 10,000 short, and an entry of 5,000 that waits, of 100,000.
    now = held(position("AAA", 200, 90, 80), position("BBB", -200, 55, 60), orders=(waiting("CCC", 500),))
    found = uses(figures(now), risk__max_symbol_pct=25, risk__max_net_pct=50)

    assert (found["max_positions"].used, found["max_positions"].limit, found["max_positions"].state) == (3.0, 3.0, "warning")
    assert (found["max_position"].used, found["max_position"].subject) == (20.0, "AAA")
    assert (found["max_symbol"].used, found["max_symbol"].distance) == (20.0, 5.0)
    assert (found["max_exposure"].used, found["max_net"].used) == (35.0, 15.0)


def test_the_loss_at_a_stop_counts_from_the_entry_price() -> None:
    now = held(position("AAA", 200, 90, 80), position("BBB", -200, 55, 60), position("CCC", 10, 10, 12))
    found = uses(figures(now), risk__per_trade_pct=1.5, risk__max_loss_at_risk_pct=2)

    assert (found["risk_per_trade"].used, found["risk_per_trade"].subject, found["risk_per_trade"].state) == (
        2.0,
        "AAA",
        "breach",
    )
    assert (found["loss_at_risk"].used, found["loss_at_risk"].state) == (2.0, "warning")


def test_a_position_without_a_stop_is_named() -> None:
    found = uses(figures(held(position("AAA", 10, 90, None))), risk__stop_required=True)

    assert (found["no_stop"].used, found["no_stop"].subject, found["no_stop"].state) == (1.0, "AAA", "breach")
    assert found["risk_per_trade"].note == "Without a stop, so that the loss is not limited: AAA"


def test_value_at_risk_is_that_of_what_is_held_now() -> None:
    found = uses(figures(held(position("AAA", 200, 90, 80))), monitor__var_limit_pct=0.3)

    assert found["var_historical"].used == pytest.approx(0.4)  # 2 % of 20,000 is the worst fifth of the sessions
    assert found["var_historical"].state == "breach"
    assert found["var_parametric"].used == pytest.approx(0.2 * 1.644854 * (1.7 * 60 / 59) ** 0.5)  # z times the deviation


def test_nothing_held_uses_nothing_and_risks_nothing() -> None:
    found = uses(figures(held()), monitor__var_limit_pct=1)

    assert {name: found[name].used for name in ("max_positions", "max_position", "max_exposure", "var_historical")} == {
        "max_positions": 0.0, "max_position": 0.0, "max_exposure": 0.0, "var_historical": 0.0
    }  # fmt: skip
    assert found["performance_correlation"].state == "unknown"
    assert found["performance_correlation"].note == "Fewer than two symbols are held."


def test_the_correlation_is_turned_where_one_is_short() -> None:
    together = uses(figures(held(position("AAA", 10, 90, 80), position("BBB", 10, 55, 50))))
    against = uses(figures(held(position("AAA", 10, 90, 80), position("CCC", -10, 10, 12))))
    hedged = uses(figures(held(position("AAA", 10, 90, 80), position("CCC", 10, 10, 8))))

    assert together["performance_correlation"].used == pytest.approx(1.0)
    assert together["performance_correlation"].subject == "AAA/BBB"
    assert against["performance_correlation"].used == pytest.approx(1.0)
    assert hedged["performance_correlation"].used == pytest.approx(-1.0)


def test_a_pair_with_too_few_sessions_is_counted_as_unmeasured() -> None:
    returns = pd.DataFrame({"AAA": MOVES, "BBB": [*MOVES[:10], *[np.nan] * 50]})
    found = uses(figures(held(position("AAA", 10, 90, 80), position("BBB", 10, 55, 50)), returns))

    assert found["performance_correlation"].used is None
    assert found["performance_correlation"].note == "1 of 1 pairs have too few common sessions."


def test_a_book_without_equity_has_no_shares() -> None:
    now = replace(held(position("AAA", 10, 90, 80)), closes={}, books={"main": None})

    assert uses(figures(now))["max_exposure"].state == "unknown"


def test_the_emergency_stop_stands_first_and_is_near_from_the_alert_on() -> None:
    recent = replace(NOTHING, now=Drawdown(1.25, "Of the heartbeat."), closes=Drawdown(0.5, "Of the close."))
    found = limit_uses(Settings.of(risk__max_drawdown_pct=10), figures(held()), recent)

    assert (found[0].name, found[0].setting, found[0].limit, found[0].used) == (
        "drawdown_halt", "MONITOR__DRAWDOWN_HALT_PCT", 2.0, 1.25,
    )  # fmt: skip
    assert (found[0].state, found[0].distance, found[0].note) == ("warning", 0.75, "Of the heartbeat. MONITOR__MODE=log.")
    assert (found[1].name, found[1].state) == ("drawdown_alert", "breach")
    assert (found[2].name, found[2].used, found[2].state) == ("max_drawdown", 0.5, "ok")


def test_what_rests_after_a_loss_is_a_pause_and_no_breach() -> None:
    recent = replace(NOTHING, since_loss=Most(0, "rsi AAA"), entries=Most(3, "rsi"))
    found = uses(figures(held()), recent, risk__cool_down_sessions=2, risk__rest_after_loss=True, risk__max_entries_a_day=3)

    assert (found["cool_down"].state, found["cool_down"].subject, found["loss_day"].state) == ("warning", "rsi AAA", "warning")
    assert (found["max_entries_a_day"].used, found["max_entries_a_day"].distance) == (3, 0.0)


def test_checks_before_an_order_say_what_blocks_and_how_old_the_heartbeat_is() -> None:
    recent = replace(
        NOTHING,
        heartbeat_age_seconds=200.0,
        blocked={"AAA": "gap"},
        blocks=("Trading is halted.",),
        spread_bps=Most(150, "BBB"),
    )
    found = uses(figures(held()), recent, pre_send__heartbeat_max_age_seconds=180, guard__mode="on")

    assert (found["entry_blocks"].state, found["entry_blocks"].note) == ("breach", "Trading is halted.")
    assert (found["heartbeat"].state, found["heartbeat"].distance) == ("breach", -20.0)
    assert (found["data_guard"].used, found["data_guard"].subject, found["data_guard"].note) == (1.0, "AAA", "AAA: gap")
    assert found["quote_spread"].state == "off"  # the paper broker has no quotes
    assert uses(figures(held()), guard__mode="off")["data_guard"].state == "off"


@pytest.mark.parametrize(("trades", "winners", "state"), [(20, 9, "breach"), (20, 10, "ok"), (19, 0, "unknown")])
def test_a_win_rate_is_judged_from_enough_trades_on(trades: int, winners: int, state: str) -> None:
    found = uses(figures(held()), replace(NOTHING, trades=trades, winners=winners))["win_rate"]

    assert (found.state, found.limit) == (state, 48.0)
    assert f"{winners} of {trades} trades" in str(found.note)


def test_a_frequency_has_both_ends_of_its_range_and_none_while_nothing_is_known() -> None:
    known = Finding("trade_frequency", "", "ok", 0.3, 0.25, (0.1, 0.4), 100, "30 entries in 100 sessions.", 0.5)
    waiting_for = Finding("no_trade", "trio/rsi", "ok", 12.0, 40.0, None, 50, "12 sessions since the last entry.")
    found = uses(figures(held()), replace(NOTHING, frequency=[known], gap=[waiting_for]))
    unknown = uses(figures(held()), replace(NOTHING, frequency=[replace(known, interval=None, measured=None)]))

    assert (found["trade_frequency_most"].distance, found["trade_frequency_least"].distance) == pytest.approx((0.1, 0.2))
    assert (found["no_trade"].used, found["no_trade"].limit, found["no_trade"].subject) == (12.0, 40.0, "trio/rsi")
    assert unknown["trade_frequency"].state == "unknown"


def test_every_setting_named_exists() -> None:
    named = {each.setting for each in uses(figures(held())).values() if each.setting}

    assert named <= set(NAMES.by_variable)
    assert len(named) > 20
