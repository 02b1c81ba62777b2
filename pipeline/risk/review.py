"""The risk manager's look at a day's orders, before they are written down. Owns what the rules are fed with, and their rows.

Returns, volumes and prices are those of the bars up to the session; equity, positions and orders are the ledger's.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from core.models import Leg
from core.sessions import calendar_name, sessions_between
from pipeline.accounts import valuation
from pipeline.accounts.valuation import cash_usd, initial_equity_usd
from pipeline.risk import kill_switch, monitor
from pipeline.risk.data_guard import guard
from pipeline.risk.flatten import flatten
from pipeline.risk.pre_send import event
from pipeline.signals import joint_name
from trading.decide import Refusal
from trading.drawdown import Level, drawdown_pct
from trading.portfolio import account, trades_of
from trading.risk_manager import RiskManager, RiskRules, Situation, lines_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    import pandas as pd

    from core.models import OrderIntent, Position
    from pipeline.resources import Resources
    from trading.order_check import OrderContext

log = structlog.get_logger()
Orders = tuple["OrderIntent", ...]


def check_risk(context: OrderContext, intents: Orders, *, resources: Resources) -> tuple[Orders, list[Refusal]]:
    """Check orders against the drawdown limits and the risk rules, a `trading.order_check.OrderCheck`.

    New entries may become smaller or be refused, one refusal a symbol and rule; the rows with the numbers are stored. Orders on
    record pass as they are. A drawdown that halts sells everything, and nothing passes.
    """
    day, known = context.session, context.on_record
    orders = [order for order, _ in resources.ledger.open_orders(resources.settings.portfolio)]
    positions = resources.ledger.positions(resources.settings.portfolio)
    symbols = {each.symbol for each in (*orders, *intents)} | {position.symbol for position in positions}
    bars, prices = _bars(resources, day, symbols), valuation.closing_prices(resources.bars, symbols, day)
    before = [order for order in orders if order.decision_session < day]
    equity = account(cash_usd(resources.account), positions, before, prices).equity_usd
    sunk = _drawdown(resources, day, equity)
    new = context.new_entries(intents)
    if sunk is not None:
        return _sold(resources, day, intents, new, sunk)
    guard(resources, day, {order.symbol for order in new})
    situation = _situation(resources, day, positions, orders, intents, known, bars, prices, equity)
    said = manager_of(resources).review(
        [order for order in intents if context.is_new(order)], situation, first=_first(resources, day)
    )
    resources.ledger.save_risk_events([event(each.order, each.rule, each.details()) for each in said.findings])
    going = {order.client_order_id: order for order in said.orders}
    kept = tuple(going.get(order.client_order_id, order) for order in intents if order.client_order_id in known | set(going))
    return kept, [Refusal(each.order.strategy, each.order.symbol, day, each.rule) for each in said.findings if each.refused]


def manager_of(resources: Resources) -> RiskManager:
    """The risk manager of the settings."""
    settings = resources.settings
    rules = RiskRules(
        max_symbol_pct=settings.risk_max_symbol_pct,
        max_net_pct=settings.risk_max_net_pct,
        max_entries_a_day=settings.risk_max_entries_a_day,
        cool_down_sessions=settings.risk_cool_down_sessions,
        max_correlation=settings.risk_max_correlation,
        max_volume_pct=settings.risk_max_volume_pct,
        scale_low_pct=settings.risk_scale_low_pct,
        scale_high_pct=settings.risk_scale_high_pct,
    )
    return RiskManager(resources.limits, rules)


def _drawdown(resources: Resources, day: dt.date, equity_usd: float) -> dict[str, Any] | None:
    """Mail a drawdown that has reached a limit since the last close, once; its numbers when RISK_MODE=enforce must sell for it.

    A row of the portfolio, without a symbol, says that it was mailed.
    """
    peak, limits = max(monitor.peak_usd(resources), equity_usd), monitor.limits_of(resources)
    level = limits.level(equity_usd, peak)
    if level is Level.OK:
        return None
    depth, limit = drawdown_pct(equity_usd, peak), resources.settings.drawdown_halt_pct
    numbers = {"limit_pct": limit, "found_pct": depth, "equity_usd": equity_usd, "peak_usd": peak}
    closes = resources.ledger.equity(resources.settings.portfolio)
    closes = closes[closes["session"].dt.date < day]
    fresh = closes.empty or limits.level(float(closes["equity_usd"].iloc[-1]), peak) is not level
    whose = {
        "portfolio": resources.settings.portfolio,
        "strategy": joint_name(resources.strategies),
        "symbol": "",
        "session": day,
    }
    if fresh and resources.ledger.save_risk_events([{**whose, "reason": f"drawdown_{level}", "details": numbers}]):
        resources.alerts.send(
            f"{resources.settings.portfolio} is {depth:.2f} % under its peak at the close of {day}",
            f"Equity ${equity_usd:,.2f}, peak ${peak:,.2f}. Breach at {limit:g} %, RISK_MODE={resources.settings.risk_mode}.",
            "critical" if level is Level.HALT else "warning",
        )
    if level is not Level.HALT or resources.settings.risk_mode != "enforce":
        return None
    return numbers


def _sold(
    resources: Resources, day: dt.date, intents: Orders, new: Sequence[OrderIntent], sunk: dict[str, Any]
) -> tuple[Orders, list[Refusal]]:
    """Halt, cancel and flatten; of the day's orders none goes on, for everything is sold already."""
    reason = f"drawdown {sunk['found_pct']:.2f} % at the close of {day} (limit {sunk['limit_pct']:g} %)"
    if kill_switch.standing(resources) is None:
        kill_switch.halt(reason, kill_switch.DAILY_TRADE, resources=resources)
    flatten(reason, day=day, resources=resources)
    resources.ledger.save_risk_events([event(order, monitor.DRAWDOWN, sunk) for order in new])
    log.warning("day_not_traded", session=str(day), reason=reason, dropped=len(intents))
    return (), [Refusal(order.strategy, order.symbol, day, monitor.DRAWDOWN) for order in new]


