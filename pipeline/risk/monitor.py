"""The risk monitor: measures the portfolio's risk again and again, alerts, and enforces the limits where the mode says so.

Marked to the last prices: equity against its peak, gross and net exposure, value at risk. A breach is written into the
heartbeat and is an alert of kind `risk`; in the mode `enforce` it halts the desk, cancels the open orders and then flattens, in
this order. It sells once two checks in a row have found the breach: one wrong price must not. An equity that is not believed
(`pipeline.risk.equity_bounds`) is an alert and blocks entries; nothing is halted or sold for it.

A check that fails is logged, mailed once and tried again; `PRE_SEND__HEARTBEAT_MAX_AGE_SECONDS` holds entries back meanwhile.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import structlog
from sqlalchemy.exc import SQLAlchemyError

from core.deployments import State
from core.errors import DataError, DeskError, ExecutorBusy
from monitoring.alert_desk import Finding
from pipeline.accounts import valuation
from pipeline.accounts.cash_movements import book_cash_movements
from pipeline.accounts.corporate_actions import apply_corporate_actions, collect_fills, due_events
from pipeline.bars import window_returns
from pipeline.resources import Resources, live
from pipeline.risk.equity_bounds import UNREADABLE_EQUITY, EquityBounds, PeakEquity
from pipeline.risk.exit_orders import ExitOrders
from pipeline.risk.flatten import flatten_account
from pipeline.risk.kill_switch import RISK_WORKER, KillSwitch
from pipeline.risk.performance import PerformanceWatch
from storage.locks import executor_lock
from storage.trading.heartbeats import Heartbeat
from trading import var
from trading.drawdown import PERCENT, DrawdownLimits, Level, drawdown_pct

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Engine

    from monitoring.alert_desk import AlertDesk
    from monitoring.alerts import Alerts
    from pipeline.accounts.trading_account import TradingAccount
    from pipeline.accounts.valuation import StalePosition
    from pipeline.risk.flatten import Flattening
    from storage.trading.deployments import Deployments
    from storage.trading.heartbeats import Heartbeats
    from storage.trading.ledger import Ledger

log = structlog.get_logger()
FILLS_BEFORE = timedelta(days=7)  # a fill taken twice does no harm
DRAWDOWN, VALUE_AT_RISK, EXPOSURE, STALE_PRICE = "drawdown", "value_at_risk", "exposure", "stale_price"
UNEXPLAINED_CASH, UNEXPLAINED_PCT = "unexplained_cash", 0.25  # percent of the equity: fees and interest stay below
KIND = "risk"  # of the alerts
SELLING = "selling"  # among the breaches: a sale has begun
ENFORCE = "enforce"


class RiskCheck(NamedTuple):
    """Result of one check: the heartbeat, and what was sold; None when nothing was to be sold."""

    heartbeat: Heartbeat
    flattening: Flattening | None


@dataclass(frozen=True)
class RiskFigures:
    """The measured figures of a heartbeat; a value at risk that cannot be measured is None."""

    equity_usd: float
    peak_usd: float
    drawdown_pct: float
    gross_usd: float
    net_usd: float
    var_historical_usd: float | None
    var_parametric_usd: float | None


@dataclass(frozen=True)
class RiskLimits:
    """Limits that the monitor compares the figures with; `var_pct` None sets no limit."""

    drawdown: DrawdownLimits
    exposure_pct: float
    var_pct: float | None

    @classmethod
    def of(cls, resources: Resources) -> Self:
        """Read the limits of the settings."""
        settings = resources.settings
        drawdown = DrawdownLimits(settings.monitor.drawdown_alert_pct, settings.monitor.drawdown_halt_pct)
        return cls(drawdown, settings.risk.max_exposure_pct, settings.monitor.var_limit_pct)


@dataclass(frozen=True)
class RiskMonitor:
    """Measures the risk of an account, and sells where the mode says so."""

    account: TradingAccount
    heartbeats: Heartbeats
    peak: PeakEquity
    bounds: EquityBounds
    limits: RiskLimits
    var_window_sessions: int
    exits: ExitOrders
    switch: KillSwitch
    alert_desk: AlertDesk
    engine: Engine

    @classmethod
    def of(cls, resources: Resources) -> Self:
        """Build from the desk's account, stores and limits."""
        return cls(
            account=resources.account,
            heartbeats=resources.heartbeats,
            peak=PeakEquity.of(resources),
            bounds=EquityBounds.of(resources),
            limits=RiskLimits.of(resources),
            var_window_sessions=resources.settings.monitor.var_window_sessions,
            exits=ExitOrders.of(resources),
            switch=KillSwitch.of(resources),
            alert_desk=resources.alert_desk,
            engine=resources.engine,
        )

    def check(self, mode: str) -> RiskCheck:
        """Measure, store the heartbeat, alert, and enforce where the mode says so."""
        self._follow_book_changes()
        before = self.heartbeats.last(self.account.portfolio)
        now = self.measure(mode, before)
        sell = self._must_sell(before, now)
        if sell:
            now = replace(now, breaches={**now.breaches, SELLING: {}})
        self.heartbeats.add(now)
        log.info(
            "risk", level=now.level, equity_usd=now.equity_usd, drawdown_pct=now.drawdown_pct, var_usd=now.var_historical_usd
        )
        self._alert(now)
        if now.mode == ENFORCE and now.level == Level.HALT and self.switch.halt_reason() is None:
            self.switch.halt(describe_breaches(now.breaches), RISK_WORKER)
        return RiskCheck(now, self._sell(now) if sell else None)

    def measure(self, mode: str, before: Heartbeat | None) -> Heartbeat:
        """Return the portfolio's risk at this moment; with an equity that is not believed, an alert with the figures before.

        Raises
        ------
        core.errors.DataError
            When a symbol held never had a price.
        """
        account, clock = self.account, self.exits.clock
        positions, newest = account.ledger.positions(account.portfolio), account.bars.last_sessions()
        symbols = sorted({position.symbol for position in positions})
        end = self.exits.today()
        prices = valuation.closing_prices(account.bars, symbols, end)
        absent = [symbol for symbol in symbols if symbol not in prices]
        if absent:
            raise DataError(f"Risk: expected bars of {absent[0]}, which is held, found none. Load them.")
        exposures = {
            symbol: sum(float(each.quantity) for each in positions if each.symbol == symbol) * prices[symbol]
            for symbol in symbols
        }
        equity = float(account.broker.account(prices).equity_usd)
        unexplained = self._unexplained_usd(equity)
        equity -= unexplained
        doubt = self.bounds.doubt(equity, positions, prices)
        if doubt is not None:
            return self._unreadable(mode, before, doubt, len(positions))
        peak = max(self.peak.value_usd(), equity)
        pnl = var.pnl(window_returns(account.bars, symbols, end, self.var_window_sessions), exposures) if symbols else None
        figures = RiskFigures(
            equity_usd=equity,
            peak_usd=peak,
            drawdown_pct=drawdown_pct(equity, peak),
            gross_usd=sum(abs(float(each.quantity)) * prices[each.symbol] for each in positions),
            net_usd=sum(exposures.values()),
            var_historical_usd=0.0 if pnl is None else var.historical_usd(pnl),
            var_parametric_usd=0.0 if pnl is None else var.parametric_usd(pnl),
        )
        stale = valuation.stale_positions(account.bars, symbols, max(newest.values())) if symbols else []
        level, breaches = check_limits(figures, stale, self.limits)
        if unexplained:
            breaches[UNEXPLAINED_CASH] = _breach(UNEXPLAINED_PCT * equity / PERCENT, unexplained, "USD")
            level = Level.ALERT if level is Level.OK else level
        return Heartbeat(
            account.portfolio, clock(), mode, level, **asdict(figures), positions=len(positions), breaches=breaches
        )

    def _follow_book_changes(self) -> None:
        """Bring the book up to the venue's cash and the terms of the bars first: neither a withdrawal nor a split is a loss."""
        if len(self.account.books) > 1:  # a fill of another book that no ledger has would look like a loss of this one
            collect_fills(self.account, self.exits.clock() - FILLS_BEFORE, self.exits.today())
        book_cash_movements(self.account, self.exits.today())
        if due_events(self.account, self.exits.today()):
            with executor_lock(self.engine, self.account.portfolio):
                apply_corporate_actions(self.account, self.exits.today())

    def _unexplained_usd(self, equity_usd: float) -> float:
        """Return cash at the venue that no fill and no event explains, 0 when it is little: no trade has won or lost it."""
        found = valuation.unexplained_cash_usd(self.account)
        return found if abs(found) > UNEXPLAINED_PCT * abs(equity_usd) / PERCENT else 0.0

    def _unreadable(self, mode: str, before: Heartbeat | None, doubt: str, positions: int) -> Heartbeat:
        """Return the heartbeat of an equity that is not believed: the last figures that were, and the doubt."""
        nothing = RiskFigures(0.0, self.peak.value_usd(), 0.0, 0.0, 0.0, None, None)
        figures = {name: getattr(before or nothing, name) for name in asdict(nothing)}
        breaches = {UNREADABLE_EQUITY: {"says": doubt}}
        portfolio, now = self.account.portfolio, self.exits.clock()
        return Heartbeat(portfolio, now, mode, Level.ALERT, **figures, positions=positions, breaches=breaches)

    def _must_sell(self, before: Heartbeat | None, now: Heartbeat) -> bool:
        """Return True when two checks in a row call for it, or a sale that has begun has not ended.

        A price that recovers does not stop a sale; a person who resumes trading does.
        """
        if now.mode != ENFORCE or before is None or before.mode != ENFORCE:
            return False
        if now.level == before.level == Level.HALT:
            return True
        return SELLING in before.breaches and now.positions > 0 and self.switch.halt_reason() is not None

    def _sell(self, now: Heartbeat) -> Flattening | None:
        """Cancel and flatten; None while another executor holds the lock, and the next check tries again."""
        try:
            with executor_lock(self.engine, self.account.portfolio) as lock:
                reason = describe_breaches(now.breaches) or "a sale that has begun goes on"
                return flatten_account(self.exits, reason, fence=lock.require)
        except ExecutorBusy as busy:
            log.warning("flatten_waits", reason=str(busy))
            return None

    def _alert(self, now: Heartbeat) -> None:
        """Bring the alerts of kind `risk` in line with the broken rules; each is sent once, and again when it gets worse.

        An equity that is not believed is no news of the other rules: their alerts stay as they are.
        """
        found = [self._finding(rule, now) for rule in now.breaches if rule != SELLING]
        try:
            if UNREADABLE_EQUITY in now.breaches:
                self.alert_desk.raise_alert(found[0], kind=KIND, book=now.portfolio)
            else:
                self.alert_desk.sync(KIND, now.portfolio, found)
        except SQLAlchemyError:  # the limits are enforced all the same
            log.exception("risk_alerts_not_stored", breaches=describe_breaches(now.breaches))

    def _finding(self, rule: str, now: Heartbeat) -> Finding:
        """Return a broken rule as an alert's text."""
        breach = {rule: now.breaches[rule]}
        words = describe_breaches(breach)
        if rule == UNREADABLE_EQUITY:
            then = "Nothing is entered, and nothing is sold for it. Look at the account; `desk resume` takes it as it is."
            return Finding(rule, f"The equity of {now.portfolio} is not believed", f"{words}\n{then}", "critical", breach[rule])
        then = "The desk is halted, and sells everything if the next check agrees."
        if now.mode != ENFORCE:
            then = "MONITOR__MODE=log: nothing is done about it."
        body = f"Equity ${now.equity_usd:,.2f}, {now.drawdown_pct:.2f} % under its peak of ${now.peak_usd:,.2f}."
        if halts(rule, now, self.limits):
            subject = f"Risk limit of {now.portfolio} broken: {words}"
            return Finding(rule, subject, f"{body}\n{then}", "critical", breach[rule])
        return Finding(rule, f"Risk of {now.portfolio}: {words}", body, "warning", breach[rule])


