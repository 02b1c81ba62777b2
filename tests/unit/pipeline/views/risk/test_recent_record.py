"""The drawdown that limits are compared with."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from core.book_events import BookEvent, BookEventKind
from pipeline.views.risk.recent_record import Drawdown, drawdown_now, drawdown_of
from storage.views.book_figures import Close

DAY = dt.date(2018, 12, 14)


def test_a_heartbeat_counts_unless_a_close_is_newer() -> None:
    closes = [Close(DAY, 99_000.0)]
    at = dt.datetime(2018, 12, 14, 22, tzinfo=dt.UTC)

    newer = drawdown_now({"at": at, "drawdown_pct": 1.5}, closes)

    assert newer == Drawdown(1.5, "Of the heartbeat at 2018-12-14 22:00 UTC.")
    assert drawdown_now({"at": at - dt.timedelta(hours=3), "drawdown_pct": 1.5}, closes) is None
    assert drawdown_now(None, closes) is None


def test_the_drawdown_of_closes_starts_at_the_initial_equity_and_leaves_transfers_aside() -> None:
    days = [dt.date(2018, 12, day) for day in (12, 13, 14)]
    closes = [Close(day, usd) for day, usd in zip(days, (98_000.0, 99_000.0, 148_500.0), strict=True)]
    paid_in = BookEvent("1", "main", BookEventKind.DEPOSIT, days[2], cash_usd=Decimal(50_000))

    assert drawdown_of(closes[:2], [], 100_000.0).pct == pytest.approx(1.0)
    assert drawdown_of(closes[:2], [], None).pct == 0.0
    assert drawdown_of(closes, [paid_in], 100_000.0).pct == pytest.approx(1.0)
    assert drawdown_of([], [], 100_000.0) == Drawdown(None, "No close of the book is on record.")
