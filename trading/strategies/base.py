"""The contract of a strategy: typed parameters and one pure function from bars to signals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from core.errors import DataError
from core.frames import PRICES, SIGNALS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from numpy.typing import NDArray

Entry = Literal["next_open", "open"]
Exit = Literal["next_open", "close"]


class Strategy(Protocol):
    """A rule that signals entries and exits on each bar of one symbol.

    `signals(bars[:t]) == signals(bars)[:t]` for every t: a row is a function of the bars up to its own. For a strategy with
    `entry == "open"` the entry columns of a row use no more of its bar than the open.
    """

    @property
    def name(self) -> str:
        """Unique name; positions, orders and trades carry it."""
        ...

    @property
    def entry(self) -> Entry:
        """`next_open`: decided at the close, filled at the next open. `open`: decided and filled at the open of the row."""
        ...

    @property
    def exit(self) -> Exit:
        """`next_open` or `close`: the fill of rule and time exits decided at a close."""
        ...

    @property
    def max_sessions(self) -> int | None:
        """Sessions after which a position is left, the entry session counted as the first; None = no time limit."""
        ...

    def signals(self, bars: pd.DataFrame) -> pd.DataFrame:
        """SIGNALS for the BARS of one symbol with a column `vix` (index points, NaN where unknown); one row a bar."""
        ...

    def describe(self) -> dict[str, Any]:
        """Every parameter, as JSON values."""
        ...


class Prices(NamedTuple):
    """Prices of one symbol as a rule gets them: arrays (bars,). VIX in index points, NaN where unknown."""

    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    vix: NDArray[np.float64]

    @classmethod
    def of(cls, bars: pd.DataFrame) -> Self:
        """The arrays of BARS with a column `vix`; NaN when it has none."""
        vix = bars["vix"] if "vix" in bars else pd.Series(np.nan, index=bars.index)
        return cls(*(np.ascontiguousarray(values, dtype=np.float64) for values in (*(bars[name] for name in PRICES), vix)))


class Signals(NamedTuple):
    """The columns of SIGNALS without their sessions: arrays (bars,)."""

    entry: NDArray[np.int8]
    exit_long: NDArray[np.bool_]
    exit_short: NDArray[np.bool_]
    stop_pct: NDArray[np.float64]
    target_pct: NDArray[np.float64]
    strength: NDArray[np.float64]


class BandLines(NamedTuple):
    """The average that a rule reverts to, and the band beyond which it enters: prices, arrays (bars,), NaN in the warm-up."""

    mean: NDArray[np.float64]
    band: NDArray[np.float64]


class Wrapper:
    """Base of what changes another strategy's signals and is that strategy otherwise: its field `strategy`, by every name."""

    strategy: Strategy

    @property
    def name(self) -> str:
        """As the strategy inside, so that its open positions stay its own."""
        return self.strategy.name

    @property
    def entry(self) -> Entry:
        """As the strategy inside."""
        return self.strategy.entry

    @property
    def exit(self) -> Exit:
        """As the strategy inside."""
        return self.strategy.exit

    @property
    def max_sessions(self) -> int | None:
        """As the strategy inside."""
        return self.strategy.max_sessions


class Parameters(BaseModel):
    """Base of a strategy's parameters: frozen, finite, unknown fields refused, ranges in the types."""

    model_config = ConfigDict(  # ignored_types: name, entry and exit need no annotation
        frozen=True, extra="forbid", allow_inf_nan=False, ignored_types=(str,)
    )

    def describe(self) -> dict[str, Any]:
        """Every parameter, as JSON values."""
        return self.model_dump(mode="json")