def check_portfolio(*, mode: str | None = None, resources: Resources | None = None) -> RiskCheck:
    """Check the desk's portfolio once; see `RiskMonitor.check`."""
    resources = resources or live()
    return RiskMonitor.of(resources).check(mode or resources.settings.monitor.mode)


def check_books(*, mode: str | None = None, resources: Resources | None = None) -> list[RiskCheck]:
    """Check every book once, the default one first; see `RiskMonitor.check`."""
    resources = resources or live()
    checks, failed = [], []
    for book in books_at_risk(resources.deployments, resources.ledger, resources.desk_portfolio):
        try:
            checks.append(check_portfolio(mode=mode, resources=resources.for_portfolio(book)))
        except DeskError as error:  # of one book: the others are checked all the same
            failed.append(error)
    if failed:
        raise failed[0]
    return checks


def watch_portfolio(
    stop: threading.Event,
    *,
    mode: str | None = None,
    interval_seconds: float | None = None,
    on_check: Callable[[Heartbeat], None] = lambda _: None,
    resources: Resources | None = None,
) -> int:
    """Check the portfolio until `stop` is set; returns how many checks succeeded."""
    resources = resources or live()
    pause = interval_seconds or resources.settings.monitor.interval_seconds
    checks, failed = 0, {"": ""}
    performance: dict[str, PerformanceWatch] = {}
    while not stop.is_set():
        try:
            books = books_at_risk(resources.deployments, resources.ledger, resources.desk_portfolio)
        except (DeskError, SQLAlchemyError, OSError) as error:
            failed[""] = _report_failure(resources.alerts, error, failed.get("", ""))
            books = []
        for book in books:
            try:
                heartbeat, _ = check_portfolio(mode=mode, resources=resources.for_portfolio(book))
            except ExecutorBusy as busy:
                log.info("risk_check_waits", portfolio=book, reason=str(busy))
            except (DeskError, SQLAlchemyError, OSError) as error:
                failed[book] = _report_failure(resources.alerts, error, failed.get(book, ""), book)
            else:
                checks += 1
                failed[book] = failed[""] = ""
                on_check(heartbeat)
                desk = resources.for_portfolio(book)
                performance.setdefault(book, PerformanceWatch.of(desk)).follow()
        stop.wait(pause)
    return checks


