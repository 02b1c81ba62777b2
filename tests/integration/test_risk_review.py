"""The daily trade under the rules of risk, on a real PostgreSQL: what goes on, what is cut or refused, and their rows."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from core.models import Leg, OrderState
from core.sessions import close_of, sessions_between
from pipeline.execution import daily_trade
from pipeline.resources import Resources
from pipeline.risk import data_guard, kill_switch
from tests.standins.evidence import vouch
from tests.standins.feed import walk
from trading.brokers.placing import place
from trading.orders import entry_order

if TYPE_CHECKING:
    from core.settings import Settings

pytestmark = pytest.mark.integration
START, DAY = dt.date(2018, 7, 2), dt.date(2018, 12, 27)
YESTERDAY = dt.date(2018, 12, 26)
SYMBOLS = ("AAA", "BBB", "CCC")
NOW = dt.datetime(2018, 12, 28, 2, tzinfo=dt.UTC)


@dataclass
class Mailbox:
    """Keeps the subjects of what would be mailed."""

    subjects: list[str] = field(default_factory=list)

    def send(self, subject: str, body: str, severity: str = "warning") -> bool:
        del body, severity
        self.subjects.append(subject)
        return True


def desk_of(settings: Settings, bars: pd.DataFrame | None = None, **changes: Any) -> Resources:
    """A desk with bars of three symbols, each a candidate at DAY, the later in the alphabet the likelier."""
    desk = Resources(settings.with_changes(**{"universe": SYMBOLS} | changes), clock=lambda: NOW)
    known = pd.concat([walk(symbol, START, DAY) for symbol in SYMBOLS]) if bars is None else bars
    desk.bars.write(known.reset_index(drop=True), source="test", ingested_at=NOW - dt.timedelta(hours=1))
    vouch(desk.engine, known, first=DAY)
    closes = known[known["session"] == pd.Timestamp(DAY)].set_index("symbol")["close"]
    rows = [
        {"symbol": symbol, "session": pd.Timestamp(DAY), "close": closes.get(symbol, 100.0), "strength": 0.5}
        for symbol in SYMBOLS
    ]
    signals = pd.DataFrame(rows).assign(
        strategy=desk.strategies[0].name, entry=np.int8(1), exit_long=False, exit_short=False, stop_pct=2.0, target_pct=3.0
    )
    desk.ledger.save_signals(signals)
    answers = [
        {
            "strategy": desk.strategies[0].name,
            "symbol": symbol,
            "model_version": "1",
            "model_name": "filter",
            "probability": 0.5 + i / 10,
            "predicted_return": 0.01,
            "signal": "enter",
            "feature_timestamp": close_of(DAY),
        }
        for i, symbol in enumerate(SYMBOLS)
    ]
    desk.ledger.save_predictions(DAY, answers)
    return desk


def placed(desk: Resources) -> dict[str, float]:
    """Entries decided at DAY that were sent, by symbol."""
    daily_trade.place(DAY.isoformat(), resources=desk)
    orders = desk.ledger.orders_decided("main", DAY)
    return {
        order.symbol: float(order.quantity)
        for order, state in orders
        if state is OrderState.ACCEPTED and order.leg is Leg.ENTRY
    }


def rows(desk: Resources) -> dict[tuple[str, str], dict[str, Any] | None]:
    with desk.engine.connect() as connection:
        found = connection.execute(sa.text("SELECT symbol, reason, details FROM trading.risk_events")).all()
    return {(row[0], row[1]): row[2] for row in found}


def test_with_every_rule_off_nothing_is_touched(database_settings: Settings) -> None:
    desk = desk_of(database_settings)
    assert set(placed(desk)) == set(SYMBOLS)
    assert rows(desk) == {}


def test_the_likeliest_take_the_days_entries_and_the_refusal_has_its_numbers(database_settings: Settings) -> None:
    desk = desk_of(database_settings, risk__max_entries_a_day=2)

    assert set(placed(desk)) == {"BBB", "CCC"}

    details = rows(desk)["AAA", "max_entries_a_day"]
    assert details is not None
    assert (details["limit"], details["found"], details["unit"], details["allowed"]) == (2, 3, "entries", "0")


def test_a_second_run_refuses_and_cuts_nothing_more(database_settings: Settings) -> None:
    desk = desk_of(database_settings, risk__max_entries_a_day=2, risk__max_symbol_pct=5.0)
    first = placed(desk)
    assert placed(desk) == first


def test_an_order_over_the_share_of_volume_is_cut_to_it(database_settings: Settings) -> None:
    desk = desk_of(database_settings, risk__max_volume_pct=0.01)

    quantities = placed(desk)

    recent = walk("AAA", START, DAY)["volume"].tail(20).mean()
    assert quantities["AAA"] == pytest.approx(recent / 10_000, abs=1e-6)
    details = rows(desk)["AAA", "liquidity"]
    assert details is not None
    assert float(details["allowed"]) == quantities["AAA"] < float(details["asked"])


def test_a_symbol_like_one_held_is_refused(database_settings: Settings) -> None:
    bars = pd.concat([walk("AAA", START, DAY), walk("AAA", START, DAY).assign(symbol="BBB"), walk("CCC", START, DAY)])
    desk = desk_of(database_settings, bars, risk__max_correlation=0.7)

    assert set(placed(desk)) == {"BBB", "CCC"}

    details = rows(desk)["AAA", "correlation"]
    assert details is not None
    assert details["found"] == pytest.approx(1.0)


def test_after_a_loss_the_symbol_rests(database_settings: Settings) -> None:
    desk = desk_of(database_settings, risk__cool_down_sessions=3)
    bought = entry_order(
        "main", desk.strategies[0].name, "AAA", decision_session=dt.date(2018, 12, 21), session=dt.date(2018, 12, 24),
        signed_quantity=1.0, stop_pct=0.01, target_pct=50.0, max_sessions=None,
    )  # fmt: skip
    place(desk.ledger, desk.broker, [bought])
    assert desk.paper is not None
    for stamp in sessions_between(dt.date(2018, 12, 24), DAY):
        desk.paper.advance(stamp.date(), walk("AAA", START, DAY))
    assert desk.ledger.positions("main") == [], "stopped out"

    assert set(placed(desk)) == {"BBB", "CCC"}
    details = rows(desk)["AAA", "cool_down"]
    assert details is not None
    assert (details["limit"], details["unit"]) == (3, "sessions since a loss")
    assert details["found"] < 3


def test_a_halted_desk_sends_none_and_says_who_halted_it(database_settings: Settings) -> None:
    desk = desk_of(database_settings)
    kill_switch.halt("drill", "ada", resources=desk)
    assert placed(desk) == {}
    assert {reason for _, reason in rows(desk)} == {"kill_switch"}


def hold(desk: Resources, quantity: float) -> None:
    """So many AAA, bought at yesterday's open at a price that the day then falls from by half."""
    bought = entry_order(
        "main", "rsi", "AAA", decision_session=dt.date(2018, 12, 24), session=YESTERDAY, signed_quantity=quantity,
        stop_pct=90.0, target_pct=90.0, max_sessions=None,
    )  # fmt: skip
    place(desk.ledger, desk.broker, [bought])
    assert desk.paper is not None
    bars = walk("AAA", START, YESTERDAY)
    bars[["open", "high", "low", "close"]] *= 2
    desk.paper.advance(YESTERDAY, bars)


