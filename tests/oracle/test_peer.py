"""Trade lists equal those of backtesting.py on real bars, or a named rule says why not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.oracle.peer import CASES, CORPUS, PEER, RULES, SYMBOLS, compare, corpus_bars

if TYPE_CHECKING:
    import pandas as pd

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(not CORPUS.is_dir(), reason="the real data folder ../shared/data is not beside the checkout"),
    pytest.mark.skipif(not PEER.exists(), reason="backtesting.py is not installed: make peers"),
]


@pytest.fixture(scope="module")
def bars() -> dict[str, pd.DataFrame]:
    return corpus_bars()


@pytest.mark.parametrize("symbol", SYMBOLS)
@pytest.mark.parametrize(("name", "params"), CASES, ids=["bollinger", "bollinger, other parameters", "rsi"])
def test_every_trade_is_that_of_backtesting_py_or_differs_by_a_named_rule(
    bars: dict[str, pd.DataFrame], name: str, params: dict[str, Any], symbol: str
) -> None:
    found = compare(name, params, bars[symbol])

    assert found.unexplained == []
    assert set(found.explained) <= set(RULES)
    assert found.equal + sum(found.explained.values()) >= max(found.ours, found.theirs) > 0


def test_a_difference_without_a_name_is_seen(bars: dict[str, pd.DataFrame]) -> None:
    bent = bars["SPY"].copy()
    bent.loc[1500:, "close"] *= 1.02  # one jump that only one side is told of

    honest, wrong = compare("bollinger", {}, bars["SPY"]), compare("bollinger", {}, bars["SPY"], theirs_on=bent)

    assert honest.equal == honest.ours
    assert wrong.unexplained
