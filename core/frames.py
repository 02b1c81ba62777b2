"""The schema of every frame that crosses a package border, named once.

Owns names, dtypes, order and NaN policy; no logic beyond checking them.

A frame has plain columns and a `RangeIndex`; `session` is a tz-naive midnight, every other instant is UTC and aware.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from core.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

SESSION: Final = "datetime64[ns]"
INSTANT: Final = "datetime64[ns, UTC]"


@dataclass(frozen=True)
class Schema:
    """Columns with dtypes, the sort key (unique) and the columns that may hold NaN."""

    name: str
    columns: Mapping[str, str]
    key: tuple[str, ...]
    nullable: frozenset[str] = frozenset()

    def check(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return `frame` unchanged, or raise `DataError` that names expected, found and remedy."""
        missing = [column for column in self.columns if column not in frame]
        if missing:
            raise DataError(f"{self.name}: expected columns {list(self.columns)}, found none of {missing}.")
        for column, dtype in self.columns.items():
            if str(frame[column].dtype) != dtype:
                raise DataError(f"{self.name}.{column}: expected {dtype}, found {frame[column].dtype}. Convert it at the door.")
            if column not in self.nullable and frame[column].isna().any():
                raise DataError(f"{self.name}.{column}: expected no missing value, found {int(frame[column].isna().sum())}.")
        if not self._rises(frame):
            raise DataError(f"{self.name}: expected unique rows sorted by {self.key}. Sort and de-duplicate first.")
        return frame

    def _rises(self, frame: pd.DataFrame) -> bool:
        """Return True when each row's key is above the one before: sorted and unique at once."""
        nullable = [name for name in self.key if name in self.nullable]
        keyed = frame.dropna(subset=nullable) if nullable else frame  # a quarantined row without a session has no order
        above = np.zeros(max(len(keyed) - 1, 0), dtype=np.bool_)
        for name in reversed(self.key):
            values = keyed[name].to_numpy()
            above = (values[1:] > values[:-1]) | ((values[1:] == values[:-1]) & above)
        return bool(above.all())

    def empty(self) -> pd.DataFrame:
        """A frame of no rows with the right dtypes."""
        return pd.DataFrame({column: pd.Series(dtype=dtype) for column, dtype in self.columns.items()})

    def coerce(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Select the schema's columns, cast, sort and check."""
        missing = [column for column in self.columns if column not in frame]
        if missing:
            raise DataError(f"{self.name}: expected columns {list(self.columns)}, found none of {missing}.")
        cast = frame[list(self.columns)].astype(dict(self.columns))
        return self.check(cast.sort_values(list(self.key), kind="stable", ignore_index=True))


PRICES = ("open", "high", "low", "close")

# Daily bars of any number of symbols. Prices in the symbol's currency, split-adjusted but not for dividends; `adj_close`
# also dividend-adjusted; volume in shares.
BARS = Schema(
    "bars",
    {"symbol": "object", "session": SESSION, **dict.fromkeys((*PRICES, "adj_close", "volume"), "float64")},
    ("symbol", "session"),
)

# Corporate actions: `kind` is "split" (value = new shares per old), "dividend" (value in currency a share) or "delisting" (the
# value paid out, in currency a share, 0 when it is worth nothing). Each takes effect at the open of its session.
ACTIONS = Schema(
    "actions",
    {"symbol": "object", "session": SESSION, "kind": "object", "value": "float64"},
    ("symbol", "session", "kind"),
)

# Rows refused at the door. `payload` is the row as JSON text, `reason` the expectation's name.
QUARANTINE = Schema(
    "quarantine",
    {"symbol": "object", "session": SESSION, "reason": "object", "detail": "object", "payload": "object"},
    ("symbol", "session", "reason"),
    frozenset({"session"}),
)

# Market features, all scale-free floats; NaN during warm-up and where VIX is unknown. Flags are 0.0 or 1.0.
FEATURES: tuple[str, ...] = (
    "rsi_14",
    "macd_pct",
    "macd_signal_pct",
    "macd_hist_pct",
    "adx_14",
    "plus_di_14",
    "minus_di_14",
    "bb_position_20",
    "bb_width_20",
    "bb_ema_position_20",
    "atr_14_pct",
    "atr_20_pct",
    "atr_ratio_14_20",
    "volatility_20",
    "price_vs_sma_20",
    "volume_ratio_20",
    "uptrend_50",
    "slope_3",
    "slope_5",
    "slope_9",
    "slope_14",
    "zscore_20",
    "zscore_60",
    "return_1",
    "vix",
    "vix_change_1",
    "vix_change_5",
    "vix_high",
    "vix_low",
)
FEATURE_FRAME = Schema(
    "features",
    {
        "symbol": "object",
        "session": SESSION,
        "event_timestamp": INSTANT,
        "created_timestamp": INSTANT,
        **dict.fromkeys(FEATURES, "float64"),
    },
    ("symbol", "session"),
    frozenset(FEATURES),
)

# A strategy's opinion on each bar of one symbol. `entry` is +1 long, -1 short, 0 none; stop and target are percentages of
# the raw entry price, NaN = none; `strength` ranks candidates (larger first).
SIGNALS = Schema(
    "signals",
    {
        "session": SESSION,
        "entry": "int8",
        "exit_long": "bool",
        "exit_short": "bool",
        "stop_pct": "float64",
        "target_pct": "float64",
        "strength": "float64",
    },
    ("session",),
    frozenset({"stop_pct", "target_pct", "strength"}),
)

# Average and band of a strategy at its signal, beside SIGNALS and TRADES where they are recorded; NaN for one without a band.
BAND_COLUMNS = ("mean_price", "band_price")

# Closed trades. Sessions are those of decision, entry and exit fill; returns are fractions of entry notional, net of costs.
TRADES = Schema(
    "trades",
    {
        "symbol": "object",
        "strategy": "object",
        "side": "int8",
        "decision_session": SESSION,
        "entry_session": SESSION,
        "exit_session": SESSION,
        "entry_price": "float64",
        "exit_price": "float64",
        "quantity": "float64",
        "gross_return": "float64",
        "net_return": "float64",
        "pnl_usd": "float64",
        "cost_usd": "float64",
        "holding_sessions": "int64",
        "reason": "object",
    },
    ("strategy", "symbol", "entry_session"),
)

# Candidate trades for the entry filter: features at the decision's close, the label interval, the outcome.
CANDIDATES = Schema(
    "candidates",
    {
        "strategy": "object",
        "symbol": "object",
        "session": SESSION,
        "event_timestamp": INSTANT,
        "label_end": INSTANT,
        "net_return": "float64",
        "win": "int8",
    },
    ("strategy", "symbol", "session"),
)

# Dates on which companies announce results, one row each; `announced` is the date at the exchange.
EARNINGS = Schema("earnings", {"symbol": "object", "announced": SESSION}, ("symbol", "announced"))
