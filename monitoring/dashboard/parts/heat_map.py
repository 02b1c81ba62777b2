"""A heat map as a table: each cell has its figure; the shade, light to strong in one colour, is beside it, not instead."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import streamlit as st

from monitoring.dashboard import figures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SHADES = 6


def draw(found: Mapping[str, Any], *, caption: str, scale: float, decimals: int, unit: str) -> None:
    """Draw the API's heat map; `scale` is the factor of a figure before it is shown."""
    st.html(markup(found, caption=caption, scale=scale, decimals=decimals, unit=unit))


def markup(found: Mapping[str, Any], *, caption: str, scale: float = 1.0, decimals: int = 2, unit: str = "") -> str:
    """Return the table's HTML: a row for each value of `y`, a column for each of `x`, and below it what the shades mean."""
    x, y = found["x"], found["y"]
    low, high = bounds(found["mean"])
    head = "".join(f'<th scope="col" class="figure">{escape(value)}</th>' for value in x["values"])
    body = "".join(
        f'<tr><th scope="row">{escape(value)}</th>{"".join(_cell(*each, low, high, scale, decimals) for each in cells)}</tr>'
        for value, cells in (
            (value, zip(found["mean"][row], found["count"][row], found["trials"][row], strict=True))
            for row, value in enumerate(y["values"])
        )
    )
    shown = [f"{figures.number(None if end is None else end * scale, decimals)} {unit}".strip() for end in (low, high)]
    return (
        f'<div class="desk-table desk-heat" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr><th>{escape(y['name'])} \\ {escape(x['name'])}</th>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div><p class='desk-notice'>Pale is {escape(shown[0])}, strong {escape(shown[1])}. "
        "Small figures are the trials behind each mean.</p>"
    )


def bounds(mean: Sequence[Sequence[float | None]]) -> tuple[float | None, float | None]:
    """Return the smallest and the largest figure; None where there is none.

    >>> bounds([[1.0, None], [None, -0.5]]), bounds([[None]])
    ((-0.5, 1.0), (None, None))
    """
    values = [each for row in mean for each in row if each is not None]
    return (min(values), max(values)) if values else (None, None)


def shade_of(value: float, low: float, high: float) -> int:
    """Return the shade of a figure, from 1 for the smallest to `SHADES` for the largest.

    >>> shade_of(0.0, 0.0, 1.0), shade_of(1.0, 0.0, 1.0), shade_of(2.0, 2.0, 2.0)
    (1, 6, 1)
    """
    return 1 + min(SHADES - 1, int(SHADES * (value - low) / (high - low))) if high > low else 1


def _cell(  # noqa: PLR0917  # a cell and its scale
    value: float | None, count: int, trials: int, low: float | None, high: float | None, scale: float, decimals: int
) -> str:
    if value is None or low is None or high is None:
        return f'<td class="figure">{"not tried" if not trials else figures.UNDEFINED}</td>'
    shade = shade_of(value, low, high)
    return f'<td class="figure heat-{shade}">{figures.number(value * scale, decimals)} <small>{count:,}</small></td>'
