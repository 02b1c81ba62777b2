"""Strategy parameters on a real PostgreSQL: every version kept, none overwritten, none lost between two writers."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from core.errors import ConfigError
from storage.trading.strategy_params import HISTORY, StrategyParams

if TYPE_CHECKING:
    from sqlalchemy import Engine

pytestmark = pytest.mark.integration


@pytest.fixture
def store(database: Engine) -> StrategyParams:
    return StrategyParams(database)


def test_nothing_stored_is_nothing_in_force(store: StrategyParams) -> None:
    assert store.current("bollinger") is None
    assert store.current("bollinger", "AAPL") is None
    assert store.history("bollinger").empty
    assert list(store.history("bollinger")) == list(HISTORY)


def test_versions_count_from_one_for_each_strategy_and_symbol(store: StrategyParams) -> None:
    assert store.set("rsi", {"oversold": 25.0}, reason="first") == 1
    assert store.set("rsi", {"oversold": 30.0}, reason="looser") == 2
    assert store.set("rsi", {"oversold": 20.0}, symbol="AAPL", reason="calmer") == 1
    assert store.set("gap", {"gap_pct": 1.5}, reason="first") == 1


def test_what_was_set_is_read_again_with_its_types(store: StrategyParams) -> None:
    params = {"sessions": 20, "stop_pct": None, "entry_z": -1.5, "direction": "both", "on": True}

    store.set("zscore", params, symbol="AAPL", reason=" wider stops ", preset="as_specified", author="kim")

    found = store.current("zscore", "AAPL")
    assert found is not None
    assert found.params == params
    assert {name: type(value) for name, value in found.params.items()} == {name: type(value) for name, value in params.items()}
    assert (found.reason, found.preset, found.author, found.enabled) == ("wider stops", "as_specified", "kim", True)
    assert found.created_at.tzinfo is not None


def test_a_symbols_own_row_wins_over_the_one_for_all(store: StrategyParams) -> None:
    store.set("rsi", {"oversold": 25.0}, reason="all")
    store.set("rsi", {"oversold": 20.0}, symbol="AAPL", reason="own")

    snapshot = store.as_of(None)

    assert snapshot.current("rsi", "AAPL").params == {"oversold": 20.0}  # type: ignore[union-attr]
    assert snapshot.current("rsi", "MSFT").params == {"oversold": 25.0}  # type: ignore[union-attr]
    assert snapshot.symbols("rsi") == ["AAPL"]
    assert snapshot.symbols("gap") == []


@pytest.mark.parametrize(("general", "own", "enabled"), [(True, False, False), (False, True, False), (True, True, True)])
def test_off_for_all_is_off_for_each(store: StrategyParams, general: bool, own: bool, enabled: bool) -> None:
    store.set("rsi", {}, enabled=general, reason="all")
    store.set("rsi", {}, symbol="AAPL", enabled=own, reason="own")

    assert store.current("rsi", "AAPL").enabled is enabled  # type: ignore[union-attr]
    assert store.current("rsi", "MSFT").enabled is general  # type: ignore[union-attr]


def test_an_own_row_without_parameters_is_a_switch_that_follows_the_row_for_all(store: StrategyParams) -> None:
    store.set("rsi", {"oversold": 25.0}, reason="all")
    store.set("rsi", {}, symbol="AAPL", enabled=False, reason="pause")
    store.set("rsi", {"oversold": 30.0}, reason="looser")

    found = store.current("rsi", "AAPL")

    assert found is not None
    assert (found.params, found.enabled, found.version) == ({"oversold": 30.0}, False, 1)


def test_what_was_in_force_in_the_past_can_be_read_again(store: StrategyParams) -> None:
    before = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
    store.set("rsi", {"oversold": 25.0}, reason="first")
    first = store.current("rsi")
    store.set("rsi", {"oversold": 30.0}, reason="second")

    assert first is not None
    assert store.as_of(before).current("rsi") is None
    assert store.as_of(first.created_at).current("rsi") == first
    assert store.current("rsi").version == 2  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="timezone-aware"):
        store.as_of(dt.datetime(2000, 1, 1))  # noqa: DTZ001  # the point of the test


def test_the_history_holds_every_version_in_order(store: StrategyParams) -> None:
    store.set("rsi", {"oversold": 25.0}, reason="first")
    store.set("rsi", {"oversold": 20.0}, symbol="AAPL", reason="own")
    store.set("rsi", {"oversold": 25.0}, enabled=False, reason="pause")

    history = store.history("rsi")

    assert history["reason"].tolist() == ["first", "own", "pause"]
    assert history["version"].tolist() == [1, 1, 2]
    assert history["symbol"].tolist() == [None, "AAPL", None]
    assert history["enabled"].tolist() == [True, True, False]
    assert store.history("rsi", "AAPL")["reason"].tolist() == ["own"]


def test_a_change_made_from_an_old_version_is_refused_and_not_stored(store: StrategyParams) -> None:
    store.set("rsi", {"oversold": 25.0}, expected_version=0, reason="first")
    store.set("rsi", {"oversold": 30.0}, expected_version=1, reason="second")

    with pytest.raises(ConfigError, match=r"'rsi' for all symbols: expected version 1, found 2.*desk params history rsi"):
        store.set("rsi", {"oversold": 35.0}, expected_version=1, reason="too late")

    assert len(store.history("rsi")) == 2


def test_of_many_writers_from_one_version_exactly_one_wins(store: StrategyParams) -> None:
    def write(number: int) -> bool:
        try:
            store.set("rsi", {"oversold": float(number)}, symbol="AAPL", expected_version=0, reason="race")
        except ConfigError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(write, range(8)))

    assert sum(outcomes) == 1
    assert store.history("rsi")["version"].tolist() == [1]


def test_writers_that_do_not_ask_leave_no_gap_and_their_times_rise(store: StrategyParams) -> None:
    with ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(lambda number: store.set("rsi", {"oversold": float(number)}, reason="race"), range(16)))

    history = store.history("rsi")
    assert sorted(versions) == list(range(1, 17))
    assert history["version"].tolist() == list(range(1, 17))
    assert history["created_at"].is_monotonic_increasing


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_change_without_a_reason_is_refused(store: StrategyParams, reason: str) -> None:
    with pytest.raises(ConfigError, match="expected a reason"):
        store.set("rsi", {}, reason=reason)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_refused(store: StrategyParams, value: float) -> None:
    with pytest.raises(ConfigError, match="expected oversold to be a finite number"):
        store.set("rsi", {"oversold": value}, reason="odd")


def test_the_database_itself_refuses_a_version_twice(store: StrategyParams, database: Engine) -> None:
    store.set("rsi", {}, reason="first")
    again = sa.text(
        "INSERT INTO trading.strategy_params (strategy, version, params, enabled, author, reason)"
        " VALUES ('rsi', 1, '{}', true, '', 'again')"
    )

    with pytest.raises(sa.exc.IntegrityError), database.begin() as connection:
        connection.execute(again)
