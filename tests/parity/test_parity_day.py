"""The scheduled steps, day by day on a real ledger: the replay makes their trades, and each day's gap has its cause."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from core.sessions import close_of, sessions_between
from pipeline.audit import parity, parity_day, replay
from pipeline.bars import VIX
from pipeline.execution import daily_trade
from pipeline.resources import Resources
from tests.standins.evidence import vouch
from tests.standins.feed import walk
from tests.standins.mailbox import OneChannel
from trading.strategies.registry import make_strategy

if TYPE_CHECKING:
    from core.models import Fill, OrderIntent
    from core.settings import Settings

pytestmark = pytest.mark.integration
START, END = dt.date(2018, 6, 1), dt.date(2018, 12, 31)
FIRST, LAST = dt.date(2018, 9, 4), dt.date(2018, 10, 12)
SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
LOADED = dt.datetime(2019, 1, 1, tzinfo=dt.UTC)
CAUSES = ("signal", "fill", "cost", "missed")


class Mailbox(OneChannel):
    def __init__(self) -> None:
        self.subjects: list[str] = []
        self.bodies: list[str] = []

    def send(self, subject: str, body: str, severity: str = "warning") -> bool:
        del severity
        self.subjects.append(subject)
        self.bodies.append(body)
        return True


@pytest.fixture(scope="module")
def desk(module_settings: Settings) -> Resources:
    """Six weeks traded by the steps that the scheduler calls; the filter accepts all and ranks as the strategy does.

    Sizes are halved in a drawdown of more than 0.2 %, which these weeks have.
    """
    desk = Resources(module_settings.with_changes(universe=SYMBOLS, risk__halve_drawdown_pct=0.2), clock=lambda: LOADED)
    walks = pd.concat([walk(name, START, END, seed=3) for name in SYMBOLS], ignore_index=True)
    calm = walk(VIX, START, END).assign(**dict.fromkeys(["open", "high", "low", "close", "adj_close"], 20.0))
    for bars in (walks, calm):
        desk.bars.write(bars, source="walk", ingested_at=LOADED, backfilled=True)
        vouch(desk.engine, bars, first=FIRST)
    desk.__dict__["strategies"] = (make_strategy("bollinger", {"deviations": 1.0}), make_strategy("rsi", {"oversold": 40.0}))
    desk.__dict__["alerts"] = Mailbox()
    for stamp in sessions_between(FIRST, LAST):
        run_day(desk, stamp.date())
    return desk


def run_day(desk: Resources, day: dt.date) -> None:
    session = day.isoformat()
    daily_trade.settle(session, resources=desk)
    daily_trade.candidates(session, resources=desk)
    signals = desk.ledger.signals(day)
    desk.ledger.save_predictions(day, [answer(row) for row in signals[signals["entry"] != 0].itertuples()])
    daily_trade.place(session, resources=desk)
    daily_trade.record(session, resources=desk)


def answer(row: object) -> dict[str, object]:
    return {
        "strategy": row.strategy,  # type: ignore[attr-defined]
        "symbol": row.symbol,  # type: ignore[attr-defined]
        "model_version": "1",
        "model_name": "all",
        "probability": float(1 / (1 + np.exp(-row.strength))),  # type: ignore[attr-defined]
        "predicted_return": 0.01,
        "signal": "enter",
        "feature_timestamp": close_of(row.session.date()),
    }


@pytest.fixture
def mailbox(desk: Resources) -> Mailbox:
    box = Mailbox()
    desk.__dict__["alerts"] = box
    return box


def test_the_replay_makes_the_trades_of_the_scheduled_steps(desk: Resources) -> None:
    made, equity = desk.ledger.trades("main"), desk.ledger.equity("main")

    outcome = replay.run_replay(FIRST, LAST, resources=desk)

    assert len(made) > 5
    pd.testing.assert_frame_equal(outcome.trades, made)
    np.testing.assert_allclose(outcome.equity["equity_usd"], equity["equity_usd"], rtol=0, atol=1e-6)


def test_sizes_were_halved_in_these_weeks(desk: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    halved = replay.run_replay(FIRST, LAST, resources=desk).trades
    monkeypatch.setattr(desk, "settings", desk.settings.with_changes(risk__halve_drawdown_pct=None))
    whole = replay.run_replay(FIRST, LAST, resources=desk).trades

    same = halved.merge(whole, on=["strategy", "symbol", "entry_session"], suffixes=("", "_whole"))
    share = same["quantity"] / same["quantity_whole"]
    assert (share < 0.55).sum() > 2
    assert (share > 0.95).sum() > 2


def test_the_live_ledger_has_parity_with_the_backtest(desk: Resources) -> None:
    found = parity.compare_ledger(None, None, resources=desk)

    assert found.differences.empty, found.differences.to_string()
    assert found.holds
    assert found.sessions == len(sessions_between(FIRST, LAST))


def test_every_traded_day_is_measured_and_none_has_a_gap(desk: Resources, mailbox: Mailbox) -> None:
    days = [stamp.date() for stamp in sessions_between(FIRST, LAST)]

    for day in days:
        parity_day.record_day(day.isoformat(), resources=desk)

    stored = desk.parity_ledger.read("main")
    assert stored["session"].tolist() == days
    assert stored[[f"{cause}_differences" for cause in CAUSES]].to_numpy().sum() == 0
    assert stored["details"].map(len).sum() == 0
    np.testing.assert_allclose(stored["record_usd"], stored["backtest_usd"])
    assert (stored["record_usd"] != 0).sum() > 5, "days on which nothing was filled prove nothing"
    assert mailbox.subjects == []


def with_fills(desk: Resources, monkeypatch: pytest.MonkeyPatch, fills: list[tuple[OrderIntent, Fill]]) -> None:
    """Let the ledger, whose fills nobody can change, tell others."""
    monkeypatch.setattr(
        desk.ledger, "fills", lambda _, symbols=None: [each for each in fills if symbols is None or each[1].symbol in symbols]
    )


def test_a_fill_at_another_price_and_a_dear_one_are_told_apart(
    desk: Resources, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = desk.ledger.fills("main")
    place, dear = next((i, fill) for i, (_, fill) in enumerate(pairs) if fill.reason == "entry" and i > 2)
    worse = replace(dear, raw_price=dear.raw_price + 1, price=dear.price + 1, commission_usd=dear.commission_usd + 7)
    with_fills(desk, monkeypatch, [*pairs[:place], (pairs[place][0], worse), *pairs[place + 1 :]])

    row = parity_day.record_day(dear.session.isoformat(), resources=desk).as_dict()

    found = {each["cause"]: each["gap_usd"] for each in row["details"] if each["detail"].startswith("entry")}
    assert found == pytest.approx({"fill": -float(dear.quantity), "cost": -7.0})
    assert (row["fill_usd"], row["cost_usd"]) == pytest.approx((-float(dear.quantity), -7.0))
    assert row["signal_differences"] == row["missed_differences"] == 0
    assert mailbox.subjects == []


def test_an_order_that_was_never_filled_is_missed(desk: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = desk.ledger.fills("main")
    order, gone = next((order, fill) for order, fill in pairs if fill.reason == "time")
    with_fills(desk, monkeypatch, [pair for pair in pairs if pair[1] is not gone])

    row = parity_day.record_day(gone.session.isoformat(), resources=desk).as_dict()

    assert row["missed_differences"] == 1
    assert [(each["cause"], each["symbol"]) for each in row["details"]] == [("missed", order.symbol)]


def test_a_bar_revised_after_the_decision_is_a_signal_gap_and_an_alert(desk: Resources, mailbox: Mailbox) -> None:
    entered = next(fill for _, fill in desk.ledger.fills("main") if fill.reason == "entry")
    decided = sessions_between(entered.session - dt.timedelta(days=7), entered.session)[-2].date()
    bar = desk.bars.read([entered.symbol], start=decided, end=decided).drop(columns="known_at")
    prices = ["open", "high", "low", "close", "adj_close"]
    desk.bars.write(bar.assign(**{name: bar[name] * 1.2 for name in prices}), source="walk", ingested_at=LOADED)

    row = parity_day.record_day(entered.session.isoformat(), resources=desk).as_dict()

    assert row["signal_differences"] >= 2, "the signal, and the entry that would not have been"
    assert mailbox.subjects == [f"Signals of {entered.session} are not the backtest's"]
    assert "a bar was revised since" in mailbox.bodies[0]
    assert not parity.compare_ledger(None, None, resources=desk).holds
