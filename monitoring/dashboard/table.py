"""Light tables: HTML with escaped values, units in the header, numbers on the right.

The data grid of Streamlit needs seconds to load; these appear with the page. A table is cut at `most` rows and says so; the
file behind its button is the whole view, as the API writes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Literal

import streamlit as st

from monitoring.dashboard import figures

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Kind = Literal["text", "number", "signed", "quantity", "instant", "flag"]
Tone = Literal["", "good", "caution", "bad"]
MOST_ROWS = 200
MISSING = "Not available: the message at the top of the page has the reason."
IN_THE_FILE = "The file has all of them."
SIGNS: dict[Tone, str] = {"": "", "good": "● ", "caution": "▲ ", "bad": "■ "}  # a shape beside each colour


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    name
        Key of the row's value.
    unit
        Shown in the header, such as `USD` or `%`.
    kind
        `quantity`: a number with as many decimals as it has, at most six.
    scale
        Factor of a number before it is shown: 100 shows a share as a percentage.
    tone
        Returns how a row's value is to be taken; it shows as a colour and as a shape.
    text
        Returns what is shown for a row instead; it is escaped too.
    bar
        Returns the length of a bar beside the figure, in % of the whole; None draws none.
    link
        Returns the address that a row's value leads to, in a new tab; None, or one that is not http(s), shows no link.
    wraps
        True breaks a long text into lines; otherwise it is cut at the column's width.
    """

    name: str
    label: str
    unit: str = ""
    kind: Kind = "text"
    decimals: int = 2
    scale: float = 1.0
    tone: Callable[[Mapping[str, Any]], Tone] | None = None
    text: Callable[[Mapping[str, Any]], str] | None = None
    bar: Callable[[Mapping[str, Any]], float | None] | None = None
    link: Callable[[Mapping[str, Any]], str | None] | None = None
    wraps: bool = False

    @property
    def is_number(self) -> bool:
        """True when values stand on the right."""
        return self.kind in {"number", "signed", "quantity"}

    def shown(self, row: Mapping[str, Any]) -> str:
        """Return the text of a row's value, not yet escaped."""
        if self.text is not None:
            return self.text(row)
        value = row.get(self.name)
        return figures.UNDEFINED if value is None or value == "" else self._text(value)

    def _text(self, value: Any) -> str:  # noqa: ANN401  # a value of JSON
        if self.kind == "instant":
            return figures.instant(value)
        if self.kind == "flag":
            return "yes" if value else "no"
        if self.kind == "quantity":
            return figures.quantity(float(value) * self.scale)
        if self.is_number:
            return (figures.signed if self.kind == "signed" else figures.number)(float(value) * self.scale, self.decimals)
        return str(value)


def draw(
    columns: Sequence[Column],
    rows: Sequence[Mapping[str, Any]] | None,
    *,
    caption: str,
    empty: str,
    most: int = MOST_ROWS,
    rest: str = IN_THE_FILE,
) -> None:
    """Draw a table.

    Parameters
    ----------
    rows
        None: the API gave none.
    caption
        Names the table.
    empty
        The sentence for a table without rows.
    rest
        The sentence that says where the rows after the first `most` are.
    """
    st.html(markup(columns, rows, caption=caption, empty=empty, most=most, rest=rest))


def markup(
    columns: Sequence[Column],
    rows: Sequence[Mapping[str, Any]] | None,
    *,
    caption: str,
    empty: str,
    most: int = MOST_ROWS,
    rest: str = IN_THE_FILE,
) -> str:
    """Return the table's HTML; every value and label is escaped.

    Examples
    --------
    >>> "&lt;b&gt;" in markup([Column("name", "Name")], [{"name": "<b>"}], caption="Names", empty="None.")
    True
    """
    if not rows:
        empty = MISSING if rows is None else empty
        return f'<div class="desk-table"><p><strong>{escape(caption)}</strong></p><p>{escape(empty)}</p></div>'
    head = "".join(f'<th scope="col" class="{_side(each)}">{_header(each)}</th>' for each in columns)
    body = "".join(f"<tr>{''.join(_cell(column, row) for column in columns)}</tr>" for row in rows[:most])
    note = f"<p>The first {most:,} of {len(rows):,} rows. {escape(rest)}</p>" if len(rows) > most else ""
    return (
        f'<div class="desk-table" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{note}"
    )


def cards(items: Sequence[tuple[str, str, str]]) -> None:
    """Draw figures in a row that wraps on a phone: label, figure with its unit, and a line about it."""
    st.html(
        '<dl class="desk-cards">'
        + "".join(
            f"<div><dt>{escape(label)}</dt><dd>{escape(figure)}</dd><dd class='about'>{escape(about)}</dd></div>"
            for label, figure, about in items
        )
        + "</dl>"
    )


def lights(items: Sequence[tuple[str, Tone, str]], *, caption: str = "") -> None:
    """Draw states in a row: name, tone and a word; the tone is a shape beside its colour."""
    st.html(
        (f'<p class="desk-caption">{escape(caption)}</p>' if caption else "")
        + '<ul class="desk-lights">'
        + "".join(
            f'<li><span class="{tone or "plain"}">{SIGNS[tone]}{escape(word)}</span>{f" {escape(name)}" if name else ""}</li>'
            for name, tone, word in items
        )
        + "</ul>"
    )


def download(label: str, name: str, content: Callable[[], bytes], key: str, kind: str = "text/csv") -> None:
    """Draw a button that makes a file when it is pressed, and not before."""
    st.download_button(label, content, file_name=name, mime=kind, key=key, on_click="ignore")


def _side(column: Column) -> str:
    return "figure" if column.is_number else ""


def _header(column: Column) -> str:
    unit = f' <span class="unit">({escape(column.unit)})</span>' if column.unit else ""
    return f"{escape(column.label)}{unit}"


def _cell(column: Column, row: Mapping[str, Any]) -> str:
    tone = column.tone(row) if column.tone else ""
    classes = " ".join(filter(None, (_side(column), tone, "wraps" if column.wraps else "")))
    return f'<td class="{classes}">{_bar(column, row)}{SIGNS[tone]}{_linked(column, row)}</td>'


def _linked(column: Column, row: Mapping[str, Any]) -> str:
    text, address = escape(column.shown(row)), column.link(row) if column.link else None
    if not address or not address.startswith(("http://", "https://")):
        return text
    return f'<a href="{escape(address)}" target="_blank" rel="noopener noreferrer">{text}</a>'


def _bar(column: Column, row: Mapping[str, Any]) -> str:
    share = column.bar(row) if column.bar else None
    return "" if share is None else f'<meter min="0" max="100" value="{min(100.0, max(0.0, share)):.1f}"></meter> '
