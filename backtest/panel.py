"""Bars and signals as arrays on one axis of sessions, as the kernels read them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd

from backtest.kernel import LineRules, Market
from backtest.single import Line
from core.errors import ConfigError, DataError
from core.frames import PRICES
from core.sessions import calendar_name, sessions_between
from trading.delistings import delistings_of
from trading.strategies.base import Prices, signals_of, standing

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from trading.strategies.base import Signals, Strategy

# Bars a year by size, on an exchange with 252 sessions of 6.5 hours and on one that never shuts.
BARS_A_YEAR: Final[Mapping[str, tuple[float, float]]] = {
    "1m": (252 * 390.0, 365 * 1440.0),
    "5m": (252 * 78.0, 365 * 288.0),
    "15m": (252 * 26.0, 365 * 96.0),
    "1h": (252 * 6.5, 365 * 24.0),
    "1d": (252.0, 365.0),
    "1wk": (52.0, 52.0),
    "1mo": (12.0, 12.0),
}


@dataclass(frozen=True)
class Panel:
    """Bars of some symbols, aligned once, for any number of backtests.

    Attributes
    ----------
    frames
        BARS of each symbol with a column `vix`. For bars of another size than a day, `session` is the bar's opening time (UTC,
        naive).
    symbols, sessions
        Rows and columns of the market's arrays.
    columns
        Of each symbol's bars.
    """

    frames: Mapping[str, pd.DataFrame]
    symbols: list[str]
    sessions: pd.DatetimeIndex
    columns: list[NDArray[np.int64]]
    market: Market
    timeframe: str

    @cached_property
    def prices(self) -> list[Prices]:
        """Prices of each symbol on its own bars, none missing between them."""
        return [self._prices_of(s) for s in range(len(self.symbols))]

    def _prices_of(self, s: int) -> Prices:
        """As `Prices.of` the symbol's frame, from the arrays that were read from it."""
        frame, at, market = self.frames[self.symbols[s]], self.columns[s], self.market
        vix = frame["vix"].to_numpy(dtype=np.float64) if "vix" in frame else np.full(len(at), np.nan)
        whole = len(at) == len(self.sessions)
        open_, high, low, close = (values[s] if whole else values[s, at] for values in market[: len(PRICES)])
        return Prices(open_, high, low, close, np.ascontiguousarray(vix))

    @property
    def bars_a_year(self) -> float:
        """For annualised figures: 252 sessions, or 365 as soon as one symbol trades around the clock."""
        around_the_clock = any(calendar_name(symbol) == "24/7" for symbol in self.symbols)
        return BARS_A_YEAR[self.timeframe][around_the_clock]

    def signals(self, strategy: Strategy, s: int) -> Signals:
        """A strategy's signals on the symbol of row `s`, one element a bar of that symbol."""
        return signals_of(strategy, self.frames[self.symbols[s]], self.prices[s])


