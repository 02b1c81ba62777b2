"""Bring the frames of every source to one shape: one column a field, spelling of symbols, dtypes and sessions.

Text that is no number becomes NaN and text that is no date NaT: validation refuses those rows with a reason.
"""

from __future__ import annotations

import re
from typing import Final

import pandas as pd
import structlog

from core.errors import DataError
from core.frames import BARS, PRICES, SESSION
from core.sessions import calendar, calendar_name, normalise_symbol
from ingestion.cells import as_text, labels_and_instants, numbers

log = structlog.get_logger()

DATES: Final = ("session", "date", "datetime", "timestamp", "ts", "time")  # the first that a source has says the session
_COLUMNS = {
    **dict.fromkeys(DATES, "session"),
    "ticker": "symbol",
    "adjclose": "adj_close",
    "adj": "adj_close",
    "close_last": "close",
    "vol": "volume",
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

    >>> [column_name(c) for c in ("Adj Close", "Date", "OPEN", "adjclose", "<CLOSE>")]
    ['adj_close', 'session', 'open', 'adj_close', 'close']
    """
    name = _plain(column)
    return _COLUMNS.get(name, name)


def columns_of(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with the schema's names, one column a field.

    Several date columns (`Date` and `Time`) give the first of `DATES`. Of several columns of any other field (`ticker` and
    `symbol`, a header twice) the first is kept.

    Raises
    ------
    DataError
        Two columns of one field hold different values.
    """
    places: dict[str, list[int]] = {}
    for at, column in enumerate(frame.columns):
        places.setdefault(column_name(column), []).append(at)
    for field, several in places.items():
        if field == "session":
            several.sort(key=lambda at: DATES.index(_plain(frame.columns[at])))
        elif field in {*BARS.columns} and len(several) > 1:
            _require_agreement(frame, field, several)
    kept = frame.iloc[:, [several[0] for several in places.values()]]
    return kept.set_axis(list(places), axis=1)


def sessions_of(stamps: pd.Series, exchange: str = "XNYS") -> pd.Series:
    """The session each stamp belongs to, a tz-naive midnight; NaT where a stamp is unreadable.

    A naive stamp, or one at midnight (in its own zone or in UTC), is the label of a date. Any other aware stamp is an instant
    and takes the date it has at the exchange, so that 05:00 UTC in winter and 04:00 UTC in summer are both New York's midnight.
    """
    labels, instants = labels_and_instants(stamps)
    if instants.notna().any():
        local = instants.dt.tz_convert(calendar(exchange).tz).dt.tz_localize(None)
        labels = labels.fillna(local.dt.normalize())
    return pd.Series(labels, dtype=SESSION)


def to_bars(raw: pd.DataFrame, symbol: str | None = None) -> pd.DataFrame:
    """Bring a source's frame to the columns, dtypes and order of `core.frames.BARS`, without judging its values.

    Parameters are those of `parse_bars`.
    """
    return parse_bars(raw, symbol).sort_values(["symbol", "session"], kind="stable", ignore_index=True)


def parse_bars(raw: pd.DataFrame, symbol: str | None = None) -> pd.DataFrame:
    """Bring a source's frame to the columns and dtypes of `core.frames.BARS`, its rows in their order.

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
        No date, symbol or close column, or two columns of one field that disagree.
    """
    frame = columns_of(raw)
    if "session" not in frame:
        frame = frame.rename_axis(index="session").reset_index()
    if symbol is not None:
        frame = frame.assign(symbol=symbol)
    missing = [column for column in ("symbol", "session", "close") if column not in frame]
    if missing:
        raise DataError(f"Expected columns symbol, date and close, found {list(raw.columns)}: no {', '.join(missing)}.")
    frame = _fill_columns(frame)
    frame["symbol"] = _symbols(frame["symbol"])
    frame["session"] = _sessions(frame)
    for column in (*PRICES, "adj_close", "volume"):
        frame[column] = numbers(frame[column])
    return frame[list(BARS.columns)]


def _plain(column: object) -> str:
    return re.sub(r"[^a-z0-9]+", "_", str(column).strip().lower()).strip("_")


def _require_agreement(frame: pd.DataFrame, field: str, places: list[int]) -> None:
    first = frame.iloc[:, places[0]]
    for place in places[1:]:
        other = frame.iloc[:, place]
        if field == "symbol":
            differ = _symbols(first).fillna("") != _symbols(other).fillna("")
        else:
            differ = (as_text(first) != as_text(other)) & (numbers(first) != numbers(other))
        if differ.any():
            names, at = [str(frame.columns[each]) for each in (places[0], place)], int(differ.to_numpy().argmax())
            raise DataError(
                f"columns {names[0]!r} and {names[1]!r} both hold the {field} and disagree: "
                f"{first.iloc[at]!r} and {other.iloc[at]!r}. Remove one of them."
            )


def _symbols(column: pd.Series) -> pd.Series:
    """Return one spelling a symbol, None where there is none. `NA` and `NAN` are tickers."""
    text = column.astype(object).where(column.notna(), "").map(lambda value: str(value).strip())
    names = {name: symbol_name(name) if name else None for name in text.unique()}
    return text.map(names).astype(object)


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