def books_at_risk(deployments: Deployments, ledger: Ledger, first: str) -> list[str]:
    """Return the books that are watched: the default one, and deployments that are not retired or still hold something."""
    watched = [first]
    for each in deployments.all():
        held = each.state is not State.RETIRED or ledger.positions(each.name)
        if held:
            watched.append(each.name)
    return watched


def check_limits(
    figures: RiskFigures, stale: Sequence[StalePosition], limits: RiskLimits
) -> tuple[Level, dict[str, dict[str, Any]]]:
    """Return the worst level, and each broken rule with its limit and figure, as JSON values.

    Exposure over its limit is an alert alone: prices that moved since the decision are enough for it. So is a position marked
    to a price older than the others, as one in a delisted symbol is, and a value at risk with a limit that cannot be measured.
    """
    equity = figures.equity_usd
    breaches: dict[str, dict[str, Any]] = {}
    level = limits.drawdown.level(equity, figures.peak_usd)
    if level is not Level.OK:
        limit = limits.drawdown.halt_pct if level is Level.HALT else limits.drawdown.alert_pct
        breaches[DRAWDOWN] = _breach(limit, figures.drawdown_pct)
    measured = [value for value in (figures.var_historical_usd, figures.var_parametric_usd) if value is not None]
    worst_pct = PERCENT * max(measured, default=0.0) / equity if equity > 0 else 0.0
    if limits.var_pct is not None and worst_pct > limits.var_pct:
        breaches[VALUE_AT_RISK] = _breach(limits.var_pct, worst_pct)
        level = Level.HALT
    elif limits.var_pct is not None and not measured:
        breaches[VALUE_AT_RISK] = _breach(limits.var_pct, None)
    if figures.gross_usd > equity * limits.exposure_pct / PERCENT:
        breaches[EXPOSURE] = _breach(limits.exposure_pct, PERCENT * figures.gross_usd / equity if equity > 0 else None)
    if stale:
        oldest, symbols = max(each.sessions for each in stale), [each.symbol for each in stale]
        breaches[STALE_PRICE] = _breach(valuation.STALE_AFTER_SESSIONS, oldest, "sessions") | {"symbols": symbols}
    return Level.ALERT if breaches and level is Level.OK else level, breaches


