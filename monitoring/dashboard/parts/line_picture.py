"""A curve as inline SVG, for a page on paper: no script, its axis labelled with unit and sessions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from monitoring.dashboard import figures
from monitoring.dashboard.palette import PALETTE, Colour

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 960, 240, 90, 12, 24
LEVELS: Final = 4  # spaces between the lines of the grid


def picture(
    title: str, unit: str, sessions: Sequence[str], values: Sequence[float | None], colour: Colour, *, down: bool = False
) -> str:
    """Return a curve over sessions as a figure; missing values are gaps.

    Parameters
    ----------
    down
        Larger values stand lower, from zero at the top: a drawdown.
    """
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return f"<p><strong>{figures.escaped(title)}</strong></p><p>No close is on record.</p>"
    low, high = (0.0, max(known)) if down else (min(known), max(known))
    high = high if high > low else low + 1.0
    caption = (
        f"{title}, {unit}, sessions {sessions[0]} to {sessions[-1]}; "
        f"last {figures.number(known[-1], 2)} {unit}, lowest {figures.number(min(known), 2)}, "
        f"highest {figures.number(max(known), 2)}"
    )
    parts = [*_grid(low, high, down), _labels(sessions), _path(values, low, high, PALETTE[colour][0], down)]
    words = figures.escaped(caption)
    svg = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><title>{words}</title>{"".join(parts)}</svg>'
    return f"<figure style='margin:0'><figcaption><strong>{words}</strong></figcaption>{svg}</figure>"


def _y(value: float, low: float, high: float, down: bool) -> float:
    share = (value - low) / (high - low)
    return TOP + (share if down else 1 - share) * (HEIGHT - TOP - BOTTOM)


def _grid(low: float, high: float, down: bool) -> list[str]:
    levels = [low + (high - low) * each / LEVELS for each in range(LEVELS + 1)]
    return [
        f'<line x1="{LEFT}" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#DDD"/>'
        f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{figures.number(value, 2)}</text>'
        for value in levels
        for y in [_y(value, low, high, down)]
    ]


def _labels(sessions: Sequence[str]) -> str:
    y = HEIGHT - 6
    return (
        f'<text x="{LEFT}" y="{y}">{figures.escaped(sessions[0])}</text>'
        f'<text x="{WIDTH}" y="{y}" text-anchor="end">{figures.escaped(sessions[-1])}</text>'
    )


def _path(values: Sequence[float | None], low: float, high: float, colour: str, down: bool) -> str:
    step, pen, commands = (WIDTH - LEFT) / max(1, len(values) - 1), "M", []
    for place, value in enumerate(values):
        if value is None or not math.isfinite(value):
            pen = "M"
            continue
        commands.append(f"{pen}{LEFT + place * step:.1f} {_y(value, low, high, down):.1f}")
        pen = "L"
    return f'<path d="{"".join(commands)}" fill="none" stroke="{colour}" stroke-width="1.5" stroke-linecap="round"/>'