def test_a_drawdown_over_its_limit_sells_everything_and_orders_nothing(database_settings: Settings) -> None:
    desk = desk_of(database_settings, monitor__mode="enforce")
    hold(desk, 40.0)

    assert placed(desk) == {}

    assert kill_switch.halt_reason(resources=desk) is not None
    [(leaving, state)] = desk.ledger.open_orders("main")
    assert (leaving.leg, leaving.symbol, float(leaving.quantity), state) == (Leg.EXIT, "AAA", 40.0, OrderState.ACCEPTED)
    details = rows(desk)["BBB", "drawdown"]
    assert details is not None
    assert details["found_pct"] > details["limit_pct"] == 2.0


def test_in_log_mode_the_same_drawdown_changes_nothing(database_settings: Settings) -> None:
    desk = desk_of(database_settings)
    hold(desk, 40.0)
    assert {"BBB", "CCC"} <= set(placed(desk))
    assert kill_switch.halt_reason(resources=desk) is None


def doubtful() -> pd.DataFrame:
    """AAA misses a session, BBB jumps by a fifth on the last, CCC ends a session early."""
    aaa, bbb, ccc = (walk(symbol, START, DAY) for symbol in SYMBOLS)
    aaa = aaa[aaa["session"] != pd.Timestamp("2018-12-26")]
    bbb.loc[bbb.index[-1], ["open", "high", "low", "close"]] *= 1.2
    return pd.concat([aaa, bbb, ccc.iloc[:-1]])


