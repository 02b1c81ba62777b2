"""A replay over splits makes the backtest's trades: the desk saw the old scale before each split, the backtest only the new."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from core.frames import ACTIONS
from core.sessions import close_of, closes_of, sessions_between
from pipeline.audit import parity, parity_day, replay
from pipeline.bars import VIX
from pipeline.resources import Resources
from tests.parity.test_ends import Short
from tests.parity.test_parity_day import Mailbox, run_day
from tests.standins.evidence import vouch
from tests.standins.feed import walk
from trading.strategies.registry import STRATEGIES, make_strategy

if TYPE_CHECKING:
    from core.settings import Settings

pytestmark = pytest.mark.integration
START, END, FIRST = dt.date(2017, 1, 3), dt.date(2018, 12, 31), dt.date(2018, 1, 2)
PRICES = ["open", "high", "low", "close", "adj_close"]
SPLITS = {
    "AAA": [("2018-02-12", 2.0), ("2018-07-16", 7.0)],
    "BBB": [("2018-02-12", 0.1), ("2018-10-01", 1.5)],
    "CCC": [("2018-05-07", 1.25), ("2018-09-04", 1.046)],
}


def traded_over_splits(settings: Settings) -> Resources:
    """A desk whose provider re-scaled the history of each symbol on the evening of each of its splits."""
    desk = Resources(settings.with_changes(universe=tuple(SPLITS)))
    for symbol, splits in SPLITS.items():
        whole, total = walk(symbol, START, END, seed=3), 1.0
        for _, ratio in splits:
            total *= ratio
        first = whole.assign(**{name: whole[name] * total for name in PRICES})
        days = pd.DatetimeIndex(whole["session"])
        for place, (session, ratio) in enumerate([(str(START), 1.0), *splits]):
            total /= ratio
            known = closes_of(days[days == pd.Timestamp(session)])[0] + pd.Timedelta(minutes=15)
            later = [pd.Timestamp(each) for each, _ in splits[place:]]
            until = min(later, default=pd.Timestamp.max)
            scaled = first.assign(**{name: whole[name] * total for name in PRICES})
            rows = scaled[scaled["session"] < until].reset_index(drop=True)
            desk.bars.write(rows, source="test", ingested_at=known.to_pydatetime(), backfilled=True)
        rows = [{"symbol": symbol, "session": pd.Timestamp(each), "kind": "split", "value": ratio} for each, ratio in splits]
        desk.bars.write_actions(ACTIONS.coerce(pd.DataFrame(rows)), dt.datetime(2018, 12, 31, tzinfo=dt.UTC))
    calm = walk(VIX, START, END)
    desk.bars.write(
        calm.assign(**dict.fromkeys(PRICES, 20.0)),
        source="test",
        ingested_at=dt.datetime(2019, 1, 1, tzinfo=dt.UTC),
        backfilled=True,
    )
    return desk


@pytest.fixture(scope="module")
def desk(module_settings: Settings) -> Resources:
    return traded_over_splits(module_settings)


LIVELY = {
    "bollinger": {"deviations": 1.0, "max_sessions": 8},
    "rsi": {"oversold": 45.0},
    "zscore": {},
    "trend": {"slow_sessions": 40},
    "gap": {"gap_pct": 0.4, "max_sessions": 4},
    "compression": {"compressed": 1.0, "expanded": 1.005, "quiet_sessions": 1},
}


def held_over_a_split(trades: pd.DataFrame) -> int:
    return sum(
        row.entry_session < pd.Timestamp(day) <= row.exit_session
        for row in trades.itertuples()
        for day, _ in SPLITS[row.symbol]
    )


@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_every_strategy_has_parity_over_splits(desk: Resources, name: str, *, short: bool) -> None:
    rule = make_strategy(name, LIVELY.get(name, {}))
    outcome = replay.run_replay(FIRST, END, strategies=[Short(rule) if short else rule], resources=desk)
    found = parity.compare_replay(outcome, resources=desk)

    assert found.trades > 3
    assert found.differences.to_dict("records") == []
    assert found.equity_gap_usd < 0.005
    if name == "trend":
        assert held_over_a_split(outcome.trades) > 0, "no trade was held over a split"


TRADED = (dt.date(2018, 9, 4), dt.date(2018, 10, 19))
NIGHTS = {dt.date(2018, 9, 18): ("AAA", 7.0), dt.date(2018, 10, 3): ("BBB", 0.1), dt.date(2018, 10, 10): ("CCC", 1.5)}


def seen_each_evening(settings: Settings) -> Resources:
    """A desk whose scheduled steps ran each evening, on bars in the scale of that evening."""
    symbols = ("AAA", "BBB", "CCC")
    clock = [dt.datetime(2018, 9, 1, tzinfo=dt.UTC)]
    desk = Resources(settings.with_changes(universe=symbols), clock=lambda: clock[0])
    desk.__dict__["strategies"] = (make_strategy("bollinger", {"deviations": 1.0, "max_sessions": 15, "stop_pct": 6.0}),)
    desk.__dict__["alerts"] = Mailbox()
    whole = pd.concat([walk(name, START, TRADED[1], seed=3) for name in symbols], ignore_index=True)
    scale = dict.fromkeys(symbols, 1.0)
    for symbol, ratio in NIGHTS.values():
        scale[symbol] *= ratio
    for stamp in sessions_between(*TRADED):
        day = stamp.date()
        clock[0] = close_of(day) + dt.timedelta(hours=1)
        symbol, ratio = NIGHTS.get(day, ("", 1.0))
        if symbol:
            scale[symbol] /= ratio
            row = {"symbol": symbol, "session": stamp, "kind": "split", "value": ratio}
            desk.bars.write_actions(ACTIONS.coerce(pd.DataFrame([row])), clock[0])
        known = whole[whole["session"] <= stamp].reset_index(drop=True)
        scales = known["symbol"].map(scale)
        bars = known.assign(**{name: known[name] * scales for name in PRICES})
        desk.bars.write(bars, source="test", ingested_at=clock[0])
        vouch(desk.engine, bars, first=day)
        run_day(desk, day)
    return desk


def test_the_live_ledger_has_parity_over_splits_and_so_has_each_day(module_settings: Settings) -> None:
    desk = seen_each_evening(module_settings.with_changes(portfolio="evenings"))

    found = parity.compare_ledger(None, None, resources=desk)
    days = [parity_day.record_day(str(stamp.date()), resources=desk) for stamp in sessions_between(*TRADED)[1:]]

    made = desk.ledger.trades("evenings")
    over = [
        row.symbol
        for row in made.itertuples()
        for day, (symbol, _) in NIGHTS.items()
        if row.symbol == symbol and row.entry_session < pd.Timestamp(day) <= row.exit_session
    ]
    assert found.differences.to_dict("records") == []
    assert found.holds
    assert [day.details() for day in days if day.differences] == []
    assert over, "no trade was held over a split"
