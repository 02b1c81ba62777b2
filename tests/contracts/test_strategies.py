"""One contract for every strategy, filtered or not."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from core.errors import ConfigError
from core.frames import PRICES, SIGNALS
from tests.standins.feed import walk
from trading.strategies.per_symbol import PerSymbol
from trading.strategies.registry import STRATEGIES, make_strategy

if TYPE_CHECKING:
    from pathlib import Path

    from trading.strategies.base import Strategy


def changeable_market() -> pd.DataFrame:
    """Bars with calm and stormy spells, slides and gaps, so that every rule has something to say."""
    bars = walk("AAA", dt.date(2015, 1, 2), dt.date(2017, 12, 29)).assign(vix=lambda rows: 12.0 + np.arange(len(rows)) % 20)
    at = np.arange(len(bars))
    rng = np.random.default_rng(4)
    storm = np.where(at // 40 % 2, 0.025, 0.003)
    slide = np.where(at % 97 < 12, -0.012, 0.002)
    close = 100 * np.exp(np.cumsum(rng.normal(slide, storm)))
    open_ = np.concatenate([[100.0], close[:-1]]) * np.exp(rng.normal(0, storm * 0.7))
    high, low = np.maximum(open_, close) * (1 + storm / 3), np.minimum(open_, close) * (1 - storm / 3)
    return bars.assign(open=open_, high=high, low=low, close=close, adj_close=close)


BARS = changeable_market()


ANNOUNCED = {"AAA": [day.date() for day in BARS["session"].iloc[::63]], "BBB": [dt.date(2016, 6, 1)]}


@pytest.fixture(params=[(name, kind) for name in STRATEGIES for kind in ("plain", "vix", "earnings", "per symbol")], ids=str)
def strategy(request: pytest.FixtureRequest) -> Strategy:
    name, kind = request.param
    if kind == "per symbol":
        return PerSymbol({"BBB": make_strategy(name)}, make_strategy(name))
    return make_strategy(name, vix_filter=kind == "vix", earnings=ANNOUNCED if kind == "earnings" else None)


def test_it_declares_what_the_engine_needs_to_know(strategy: Strategy) -> None:
    assert strategy.entry in {"next_open", "open"}
    assert strategy.exit in {"next_open", "close"}
    assert strategy.max_sessions is None or strategy.max_sessions >= 1
    assert strategy.name
    assert strategy.describe()


def test_it_says_something_about_every_bar_in_the_declared_form(strategy: Strategy) -> None:
    signals = SIGNALS.check(strategy.signals(BARS))

    assert signals["session"].tolist() == BARS["session"].tolist()
    assert set(signals["entry"]) <= {-1, 0, 1}
    assert (signals["entry"] != 0).any(), "a contract that is met by silence proves nothing"


def test_a_row_is_a_function_of_the_bars_up_to_its_own(strategy: Strategy) -> None:
    whole = strategy.signals(BARS)

    for length in (1, 20, 21, 57, 250, len(BARS) - 1):
        pd.testing.assert_frame_equal(strategy.signals(BARS.head(length)), whole.head(length), check_exact=True)


def test_the_future_does_not_matter_even_when_it_is_noise(strategy: Strategy) -> None:
    noisy = BARS.copy()
    rng = np.random.default_rng(1)
    noisy.loc[300:, [*PRICES, "vix"]] = rng.uniform(1, 1000, (len(BARS) - 300, 5))

    pd.testing.assert_frame_equal(strategy.signals(noisy).head(300), strategy.signals(BARS).head(300), check_exact=True)


@pytest.mark.parametrize("factor", [0.25, 7.0])
def test_a_split_changes_no_signal(strategy: Strategy, factor: float) -> None:
    split = BARS.assign(**{name: BARS[name] * factor for name in PRICES})

    before, after = strategy.signals(BARS), strategy.signals(split)

    flags = ["entry", "exit_long", "exit_short"]
    pd.testing.assert_frame_equal(after[flags], before[flags])
    np.testing.assert_allclose(after["strength"], before["strength"], rtol=1e-6)


def test_bars_are_not_changed(strategy: Strategy) -> None:
    copy = BARS.copy()

    strategy.signals(BARS)

    pd.testing.assert_frame_equal(BARS, copy)


@pytest.mark.parametrize("name", STRATEGIES)
def test_parameters_are_typed_and_frozen_and_unknown_ones_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="mood"):
        make_strategy(name, {"mood": 1})
    with pytest.raises(ConfigError, match="max_sessions"):
        make_strategy(name, {"max_sessions": 0})
    with pytest.raises(Exception, match="frozen"):
        make_strategy(name).max_sessions = 3  # type: ignore[attr-defined]


def test_an_unknown_strategy_gets_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'bollinger'"):
        make_strategy("bolinger")
    with pytest.raises(ConfigError, match="Known: bollinger, rsi, gap"):
        make_strategy("astrology")


def test_the_vix_filter_lets_entries_pass_in_medium_and_high_regimes_alone() -> None:
    plain, filtered = make_strategy("bollinger"), make_strategy("bollinger", vix_filter=True)
    levels = {12.0: False, 15.0: True, 20.0: True, 25.0: True, 40.0: True, np.nan: False}

    for vix, allowed in levels.items():
        bars = BARS.assign(vix=vix)
        assert (filtered.signals(bars)["entry"] != 0).any() == allowed
        pd.testing.assert_series_equal(filtered.signals(bars)["exit_long"], plain.signals(bars)["exit_long"])


OWN = """
import numpy as np
from trading.strategies.base import Parameters, to_signals

class Mondays(Parameters):
    name = "mondays"
    entry = "next_open"
    exit = "next_open"
    max_sessions: int | None = 1

    def signals(self, bars):
        return to_signals(bars, entry=(bars["session"].dt.dayofweek == 0).to_numpy())
"""


def test_a_users_own_file_works_like_a_built_in(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)

    strategy = make_strategy(f"{tmp_path}/own.py:Mondays", {"max_sessions": 3}, vix_filter=True)

    assert strategy.name == "mondays_vix"
    assert strategy.max_sessions == 3
    assert (strategy.signals(BARS)["entry"] != 0).any()


@pytest.mark.parametrize(
    ("text", "wanted", "words"),
    [
        (None, "Mondays", "no file"),
        ("import nowhere_at_all", "Mondays", "does not import: ModuleNotFoundError"),
        (OWN, "Monday", "Did you mean Mondays"),
    ],
)
def test_a_file_that_does_not_serve_says_why(tmp_path: Path, text: str | None, wanted: str, words: str) -> None:
    if text:
        (tmp_path / "own.py").write_text(text)

    with pytest.raises(ConfigError, match=words):
        make_strategy(f"{tmp_path}/own.py:{wanted}")
