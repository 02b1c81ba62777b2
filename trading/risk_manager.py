"""The risk rules of entries before they are written down: caps and pauses of the running desk. Pure; it sends nothing.

`trading.risk.allocate` has shared capital by the rules that the backtest applies too. `RiskManager` holds its result against
the same limits once more, so that no other way to an order gets around them, and against rules that only a running desk has
(`RiskRules`, each off unless set): with them the desk makes fewer or smaller trades than its backtest. Only the lower bound of
scaling makes one larger, within the same limits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING, Any

from core.errors import ConfigError
from core.models import MOST_USD, Leg, Side
from trading.correlation import largest_correlation
from trading.equity import is_amount
from trading.orders import exact

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from core.models import OrderIntent
    from trading.risk import Limits
    from trading.risk_situation import Situation

STEP = Decimal("0.000001")  # the grid of trading.sizing
ROUNDING = 1e-9  # of a limit: what was sized to fit it in floats may be over it by so much
PERCENT = 100.0
CORRELATION_WARNING = "correlation_warning"  # the one rule whose finding leaves the order as it is


@dataclass(frozen=True)
class RiskRules:
    """Rules that only the running desk has; None or False switches one off.

    Parameters
    ----------
    max_symbol_pct
        Gross notional in one symbol, all strategies together, in percent of equity.
    max_net_pct
        Longs less shorts, in percent of equity, either way.
    max_entries_a_day
        Entries of one strategy for one session.
    cool_down_sessions
        Sessions after a losing trade in which its strategy leaves the symbol alone.
    rest_after_loss
        Nobody enters a symbol at the close of a session in which a losing trade in it ended, whatever its strategy.
    stop_required
        An entry without a stop is refused.
    max_loss_at_risk_pct
        Loss of one position at its stop price, in percent of equity; without a stop it is not known, and the entry is refused.
    max_correlation
        Of the daily returns with any symbol held or ordered; a position on the other side counts with the sign turned.
    warn_correlation
        The same; over it the entry goes on, with a finding.
    max_volume_pct
        Shares of one order in percent of the symbol's average volume.
    scale_low_pct, scale_high_pct
        Bounds, in percent of the initial cash, of the equity that positions are sized on. `trading.sizing` compounds without
        bounds; these stop it upwards (winnings over the bound are kept) and downwards (sizes shrink no further).
    """

    max_symbol_pct: float | None = None
    max_net_pct: float | None = None
    max_entries_a_day: int | None = None
    cool_down_sessions: int | None = None
    rest_after_loss: bool = False
    stop_required: bool = False
    max_loss_at_risk_pct: float | None = None
    max_correlation: float | None = None
    warn_correlation: float | None = None
    max_volume_pct: float | None = None
    scale_low_pct: float | None = None
    scale_high_pct: float | None = None

    def __post_init__(self) -> None:
        if (self.scale_low_pct or 0.0) > (self.scale_high_pct or math.inf):
            raise ConfigError(f"Scaling: expected low <= high, found {self.scale_low_pct} and {self.scale_high_pct} percent.")


@dataclass(frozen=True)
class Finding:
    """A rule that spoke: what it allows, what it found, and what became of the order (`allowed` 0 = refused).

    `found` is None when the rule could not be measured, which refuses.
    """

    rule: str
    order: OrderIntent
    limit: float
    found: float | None
    unit: str
    allowed: Decimal = Decimal(0)

    @property
    def refused(self) -> bool:
        """True when nothing of the order is left."""
        return self.allowed <= 0

    def details(self) -> dict[str, Any]:
        """The numbers, for a row: money and shares as text, exact."""
        return {
            "rule": self.rule,
            "limit": self.limit,
            "found": self.found,
            "unit": self.unit,
            "asked": str(self.order.quantity),
            "allowed": str(self.allowed),
            "client_order_id": self.order.client_order_id,
        }


@dataclass(frozen=True)
class Review:
    """Orders that go on, in the order given and perhaps smaller, and the findings of the rules."""

    orders: tuple[OrderIntent, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class RiskManager:
    """Holds entries against the portfolio's limits and the desk's rules.

    A rule that counts (stop, positions, entries a day, pauses, correlation) refuses the order. A rule that measures size lets
    through what fits, rounded down to a millionth of a share; each that was in the way is a finding, and so is a
    warning.
    """

    limits: Limits
    rules: RiskRules = field(default_factory=RiskRules)

    def review(
        self, orders: Sequence[OrderIntent], situation: Situation, *, first: Callable[[OrderIntent], float] = lambda _: 0.0
    ) -> Review:
        """Judge the orders one after the other, each in the situation that those before it leave.

        Parameters
        ----------
        orders
            Exits pass untouched.
        first
            Entries with the largest value are judged first; ties and the answer keep the order given.
        """
        kept = {order.client_order_id: order for order in orders if order.leg is Leg.EXIT}
        findings: list[Finding] = []
        for order in sorted((order for order in orders if order.leg is Leg.ENTRY), key=first, reverse=True):
            found, allowed = self._judge(order, situation)
            findings += found
            if allowed > 0:
                kept[order.client_order_id] = replace(order, quantity=allowed)
                situation = situation.after(kept[order.client_order_id])
        return Review(tuple(kept[order.client_order_id] for order in orders if order.client_order_id in kept), tuple(findings))

    def _judge(self, order: OrderIntent, situation: Situation) -> tuple[list[Finding], Decimal]:
        """Return the findings of the rules on one entry, and the quantity they leave of it."""
        counted = [rule(order, situation, self) for rule in _COUNTS]
        refused = [finding for finding in counted if finding is not None]
        if refused:
            return refused, Decimal(0)
        wanted, price = scaled(order.quantity, situation, self.rules), situation.prices[order.symbol]
        rooms = [room for rule in _SIZES if (room := rule(order, situation, self)) is not None]
        asked_usd = float(wanted) * price
        tight = [room for room in rooms if asked_usd > room.usd * (1 + ROUNDING) or math.isnan(room.usd)]
        allowed = wanted
        for room in tight:
            allowed = min(allowed, _floored(room.usd / price))
        findings = [Finding(room.rule, order, room.limit, _or_none(room.found), room.unit, allowed) for room in tight]
        if wanted != order.quantity:
            findings.append(Finding("scaling", order, _sizing_usd(situation, self.rules), situation.equity_usd, "usd", allowed))
        warning = _correlated(CORRELATION_WARNING, order, situation, self.rules.warn_correlation, allowed)
        if warning is not None and allowed > 0:
            findings.append(warning)
        return findings, max(allowed, Decimal(0))


@dataclass(frozen=True)
class _Room:
    """Room that a rule leaves for one order, in USD, and the figure with the whole order; NaN when it cannot be measured."""

    rule: str
    usd: float
    limit: float
    found: float
    unit: str = "% of equity"


def scaled(quantity: Decimal, situation: Situation, rules: RiskRules) -> Decimal:
    """The quantity as if equity were within the bounds of scaling: ``quantity * clamp(equity, low, high) / equity``."""
    sizing_usd = _sizing_usd(situation, rules)
    if situation.equity_usd <= 0 or sizing_usd == situation.equity_usd:
        return quantity
    return _floored(float(quantity) * sizing_usd / situation.equity_usd)


def _sizing_usd(situation: Situation, rules: RiskRules) -> float:
    low = -math.inf if rules.scale_low_pct is None else situation.base_usd * rules.scale_low_pct / PERCENT
    high = math.inf if rules.scale_high_pct is None else situation.base_usd * rules.scale_high_pct / PERCENT
    return min(max(situation.equity_usd, low), high)


def _readable(order: OrderIntent, situation: Situation, manager: RiskManager) -> Finding | None:
    """Of an equity that is no number no share can be taken, and at a price that is none nothing can be measured."""
    del manager
    if abs(situation.equity_usd) < MOST_USD and is_amount(situation.prices[order.symbol]):
        return None
    return Finding("unreadable_equity", order, 0.0, None, "USD")


def _positions(order: OrderIntent, situation: Situation, manager: RiskManager) -> Finding | None:
    most, found = manager.limits.max_positions, len(situation.lines) + 1
    return Finding("max_positions", order, most, found, "positions") if found > most else None


def _entries(order: OrderIntent, situation: Situation, manager: RiskManager) -> Finding | None:
    most, found = manager.rules.max_entries_a_day, situation.entries.get(order.strategy, 0) + 1
    return Finding("max_entries_a_day", order, most, found, "entries") if most is not None and found > most else None


def _cool_down(order: OrderIntent, situation: Situation, manager: RiskManager) -> Finding | None:
    least, found = manager.rules.cool_down_sessions, situation.sessions_since_loss.get((order.strategy, order.symbol))
    if least is None or found is None or found >= least:
        return None
    return Finding("cool_down", order, least, found, "sessions since a loss")


def _rest_after_loss(order: OrderIntent, situation: Situation, manager: RiskManager) -> Finding | None:
    lost = [since for (_, symbol), since in situation.sessions_since_loss.items() if symbol == order.symbol]
    if not manager.rules.rest_after_loss or min(lost, default=1) > 0:
        return None
    return Finding("loss_day", order, 1, 0, "sessions since a loss")


def _stop(order: OrderIntent, situation: Situation, manager: RiskManager) -> Finding | None:
    del situation
    refused = manager.rules.stop_required and math.isnan(_stop_pct(order))
    return Finding("no_stop", order, 1, 0, "stops") if refused else None


def _stop_pct(order: OrderIntent) -> float:
    """Distance of the stop in percent of the price; NaN without one."""
    return order.stop_pct if order.stop_pct is not None and order.stop_pct > 0 else math.nan


def _correlation(order: OrderIntent, situation: Situation, manager: RiskManager) -> Finding | None:
    return _correlated("correlation", order, situation, manager.rules.max_correlation)


def _correlated(
    rule: str, order: OrderIntent, situation: Situation, most: float | None, allowed: Decimal = Decimal(0)
) -> Finding | None:
    """Finding on the largest correlation with another symbol held or ordered, when it is over `most` or not known."""
    if most is None:
        return None
    side, held = 1 if order.side is Side.BUY else -1, [(line.symbol, line.usd) for line in situation.lines]
    worst = largest_correlation(situation.returns, order.symbol, side, held)
    if worst is None or worst <= most:
        return None
    return Finding(rule, order, most, _or_none(worst), "with a symbol held", allowed)


_COUNTS = (_readable, _stop, _positions, _entries, _cool_down, _rest_after_loss, _correlation)


def _position_size(order: OrderIntent, situation: Situation, manager: RiskManager) -> _Room | None:
    """``equity * max_position_pct`` for one position."""
    return _share("max_position", order, situation, manager.limits.max_position_pct, 0.0)


def _symbol_size(order: OrderIntent, situation: Situation, manager: RiskManager) -> _Room | None:
    """``equity * max_symbol_pct`` less what all strategies have in the symbol."""
    used = sum(abs(line.usd) for line in situation.lines if line.symbol == order.symbol)
    return _share("max_symbol", order, situation, manager.rules.max_symbol_pct, used)


def _gross(order: OrderIntent, situation: Situation, manager: RiskManager) -> _Room | None:
    """``equity * max_exposure_pct`` less everything held or ordered."""
    return _share("max_exposure", order, situation, manager.limits.max_exposure_pct, situation.gross_usd)


def _net(order: OrderIntent, situation: Situation, manager: RiskManager) -> _Room | None:
    """``equity * max_net_pct`` less what is held in the order's direction; shorts make room for longs."""
    side = 1 if order.side is Side.BUY else -1
    return _share("max_net", order, situation, manager.rules.max_net_pct, side * situation.net_usd)


