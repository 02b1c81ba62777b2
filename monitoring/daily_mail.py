"""Format the mail after each evening: fills, orders, refusals, positions and use of limits.

Pure: an `Evening` in, text or HTML out. It loads and sends nothing. Items that need action come first.
"""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NEAR = 0.8  # share of a limit from which it is marked as near


@dataclass(frozen=True)
class Held:
    """A position at the close."""

    symbol: str
    strategy: str
    quantity: float
    entry_price: float
    close: float
    stop: float | None
    target: float | None

    @property
    def profit_usd(self) -> float:
        """Unrealised profit at the close, before costs."""
        return self.quantity * (self.close - self.entry_price)


@dataclass(frozen=True)
class Limit:
    """A limit and the figure it applies to, both in `unit`."""

    name: str
    found: float
    limit: float
    unit: str

    @property
    def used(self) -> float:
        """Share of the limit that is used, 1 when it is reached."""
        return self.found / self.limit if self.limit else 1.0


@dataclass(frozen=True)
class Evening:
    """Contents of one evening's mail.

    Attributes
    ----------
    session, opens
        The session that has closed, and the one at whose open the orders are filled.
    attention
        Items that need action, in sentences.
    fills, unfilled, orders
        Lines as they are shown; `unfilled` are orders that ended without a fill, or with a partial one.
    refused
        Symbols by reason.
    scorecard
        A few success criteria, a line each.
    """

    session: str
    opens: str
    portfolio: str
    broker: str
    equity_usd: float
    day_usd: float
    total_pct: float
    cash_usd: float
    model: str
    attention: Sequence[str] = ()
    fills: Sequence[str] = ()
    unfilled: Sequence[str] = ()
    orders: Sequence[str] = ()
    refused: Mapping[str, Sequence[str]] = field(default_factory=dict)
    positions: Sequence[Held] = ()
    limits: Sequence[Limit] = ()
    performance: Sequence[str] = ()
    scorecard: Sequence[str] = ()

    @property
    def subject(self) -> str:
        """The mail's subject: open items, the day's profit, orders for the next session."""
        first = f"{len(self.attention)} to look at, " if self.attention else ""
        return f"{self.session}: {first}{_signed(self.day_usd)} USD, {_count(self.orders, 'order')} for {self.opens}"


