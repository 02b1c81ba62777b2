"""The Great Expectations suites: the expectations on a batch and the columns computed for them.

Two suites: `daily_bars` looks at every row, `coverage` at one row a symbol. An expectation of severity `critical` quarantines
the rows that break it; one of severity `warning` is reported only. `meta.says` is the sentence an operator reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd
from great_expectations.expectations.metadata_types import FailureSeverity

from core.frames import ACTIONS, BARS, PRICES
from core.sessions import calendar_name, sessions_between
from ingestion.bar_size import long_bars
from ingestion.jumps import given_back_bps, moves_bps, unexplained_bps

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

    from great_expectations.expectations.expectation import Expectation

ROWS, COVERAGE = "daily_bars", "coverage"
NO_ACTIONS = ACTIONS.empty()
NUMBER = "present and a plain number (1234.5)"
READABLE = {"symbol": "present", "session": "present and a date with its year first (2020-01-31)"}
ROUNDING = 1e-6  # sources publish prices as 32-bit floats: a high may be under its close in the eighth digit


def row_suite(session: dt.date, jump_fail_bps: float) -> gx.ExpectationSuite:
    """Return the suite for every bar: schema, values, bounds, uniqueness, calendar, no future, no unexplained jump."""
    columns = gxe.ExpectTableColumnsToMatchSet(column_set=list(BARS.columns), exact_match=False, meta=_meta("columns of a bar"))
    expectations = [columns, *_value_expectations(), *_shape_expectations(), *_session_expectations(session)]
    expectations += _jump_expectations(jump_fail_bps)
    return gx.ExpectationSuite(name=ROWS, expectations=expectations)


def coverage_suite(min_history: int) -> gx.ExpectationSuite:
    """Return the suite for each symbol's bars together: some bars, enough of them, none missing between, the newest in time."""
    least = max(min_history, 1)
    checks: tuple[tuple[str, int | None, int | None, str], ...] = (
        ("bars", least, None, f"a symbol has at least {least} bars"),
        ("missing_sessions", None, 0, "no session is missing between a symbol's bars"),
        ("sessions_behind", None, 0, "the newest bar is that of the session asked for"),
        ("longer_bars", None, 0, "a symbol's bars are not spaced like weekly or monthly ones"),
    )
    expectations = [
        gxe.ExpectColumnValuesToBeBetween(
            column=column, min_value=low, max_value=high, severity=FailureSeverity.WARNING, meta=_meta(says)
        )
        for column, low, high, says in checks
    ]
    return gx.ExpectationSuite(name=COVERAGE, expectations=expectations)


def with_row_checks(bars: pd.DataFrame, context: pd.DataFrame, actions: pd.DataFrame, jump_fail_bps: float) -> pd.DataFrame:
    """`bars` plus the columns that the row suite looks at.

    `body_high` and `body_low` are the extremes of open and close (less rounding), `copy` numbers identical rows, `trades` says
    whether the exchange trades that day, and the columns in `_bps` come from `ingestion.jumps`. `context` holds earlier
    bars of the same symbols, which the moves are measured against.
    """
    body = bars[["open", "close"]]
    history = pd.concat([part for part in (context, bars) if not part.empty] or [BARS.empty()])
    history = history.assign(row=[-1] * len(context) + list(bars.index))
    history = history.dropna(subset=["session"]).sort_values(["symbol", "session"], kind="stable", ignore_index=True)
    moves = pd.DataFrame(
        {
            "row": history["row"],
            "move_bps": moves_bps(history),
            "unexplained_bps": unexplained_bps(history, actions, fail_bps=jump_fail_bps),
            "given_back_bps": given_back_bps(history, fail_bps=jump_fail_bps),
        }
    )
    checked = bars.assign(
        body_high=body.max(axis=1, skipna=False) * (1 - ROUNDING),
        body_low=body.min(axis=1, skipna=False) * (1 + ROUNDING),
        copy=bars.groupby(list(BARS.columns), dropna=False, sort=False).cumcount(),
        trades=_trades(bars),
    ).join(moves[moves["row"] >= 0].set_index("row"))
    return checked.fillna(dict.fromkeys(moves.columns.drop("row"), 0.0))  # a row without a session follows no other


VERDICT = ("body_high", "body_low", "copy", "trades", "move_bps", "unexplained_bps")


def verdict_columns(bars: pd.DataFrame, jump_fail_bps: float) -> pd.DataFrame:
    """Return the computed columns by which each row is kept or refused, for the leakage check: they know no later row."""
    return with_row_checks(bars, BARS.empty(), NO_ACTIONS, jump_fail_bps)[list(VERDICT)]


