"""The equity that a drawdown is measured from, and whether an equity found now may be believed.

An equity that is no positive amount, or that neither the books nor what is held and traded explain, is reported and blocks
entries; nothing is sold for it. A person who resumes trading takes the account's value as it then is.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from core.book_events import TRANSFERS
from pipeline.accounts.valuation import cash_flow_at, transferred_usd
from trading.brokers.paper import PaperBroker
from trading.equity import EquityReferences, equity_doubt, is_amount

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from core.book_events import BookEvent
    from core.models import Position
    from pipeline.accounts.trading_account import TradingAccount
    from pipeline.resources import Resources
    from storage.trading.halts import Halts
    from storage.trading.heartbeats import Heartbeat, Heartbeats

UNREADABLE_EQUITY: Final = "unreadable_equity"  # among a heartbeat's breaches, and the reason of rows in `trading.risk_events`
LONG_AGO: Final = dt.datetime(1678, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class PeakEquity:
    """The peak that drawdown is measured from, which starts anew when a person resumes trading.

    Attributes
    ----------
    initial_usd
        Initial cash of the paper portfolio, which counts until the first resumption; None for an outside account.
    events
        Returns the book events of a portfolio: deposits and withdrawals among them move the peak.
    """

    portfolio: str
    halts: Halts
    heartbeats: Heartbeats
    initial_usd: float | None
    events: Callable[[str], Sequence[BookEvent]]

    @classmethod
    def of(cls, resources: Resources) -> Self:
        """Build from the desk's stores."""
        settings = resources.settings
        initial = float(settings.initial_cash_usd) if settings.venue.kind == "paper" else None
        return cls(settings.portfolio, resources.halts, resources.heartbeats, initial, resources.ledger.book_events)

    def value_usd(self) -> float:
        """Return the highest equity on record since a person last resumed trading, 0 without any."""
        resumed, transfers = self.resumed_at(), self.transfers()
        highest = self.heartbeats.peak_equity_usd(self.portfolio, resumed, transfers) or 0.0
        if resumed is not None or self.initial_usd is None:
            return highest
        return max(highest, self.initial_usd + transferred_usd(transfers))

    def transfers(self) -> list[BookEvent]:
        """Return the deposits and withdrawals of the portfolio."""
        return [event for event in self.events(self.portfolio) if event.kind in TRANSFERS]

    def resumed_at(self) -> dt.datetime | None:
        """Return when a person resumed trading; None while it is halted, or when it never was."""
        last = self.halts.current(self.portfolio)
        return last.created_at if last is not None and not last.halted else None


@dataclass(frozen=True)
class EquityBounds:
    """Holds an equity against the books and the values believed before."""

    account: TradingAccount
    peak: PeakEquity

    @classmethod
    def of(cls, resources: Resources) -> Self:
        """Build from the desk's account and stores."""
        return cls(resources.account, PeakEquity.of(resources))

    def doubt(
        self, equity_usd: float, positions: Sequence[Position], prices: Mapping[str, float], day: dt.date | None = None
    ) -> str | None:
        """Return why an equity is not believed, or None; see `trading.equity.equity_doubt`.

        Parameters
        ----------
        prices
            Last prices of the symbols held.
        day
            The session at whose close the equity was found; None: the present moment. Later closes say nothing about it.
        """
        absurd = [symbol for symbol in sorted({held.symbol for held in positions}) if not is_amount(prices[symbol])]
        if absurd:
            return f"expected a positive price of {absurd[0]}, found {prices[absurd[0]]}"
        values = [float(held.quantity) * prices[held.symbol] for held in positions]
        if equity_usd == 0 and not values and self.peak.value_usd() == 0:
            return None  # an account that is empty and always was
        beat, resumed = self._last_beat(), self.peak.resumed_at()
        closes = self._closes(day, resumed)
        earlier = (*([] if beat is None else [self._with_transfers(beat)]), *closes.values())
        moments = [*([] if beat is None else [beat.at]), *(dt.datetime.combine(each, dt.time(), dt.UTC) for each in closes)]
        since = min(moments, default=LONG_AGO)
        references = EquityReferences(
            earlier_usd=earlier,
            books_usd=self._books_usd(sum(values), day) if earlier or self._books_are_the_venue else None,
            gross_usd=max(sum(map(abs, values)), 0.0 if beat is None else beat.gross_usd),
            traded_usd=lambda: self._traded(since),
        )
        return equity_doubt(equity_usd, references)

    def _last_beat(self) -> Heartbeat | None:
        """Return the newest heartbeat since a person last resumed."""
        last, resumed = self.peak.heartbeats.last(self.account.portfolio), self.peak.resumed_at()
        return None if last is None or (resumed is not None and last.at <= resumed) else last

    def _with_transfers(self, beat: Heartbeat) -> float:
        """Return the equity of a heartbeat with the deposits and withdrawals recorded since."""
        since = [event for event in self.peak.transfers() if event.created_at is not None and event.created_at > beat.at]
        return beat.equity_usd + transferred_usd(since)

    def _closes(self, day: dt.date | None, resumed: dt.datetime | None) -> dict[dt.date, float]:
        """Return the last value on record at a close, before `day` and after a person resumed; empty without one."""
        history = self.account.ledger.equity(self.account.portfolio)
        sessions = history["session"].dt.date
        wanted = (sessions < (day or dt.date.max)) & (sessions > (dt.date.min if resumed is None else resumed.date()))
        found = history[wanted.to_numpy(dtype=bool)].tail(1)
        closes = zip(found["session"].dt.date, found["equity_usd"], strict=True)
        transfers = [event for event in self.peak.transfers() if day is None or event.session <= day]
        return {session: float(value) + transferred_usd(transfers, after=session) for session, value in closes}

    @property
    def _books_are_the_venue(self) -> bool:
        """True for the paper broker: at another venue other money may be in the account, and the first value is believed."""
        return self.account.broker.name == PaperBroker.name

    def _books_usd(self, held_usd: float, day: dt.date | None) -> float | None:
        """Return the initial cash, the fills' cash flow and the positions; None where the initial cash is not known."""
        initial = self.account.initial_cash_usd
        if initial is None:
            return None
        flow = cash_flow_at(self.account.ledger, self.account.portfolio, day or dt.date.max)
        return initial + float(flow) + held_usd

    def _traded(self, since: dt.datetime) -> float:
        """Return the notional of the fills after a moment."""
        fills = self.account.ledger.fills(self.account.portfolio)
        return sum(float(fill.quantity * fill.price) for _, fill in fills if fill.filled_at > since)