def test_data_guard_finds_stale_bars_gaps_and_jumps(database_settings: Settings) -> None:
    desk = desk_of(database_settings, doubtful())

    doubts = data_guard.check_data(DAY.isoformat(), resources=desk).findings

    said = {f"{each.symbol} {each.rule} {each.severity}": each.found for each in doubts}
    assert {name: said.pop(name, None) for name in ("AAA gap fail", "CCC freshness fail")} == {
        "AAA gap fail": 1,
        "CCC freshness fail": 1,
    }
    assert 1500 < said["BBB jump fail"] < 2500


def test_entries_in_a_symbol_in_doubt_are_held_back_until_its_bars_are_right(database_settings: Settings) -> None:
    bars = pd.concat([doubtful(), walk("CCC", START, DAY).tail(1)])
    desk = desk_of(database_settings, bars, guard__mode="on")

    assert set(placed(desk)) == {"CCC"}

    details = rows(desk)["BBB", "data_guard"]
    assert details is not None
    assert [each["rule"] for each in details["findings"]] == ["jump"]


def test_a_run_by_hand_blocks_too_and_a_later_one_lifts_the_block(database_settings: Settings) -> None:
    desk = desk_of(database_settings, doubtful())
    data_guard.check_data(DAY.isoformat(), resources=desk)
    assert desk.guard_findings.blocking(DAY, "AAA") is not None
    missing = walk("AAA", START, DAY)
    desk.bars.write(missing, source="test", ingested_at=NOW)

    data_guard.check_data(DAY.isoformat(), resources=desk)

    assert desk.guard_findings.blocking(DAY, "AAA") is None
    assert desk.guard_findings.blocking(DAY, "BBB") is not None


def test_a_warning_blocks_in_strict_mode_alone(database_settings: Settings) -> None:
    bars = pd.concat([walk(symbol, START, DAY) for symbol in SYMBOLS]).reset_index(drop=True)
    last = bars.index[(bars["symbol"] == "BBB") & (bars["session"] == pd.Timestamp(DAY))]
    bars.loc[last, ["open", "high", "low", "close"]] *= 1.06
    desk = desk_of(database_settings, bars)

    data_guard.check_data(DAY.isoformat(), resources=desk)
    assert desk.guard_findings.blocking(DAY, "BBB") is None
    data_guard.check_data(DAY.isoformat(), strict=True, resources=desk)
    assert desk.guard_findings.blocking(DAY, "BBB") is not None


def test_a_jump_over_a_recorded_split_is_explained(database_settings: Settings) -> None:
    bars = doubtful()
    desk = desk_of(database_settings, bars)
    split = pd.DataFrame({"symbol": ["BBB"], "session": [pd.Timestamp(DAY)], "kind": ["split"], "value": [0.8]})
    desk.bars.write_actions(split, NOW)

    assert data_guard.check_data(DAY.isoformat(), symbols=["BBB"], resources=desk).findings == ()


