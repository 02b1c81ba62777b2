"""Figures of a book's recent record that its limits are compared with: drawdown, entries, losses, checks, promises."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from core.book_events import TRANSFERS, BookEvent
from core.deployments import Deployment
from core.sessions import calendar_name, close_of, joint_sessions, last_closed_session, sessions_between
from core.settings import Settings
from monitoring.performance.checks import check_gap
from monitoring.performance.comparisons import LiveRecord, compare_frequency
from monitoring.performance.expectation import SUM, session_numbers
from monitoring.performance.findings import Finding
from pipeline.execution.entry_blocks import EntryBlocks
from pipeline.resources import Resources
from pipeline.risk.performance import promises_of
from pipeline.views.equity import measured
from pipeline.views.money.held import HeldNow
from pipeline.views.risk.held_figures import Most
from storage.trading.guard_findings import GuardFindings
from storage.views.book_figures import BookFigures, Close, Window
from storage.views.heartbeat_points import HeartbeatPoints

PERCENT = 100.0
ONE_DAY = dt.timedelta(days=1)
LONGEST_CLOSURE = dt.timedelta(days=10)  # no exchange is shut for longer
TWO_WINDOWS = dt.timedelta(days=600)  # of the test of the frequency, and a margin
NO_CLOSE = "No close of the book is on record."


@dataclass(frozen=True)
class Drawdown:
    """Percent under the peak, and what it was measured on; None without a value on record."""

    pct: float | None
    note: str


@dataclass(frozen=True)
class BookRecent:
    """The recent record of a book.

    Attributes
    ----------
    now
        Drawdown as the monitor measures it: of the newest heartbeat, or of the newest close where that is newer.
    closes
        Drawdown of the newest close under the highest close, transfers left aside.
    equity_pct
        Value of the book in percent of what it started with.
    entries
        Largest number of entries of one sleeve for the newest session that any was ordered for.
    since_loss
        Fewest sessions since a losing trade ended, with its sleeve and symbol; None without a recent loss.
    heartbeat_age_seconds
        None before the first.
    blocked
        Symbols whose entries data-guard blocks, with the faults in words.
    spread_bps
        Widest spread that was found too wide; None when none was.
    blocks
        Reasons why nothing may be opened.
    trades, winners
        Finished in the days of the win rate.
    frequency, gap
        Comparisons of the entries with the deployment's promise.
    """

    now: Drawdown
    closes: Drawdown
    equity_pct: float | None
    entries: Most | None
    since_loss: Most | None
    heartbeat_age_seconds: float | None
    blocked: Mapping[str, str]
    spread_bps: Most | None
    blocks: tuple[str, ...]
    trades: int
    winners: int
    frequency: Sequence[Finding]
    gap: Sequence[Finding]


@dataclass(frozen=True)
class RecentReader:
    """Reads the recent record of a book.

    Attributes
    ----------
    now
        The present moment (aware).
    symbols
        Symbols that may be entered.
    """

    figures: BookFigures
    beats: HeartbeatPoints
    guard: GuardFindings
    blocks: EntryBlocks
    settings: Settings
    deployment: Deployment | None
    symbols: Sequence[str]
    now: dt.datetime

    @classmethod
    def of(cls, resources: Resources) -> Self:
        """Build for the book of a desk."""
        return cls(
            resources.book_figures,
            resources.heartbeat_points,
            resources.guard_findings,
            EntryBlocks.of(resources),
            resources.settings,
            resources.deployment,
            resources.universe(),
            resources.clock(),
        )

    def read(self, book: str, held: HeldNow) -> BookRecent:
        """Return the record, up to the newest close."""
        closes, beat = self.figures.closes(book), self.beats.newest([book]).get(book)
        day = closes[-1].session if closes else last_closed_session(self.now)
        initial, equity = held.books[book], held.equity_usd(book)
        at_close = drawdown_of(closes, self.figures.events([book]), initial)
        blocked, spread = self._findings(day)
        trades, winners = self._won(book, day)
        frequency, gap = self._promised(book, held, closes, day)
        return BookRecent(
            now=drawdown_now(beat, closes) or at_close,
            closes=at_close,
            equity_pct=PERCENT * equity / initial if equity is not None and initial else None,
            entries=self._most_entries(book, day),
            since_loss=self._fewest_since_loss(book, day),
            heartbeat_age_seconds=None if beat is None else (self.now - beat["at"]).total_seconds(),
            blocked=blocked,
            spread_bps=spread,
            blocks=tuple(self.blocks.reasons(self.now.date())),
            trades=trades,
            winners=winners,
            frequency=frequency,
            gap=gap,
        )

    def _most_entries(self, book: str, day: dt.date) -> Most | None:
        ordered = self.figures.entries_ordered([book], day - LONGEST_CLOSURE)
        newest = max((session for _, _, session in ordered), default=None)
        return max((Most(count, sleeve) for (_, sleeve, on), count in ordered.items() if on == newest), default=None)

    def _fewest_since_loss(self, book: str, day: dt.date) -> Most | None:
        sessions = self.settings.risk.cool_down_sessions or 1
        losses = self.figures.last_losses([book], day - 2 * sessions * ONE_DAY - LONGEST_CLOSURE)
        since = [
            Most(len(sessions_between(ended, day, calendar_name(symbol))) - 1, f"{sleeve} {symbol}")
            for (_, sleeve, symbol), ended in losses.items()
            if ended <= day
        ]
        return min(since, default=None)

    def _won(self, book: str, day: dt.date) -> tuple[int, int]:
        """Return the number of trades that finished in the days of the win rate, and of the winners among them."""
        window = Window(book, day - self.settings.performance.window_days * ONE_DAY, day)
        figures = self.figures.trades([window])[window].values()
        return sum(each.trades for each in figures), sum(each.winners for each in figures)

    def _findings(self, day: dt.date) -> tuple[dict[str, str], Most | None]:
        """Return the symbols that data-guard blocks with the faults in words, and the widest spread that was too wide."""
        last, strict = self.guard.last(day, self.symbols), self.settings.guard.mode == "strict"
        blocked = {
            symbol: ", ".join(each["rule"] for each in found)
            for symbol, found in last.items()
            if any(strict or each["severity"] == "fail" for each in found)
        }
        spreads = [
            Most(each["found"], symbol)
            for symbol, found in last.items()
            for each in found
            if each["rule"] == "spread" and each["found"] is not None
        ]
        return blocked, max(spreads, default=None)

    def _promised(self, book: str, held: HeldNow, closes: Sequence[Close], day: dt.date) -> tuple[list[Finding], list[Finding]]:
        """Compare the frequency of the entries and the present gap with what the backtest promised, as the watch does."""
        promises = promises_of(self.deployment)
        if not closes or not promises:
            return [], []
        entries = [(sleeve, session) for _, sleeve, session in self.figures.entered([book], day - TWO_WINDOWS)]
        entries += [(each.strategy, each.entry_session) for each in held.positions if each.portfolio == book]
        symbols = self.deployment.symbols if self.deployment else ()
        sessions = joint_sessions(closes[0].session, day, {calendar_name(symbol) for symbol in symbols} or {"XNYS"})
        sleeves = sorted(set(promises) - {SUM})
        judged = [SUM, *sleeves] if len(sleeves) > 1 else [SUM]
        level = self.settings.performance.false_alarms_pct / PERCENT / len(judged)
        frequency, gap = [], []
        for sleeve in judged:
            promise = promises.get(sleeve) or (promises.get(sleeves[0]) if len(sleeves) == 1 else None)
            on = pd.Series(pd.to_datetime([session for name, session in entries if sleeve in {SUM, name}]))
            days = np.sort(np.clip(session_numbers(on, sessions), 0, len(sessions) - 1))
            record = LiveRecord(np.empty(0), np.empty(0, dtype=np.int64), days, np.empty(0), len(sessions))
            frequency.append(compare_frequency(record, promise, sleeve, level=level))
            gap.append(check_gap(record.waiting_sessions, len(days), promise, sleeve))
        return frequency, gap


def drawdown_now(beat: Mapping[str, Any] | None, closes: Sequence[Close]) -> Drawdown | None:
    """Return the drawdown of the newest heartbeat; None before the first, and where a close is newer."""
    if beat is None or (closes and beat["at"] < close_of(closes[-1].session)):
        return None
    return Drawdown(beat["drawdown_pct"], f"Of the heartbeat at {beat['at']:%Y-%m-%d %H:%M} UTC.")


def drawdown_of(closes: Sequence[Close], events: Sequence[BookEvent], initial_usd: float | None) -> Drawdown:
    """Return the drawdown of the newest close under the highest, the initial equity and transfers counted in."""
    if not closes:
        return Drawdown(None, NO_CLOSE)
    points = [*closes] if initial_usd is None else [Close(closes[0].session - ONE_DAY, initial_usd), *closes]
    moved = [each for each in events if each.kind in TRANSFERS]
    _, drawdown = measured(
        np.array([each.session for each in points], "datetime64[D]"),
        np.array([each.equity_usd for each in points], dtype=np.float64),
        np.array([each.session for each in moved], "datetime64[D]"),
        np.array([float(each.cash_usd) for each in moved], dtype=np.float64),
    )
    return Drawdown(float(drawdown[-1]), f"Of the close of {closes[-1].session}.")
