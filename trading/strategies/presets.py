"""Presets: named, complete sets of parameters for each strategy. Owns the figures; it builds no strategy and knows no rule.

A preset names every parameter, so that a change of a default in the code never changes it. `as_specified` is the rule as the
mission states it (rows S1 to S6). `tuned` is what the walk-forward optimiser chose; docs/tuned-presets.md has its figures out
of sample, and none survives deflation. A strategy without a feasible choice has none.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

AS_SPECIFIED: Final = "as_specified"
TUNED: Final = "tuned"

# S1: close under the lower band (20, 2 sigma); out at the middle band or after 2 sessions.
_BOLLINGER = {"band_sessions": 20, "deviations": 2.0, "max_sessions": 2, "stop_pct": 0.8, "target_pct": 1.5}

# S2: RSI(14) under 25; out over 50 or after 3 sessions.
_RSI = {"rsi_sessions": 14, "oversold": 25.0, "recovered": 50.0, "max_sessions": 3, "stop_pct": 1.0, "target_pct": 2.0}

# S3: gaps beyond 1.5 % either way; out when half is filled, else at the close. The stated target of 0.75 % is half of the
# smallest gap that is faded; a larger gap keeps half of its own.
_GAP = {"gap_pct": 1.5, "filled": 0.5, "direction": "both", "max_sessions": 1, "stop_pct": 1.0}

# S4: ATR(14) under 0.6 ATR(20) for 3 sessions, then over 1.2. On daily bars it hardly ever fires: two averages of 14 and 20
# sessions are never that far apart (docs/strategies.md has the count). How soon the expansion must follow is not stated; the
# strategy's own 10 sessions hold.
_COMPRESSION = {
    "short_sessions": 14,
    "long_sessions": 20,
    "compressed": 0.6,
    "expanded": 1.2,
    "quiet_sessions": 3,
    "within_sessions": 10,
    "max_sessions": 5,
    "stop_pct": 1.0,
    "target_pct": 2.5,
}

# S5: 60 closes, in at z <= -1, out at z >= -0.5 or |z| >= 3, with RSI between 30 and 70 and ADX under 30.
_ZSCORE = {
    "sessions": 60,
    "entry_z": -1.0,
    "exit_z": -0.5,
    "stop_z": 3.0,
    "rsi_low": 30.0,
    "rsi_high": 70.0,
    "adx_below": 30.0,
    "max_sessions": None,
    "stop_pct": None,
    "target_pct": None,
}

# S6: EMA 15 over EMA 100 with ADX(14) of 20 or more. The body filter (0.5) is optional there, and off here.
_TREND = {"fast_sessions": 15, "slow_sessions": 100, "adx_least": 20.0, "body_least": None, "max_sessions": None}

_STATED: dict[str, dict[str, Any]] = {
    "bollinger": _BOLLINGER,
    "rsi": _RSI,
    "gap": _GAP,
    "compression": _COMPRESSION,
    "zscore": _ZSCORE,
    "trend": _TREND,
}

# Each chosen on the newest training window that had a feasible set: three years that end before the sessions named.
_TUNED: dict[str, dict[str, Any]] = {
    # before 2019-01-15
    "bollinger": {"band_sessions": 14, "deviations": 1.875, "max_sessions": None, "stop_pct": None, "target_pct": None},
    # before 2018-01-12
    "rsi": {
        "rsi_sessions": 8,
        "oversold": 35.0,
        "recovered": 60.0,
        "max_sessions": 16,
        "stop_pct": None,
        "target_pct": None,
    },
    # before 2021-01-14
    "compression": {
        "short_sessions": 5,
        "long_sessions": 26,
        "compressed": 0.93,
        "expanded": 1.1,
        "quiet_sessions": 2,
        "within_sessions": 15,
        "max_sessions": 11,
        "stop_pct": 6.0,
        "target_pct": None,
    },
    # before 2019-01-15
    "zscore": {
        "sessions": 20,
        "entry_z": -1.75,
        "exit_z": 0.5,
        "stop_z": 4.5,
        "rsi_low": 10.0,
        "rsi_high": 70.0,
        "adx_below": 45.0,
        "max_sessions": None,
        "stop_pct": 6.0,
        "target_pct": None,
    },
}


def _presets(name: str) -> Mapping[str, Mapping[str, Any]]:
    found = {AS_SPECIFIED: MappingProxyType(_STATED[name])}
    return MappingProxyType(found | ({TUNED: MappingProxyType(_TUNED[name])} if name in _TUNED else {}))


PRESETS: Final[Mapping[str, Mapping[str, Mapping[str, Any]]]] = MappingProxyType({name: _presets(name) for name in _STATED})