def _loss_at_risk(order: OrderIntent, situation: Situation, manager: RiskManager) -> _Room | None:
    """``equity * max_loss_at_risk_pct / stop_pct``, at which the stop loses the limit; NaN without a stop."""
    most, stop_pct, equity = manager.rules.max_loss_at_risk_pct, _stop_pct(order), situation.equity_usd
    if most is None:
        return None
    found = float(order.quantity) * situation.prices[order.symbol] * stop_pct / equity if equity > 0 else math.nan
    return _Room("loss_at_risk", equity * most / stop_pct, most, found)


def _liquidity(order: OrderIntent, situation: Situation, manager: RiskManager) -> _Room | None:
    """``average volume * max_volume_pct`` shares."""
    most = manager.rules.max_volume_pct
    if most is None:
        return None
    shares = situation.volume.get(order.symbol, math.nan)
    shares = shares if shares > 0 else math.nan
    found = PERCENT * float(order.quantity) / shares
    return _Room("liquidity", shares * most / PERCENT * situation.prices[order.symbol], most, found, "% of average volume")


_SIZES = (_position_size, _symbol_size, _gross, _net, _loss_at_risk, _liquidity)


def _share(rule: str, order: OrderIntent, situation: Situation, limit_pct: float | None, used_usd: float) -> _Room | None:
    if limit_pct is None:
        return None
    equity = situation.equity_usd
    order_usd = float(order.quantity) * situation.prices[order.symbol]
    found = PERCENT * (used_usd + order_usd) / equity if equity > 0 else math.nan
    return _Room(rule, max(0.0, equity * limit_pct / PERCENT - used_usd), limit_pct, found)


def _floored(shares: float) -> Decimal:
    """Rounded down to the grid; 0 for what is no number."""
    if not math.isfinite(shares):
        return Decimal(0)
    return (exact(shares) / STEP).to_integral_value(ROUND_DOWN) * STEP


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
