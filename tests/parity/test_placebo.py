"""The whole of research on markets without memory: whoever finds an edge there has looked ahead."""

from __future__ import annotations

import datetime as dt

import pandas as pd

from backtest.engine import backtest, label_candidates
from features.build import build_features
from ml.entry_filter.train import fit_entry_filter
from tests.standins.feed import walk
from trading.costs import Costs
from trading.strategies.registry import make_strategy

START, END = dt.date(2005, 1, 3), dt.date(2018, 12, 31)
SYMBOLS = tuple(f"S{n}" for n in range(10))


def test_on_random_walks_no_model_has_skill_and_no_rule_earns_its_costs() -> None:
    strategy, costs = make_strategy("bollinger"), Costs(1.0, 2.0)
    bars = {symbol: walk(symbol, START, END) for symbol in SYMBOLS}
    vix = walk("^VIX", START, END)[["session", "close"]]
    candidates = pd.concat([label_candidates(frame.assign(vix=20.0), strategy, costs) for frame in bars.values()])
    features = build_features(pd.concat(bars.values(), ignore_index=True), vix).drop(columns="event_timestamp")

    result = fit_entry_filter(candidates.merge(features, on=["symbol", "session"], validate="one_to_one"))

    assert len(result.out_of_sample) > 1000, "few candidates would hide an edge"
    for fit in result.models.values():
        assert fit.auc_low - 0.02 < 0.5 < fit.auc_high + 0.02, f"{fit.name}: {fit.auc:.3f} on noise"
    plain = backtest({s: frame.assign(vix=20.0) for s, frame in bars.items()}, strategy, costs)
    filtered = backtest({s: frame.assign(vix=20.0) for s, frame in bars.items()}, strategy, costs, accept=result.out_of_sample)
    assert plain.metrics["profit_per_trade"] < 0  # type: ignore[operator]
    assert abs(filtered.metrics["sharpe"] or 0.0) < 1.0