def prepare(bars: Mapping[str, pd.DataFrame], timeframe: str = "1d", actions: pd.DataFrame | None = None) -> Panel:
    """Put every symbol's bars on the sessions of its own exchange, and those on one joint axis.

    Daily bars must fall on sessions of the exchange calendar; a session without a bar stays in, without prices, and so do those
    between a symbol's last bar and the end of the axis. Bars of any other size are taken as they come: their axis is every time
    at which some symbol has a bar, and a gap is no bar.

    Parameters
    ----------
    actions
        ACTIONS, of which the delistings of these symbols count. The axis ends with the last bar or the last delisting.

    Raises
    ------
    DataError
        When there are no bars, a daily bar falls on a day that is no session, or a delisting has no terms.
    """
    if not bars:
        raise DataError("Backtest: expected bars of one symbol or more, found none. Load some first: `desk ingest`.")
    if timeframe not in BARS_A_YEAR:
        raise ConfigError(f"Bar size: expected one of {', '.join(BARS_A_YEAR)}, found {timeframe!r}.")
    symbols = sorted(bars)
    days = [_days(symbol, bars[symbol]) for symbol in symbols]
    ends = _ends_of(symbols, days, actions)
    last = max(at[-1] for at in days)
    if ends:
        last = max(last, *(end.session for end in ends))
    own = [_own_sessions(symbol, at, last, timeframe) for symbol, at in zip(symbols, days, strict=True)]
    sessions = own[0] if len(own) == 1 else pd.DatetimeIndex(np.unique(np.concatenate([each.to_numpy() for each in own])))
    if ends and sessions.to_numpy()[-1] < last:  # bars of another size end before the last delisting
        sessions = sessions.union(pd.DatetimeIndex([last]))
    shape = (len(symbols), len(sessions))
    session_no = np.full(shape, -1, dtype=np.int64)
    prices = {name: np.full(shape, np.nan) for name in PRICES}
    columns = []
    for s, symbol in enumerate(symbols):
        places = _places(own[s].to_numpy(), sessions)
        if timeframe != "1d":  # after its last bar, whatever has a bar is its session
            places = np.append(places, np.arange(places[-1] + 1, len(sessions)))
        session_no[s, places] = np.arange(len(places))
        columns.append(_places(days[s], sessions))
        for name, values in prices.items():
            values[s, columns[s]] = bars[symbol][name].to_numpy()
    delisted, payout = _delisted_on(sessions, ends, len(symbols))
    market = Market(**prices, session_no=session_no, delisted=delisted, payout=payout)
    return Panel(bars, symbols, sessions, columns, market, timeframe)


class _End(NamedTuple):
    """A delisting of the symbol in row `row`: its session, and the cash a share."""

    row: int
    session: np.datetime64
    cash: float


def _ends_of(symbols: Sequence[str], days: Sequence[NDArray[np.datetime64]], actions: pd.DataFrame | None) -> list[_End]:
    """Return the delistings of symbols after their first bars, by session."""
    if actions is None:
        return []
    rows = {symbol: row for row, symbol in enumerate(symbols)}
    known = delistings_of(actions[actions["symbol"].isin(list(rows))])
    ends = [_End(rows[each.symbol], np.datetime64(each.session, "ns"), float(each.cash)) for each in known]
    return [end for end in ends if end.session > days[end.row][0]]


