"""Figures that a page of the dashboard holds, read back from its HTML and from its charts."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

from streamlit.testing.v1 import AppTest

from monitoring.dashboard import figures, table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from monitoring.dashboard.table import Column


@dataclass
class ShownTable:
    """A table as it stands on a page: its caption, its headers and the text of its cells."""

    caption: str = ""
    headers: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)


class Tables(HTMLParser):
    """Reads every table of a page."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tables: list[ShownTable] = []
        self._text: list[str] | None = None
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002  # the base class gives it
        if tag == "table":
            self.tables.append(ShownTable())
        elif tag == "tr":
            self.tables[-1].rows.append([])
        elif tag in {"th", "td", "caption"}:
            self._text = []

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self._text.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag not in {"th", "td", "caption"} or self._text is None:
            return
        text, self._text = "".join(self._text).strip(), None
        shown = self.tables[-1]
        if tag == "caption":
            shown.caption = text
        else:
            shown.rows[-1].append(text)

    def named(self, beginning: str) -> ShownTable:
        """The table whose caption begins so, its first row as headers."""
        (shown,) = [each for each in self.tables if each.caption.startswith(beginning)]
        return ShownTable(shown.caption, shown.rows[0], shown.rows[1:])


def opened(script: Callable[[], None], *, problems: int = 0) -> AppTest:
    """Run the page that a script draws; every read of it has an answer, and so many problems of the desk are told."""
    page = AppTest.from_function(script, default_timeout=120).run()
    assert [each.value for each in page.exception] == []
    assert html_of(page).count('role="alert"') == problems
    return page


def html_of(page: AppTest) -> str:
    """The HTML of the page's own tables, cards and messages."""
    return "\n".join(each.proto.body for each in page.get("html"))


def panes_of(page: AppTest) -> list[dict[str, Any]]:
    """The panes of the page's chart."""
    (chart,) = charts_of(page)
    return list(chart["panes"])


def charts_of(page: AppTest) -> list[dict[str, Any]]:
    """Return the description of each chart of the page."""
    return [json.loads(json.loads(each.proto.json)["spec"]) for each in page.get("bidi_component")]


def differences(shown: ShownTable, columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Cells that do not show the API's value, to the decimals shown; a missing or additional row is one."""
    if len(shown.rows) != len(rows):
        return [f"{len(shown.rows)} rows shown, the API has {len(rows)}"]
    headers = [f"{each.label} ({each.unit})" if each.unit else each.label for each in columns]
    wrong = [] if shown.headers == headers else [f"headers {shown.headers}, expected {headers}"]
    for cells, row in zip(shown.rows, rows, strict=True):
        wrong += [
            f"{column.name}: {cell!r} is not {row[column.name]!r}"
            for column, cell in zip(columns, cells, strict=True)
            if column.text is None and not shows(cell, column, row[column.name])
        ]
    return wrong


def shows(cell: str, column: Column, value: Any) -> bool:
    """Return True when the text of a cell is the value, to the decimals shown."""
    for sign in filter(None, table.SIGNS.values()):
        cell = cell.removeprefix(sign)
    if value is None or value == "":
        return cell == figures.UNDEFINED
    if column.is_number:
        decimals = 6 if column.kind == "quantity" else column.decimals
        return math.isclose(float(cell.replace(",", "")), float(value), abs_tol=0.5001 * 10**-decimals)
    if column.kind == "flag":
        return cell == ("yes" if value else "no")
    if column.kind == "instant":
        return cell == f"{str(value)[:19].replace('T', ' ')} UTC"
    return cell == str(value)
