"""The correlation matrix of what is held, as a table whose cells are shaded and carry their numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from monitoring.dashboard import figures, table
from monitoring.dashboard.figures import escaped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CAPTION: Final = "Correlation of what is held"
EMPTY: Final = "Fewer than two symbols are held."
DARKEST: Final = 0.55  # of a shade: the number stays readable on it


def draw(rows: Sequence[Mapping[str, Any]] | None) -> None:
    """Draw a matrix for each book; None: the API gave none."""
    if not rows:
        table.draw((), None if rows is None else [], caption=CAPTION, empty=EMPTY)
        return
    for book in dict.fromkeys(str(row["book"]) for row in rows):
        st.html(matrix([row for row in rows if row["book"] == book]))


def matrix(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the matrix of one book as HTML.

    >>> pair = {"book": "main", "symbol": "A", "other": "B", "correlation": 0.5, "effective": -0.5, "reason": None}
    >>> "as held -0.50" in matrix([pair | {"sessions": 60, "last": "2026-03-02", "n": 60}])
    True
    """
    first = rows[0]
    symbols = sorted({str(row[name]) for row in rows for name in ("symbol", "other")})
    pairs = {frozenset((str(row["symbol"]), str(row["other"]))): row for row in rows}
    caption = (
        f"{CAPTION}: daily returns of {first['book']}, {first['sessions']} sessions to {first['last'] or figures.UNDEFINED}"
    )
    head = "".join(f'<th scope="col" class="figure">{escaped(symbol)}</th>' for symbol in symbols)
    body = "".join(
        f'<tr><th scope="row">{escaped(one)}</th>{"".join(_cell(pairs.get(frozenset((one, other)))) for other in symbols)}</tr>'
        for one in symbols
    )
    return (
        f'<div class="desk-table desk-heat" tabindex="0" role="region" aria-label="{CAPTION}"><table>'
        f"<caption>{escaped(caption)}</caption><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(row: Mapping[str, Any] | None) -> str:
    """Return a cell: blue above zero, orange below, the darker the further; a symbol with itself stays empty."""
    if row is None:
        return '<td class="figure"></td>'
    value, effective = row["correlation"], row["effective"]
    if value is None:
        return f'<td class="figure" title="{escaped(row["reason"])}">{figures.UNDEFINED}: {escaped(row["reason"])}</td>'
    colour = "0, 114, 178" if value >= 0 else "213, 94, 0"
    held = f" (as held {figures.signed(effective)})" if effective != value else ""
    title = f"{row['n']} common sessions"
    style = f"background-color: rgba({colour}, {DARKEST * min(1.0, abs(value)):.2f})"
    return f'<td class="figure" style="{style}" title="{escaped(title)}">{figures.signed(value)}{held}</td>'