def to_text(evening: Evening) -> str:
    """Return the mail as plain text."""
    parts = [
        _section("Needs you", evening.attention),
        "\n".join(_headline(evening)),
        _section("Filled today", evening.fills or ["nothing"]),
        _section("Not filled", evening.unfilled),
        _section(f"Ordered for {evening.opens}", evening.orders or ["nothing"]),
        _section("Refused", _refusals(evening)),
        _section("Held at the close", [_held(each) for each in evening.positions] or ["nothing"]),
        _section("Limits", [_limit(each) for each in evening.limits]),
        _section("Performance", evening.performance),
        _section("Scorecard", evening.scorecard),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def to_html(evening: Evening) -> str:
    """Return the mail as HTML without images, scripts or external files; styles are inline, as mail readers require."""
    parts = [
        _box(evening.attention),
        f"<p style='margin:0 0 12px'>{'<br>'.join(html.escape(line) for line in _headline(evening))}</p>",
        _list("Filled today", evening.fills or ["nothing"]),
        _list("Not filled", evening.unfilled),
        _list(f"Ordered for {evening.opens}", evening.orders or ["nothing"]),
        _list("Refused", _refusals(evening)),
        _table(evening.positions),
        _bars(evening.limits),
        _list("Performance", evening.performance),
        _list("Scorecard", evening.scorecard),
    ]
    body = "".join(parts)
    return (
        "<!DOCTYPE html><html><body style='margin:0;padding:16px;background:#fff;color:#222;"
        "font:14px/1.45 system-ui,-apple-system,sans-serif;max-width:640px'>"
        f"<h1 style='font-size:18px;margin:0 0 8px'>{html.escape(evening.portfolio)}, {html.escape(evening.session)}</h1>"
        f"{body}</body></html>"
    )


def _headline(evening: Evening) -> list[str]:
    return [
        f"{_signed(evening.day_usd)} USD today, {evening.total_pct:+.2f} % since the start.",
        f"Equity {evening.equity_usd:,.2f} USD, of it {evening.cash_usd:,.2f} in cash. Broker {evening.broker}.",
        f"Entry filter: {evening.model}.",
    ]


def _refusals(evening: Evening) -> list[str]:
    return [f"{reason}: {', '.join(symbols)}" for reason, symbols in sorted(evening.refused.items())]


def _held(each: Held) -> str:
    ends = [f"{name} {price:,.2f}" for name, price in (("stop", each.stop), ("target", each.target)) if price is not None]
    return (
        f"{each.symbol} {each.quantity:g} at {each.entry_price:,.2f}, close {each.close:,.2f}: "
        f"{_signed(each.profit_usd)} USD{''.join(f', {end}' for end in ends)}"
    )


def _limit(each: Limit) -> str:
    near = "  NEAR" if each.used >= NEAR else ""
    return f"{each.name}: {each.found:,.2f} of {each.limit:,.2f} {each.unit} ({each.used:.0%}){near}"


def _section(title: str, lines: Sequence[str]) -> str:
    return "\n".join([title, *(f"  {line}" for line in lines)]) if lines else ""


def _box(attention: Sequence[str]) -> str:
    if not attention:
        return ""
    lines = "".join(f"<li>{html.escape(line)}</li>" for line in attention)
    return (
        "<div style='border-left:4px solid #b00020;background:#fdf0f0;padding:8px 12px;margin:0 0 12px'>"
        f"<b>Needs you</b><ul style='margin:4px 0 0;padding-left:18px'>{lines}</ul></div>"
    )


def _list(title: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return f"{_title(title)}<ul style='margin:0 0 12px;padding-left:18px'>{items}</ul>"


def _title(text: str) -> str:
    return f"<h2 style='font-size:14px;margin:12px 0 4px'>{html.escape(text)}</h2>"


def _table(positions: Sequence[Held]) -> str:
    if not positions:
        return _list("Held at the close", ["nothing"])
    head = "".join(_cell(name, "th") for name in ("Symbol", "Quantity", "Entry", "Close", "Profit, USD", "Stop", "Target"))
    rows = "".join(
        f"<tr>{_cell(each.symbol)}{_cell(f'{each.quantity:g}')}{_cell(f'{each.entry_price:,.2f}')}{_cell(f'{each.close:,.2f}')}"
        f"{_cell(_signed(each.profit_usd))}{_cell(_price(each.stop))}{_cell(_price(each.target))}</tr>"
        for each in positions
    )
    return f"{_title('Held at the close')}<table style='border-collapse:collapse;margin:0 0 12px'><tr>{head}</tr>{rows}</table>"


def _bars(limits: Sequence[Limit]) -> str:
    """Return the limits as a table of progress bars."""
    rows = []
    for each in limits:
        width, colour = min(max(each.used, 0.0), 1.0), "#b00020" if each.used >= NEAR else "#0072b2"
        bar = (
            "<div style='width:160px;background:#eee'>"
            f"<div style='width:{160 * width:.0f}px;height:10px;background:{colour}'></div></div>"
        )
        words = f"{each.found:,.2f} of {each.limit:,.2f} {each.unit}"
        rows.append(f"<tr>{_cell(each.name)}<td style='padding:2px 8px'>{bar}</td>{_cell(words)}</tr>")
    return f"{_title('Limits')}<table style='border-collapse:collapse'>{''.join(rows)}</table>" if rows else ""


def _cell(text: str, tag: str = "td") -> str:
    return f"<{tag} style='padding:2px 8px 2px 0;text-align:left;white-space:nowrap'>{html.escape(text)}</{tag}>"


def _price(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f}"


def _signed(usd: float) -> str:
    return f"{usd:+,.2f}"


def _count(lines: Sequence[str], word: str) -> str:
    return f"{len(lines)} {word}{'' if len(lines) == 1 else 's'}"
