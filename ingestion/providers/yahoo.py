"""Bars from Yahoo Finance through yfinance, with retries, partial failure and refusal of unfinished bars.

One request a symbol, as `yfinance.download` makes them too, a few at a time. `Ticker.history` is called instead of `download`
because `download` only logs why a symbol failed; here the reason reaches the caller.
"""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd
import peewee
import structlog
import tenacity
import yfinance as yf
from curl_cffi import requests
from yfinance.data import YfData
from yfinance.exceptions import YFDataException, YFException, YFRateLimitError

from core.errors import RetryLater
from core.frames import ACTIONS, BARS, SESSION
from core.sessions import calendar_name, last_closed_session
from core.settings import DEFAULT_UNIVERSE
from ingestion.normalise import symbol_name, to_bars
from ingestion.providers.base import Download
from ingestion.providers.yahoo_instruments import fields_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

log = structlog.get_logger()


class ServerFault(OSError):
    """Yahoo answered 5xx. An `OSError`, so that yfinance treats it as passing and not as a delisted symbol."""


# ValueError: a page where JSON was expected. OperationalError: yfinance's cache file, busy in another process.
TRANSIENT = (OSError, YFRateLimitError, YFDataException, ValueError, peewee.OperationalError)
Answer = TypeVar("Answer")
MALFORMED = (YFException, LookupError, TypeError, AttributeError)


class _Session(requests.Session):  # type: ignore[type-arg]
    """yfinance reads a 5xx answer as "no data" and keeps it in its cache; raising here prevents both."""

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the SDK's signature
        response = super().request(method, url, *args, **kwargs)  # type: ignore[arg-type]
        if response.status_code >= 500:  # noqa: PLR2004
            raise ServerFault(f"Yahoo answered {response.status_code}")
        return response


