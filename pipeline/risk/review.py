"""Review a day's orders before they are recorded: build the inputs of the risk rules and store their findings.

Returns, volumes and prices are those of the bars up to the session; equity, positions and orders are the ledger's.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Self

import structlog

from core.models import Leg
from core.sessions import calendar_name, sessions_between
from pipeline.accounts import valuation
from pipeline.accounts.valuation import capital_usd, cash_usd
from pipeline.bars import CALENDAR_DAYS_PER_SESSION
from pipeline.risk.data_guard import DataGuard
from pipeline.risk.equity_bounds import UNREADABLE_EQUITY, EquityBounds, PeakEquity
from pipeline.risk.exit_orders import ExitOrders
from pipeline.risk.flatten import flatten_account
from pipeline.risk.kill_switch import DAILY_TRADE, KillSwitch
from pipeline.risk.monitor import DRAWDOWN, ENFORCE, RiskLimits
from pipeline.risk.objection import risk_event
from pipeline.signals import joint_name
from trading.brokers.base import unfenced
from trading.decide import Refusal
from trading.drawdown import Level, drawdown_pct
from trading.portfolio import account as value_account
from trading.portfolio import trades_of
from trading.risk_manager import CORRELATION_WARNING, RiskManager, RiskRules
from trading.risk_situation import Situation, lines_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    import pandas as pd

    from core.models import OrderIntent
    from core.settings import Settings
    from monitoring.alerts import Alerts
    from pipeline.accounts.trading_account import TradingAccount
    from pipeline.resources import Resources
    from storage.trading.ledger import Ledger
    from trading.brokers.base import Fence
    from trading.drawdown import DrawdownLimits
    from trading.order_check import Intents, OrderContext
    from trading.risk import Limits
    from trading.risk_manager import Finding

log = structlog.get_logger()


@dataclass(frozen=True)
class DrawdownBreach:
    """A drawdown that has reached the limit at which everything is sold."""

    limit_pct: float
    found_pct: float
    equity_usd: float
    peak_usd: float


@dataclass(frozen=True)
class MarketInputs:
    """Bars and newest closes of every symbol held, ordered or decided."""

    bars: pd.DataFrame
    prices: Mapping[str, float]


@dataclass(frozen=True)
class DrawdownReview:
    """Compares the equity at a close with its peak; alerts, and sells everything where MONITOR__MODE=enforce."""

    account: TradingAccount
    strategy: str
    limits: DrawdownLimits
    peak: PeakEquity
    mode: str
    switch: KillSwitch
    exits: ExitOrders
    alerts: Alerts
    fence: Fence

    @classmethod
    def of(cls, resources: Resources, fence: Fence = unfenced) -> Self:
        """Build from the desk's account and limits, and the fence of the lock it is used under."""
        return cls(
            account=resources.account,
            strategy=joint_name(resources.strategies),
            limits=RiskLimits.of(resources).drawdown,
            peak=PeakEquity.of(resources),
            mode=resources.settings.monitor.mode,
            switch=KillSwitch.of(resources),
            exits=ExitOrders.of(resources),
            alerts=resources.alerts,
            fence=fence,
        )

    def check(self, day: dt.date, equity_usd: float) -> DrawdownBreach | None:
        """Mail a drawdown that has reached a limit since the last close, once; return the breach that must be sold for.

        A row of the portfolio, without a symbol, records that it was mailed.
        """
        peak, portfolio = max(self.peak.value_usd(), equity_usd), self.account.portfolio
        level = self.limits.level(equity_usd, peak)
        if level is Level.OK:
            return None
        breach = DrawdownBreach(self.limits.halt_pct, drawdown_pct(equity_usd, peak), equity_usd, peak)
        row = {"portfolio": portfolio, "strategy": self.strategy, "symbol": "", "session": day}
        row |= {"reason": f"drawdown_{level}", "details": asdict(breach)}
        if self._is_new(day, level, peak) and self.account.ledger.save_risk_events([row]):
            self.alerts.send(
                f"{portfolio} is {breach.found_pct:.2f} % under its peak at the close of {day}",
                f"Equity ${equity_usd:,.2f}, peak ${peak:,.2f}. Breach at {breach.limit_pct:g} %, MONITOR__MODE={self.mode}.",
                "critical" if level is Level.HALT else "warning",
            )
        return breach if level is Level.HALT and self.mode == ENFORCE else None

    def sell(self, day: dt.date, breach: DrawdownBreach, intents: Intents, entries: Sequence[OrderIntent]) -> list[Refusal]:
        """Halt, cancel and flatten; drop the day's orders, and return a refusal of each new entry."""
        reason = f"drawdown {breach.found_pct:.2f} % at the close of {day} (limit {breach.limit_pct:g} %)"
        if self.switch.halt_reason() is None:
            self.switch.halt(reason, DAILY_TRADE)
        flatten_account(self.exits, reason, day=day, fence=self.fence)
        self.account.ledger.save_risk_events([risk_event(order, DRAWDOWN, asdict(breach)) for order in entries])
        log.warning("day_not_traded", session=str(day), reason=reason, dropped=len(intents))
        return [Refusal(order.strategy, order.symbol, day, DRAWDOWN) for order in entries]

    def _is_new(self, day: dt.date, level: Level, peak_usd: float) -> bool:
        """Return True unless the close before the session was at the same level."""
        closes = self.account.ledger.equity(self.account.portfolio)
        closes = closes[closes["session"].dt.date < day]
        return closes.empty or self.limits.level(float(closes["equity_usd"].iloc[-1]), peak_usd) is not level


