"""What every strategy is: typed parameters and one pure function from bars to signals. Owns the contract; no rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from core.frames import SIGNALS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Entry = Literal["next_open", "open"]
Exit = Literal["next_open", "close"]


class Strategy(Protocol):
    """A rule that says on each bar of one symbol whether to enter and whether to leave.

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
        """Where rule and time exits decided at a close are filled: at the next open, or at that close."""
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


class Parameters(BaseModel):
    """Base of a strategy's parameters: frozen, unknown fields refused, ranges in the types."""

    model_config = ConfigDict(frozen=True, extra="forbid", ignored_types=(str,))  # name, entry and exit need no annotation

    def describe(self) -> dict[str, Any]:
        """Every parameter, as JSON values."""
        return self.model_dump(mode="json")


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