def _utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class YahooProvider:
    """Daily bars, splits and dividends from Yahoo Finance.

    Parameters
    ----------
    now
        The clock; a bar whose session has not closed by then is left out.
    threads
        Symbols asked for at the same time.
    attempts
        Tries a symbol; between them waits of `wait_seconds`, doubled each time, plus up to as much at random.
    cache_dir
        Where yfinance keeps its time zones and cookies; its own default when None.
    """

    name = "yfinance"
    default_universe = DEFAULT_UNIVERSE

    def __init__(
        self,
        *,
        now: Callable[[], dt.datetime] = _utc_now,
        threads: int = 4,
        attempts: int = 4,
        wait_seconds: float = 1.0,
        timeout_seconds: float = 15.0,
        cache_dir: Path | None = None,
    ) -> None:
        self.now = now
        self.threads = threads
        self.attempts = attempts
        self.wait_seconds = wait_seconds
        self.timeout_seconds = timeout_seconds
        self.cache_dir = cache_dir

    def fetch(self, symbols: Sequence[str], start: dt.date, end: dt.date) -> Download:
        """See `Provider.fetch`. Prices are split-adjusted and not dividend-adjusted; `adj_close` is both.

        Raises
        ------
        RetryLater
            No symbol brought a bar and at least one failed for a passing reason.
        """
        self.connect()
        names = list(dict.fromkeys(symbol_name(symbol) for symbol in symbols))
        with ThreadPoolExecutor(max_workers=self.threads) as pool:
            answers = list(pool.map(partial(self._ask, start=start, end=end), names))
        histories = {name: answer for name, answer in zip(names, answers, strict=True) if isinstance(answer, pd.DataFrame)}
        errors = {name: answer for name, answer in zip(names, answers, strict=True) if isinstance(answer, Exception)}
        failed = {name: reason(error) for name, error in errors.items()}
        failed |= {name: f"no bar between {start} and {end}" for name, history in histories.items() if history.empty}
        log.info("yahoo_fetched", symbols=len(names), delivered=len(names) - len(failed), failed=failed)
        if len(failed) == len(names) and any(isinstance(error, TRANSIENT) for error in errors.values()):
            raise RetryLater(f"Yahoo delivered none of {len(names)} symbols: {failed}. Run the step again later.")
        return _download(histories, failed)

    def connect(self) -> None:
        """Set yfinance up: its cache, errors that are raised and not logged, a session that knows a server's fault."""
        if self.cache_dir is not None:
            self.cache_dir.mkdir(parents=True, exist_ok=True)
            yf.set_tz_cache_location(str(self.cache_dir))
            yf.cache.get_tz_cache().lookup("")  # opens the cache's file before the threads would all at once
        yf.config.debug.hide_exceptions = False
        YfData(session=_Session(impersonate="chrome"))
        YfData.cache_get.cache_clear()  # else a rerun in this process would be answered from memory, revisions unseen

    def _ask(self, symbol: str, start: dt.date, end: dt.date) -> pd.DataFrame | Exception:
        """History of one symbol, or the error that ended the last attempt: one symbol never stops the others."""
        history = self.try_often(symbol, partial(self._history, symbol, start, end))
        if isinstance(history, Exception):
            return history
        return self._finished(symbol, history, start, end)

    def try_often(self, symbol: str, call: Callable[[], Answer]) -> Answer | Exception:
        """The answer to a call about one symbol, or the error that ended the last of `attempts`."""
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self.attempts),
            wait=tenacity.wait_exponential_jitter(initial=self.wait_seconds, max=60, jitter=self.wait_seconds),
            retry=tenacity.retry_if_exception_type(TRANSIENT),
            before_sleep=partial(_log_retry, symbol),
            reraise=True,
        )
        try:
            return retrying(call)
        except (*TRANSIENT, *MALFORMED) as error:
            return error

    def _history(self, symbol: str, start: dt.date, end: dt.date) -> pd.DataFrame:
        ticker = yf.Ticker(symbol)
        history: pd.DataFrame = ticker.history(
            start=start.isoformat(),
            end=(end + dt.timedelta(days=1)).isoformat(),  # Yahoo's end is exclusive
            interval="1d",
            auto_adjust=False,
            actions=True,
            keepna=True,  # a bar without prices is quarantined, not lost
            timeout=self.timeout_seconds,
        )
        history.attrs["instrument"] = fields_of(ticker.history_metadata or {}, symbol)
        return history

    def _finished(self, symbol: str, history: pd.DataFrame, start: dt.date, end: dt.date) -> pd.DataFrame:
        """Rows from `start` to `end` whose session has closed; the index becomes tz-naive sessions."""
        sessions = pd.DatetimeIndex([pd.Timestamp(stamp.date()) for stamp in history.index]).astype(SESSION)
        last = last_closed_session(self.now(), calendar_name(symbol))
        unfinished = sessions > pd.Timestamp(last)
        if unfinished.any():
            refused = [str(day.date()) for day in sessions[unfinished]]
            log.info("unfinished_bar_refused", symbol=symbol, sessions=refused, last_closed=str(last))
        inside = (sessions >= pd.Timestamp(start)) & (sessions <= pd.Timestamp(end)) & ~unfinished
        finished = history.set_axis(sessions, axis=0)[inside]
        finished.attrs = history.attrs
        return finished


def _log_retry(symbol: str, state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("yahoo_retry", symbol=symbol, attempt=state.attempt_number, error=repr(error))


def reason(error: Exception) -> str:
    """An error in a line: its class and what it says."""
    return f"{type(error).__name__}: {error}"


def _download(histories: dict[str, pd.DataFrame], failed: dict[str, str]) -> Download:
    filled = {name: history for name, history in histories.items() if not history.empty}
    if not filled:
        return Download(BARS.empty(), ACTIONS.empty(), failed)
    bars = pd.concat([to_bars(history, name) for name, history in filled.items()], ignore_index=True)
    actions = pd.concat([_actions(name, history) for name, history in filled.items()], ignore_index=True)
    bars = bars.sort_values(["symbol", "session"], kind="stable", ignore_index=True)
    instruments = {name: history.attrs["instrument"] for name, history in filled.items()}
    return Download(bars, ACTIONS.coerce(actions), failed, instruments=instruments)


def _actions(symbol: str, history: pd.DataFrame) -> pd.DataFrame:
    """Splits (new shares per old) and dividends (currency a share) of one symbol's history."""
    columns = {"Stock Splits": "split", "Dividends": "dividend"}
    parts = [ACTIONS.empty()]
    for column, kind in columns.items():
        values = history[column][history[column] > 0]
        if not values.empty:
            parts.append(pd.DataFrame({"symbol": symbol, "session": values.index, "kind": kind, "value": values.to_numpy()}))
    return pd.concat([part for part in parts if not part.empty] or parts, ignore_index=True).astype(dict(ACTIONS.columns))