@dataclass(frozen=True)
class RiskReview:
    """Checks a day's orders against drawdown, data-guard and the risk rules: a `trading.order_check.OrderCheck`.

    Attributes
    ----------
    data_guard
        None while GUARD__MODE=off.
    strict
        Warnings of data-guard block too.
    pauses
        A rule asks for the sessions since a loss.
    """

    account: TradingAccount
    rules: RiskManager
    bounds: EquityBounds
    drawdown: DrawdownReview
    data_guard: DataGuard | None
    strict: bool
    correlation_sessions: int
    volume_sessions: int
    pauses: bool

    @classmethod
    def of(cls, resources: Resources, fence: Fence = unfenced) -> Self:
        """Build from the desk's account, limits and rules, and the fence of the lock it is used under."""
        settings = resources.settings
        return cls(
            account=resources.account,
            rules=risk_manager(settings, resources.limits),
            bounds=EquityBounds.of(resources),
            drawdown=DrawdownReview.of(resources, fence),
            data_guard=None if settings.guard.mode == "off" else DataGuard.of(resources),
            strict=settings.guard.mode == "strict",
            correlation_sessions=settings.risk.correlation_sessions,
            volume_sessions=settings.risk.volume_sessions,
            pauses=settings.risk.cool_down_sessions is not None or settings.risk.rest_after_loss,
        )

    def __call__(self, context: OrderContext, intents: Intents) -> tuple[Intents, list[Refusal]]:
        """Check the orders decided at a session; orders on record pass as they are.

        New entries may become smaller or be refused, one refusal a symbol and rule; the rows with the numbers are stored. After
        a drawdown that sells everything nothing passes. On an equity that is not believed nothing is entered, and nothing sold.
        """
        day = context.session
        ledger, portfolio = self.account.ledger, self.account.portfolio
        orders = [order for order, _ in ledger.open_orders(portfolio)]
        positions = ledger.positions(portfolio)
        symbols = {each.symbol for each in (*orders, *intents)} | {position.symbol for position in positions}
        market = self._market(day, symbols)
        before = [order for order in orders if order.decision_session < day]
        equity = value_account(cash_usd(self.account), positions, before, market.prices).equity_usd
        entries = context.new_entries(intents)
        doubt = self.bounds.doubt(equity, positions, market.prices, day)
        if doubt is not None:
            return self._without_entries(day, doubt, intents, entries)
        breach = self.drawdown.check(day, equity)
        if breach is not None:
            return (), self.drawdown.sell(day, breach, intents, entries)
        if self.data_guard is not None and entries:
            self.data_guard.check(day, {order.symbol for order in entries}, strict=self.strict)
        ordered = [*orders, *(each for each in intents if not context.is_new(each))]
        session = max((order.session for order in intents), default=day)
        situation = Situation(
            equity_usd=equity,
            base_usd=capital_usd(self.account, day),
            prices=market.prices,
            lines=lines_of(positions, {order.client_order_id: order for order in ordered}.values(), market.prices),
            entries=entries_on_record(ledger, portfolio, day, session),
            returns=self._returns(market.bars),
            volume=self._mean_volume(market.bars),
            sessions_since_loss=sessions_since_loss(ledger, portfolio, day) if self.pauses else {},
        )
        new = [order for order in intents if context.is_new(order)]
        reviewed = self.rules.review(new, situation, first=ranking(ledger, day, {order.strategy for order in new}))
        self._save(day, reviewed.findings)
        passed = {order.client_order_id: order for order in reviewed.orders}
        going = {*context.on_record, *passed}
        kept = tuple(passed.get(each.client_order_id, each) for each in intents if each.client_order_id in going)
        refused = [each for each in reviewed.findings if each.refused]
        return kept, [Refusal(each.order.strategy, each.order.symbol, day, each.rule) for each in refused]

    def _save(self, day: dt.date, findings: Sequence[Finding]) -> None:
        """Store the findings; mail and log the warnings among them, once."""
        ledger, warned = self.account.ledger, [each for each in findings if each.rule == CORRELATION_WARNING]
        ledger.save_risk_events([risk_event(each.order, each.rule, each.details()) for each in findings if each not in warned])
        new = [each for each in warned if ledger.save_risk_events([risk_event(each.order, each.rule, each.details())])]
        if not new:
            return
        figures = {each.order.symbol: each.found for each in new}
        log.warning("entries_correlated", session=str(day), limit=new[0].limit, found=figures)
        words = [f"{symbol} {'unknown' if found is None else format(found, '.2f')}" for symbol, found in figures.items()]
        self.drawdown.alerts.send(
            f"Entries of {self.account.portfolio} move with positions: {', '.join(figures)}",
            f"Correlation of daily returns with a symbol held or ordered, at the close of {day}: {', '.join(words)}."
            f" RISK__WARN_CORRELATION is {new[0].limit:g}. The orders go on.",
        )

    def _without_entries(
        self, day: dt.date, doubt: str, intents: Intents, entries: Sequence[OrderIntent]
    ) -> tuple[Intents, list[Refusal]]:
        """Refuse the new entries of an equity that is not believed, and mail it once a session."""
        ledger, dropped = self.account.ledger, {order.client_order_id for order in entries}
        row = {"portfolio": self.account.portfolio, "strategy": self.drawdown.strategy, "symbol": "", "session": day}
        if ledger.save_risk_events([row | {"reason": UNREADABLE_EQUITY, "details": {"says": doubt}}]):
            text = f"At the close of {day}: {doubt}.\nNothing is entered, and nothing is sold for it. Look at the account."
            self.drawdown.alerts.send(f"The equity of {self.account.portfolio} is not believed", text, "critical")
        ledger.save_risk_events([risk_event(order, UNREADABLE_EQUITY, {"says": doubt}) for order in entries])
        kept = tuple(order for order in intents if order.client_order_id not in dropped)
        return kept, [Refusal(order.strategy, order.symbol, day, UNREADABLE_EQUITY) for order in entries]

    def _market(self, day: dt.date, symbols: set[str]) -> MarketInputs:
        """Read bars up to the session, as many as the longest window of a rule needs, and the newest closes."""
        sessions = max(self.correlation_sessions, self.volume_sessions)
        days = int(sessions * CALENDAR_DAYS_PER_SESSION) + 10
        bars = self.account.bars.read(sorted(symbols), start=day - dt.timedelta(days=days), end=day)
        return MarketInputs(bars, valuation.closing_prices(self.account.bars, symbols, day))

    def _returns(self, bars: pd.DataFrame) -> pd.DataFrame:
        closes = bars.pivot(index="session", columns="symbol", values="close")
        return closes.pct_change(fill_method=None).tail(self.correlation_sessions)

    def _mean_volume(self, bars: pd.DataFrame) -> dict[str, float]:
        recent = bars.groupby("symbol").tail(self.volume_sessions)
        return {str(symbol): float(shares) for symbol, shares in recent.groupby("symbol")["volume"].mean().items()}


