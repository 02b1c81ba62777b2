"""The reason why an order must not be sent, with its numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.models import OrderIntent


@dataclass(frozen=True)
class Objection:
    """A refusal of one check: the reason in words, and the numbers that are stored with it as JSON."""

    reason: str
    details: Mapping[str, Any] = field(default_factory=dict)


def risk_event(order: OrderIntent, rule: str, details: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of `trading.risk_events` for an order that a rule refused."""
    return {
        "portfolio": order.portfolio,
        "strategy": order.strategy,
        "symbol": order.symbol,
        "session": order.decision_session,
        "reason": rule,
        "details": dict(details),
    }