def _delisted_on(
    sessions: pd.DatetimeIndex, ends: Sequence[_End], symbols: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return `delisted` and `payout` of a `Market`."""
    if not ends:
        return np.empty((symbols, 0), np.int64), np.empty((symbols, 0))
    of_row = [[end for end in ends if end.row == row] for row in range(symbols)]
    shape = (symbols, max(map(len, of_row)))
    delisted, payout = np.full(shape, len(sessions), dtype=np.int64), np.full(shape, np.nan)
    for row, own in enumerate(of_row):
        for i, end in enumerate(own):
            delisted[row, i], payout[row, i] = np.searchsorted(sessions.to_numpy(), end.session), end.cash
    return delisted, payout


def _days(symbol: str, bars: pd.DataFrame) -> NDArray[np.datetime64]:
    """Sessions of the bars, in nanoseconds as the axes are."""
    if bars.empty:
        raise DataError(f"Backtest: expected bars of {symbol}, found none. Load some first: `desk ingest`.")
    days: NDArray[np.datetime64] = bars["session"].to_numpy(dtype="datetime64[ns]")
    return days


def _places(days: NDArray[np.datetime64], sessions: pd.DatetimeIndex) -> NDArray[np.int64]:
    """Columns of days that are all on the axis; most often they are the axis."""
    axis = sessions.to_numpy()
    return np.arange(len(axis)) if len(days) == len(axis) and (days == axis).all() else np.searchsorted(axis, days)


def _own_sessions(symbol: str, days: NDArray[np.datetime64], end: np.datetime64, timeframe: str) -> pd.DatetimeIndex:
    """Sessions of the symbol's exchange from its first bar to the end of the axis; for other sizes its bars."""
    if timeframe != "1d":
        return pd.DatetimeIndex(days)
    first, last = days[0].astype("datetime64[D]").item(), end.astype("datetime64[D]").item()
    sessions = _sessions(first, last, calendar_name(symbol))
    if len(days) == len(sessions) and (days == sessions.to_numpy()).all():
        return sessions
    strays = pd.DatetimeIndex(days).difference(sessions)
    if len(strays):
        raise DataError(
            f"Bars of {symbol}: expected sessions of {calendar_name(symbol)}, found {strays[0].date()}. Validate first."
        )
    return sessions


@lru_cache(maxsize=256)
def _sessions(first: dt.date, last: dt.date, calendar: str) -> pd.DatetimeIndex:
    return sessions_between(first, last, calendar)


def rules_of(panel: Panel, strategies: Sequence[Strategy]) -> LineRules:
    """Every strategy on every symbol of the panel as lines, sorted by strategy and symbol.

    One strategy's candidates are ranked by its own strength. With several, whose strengths have different units, each becomes
    the share of that strategy's earlier signals on the symbol that were weaker or as strong.
    """
    names = [strategy.name for strategy in strategies]
    if len(set(names)) < len(names):
        raise ConfigError(f"Strategies of a portfolio: expected different names, found {', '.join(sorted(names))}.")
    ordered = sorted(strategies, key=lambda strategy: strategy.name)
    shape = (len(ordered) * len(panel.symbols), len(panel.sessions))
    levels = [np.full(shape, np.nan) for _ in range(3)]
    masks = [np.zeros(shape, np.bool_) for _ in range(2)]
    entry = np.zeros(shape, np.int8)
    for i, strategy in enumerate(ordered):
        for s, at in enumerate(panel.columns):
            found, line = panel.signals(strategy, s), i * len(panel.symbols) + s
            strength = found.strength if len(ordered) == 1 else standing(found.entry, found.strength)
            for target, values in zip(
                (entry, *masks, *levels),
                (found.entry, found.exit_long, found.exit_short, found.stop_pct, found.target_pct, strength),
                strict=True,
            ):
                target[line, at] = values
    each = len(panel.symbols)
    exit_long, exit_short = masks
    stop_pct, target_pct, strengths = levels
    return LineRules(
        entry,
        exit_long,
        exit_short,
        stop_pct,
        target_pct,
        strengths,
        symbol=np.tile(np.arange(each), len(ordered)),
        max_sessions=np.repeat(np.array([strategy.max_sessions or 0 for strategy in ordered], np.int64), each),
        enters_at_open=np.repeat(np.array([strategy.entry == "open" for strategy in ordered]), each),
        exits_at_close=np.repeat(np.array([strategy.exit == "close" for strategy in ordered]), each),
    )


def line_of(panel: Panel, strategy: Strategy, s: int, first: int = 0) -> tuple[Line, Signals]:
    """One symbol's bars and one strategy's signals for `backtest.single`; no entry before column `first`."""
    found = panel.signals(strategy, s)
    if len(panel.columns[s]) != len(panel.sessions):  # sessions of others, or without a bar, lie between
        found = _spread(found, panel.columns[s], len(panel.sessions))
    market = panel.market
    entry = found.entry.copy()
    entry[:first] = 0
    line = Line(
        market.open[s],
        market.high[s],
        market.low[s],
        market.close[s],
        market.session_no[s],
        market.delisted[s],
        market.payout[s],
        entry,
        found.exit_long,
        found.exit_short,
        strategy.entry == "open",
        strategy.exit == "close",
    )
    return line, found


def _spread(signals: Signals, at: NDArray[np.int64], sessions: int) -> Signals:
    """Signals on the panel's axis; nothing is signalled where there is no bar."""
    spread = {}
    for name, values in signals._asdict().items():
        wide = np.full(sessions, np.nan if values.dtype == np.float64 else 0, values.dtype)
        wide[at] = values
        spread[name] = wide
    return type(signals)(**spread)
