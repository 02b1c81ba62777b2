"""Parameters by symbol and the switch: the right parameters for the right bars, and exits that go on."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest

from core.errors import ConfigError, DataError
from tests.standins.feed import walk
from trading.strategies.per_symbol import PerSymbol, Switch
from trading.strategies.registry import make_strategy

START, END = dt.date(2019, 1, 2), dt.date(2020, 12, 31)
WIDE, NARROW = make_strategy("bollinger", {"deviations": 2.5}), make_strategy("bollinger", {"deviations": 1.0, "stop_pct": 0.4})


def bars(symbol: str) -> pd.DataFrame:
    return walk(symbol, START, END).assign(vix=20.0)


def test_each_symbol_gets_its_own_parameters_and_the_rest_the_default() -> None:
    both = PerSymbol({"AAA": NARROW}, WIDE)

    pd.testing.assert_frame_equal(both.signals(bars("AAA")), NARROW.signals(bars("AAA")))
    pd.testing.assert_frame_equal(both.signals(bars("BBB")), WIDE.signals(bars("BBB")))
    assert not NARROW.signals(bars("AAA"))["entry"].equals(WIDE.signals(bars("AAA"))["entry"])


def test_it_goes_by_the_strategys_name_and_describes_every_symbols_parameters() -> None:
    both = PerSymbol({"AAA": NARROW}, WIDE)

    assert (both.name, both.entry, both.exit, both.max_sessions) == ("bollinger", "next_open", "next_open", 2)
    assert both.describe() == {**WIDE.describe(), "by_symbol": {"AAA": NARROW.describe()}}
    assert hash(both) == hash(PerSymbol({"AAA": NARROW}, WIDE))


def test_time_limits_that_differ_are_refused() -> None:
    slow = make_strategy("bollinger", {"max_sessions": 5})

    with pytest.raises(ConfigError, match="'bollinger' for AAA: expected max_sessions 2 as for all other symbols, found 5"):
        PerSymbol({"AAA": slow}, WIDE)


def test_another_rule_for_a_symbol_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected name 'bollinger' as for all other symbols, found 'rsi'"):
        PerSymbol({"AAA": make_strategy("rsi", {"max_sessions": 2})}, WIDE)


def test_bars_without_a_symbol_are_refused_and_no_bars_are_no_error() -> None:
    both = PerSymbol({"AAA": NARROW}, WIDE)

    with pytest.raises(DataError, match="expected a column symbol"):
        both.signals(bars("AAA").drop(columns="symbol"))
    assert both.signals(bars("AAA").head(0)).empty


@pytest.mark.parametrize(("off", "stopped"), [(None, {"AAA", "BBB"}), (frozenset({"AAA"}), {"AAA"}), (frozenset(), set())])
def test_what_is_switched_off_enters_nothing_and_its_exits_go_on(off: frozenset[str] | None, stopped: set[str]) -> None:
    switched = Switch(NARROW, off)

    for symbol in ("AAA", "BBB"):
        plain, signals = NARROW.signals(bars(symbol)), switched.signals(bars(symbol))
        assert (signals["entry"] != 0).any() == (symbol not in stopped)
        pd.testing.assert_frame_equal(signals.drop(columns="entry"), plain.drop(columns="entry"))
        assert signals["entry"].dtype == "int8"


def test_a_switched_strategy_keeps_its_name_so_that_its_positions_stay_its_own() -> None:
    assert Switch(WIDE).name == "bollinger"
    assert (Switch(WIDE).entry, Switch(WIDE).exit, Switch(WIDE).max_sessions) == ("next_open", "next_open", 2)
    assert Switch(WIDE).describe()["switched_off"] == "all"
    assert Switch(WIDE, frozenset({"B", "A"})).describe()["switched_off"] == ["A", "B"]
