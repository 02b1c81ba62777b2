"""Everything behind an order, as `GET /orders/{id}` tells it: signal, features, filter, model, bar, events, fills."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import streamlit as st

from monitoring.dashboard import figures, table
from monitoring.dashboard.figures import escaped
from monitoring.dashboard.table import Column

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

EVENTS: Final = (
    Column("created_at", "At", kind="instant"),
    Column("state", "State"),
    Column("reason", "Reason"),
)
FILLS: Final = (
    Column("filled_at", "Filled", kind="instant"),
    Column("quantity", "Quantity", "shares"),
    Column("price", "Price", "USD"),
    Column("raw_price", "Before slippage", "USD"),
    Column("commission_usd", "Commission", "USD"),
    Column("reason", "Reason"),
    Column("fill_id", "Fill"),
)
CHAIN: Final = (  # the parts behind an entry, in the order in which they were made: name, title, and what shows while folded
    ("bars", "Bar of the decision", ("symbol", "close", "known_at", "revision")),
    ("validation", "Validation of the bars", ("session", "passed")),
    ("signal", "Signal", ("strategy", "session", "close", "strength")),
    ("features", "Features", ()),
    ("model", "Model", ("name", "version", "aliases")),
    ("prediction", "Answer of the entry filter", ("signal", "probability", "model_version")),
    ("served", "The API's record of the answer", ("served_at", "arm", "source")),
)
OF_TRADE: Final = ("side", "reason", "mean_price", "band_price")
OF_ORDER: Final = ("side", "quantity", "order_type", "state")
NO_ORDER: Final = "No order on record made this trade."
NO_EXIT: Final = "No exit order on record names this entry: a stop or target at the venue closes without one of its own."


def path_of(client_order_id: str) -> str:
    """Return the path of an order's page in the API.

    >>> path_of("20260302-entry-SPY-trio/rsi")
    '/orders/20260302-entry-SPY-trio%2Frsi'
    """
    return f"/orders/{quote(client_order_id, safe='')}"


def draw(trade: Mapping[str, Any], entry: Mapping[str, Any] | None, leaving: Mapping[str, Any] | None) -> None:
    """Draw the chain behind a trade.

    Parameters
    ----------
    entry, leaving
        What stands behind its entry and its exit order; None where no order is on record or the API did not tell.
    """
    st.html(facts("Trade", trade, OF_TRADE))
    if entry is None:
        st.text(NO_ORDER if trade["entry_order_id"] is None else table.MISSING)
        return
    for name, title, shown in CHAIN:
        st.html(facts(title, entry[name], shown))
    _draw_order("Entry order", entry)
    if leaving is None:
        st.text(NO_EXIT)
    else:
        _draw_order("Exit order", leaving)
    missing = "".join(f"<li>{escaped(each)}</li>" for each in entry["not_linked"])
    if missing:
        st.html(f'<div class="desk-facts"><p class="desk-caption">Not on record, of the entry</p><ul>{missing}</ul></div>')


def _draw_order(title: str, page: Mapping[str, Any]) -> None:
    """Draw an order, its code, its events and its fills."""
    st.html(facts(title, {**page["order"], **page["code"]}, OF_ORDER))
    table.draw(EVENTS, page["events"], caption=f"{title}: events", empty="No event is on record.")
    table.draw(FILLS, page["fills"], caption=f"{title}: fills", empty="Nothing was filled.")


def facts(title: str, part: Mapping[str, Any] | None, shown: Sequence[str] = ()) -> str:
    """Return a part as a folded list of names and values, everything escaped; a missing part says so.

    Parameters
    ----------
    shown
        Names of the values that stand beside the title while the list is folded.

    >>> "&lt;b&gt;" in facts("Signal", {"strategy": "<b>"})
    True
    """
    if part is None:
        return f'<div class="desk-facts"><p class="desk-caption">{escaped(title)}: not on record.</p></div>'
    rows = "".join(f"<dt>{escaped(name.replace('_', ' '))}</dt><dd>{escaped(value)}</dd>" for name, value in pairs(part))
    summary = f"<summary>{escaped(title + headline(part, shown))}</summary>"
    return f'<details class="desk-facts">{summary}<dl>{rows}</dl></details>'


def pairs(part: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return names and values of a part; a part within it gives its own, with its name before.

    >>> pairs({"close": 1.5, "report": {"status": "PASS", "rules": [1, 2]}, "note": None})
    [('close', '1.5'), ('report status', 'PASS'), ('report rules', '1, 2'), ('note', 'n/a')]
    """
    flat: list[tuple[str, str]] = []
    for name, value in part.items():
        if isinstance(value, dict):
            flat += pairs(value, f"{prefix}{name} ")
        else:
            flat.append((f"{prefix}{name}", words(value)))
    return flat


def words(value: object) -> str:
    """Return a value as text, figures exactly as the API gives them."""
    if value is None or value == "":
        return figures.UNDEFINED
    if isinstance(value, list):
        return ", ".join(words(each) for each in value) or "none"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def headline(part: Mapping[str, Any], shown: Sequence[str]) -> str:
    """Return the few values that show while a part is folded, each with its name.

    >>> headline({"symbol": "SPY", "session": "2026-03-02", "close": 1.5}, ("session", "close"))
    ': session 2026-03-02, close 1.5'
    """
    values = [f"{name.replace('_', ' ')} {words(part[name])}" for name in shown if name in part]
    return f": {', '.join(values)}" if values else f": {len(part)} values"
