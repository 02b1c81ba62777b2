"""Bring the frames of every source to one shape.: spelling of symbols, dtypes and sessions.

Text that is no number becomes NaN and text that is no date NaT: validation refuses those rows with a reason.
"""

from __future__ import annotations

import pandas as pd
import structlog

from core.errors import DataError
from core.frames import BARS, PRICES, SESSION
from core.sessions import calendar, calendar_name, normalise_symbol

log = structlog.get_logger()

_COLUMNS = {
    "date": "session",
    "datetime": "session",
    "time": "session",
    "timestamp": "session",
    "ts": "session",
    "ticker": "symbol",
    "adjclose": "adj_close",
    "adj": "adj_close",
}
_INDICES = {"VIX": "^VIX"}


def symbol_name(symbol: str) -> str:
    """One spelling a symbol; index names that sources write without a caret get it.

    >>> [symbol_name(s) for s in ("btcusd", "BRK.B", "vix")]
    ['BTC-USD', 'BRK-B', '^VIX']
    """
    name = normalise_symbol(symbol)
    return _INDICES.get(name, name)


def column_name(column: object) -> str:
    """The schema's name of a source's column.

    >>> [column_name(c) for c in ("Adj Close", "Date", "OPEN", "adjclose")]
    ['adj_close', 'session', 'open', 'adj_close']
    """
    name = str(column).strip().lower().replace(" ", "_").replace("-", "_")
    return _COLUMNS.get(name, name)


def sessions_of(stamps: pd.Series, exchange: str = "XNYS") -> pd.Series:
    """The session each stamp belongs to, a tz-naive midnight; NaT where a stamp is unreadable.

    A naive stamp, or one at midnight UTC, is the label of a date. Any other aware stamp is an instant and takes the date it
    has at the exchange, so that 05:00 UTC in winter and 04:00 UTC in summer are both New York's midnight.
    """
    if not isinstance(stamps.dtype, pd.DatetimeTZDtype) and not pd.api.types.is_datetime64_dtype(stamps.dtype):
        stamps = _parse(stamps)
    if not isinstance(stamps.dtype, pd.DatetimeTZDtype):
        return pd.Series(stamps.dt.normalize(), dtype=SESSION)
    utc = stamps.dt.tz_convert("UTC")
    labels = utc.dt.tz_localize(None)
    local = utc.dt.tz_convert(calendar(exchange).tz).dt.tz_localize(None)
    labelled = labels == labels.dt.normalize()
    return pd.Series(labels.where(labelled, local).dt.normalize(), dtype=SESSION)


def to_bars(raw: pd.DataFrame, symbol: str | None = None) -> pd.DataFrame:
    """Bring a source's frame to the columns, dtypes and order of `core.frames.BARS`, without judging its values.

    Parameters
    ----------
    raw
        Any number of rows with a date column (or index) and at least `close`. Open, high and low default to the close, the
        adjusted close to the close, the volume to 0; each default is logged.
    symbol
        Symbol of every row, where `raw` has no symbol column.

    Raises
    ------
    DataError
        No date, symbol or close column.
    """
    frame = raw.rename(columns=column_name)
    if "session" not in frame:
        frame = frame.rename_axis(index="session").reset_index()
    if symbol is not None:
        frame = frame.assign(symbol=symbol)
    missing = [column for column in ("symbol", "session", "close") if column not in frame]
    if missing:
        raise DataError(f"Expected columns symbol, date and close, found {list(raw.columns)}: no {', '.join(missing)}.")
    frame = _fill_columns(frame)
    names = {name: symbol_name(str(name)) for name in frame["symbol"].dropna().unique()}
    frame["symbol"] = frame["symbol"].map(names).astype(object)
    frame["session"] = _sessions(frame)
    for column in (*PRICES, "adj_close", "volume"):
        frame[column] = pd.to_numeric(frame[column], errors="coerce").astype("float64")
    return frame[list(BARS.columns)].sort_values(["symbol", "session"], kind="stable", ignore_index=True)


def _parse(stamps: pd.Series) -> pd.Series:
    parsed = pd.to_datetime(stamps, errors="coerce", format="ISO8601", utc=True)
    naive = not stamps.astype(str).str.contains(r"(?:Z|[+-]\d{2}:?\d{2})$", regex=True).any()
    return parsed.dt.tz_localize(None) if naive else parsed


def _fill_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns the source does not have, from the close; volume is 0."""
    absent = [column for column in (*PRICES, "adj_close", "volume") if column not in frame]
    if absent:
        symbols = sorted(map(str, frame["symbol"].unique()))
        log.debug("columns_filled", symbols=symbols, columns=absent, source="close, volume 0")
    return frame.assign(**{column: 0.0 if column == "volume" else frame["close"] for column in absent})


def _sessions(frame: pd.DataFrame) -> pd.Series:
    exchanges = frame["symbol"].map({name: calendar_name(name) for name in frame["symbol"].dropna().unique()})
    sessions = pd.Series(pd.NaT, index=frame.index, dtype=SESSION)
    for exchange, rows in frame["session"].groupby(exchanges):
        sessions.loc[rows.index] = sessions_of(rows, str(exchange))
    return sessions