def risk_manager(settings: Settings, limits: Limits) -> RiskManager:
    """Build the risk manager of the settings."""
    rules = RiskRules(**{each.name: getattr(settings.risk, each.name) for each in fields(RiskRules)})
    return RiskManager(limits, rules)


def entries_on_record(ledger: Ledger, portfolio: str, day: dt.date, session: dt.date) -> dict[str, int]:
    """Return by strategy the number of entries on record that were decided at `day` for `session`."""
    decided = [order for order, _ in ledger.orders_decided(portfolio, day)]
    strategies = [order.strategy for order in decided if order.leg is Leg.ENTRY and order.session == session]
    return {name: strategies.count(name) for name in strategies}


def sessions_since_loss(ledger: Ledger, portfolio: str, day: dt.date) -> dict[tuple[str, str], int]:
    """Return the sessions since the newest losing trade of each strategy and symbol ended."""
    trades = trades_of(ledger.fills(portfolio), ledger.book_events(portfolio))
    lost = trades[trades["pnl_usd"] < 0].sort_values("exit_session")
    return {
        (strategy, symbol): len(sessions_between(ended.date(), day, calendar_name(symbol))) - 1
        for strategy, symbol, ended in zip(lost["strategy"], lost["symbol"], lost["exit_session"], strict=True)
    }


def ranking(ledger: Ledger, day: dt.date, strategies: Collection[str]) -> Callable[[OrderIntent], float]:
    """Return the rank of candidates, as in `decide`: highest probability first; by strength without predictions.

    Parameters
    ----------
    strategies
        Those whose candidates are ranked; predictions of others, as of another deployment, do not count.
    """
    predictions = ledger.predictions(day)
    predictions = predictions[predictions["strategy"].isin(strategies)]
    rows, column = (predictions, "probability") if len(predictions) else (ledger.signals(day), "strength")
    ranks = {
        (strategy, symbol): float(value)
        for strategy, symbol, value in zip(rows["strategy"], rows["symbol"], rows[column], strict=True)
    }

    def rank(order: OrderIntent) -> float:
        value = ranks.get((order.strategy, order.symbol), math.nan)
        return -math.inf if math.isnan(value) else value

    return rank
