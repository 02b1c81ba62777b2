"""Convert between the order types of `core.models` and rows of the schema `trading`; it runs no query."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING, Any

from core.book_events import BookEvent, BookEventKind
from core.models import Fill, Leg, OrderIntent, OrderType, Origin, Position, Side

if TYPE_CHECKING:
    from collections.abc import Mapping

INTENT_FIELDS = tuple(field.name for field in fields(OrderIntent))
FILL_FIELDS = tuple(field.name for field in fields(Fill))
POSITION_FIELDS = tuple(field.name for field in fields(Position))
EVENT_FIELDS = tuple(field.name for field in fields(BookEvent))
PRESENT_TERMS = ("quantity", "limit_price", "stop_price")  # columns of `trading.orders` that replace the intent's after a split


def to_row(noun: OrderIntent | Fill | Position | BookEvent) -> dict[str, Any]:
    """Return the columns of the noun's table."""
    return asdict(noun)


def to_intent(row: Mapping[str, Any]) -> OrderIntent:
    """Read an order intent."""
    values = {name: row[name] for name in INTENT_FIELDS}
    return OrderIntent(
        **values
        | {
            "leg": Leg(row["leg"]),
            "side": Side(row["side"]),
            "order_type": OrderType(row["order_type"]),
            "origin": Origin(row["origin"]),
        }
    )


def to_present_intent(row: Mapping[str, Any]) -> OrderIntent:
    """Read an order intent in the terms of today: those of `trading.orders`, as `order_<name>`, where a split set them."""
    intent = to_intent(row)
    present = {name: row[f"order_{name}"] for name in PRESENT_TERMS if row[f"order_{name}"] is not None}
    return replace(intent, **present) if present else intent


def to_event(row: Mapping[str, Any]) -> BookEvent:
    """Read a book event."""
    return BookEvent(**{name: row[name] for name in EVENT_FIELDS} | {"kind": BookEventKind(row["kind"])})


def to_fill(row: Mapping[str, Any]) -> Fill:
    """Read a fill."""
    return Fill(**{name: row[name] for name in FILL_FIELDS} | {"side": Side(row["side"])})


def to_position(row: Mapping[str, Any]) -> Position:
    """Read a position."""
    return Position(**{name: row[name] for name in POSITION_FIELDS})
