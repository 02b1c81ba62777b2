"""Look-ahead and warm-up of a strategy, of every feature, or of the cleaning of bars, on the stored bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.errors import DataError
from pipeline.bars import bars_by_symbol
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    import pandas as pd

    from research.leakage import Compute, Leak
    from trading.strategies.base import Strategy


def check_leakage(
    session: str, strategy: Strategy | None, *, cuts: int = 1000, resources: Resources | None = None
) -> list[Leak]:
    """Return every look-ahead in a strategy, or in the features when None is given, on the stored bars up to `session`."""
    resources = resources or live()
    return leaks_in(strategy, bars_by_symbol(resources.bars, session, resources.universe()), cuts=cuts)


def check_cleaning(session: str, *, cuts: int = 1000, resources: Resources | None = None) -> list[Leak]:
    """Return every look-ahead in the validation of bars, tried on the stored bars with errors planted in them."""
    resources = resources or live()
    bars = bars_by_symbol(resources.bars, session, resources.universe())
    return leaks_in_cleaning(bars, jump_fail_bps=resources.settings.ingestion.jump_fail_bps, cuts=cuts)


def leaks_in_cleaning(bars: dict[str, pd.DataFrame], *, jump_fail_bps: float, cuts: int) -> list[Leak]:
    """Return every look-ahead in the validation of bars: taking later bars away must not change the verdict on earlier ones."""
    from core.frames import BARS
    from ingestion.suites import verdict_columns
    from research.leakage import find_leaks, with_errors

    def compute(frame: pd.DataFrame) -> pd.DataFrame:
        return verdict_columns(frame[list(BARS.columns)], jump_fail_bps)

    return find_leaks(compute, with_errors(bars), cuts=cuts)


def leaks_in(strategy: Strategy | None, bars: dict[str, pd.DataFrame], *, cuts: int) -> list[Leak]:
    """Return every look-ahead in a strategy, or in the features when None is given, on bars by symbol."""
    from research.leakage import DECIDED_AT_OPEN, find_leaks

    at_open = DECIDED_AT_OPEN if strategy is not None and strategy.entry == "open" else ()
    return find_leaks(_computation(strategy), bars, cuts=cuts, decided_at_open=at_open)


def warm_up(session: str, strategy: Strategy | None, *, resources: Resources | None = None) -> dict[str, int]:
    """Return the bars that each column of a strategy, or of the features, needs to settle: the most of any stored symbol."""
    from research.leakage import WARM_UP_SKIP
    from research.leakage import warm_up as needed

    resources = resources or live()
    bars = bars_by_symbol(resources.bars, session, resources.universe())
    long = [frame for frame in bars.values() if len(frame) > 2 * WARM_UP_SKIP]
    if not long:
        raise DataError(
            f"Warm-up: expected a symbol with more than {2 * WARM_UP_SKIP} bars, found none."
            " Load more: `desk ingest --full-history`."
        )
    each = [needed(_computation(strategy), frame) for frame in long]
    return {column: max(counts[column] for counts in each) for column in each[0]}


def _computation(strategy: Strategy | None) -> Compute:
    """Return the function to check: a strategy's signals, or every feature."""
    from core.frames import BARS, FEATURES
    from features.build import build_features

    if strategy is not None:
        return strategy.signals

    def compute(frame: pd.DataFrame) -> pd.DataFrame:
        vix = frame[["session", "vix"]].rename(columns={"vix": "close"})
        return build_features(frame[list(BARS.columns)], vix)[list(FEATURES)]

    return compute