def coverage(bars: pd.DataFrame, expected: Iterable[str], session: dt.date) -> pd.DataFrame:
    """One row a symbol: bars, the dates missing between first and last, and how many sessions the last is behind `session`."""
    days = {str(symbol): pd.DatetimeIndex(rows) for symbol, rows in bars.groupby("symbol")["session"]}
    return pd.DataFrame([_cover(symbol, days.get(symbol), session) for symbol in sorted({*days, *expected})])


def _cover(symbol: str, days: pd.DatetimeIndex | None, session: dt.date) -> dict[str, Any]:
    if days is None:
        none: dict[str, Any] = {
            "symbol": symbol,
            "bars": 0,
            "last": "",
            "missing": [],
            "missing_sessions": 0,
            "sessions_behind": None,
        }
        return {**none, "longer": "", "longer_bars": 0}
    exchange = calendar_name(symbol)
    missing = sessions_between(days.min().date(), days.max().date(), exchange).difference(days)
    longer = long_bars(days, exchange)
    behind = sessions_between(days.max().date(), session, exchange)
    return {
        "symbol": symbol,
        "bars": len(days),
        "last": str(days.max().date()),
        "missing": [str(day.date()) for day in missing],
        "missing_sessions": len(missing),
        "sessions_behind": int((behind > days.max()).sum()),
        "longer": str(longer or ""),
        "longer_bars": int(longer is not None),
    }


def _meta(says: str) -> dict[str, str]:
    return {"says": says}


def _value_expectations() -> list[Expectation]:
    not_null = [
        gxe.ExpectColumnValuesToNotBeNull(column=column, meta=_meta(f"{column} is {READABLE.get(column, NUMBER)}"))
        for column in BARS.columns
    ]
    types = [
        gxe.ExpectColumnValuesToBeOfType(column=column, type_=dtype, meta=_meta(f"{column} is {dtype}"))
        for column, dtype in BARS.columns.items()
        if dtype == "float64"
    ]
    positive = [
        gxe.ExpectColumnValuesToBeBetween(
            column=column, min_value=0, strict_min=True, max_value=1e9, meta=_meta(f"{column} is above 0 and finite")
        )
        for column in PRICES
    ]
    volume = gxe.ExpectColumnValuesToBeBetween(column="volume", min_value=0, max_value=1e15, meta=_meta("volume is 0 or more"))
    return [*not_null, *types, *positive, volume]


def _shape_expectations() -> list[Expectation]:
    return [
        gxe.ExpectColumnPairValuesAToBeGreaterThanB(
            column_A="high",
            column_B="body_high",
            or_equal=True,
            ignore_row_if="either_value_is_missing",
            meta=_meta("high is at or above open and close"),
        ),
        gxe.ExpectColumnPairValuesAToBeGreaterThanB(
            column_A="body_low",
            column_B="low",
            or_equal=True,
            ignore_row_if="either_value_is_missing",
            meta=_meta("low is at or below open and close"),
        ),
        gxe.ExpectColumnValuesToBeInSet(column="copy", value_set=[0], meta=_meta("a row comes once (the first is kept)")),
        gxe.ExpectCompoundColumnsToBeUnique(
            column_list=["symbol", "session", "copy"],
            ignore_row_if="any_value_is_missing",
            meta=_meta("a session has one bar (none of several different ones is kept)"),
        ),
    ]


def _session_expectations(session: dt.date) -> list[Expectation]:
    return [
        gxe.ExpectColumnValuesToBeInSet(column="trades", value_set=[True], meta=_meta("the exchange trades on the date")),
        gxe.ExpectColumnValuesToBeBetween(
            column="session", max_value=pd.Timestamp(session), meta=_meta(f"no bar is newer than {session}")
        ),
    ]


def _jump_expectations(fail_bps: float) -> list[Expectation]:
    return [
        gxe.ExpectColumnValuesToBeBetween(
            column="unexplained_bps",
            min_value=-fail_bps,
            max_value=fail_bps,
            meta=_meta(f"no move over {fail_bps:g} bps looks like a missed split"),
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="move_bps",
            min_value=-fail_bps,
            max_value=fail_bps,
            severity=FailureSeverity.WARNING,
            meta=_meta(f"moves over {fail_bps:g} bps are worth a look"),
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="given_back_bps",
            min_value=-fail_bps,
            max_value=fail_bps,
            severity=FailureSeverity.WARNING,
            meta=_meta("a large move that the next close gave back may be a wrong tick; it is kept"),
        ),
    ]


def _trades(bars: pd.DataFrame) -> pd.Series:
    """Return for each row True when its session is one of its exchange; rows without symbol or session have other reasons."""
    trades = bars[["symbol", "session"]].isna().any(axis=1)
    dated = bars[~trades]
    for exchange, rows in dated["session"].groupby(dated["symbol"].map(calendar_name)):
        trades.loc[rows.index] = rows.isin(sessions_between(rows.min().date(), rows.max().date(), str(exchange)))
    return trades
