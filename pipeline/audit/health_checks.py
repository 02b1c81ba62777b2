"""The checks of the desk's health: each takes what it looks at and returns what it found. None of them alerts."""

from __future__ import annotations

import datetime as dt
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core.models import FINAL, OrderState
from core.sessions import calendar_name, close_of, last_closed_session, sessions_between
from pipeline.sessions import NEW_YORK

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from core.models import OrderIntent
    from storage.airflow_tasks import WaitingTask

DAILY_LOAD: Final = dt.time(17)  # New York: `daily_market_data` begins
LOOK_BACK_DAYS: Final = 15
ANSWERS_WITHIN_SECONDS: Final = 5.0
NAMED: Final = 5  # symbols, orders or tasks that a line names
GB: Final = 1e9
PERCENT: Final = 100.0


@dataclass(frozen=True)
class Verdict:
    """Result of one check: as it should be or not, and the figures in words."""

    healthy: bool
    detail: str


def check_http(url: str) -> Verdict:
    """Request an address and expect status 200 within seconds."""
    import httpx

    try:
        answer = httpx.get(url, timeout=ANSWERS_WITHIN_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Verdict(False, f"does not answer at {_place(url)} ({type(error).__name__})")
    words = f"answers at {_place(url)}"
    return Verdict(True, words) if answer.is_success else Verdict(False, f"{words} with HTTP status {answer.status_code}")


def due_session(now: dt.datetime, grace_minutes: float) -> dt.date:
    """Return the newest session whose daily load must be done: 17:00 New York of its date, and the grace after it.

    >>> evening = dt.datetime(2024, 7, 3, 22, 59, tzinfo=dt.UTC)
    >>> [str(due_session(evening + dt.timedelta(minutes=minutes), 120.0)) for minutes in (0, 1)]
    ['2024-07-02', '2024-07-03']
    """
    newest = last_closed_session(now)
    loaded = dt.datetime.combine(newest, DAILY_LOAD, NEW_YORK) + dt.timedelta(minutes=grace_minutes)
    if now >= loaded:
        return newest
    return last_closed_session(close_of(newest) - dt.timedelta(seconds=1))


def check_bars(newest: Mapping[str, dt.date], symbols: Iterable[str], due: dt.date) -> Verdict:
    """Compare the newest bar of each symbol with the last session of its calendar up to the session that is due."""
    behind = [symbol for symbol in symbols if newest.get(symbol, dt.date.min) < _last_session(symbol, due)]
    if not behind:
        return Verdict(True, f"complete up to {due}")
    named = [f"{symbol} {newest.get(symbol, 'never loaded')}" for symbol in behind]
    return Verdict(False, f"expected bars up to {due}, found {len(behind)} symbols behind: {_some(named)}")


def check_features(last_event: dt.datetime | None, due: dt.date) -> Verdict:
    """Compare the newest feature row with the close of the session that is due."""
    if last_event is None:
        return Verdict(False, "expected features, found none stored")
    if last_event >= close_of(due):
        return Verdict(True, f"newest of {last_event:%Y-%m-%d}")
    return Verdict(False, f"expected features of {due}, found the newest of {last_event:%Y-%m-%d}")


def check_orders(
    open_orders: Sequence[tuple[OrderIntent, OrderState]],
    decided_at: Mapping[str, dt.datetime],
    *,
    unsent_before: dt.datetime,
    due: dt.date,
) -> Verdict:
    """Name orders that wait unsent since a moment or longer, and orders without an end from before the session that is due."""
    unsent = [
        order.client_order_id
        for order, state in open_orders
        if state is OrderState.INTENT and decided_at.get(order.client_order_id, unsent_before) <= unsent_before
    ]
    endless = [
        f"{order.client_order_id} ({state})"
        for order, state in open_orders
        if order.session < due and state not in FINAL and order.client_order_id not in unsent
    ]
    wrong = [f"{len(unsent)} unsent: {_some(unsent)}"] if unsent else []
    wrong += [f"{len(endless)} without an end since before {due}: {_some(endless)}"] if endless else []
    return Verdict(not wrong, "; ".join(wrong) or f"{len(open_orders)} open")


def check_tasks(waiting: Sequence[WaitingTask] | None, minutes: float) -> Verdict:
    """Name tasks of Airflow that wait too long for a worker."""
    if waiting is None:
        return Verdict(True, "no Airflow on this database server")
    if not waiting:
        return Verdict(True, f"no task waits for {minutes:g} min")
    named = [f"{each.dag_id}.{each.task_id} since {each.since:%Y-%m-%d %H:%M} UTC" for each in waiting]
    return Verdict(False, f"{len(waiting)} tasks wait for over {minutes:g} min: {_some(named)}")


def check_disk(folder: Path, min_free_gb: float, min_free_pct: float) -> Verdict:
    """Compare the free space of a folder's disk with its limits."""
    usage = shutil.disk_usage(folder)
    free_gb, free_pct = usage.free / GB, PERCENT * usage.free / usage.total
    words = f"{free_gb:.1f} GB free ({free_pct:.1f} %)"
    if free_gb >= min_free_gb and free_pct >= min_free_pct:
        return Verdict(True, words)
    return Verdict(False, f"{words}; expected {min_free_gb:g} GB and {min_free_pct:g} % at least")


def check_key_age(path: Path, now: dt.datetime, max_days: float | None) -> Verdict:
    """Compare the age of the installation's secrets file with its limit; it is written once, when it is made."""
    if max_days is None:
        return Verdict(True, "not checked: HEALTH__MAX_KEY_AGE_DAYS is not set")
    if not path.exists():
        return Verdict(True, "this installation has made no secrets")
    days = (now - dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC)).total_seconds() / 86_400
    words = f"the installation's secrets are {max(days, 0.0):.0f} days old"
    return Verdict(True, words) if days <= max_days else Verdict(False, f"{words}; expected at most {max_days:g}")


def _last_session(symbol: str, due: dt.date) -> dt.date:
    days = sessions_between(due - dt.timedelta(days=LOOK_BACK_DAYS), due, calendar_name(symbol))
    return days[-1].date() if len(days) else dt.date.min


def _some(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _place(url: str) -> str:
    """Return scheme, host and port of an address, without the password that may stand in it."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