def halts(rule: str, heartbeat: Heartbeat, limits: RiskLimits) -> bool:
    """Return True when this broken rule is among those that halt, as `check_limits` judged it."""
    if rule == DRAWDOWN:
        return limits.drawdown.level(heartbeat.equity_usd, heartbeat.peak_usd) is Level.HALT
    return rule == VALUE_AT_RISK and heartbeat.breaches[rule]["found"] is not None


def describe_breaches(breaches: Mapping[str, Any]) -> str:
    """Return breaches in words: drawdown 2.99 % (limit 2 %)."""
    if UNREADABLE_EQUITY in breaches:
        return f"{UNREADABLE_EQUITY}: {breaches[UNREADABLE_EQUITY]['says']}"
    described = [
        f"{rule} {'undefined' if each['found'] is None else format(each['found'], '.4g')} {each['unit']}"
        f" (limit {each['limit']:g} {each['unit']})" + "".join(f" {symbol}" for symbol in each.get("symbols", ()))
        for rule, each in breaches.items()
        if rule != SELLING
    ]
    return ", ".join(described)


def _breach(limit: float, found: float | None, unit: str = "%") -> dict[str, Any]:
    return {"limit": limit, "found": found, "unit": unit}


def _report_failure(alerts: Alerts, error: Exception, before: str, book: str = "") -> str:
    """Log a failed check; mail it unless the one before failed in the same way."""
    kind = type(error).__name__
    log.error("risk_look_failed", portfolio=book, error=kind, says=str(error))
    if kind != before:
        alerts.send(
            "The risk worker cannot see the portfolio", f"{book} {kind}: {error}\nIt goes on trying.".lstrip(), "critical"
        )
    return kind