@pytest.mark.parametrize("cash", ["NaN", "Infinity", "0", "-5", "1.00", "250000", "1.7976931348623157E308"])
@pytest.mark.parametrize("mode", ["log", "enforce"])
def test_cash_that_cannot_be_enters_nothing_sells_nothing_and_is_mailed_once(
    database_settings: Settings, monkeypatch: pytest.MonkeyPatch, mode: str, cash: str
) -> None:
    desk = desk_of(database_settings, monitor__mode=mode)
    kept = Mailbox()
    desk.__dict__["alerts"] = kept
    monkeypatch.setattr(desk.broker, "cash_usd", lambda: Decimal(cash))

    assert placed(desk) == placed(desk) == {}
    recorded = daily_trade.record(DAY.isoformat(), resources=desk)

    assert kill_switch.halt_reason(resources=desk) is None
    assert desk.ledger.equity("main").empty, "no value is recorded that is not believed"
    assert (recorded.equity_usd, (recorded.reason or "").startswith("unreadable_equity: expected ")) == (None, True)
    assert kept.subjects == ["The equity of main is not believed"] * 2, "one of the evening, one of the record"
    assert ("", "unreadable_equity") in rows(desk)


def test_an_exit_goes_although_the_cash_cannot_be_read(database_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = desk_of(database_settings)
    bought = entry_order(
        "main", desk.strategies[0].name, "AAA", decision_session=dt.date(2018, 12, 24), session=YESTERDAY,
        signed_quantity=10.0, stop_pct=50.0, target_pct=50.0, max_sessions=1,
    )  # fmt: skip
    place(desk.ledger, desk.broker, [bought])
    assert desk.paper is not None
    desk.paper.advance(YESTERDAY, walk("AAA", START, YESTERDAY))
    monkeypatch.setattr(desk.broker, "cash_usd", lambda: Decimal("NaN"))

    assert placed(desk) == {}

    exits = [(order.symbol, state) for order, state in desk.ledger.open_orders("main") if order.leg is Leg.EXIT]
    assert exits == [("AAA", OrderState.ACCEPTED)]


def test_the_directors_profile_refuses_what_has_no_stop_and_cuts_what_may_lose_too_much(database_settings: Settings) -> None:
    desk = desk_of(database_settings, risk__per_trade_pct=4.0, universe=SYMBOLS)
    desk = Resources(desk.settings.with_profile("director"), clock=lambda: NOW)
    signals = desk.ledger.signals(DAY)
    signals.loc[signals["symbol"] == "CCC", "stop_pct"] = np.nan
    signals.loc[signals["symbol"] == "BBB", "stop_pct"] = 10.0
    desk.ledger.save_signals(signals)

    quantities = placed(desk)

    assert "CCC" not in quantities
    assert ("CCC", "no_stop") in rows(desk)
    details = rows(desk)["BBB", "loss_at_risk"]
    assert details is not None
    assert (details["limit"], details["unit"], details["found"]) == (1.0, "% of equity", pytest.approx(4.0, rel=1e-4))
    close = walk("BBB", START, DAY)["close"].iloc[-1]
    assert quantities["BBB"] * close * 0.1 == pytest.approx(1_000.0, rel=1e-4)


def test_after_another_strategys_loss_nobody_enters_the_symbol_that_day(database_settings: Settings) -> None:
    desk = desk_of(database_settings, risk__rest_after_loss=True)
    bought = entry_order(
        "main", "rsi", "AAA", decision_session=YESTERDAY, session=DAY, signed_quantity=1.0, stop_pct=0.01, target_pct=50.0,
        max_sessions=None,
    )  # fmt: skip
    place(desk.ledger, desk.broker, [bought])
    assert desk.paper is not None
    desk.paper.advance(DAY, walk("AAA", START, DAY))
    assert desk.ledger.positions("main") == [], "stopped out"

    assert set(placed(desk)) == {"BBB", "CCC"}
    assert ("AAA", "loss_day") in rows(desk)


def test_an_entry_that_moves_with_another_is_mailed_once_and_placed(database_settings: Settings) -> None:
    bars = pd.concat([walk("AAA", START, DAY), walk("AAA", START, DAY).assign(symbol="BBB"), walk("CCC", START, DAY)])
    desk = desk_of(database_settings, bars, risk__warn_correlation=0.7)
    desk.__dict__["alerts"] = kept = Mailbox()

    assert placed(desk) == placed(desk)

    assert set(placed(desk)) == set(SYMBOLS)
    assert kept.subjects == ["Entries of main move with positions: AAA"]
    details = rows(desk)["AAA", "correlation_warning"]
    assert details is not None
    assert (details["found"], details["asked"] == details["allowed"]) == (pytest.approx(1.0), True)