def _situation(  # noqa: PLR0917  # private, each named at its one call
    resources: Resources,
    day: dt.date,
    positions: Sequence[Position],
    orders: Sequence[OrderIntent],
    intents: Orders,
    known: frozenset[str],
    bars: pd.DataFrame,
    prices: Mapping[str, float],
    equity_usd: float,
) -> Situation:
    """What the rules are fed with. Entries on record for the day, of this strategy or another, count as ordered."""
    recorded = [order for order, _ in resources.ledger.orders_decided(resources.settings.portfolio, day)]
    ordered = {
        order.client_order_id: order for order in (*orders, *(each for each in intents if each.client_order_id in known))
    }
    session = max((order.session for order in intents), default=day)
    counted = [order.strategy for order in recorded if order.leg is Leg.ENTRY and order.session == session]
    recent = bars.groupby("symbol").tail(resources.settings.risk_volume_sessions)
    closes = bars.pivot(index="session", columns="symbol", values="close")
    found_so = Situation(
        equity_usd=equity_usd,
        base_usd=initial_equity_usd(resources.account),
        prices=prices,
        lines=lines_of(positions, ordered.values(), prices),
        entries={name: counted.count(name) for name in counted},
        returns=closes.pct_change(fill_method=None).tail(resources.settings.risk_correlation_sessions),
        volume={str(symbol): float(shares) for symbol, shares in recent.groupby("symbol")["volume"].mean().items()},
    )
    if resources.settings.risk_cool_down_sessions is None:
        return found_so
    return replace(found_so, sessions_since_loss=_losses(resources, day))


def _losses(resources: Resources, day: dt.date) -> dict[tuple[str, str], int]:
    """Sessions since the newest losing trade of each strategy and symbol ended."""
    trades = trades_of(resources.ledger.fills(resources.settings.portfolio))
    lost = trades[trades["pnl_usd"] < 0].sort_values("exit_session")
    return {
        (strategy, symbol): len(sessions_between(ended.date(), day, calendar_name(symbol))) - 1
        for strategy, symbol, ended in zip(lost["strategy"], lost["symbol"], lost["exit_session"], strict=True)
    }


def _first(resources: Resources, day: dt.date) -> Callable[[OrderIntent], float]:
    """Candidates with the highest probability first, as `decide` ranks them; by strength without predictions."""
    predictions = resources.ledger.predictions(day)
    named, column = (predictions, "probability") if len(predictions) else (resources.ledger.signals(day), "strength")
    ranks = {
        (strategy, symbol): float(value)
        for strategy, symbol, value in zip(named["strategy"], named["symbol"], named[column], strict=True)
    }

    def rank(order: OrderIntent) -> float:
        value = ranks.get((order.strategy, order.symbol), math.nan)
        return -math.inf if math.isnan(value) else value

    return rank


def _bars(resources: Resources, day: dt.date, symbols: set[str]) -> pd.DataFrame:
    """Bars up to the session, as many as the longest window of a rule needs."""
    sessions = max(resources.settings.risk_correlation_sessions, resources.settings.risk_volume_sessions)
    back = int(sessions * monitor.BEATEN_TO_DAYS) + 10
    return resources.bars.read(sorted(symbols), start=day - dt.timedelta(days=back), end=day)
