"""Weekly, monthly and hourly bars are found by their spacing; sparse daily bars are not mistaken for them."""

from __future__ import annotations

import datetime as dt
import doctest
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.sessions import sessions_between
from ingestion import bar_size
from ingestion.bar_size import long_bars
from ingestion.expectations import validate
from ingestion.providers.files import FilesProvider
from tests.properties import examples

if TYPE_CHECKING:
    from pathlib import Path

START, END = dt.date(2015, 1, 1), dt.date(2020, 12, 31)
DAYS = sessions_between(START, END)


def one_a_period(code: str, *, last: bool = True, exchange: str = "XNYS") -> pd.DatetimeIndex:
    days = sessions_between(START, END, exchange)
    groups = pd.Series(days, index=days).groupby(days.to_period(code))
    return pd.DatetimeIndex((groups.last() if last else groups.first()).to_numpy())


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(bar_size).failed == 0


@pytest.mark.parametrize("exchange", ["XNYS", "24/7"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize(
    ("code", "name", "bars"), [("W-SUN", "weekly", 12), ("M", "monthly", 4), ("Q", "quarterly", 4), ("Y", "yearly", 4)]
)
def test_one_bar_a_period_is_recognised_from_few_bars_on(exchange: str, last: bool, code: str, name: str, bars: int) -> None:
    days = one_a_period(code, last=last, exchange=exchange)

    for some in (days, days[:bars], days[3 : 3 + bars] if len(days) > bars + 3 else days):
        size = long_bars(some, exchange)
        assert size is not None
        assert size.certain
        assert f"expected daily bars, found {name} ones ({len(some)} bars" in str(size)


def test_weekly_bars_with_the_day_so_far_and_a_daily_tail_are_recognised() -> None:
    weekly = one_a_period("W-SUN")

    assert str(long_bars(weekly[:20].append(DAYS[weekly[19] < DAYS][:1]), "XNYS")).startswith(
        "expected daily bars, found weekly"
    )
    assert str(long_bars(weekly[weekly < "2018"].append(DAYS[DAYS > "2018"]), "XNYS")).startswith(
        "expected daily bars, found weekly"
    )


def test_a_bar_every_other_session_is_recognised() -> None:
    size = long_bars(DAYS[::2], "XNYS")

    assert size is not None
    assert size.found.startswith("one every 2 sessions")


@settings(max_examples=examples(150), deadline=None)
@given(seed=st.integers(0, 100_000), share=st.sampled_from([0.03, 0.1, 0.2, 0.3, 0.5, 0.9]), bars=st.integers(2, 400))
def test_bars_on_random_sessions_are_daily_bars_with_gaps(seed: int, share: float, bars: int) -> None:
    traded = DAYS[np.random.default_rng(seed).random(len(DAYS)) < share][:bars]

    size = long_bars(traded, "XNYS")

    assert size is None or not size.certain


@pytest.mark.parametrize("bars", [1, 2, 3, 4, 5])
def test_a_short_history_is_daily(bars: int) -> None:
    assert long_bars(DAYS[:bars], "XNYS") is None
    assert long_bars(DAYS[:0], "XNYS") is None


def test_few_bars_a_week_apart_are_doubtful_and_reported() -> None:
    days = one_a_period("W-SUN")[:4]
    frame = pd.DataFrame({"symbol": "AAA", "session": days, **dict.fromkeys(("open", "high", "low", "close"), 10.0)})

    verdict = validate(frame.assign(adj_close=10.0, volume=1.0), session=END)

    assert verdict.passed
    assert "found weekly ones (4 bars" in verdict.results["spacing"]["AAA"]
    assert "Spacing" in verdict.summary()


def test_a_weekly_file_in_a_daily_folder_is_named_and_the_others_read(tmp_path: Path) -> None:
    pd.DataFrame({"date": DAYS, "close": 10.0}).to_csv(tmp_path / "DAY.csv", index=False)
    pd.DataFrame({"date": one_a_period("W-SUN"), "close": 10.0}).to_csv(tmp_path / "WEEK.csv", index=False)
    both = [
        pd.DataFrame({"date": days, "symbol": name, "close": 1.0}) for name, days in (("D2", DAYS), ("M2", one_a_period("M")))
    ]
    pd.concat(both).to_csv(tmp_path / "both.csv", index=False)
    hours = pd.date_range("2020-01-02 10:00", periods=200, freq="h")
    pd.DataFrame({"date": hours, "close": 1.0}).to_csv(tmp_path / "HOUR.csv", index=False)

    provider = FilesProvider(tmp_path)

    assert provider.default_universe == ("D2", "DAY")
    assert "found weekly ones (314 bars from 2015-01-02 to 2020-12-31, 5 sessions apart)" in provider.ignored["WEEK.csv"]
    assert "found monthly ones" in provider.ignored["both.csv (M2)"]
    assert "60 minutes apart" in provider.ignored["HOUR.csv"]
    assert "weekly" in provider.fetch(["WEEK"], START, END).failed["WEEK"]
    assert "monthly" in provider.fetch(["M2"], START, END).failed["M2"]