class Rule(Parameters):
    """Base of a strategy that works on arrays; a frame costs more than the signals in it, and a sweep needs none."""

    def rule(self, prices: Prices) -> Signals:
        """Signals of one symbol, one element a bar; use `make_signals`."""
        raise NotImplementedError

    def bands(self, prices: Prices) -> BandLines | None:
        """Average and band of the rule, one element a bar; None for a rule without a band."""
        del prices
        return None

    def signals(self, bars: pd.DataFrame) -> pd.DataFrame:
        """SIGNALS for the BARS of one symbol with a column `vix`."""
        found = self.rule(Prices.of(bars))
        return pd.DataFrame({"session": bars["session"].to_numpy(), **found._asdict()}, index=pd.RangeIndex(len(bars)))


def make_signals(
    bars: int,
    *,
    entry: NDArray[Any],
    exit_long: NDArray[np.bool_] | bool = False,
    exit_short: NDArray[np.bool_] | bool = False,
    stop_pct: NDArray[np.float64] | float | None = None,
    target_pct: NDArray[np.float64] | float | None = None,
    strength: NDArray[np.float64] | float = 0.0,
) -> Signals:
    """A strategy's masks as arrays of the right types; scalars hold for every bar and None is no stop or target."""
    return Signals(
        entry.astype(np.int8),
        _filled(bars, exit_long, np.bool_),
        _filled(bars, exit_short, np.bool_),
        _filled(bars, stop_pct, np.float64),
        _filled(bars, target_pct, np.float64),
        _filled(bars, strength, np.float64),
    )


def _filled(bars: int, value: Any, kind: Any) -> NDArray[Any]:  # noqa: ANN401  # an array, a number or None
    if isinstance(value, np.ndarray):
        return np.ascontiguousarray(value, dtype=kind)
    return np.full(bars, np.nan if value is None else value, dtype=kind)


def signals_of(strategy: Strategy, bars: pd.DataFrame, prices: Prices) -> Signals:
    """A strategy's signals as arrays: from its rule on `prices` where it is a `Rule`, else from its frame, which is checked."""
    if isinstance(strategy, Rule):
        return strategy.rule(prices)
    frame = SIGNALS.check(strategy.signals(bars))
    if len(frame) != len(bars):
        raise DataError(f"Signals of {strategy.name}: expected one row a bar ({len(bars)}), found {len(frame)}.")
    return Signals(*(np.ascontiguousarray(frame[name]) for name in Signals._fields))


def standing(entry: NDArray[np.int8], strength: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rank of each signal's strength among the signals up to it, above 0 and at most 1; the past alone decides.

    Strengths of different strategies have different units; their standings can be compared.

    >>> standing(np.array([1, 0, 1, 1], dtype=np.int8), np.array([2.0, 9.0, 1.0, 2.0])).round(2).tolist()
    [1.0, nan, 0.5, 1.0]
    """
    at = np.flatnonzero(entry)
    found = np.full(len(entry), np.nan)
    seen = strength[at]
    found[at] = [np.nan if np.isnan(value) else np.mean(seen[: i + 1] <= value) for i, value in enumerate(seen)]
    return found


def to_signals(
    bars: pd.DataFrame,
    *,
    entry: Sequence[int] | NDArray[Any],
    exit_long: NDArray[np.bool_] | bool = False,
    exit_short: NDArray[np.bool_] | bool = False,
    stop_pct: NDArray[np.float64] | float | None = None,
    target_pct: NDArray[np.float64] | float | None = None,
    strength: NDArray[np.float64] | float = 0.0,
) -> pd.DataFrame:
    """Put a strategy's masks into a SIGNALS frame, one row a bar; scalars hold for every bar and None is no stop or target."""
    columns = {
        "session": bars["session"].to_numpy(),
        "entry": entry,
        "exit_long": exit_long,
        "exit_short": exit_short,
        "stop_pct": np.nan if stop_pct is None else stop_pct,
        "target_pct": np.nan if target_pct is None else target_pct,
        "strength": strength,
    }
    return pd.DataFrame(columns, index=pd.RangeIndex(len(bars))).astype(dict(SIGNALS.columns))
