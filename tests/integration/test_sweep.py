"""The sweep and its ledger: everything once, what failed by name, what was tried counted for ever."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from backtest.engine import backtest
from core.errors import ConfigError, UnknownSymbol
from pipeline.bars import VIX
from pipeline.research.sweep import run_sweep
from pipeline.resources import Resources
from storage.research.trials import Trials
from tests.standins.feed import walk
from trading.strategies.registry import STRATEGIES, make_strategy

if TYPE_CHECKING:
    from pathlib import Path

    from core.settings import Settings

pytestmark = pytest.mark.integration
START, END = dt.date(2016, 1, 4), dt.date(2018, 12, 31)
NOW = dt.datetime(2019, 1, 2, tzinfo=dt.UTC)


@pytest.fixture
def desk(database_settings: Settings) -> Resources:
    made = Resources(database_settings.model_copy(update={"universe": ("AAA", "BBB")}), clock=lambda: NOW)
    bars = pd.concat([walk(name, START, END) for name in ("AAA", "BBB", VIX)], ignore_index=True)
    made.bars.write(bars, source="test", ingested_at=NOW, backfilled=True)
    return made


def run(desk: Resources, *strategies: str, symbols: tuple[str, ...] = ()) -> tuple[pd.DataFrame, list[tuple[int, int]]]:
    steps: list[tuple[int, int]] = []
    table = run_sweep("2018-12-31", strategies, symbols, on_progress=lambda done, of: steps.append((done, of)), resources=desk)
    return table, steps


def test_every_strategy_runs_on_every_symbol_and_says_what_the_engine_says(desk: Resources) -> None:
    table, steps = run(desk, *STRATEGIES)

    assert len(table) == 2 * len(STRATEGIES)
    assert steps[-1] == (len(table), len(table))
    assert table["error"].isna().all()
    alone = backtest(
        {"AAA": walk("AAA", START, END).assign(vix=20.0)}, make_strategy("bollinger"), desk.costs, limits=desk.limits
    )
    row = table[(table["strategy"] == "bollinger") & (table["symbol"] == "AAA")].iloc[0]
    assert row["trade_count"] == alone.metrics["trade_count"]
    assert row["profit_per_trade"] == pytest.approx(alone.metrics["profit_per_trade"])


def test_a_cell_on_record_is_not_run_again_until_its_bars_change(desk: Resources) -> None:
    first, _ = run(desk, "bollinger", "rsi")
    again, steps = run(desk, "bollinger", "rsi")

    assert steps == [(4, 4)], "nothing was left to do"
    pd.testing.assert_frame_equal(again, first)
    ledger = Trials(desk.engine)
    assert (ledger.count("bollinger"), ledger.count("zscore")) == (2, 0)

    changed = walk("AAA", START, END).tail(1).assign(volume=5.0).reset_index(drop=True)
    desk.bars.write(changed, source="test", ingested_at=NOW)
    _, steps = run(desk, "bollinger")
    assert steps[0] == (1, 2), "BBB is on record, AAA has other bars now"
    assert ledger.count("bollinger") == 3


def test_a_failed_cell_is_named_tried_again_and_the_rest_kept(desk: Resources, tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text(
        "from trading.strategies.base import Parameters, to_signals\n"
        "class Picky(Parameters):\n"
        "    name, entry, exit = 'picky', 'next_open', 'next_open'\n"
        "    max_sessions: int = 1\n"
        "    def signals(self, bars):\n"
        "        if bars['symbol'].iloc[0] == 'BBB':\n"
        "            raise ArithmeticError('not this one')\n"
        "        return to_signals(bars, entry=(bars['close'] > 0).to_numpy())\n"
    )

    table, _ = run(desk, f"{own}:Picky")
    _, steps = run(desk, f"{own}:Picky")

    assert table["error"].fillna("").tolist() == ["", "ArithmeticError: not this one"]
    assert table["trade_count"].iloc[0] > 0
    assert steps == [(1, 2), (2, 2)]


def test_what_is_not_there_is_said_before_anything_runs(desk: Resources) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'bollinger'"):
        run(desk, "rsi", "bolinger")
    with pytest.raises(UnknownSymbol, match="Did you mean AAA"):
        run(desk, "rsi", symbols=("AAAA",))

    assert Trials(desk.engine).count("rsi") == 0
