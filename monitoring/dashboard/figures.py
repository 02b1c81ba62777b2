"""Figures, instants and ages as text, each with its unit; `n/a` stands for what is undefined or unknown."""

from __future__ import annotations

import datetime as dt
import math
from html import escape

UNDEFINED = "n/a"
MINUTE, HOUR, DAY = 60, 3_600, 86_400


def money(value: float | None, decimals: int = 2) -> str:
    """Return US dollars.

    >>> money(-1234.5), money(None), money(float("nan"))
    ('-1,234.50', 'n/a', 'n/a')
    """
    return number(value, decimals)


def signed(value: float | None, decimals: int = 2) -> str:
    """Return a number with its sign, also when it is positive: a gain shows without colour.

    >>> signed(12.0), signed(-0.5), signed(0.0), signed(None)
    ('+12.00', '-0.50', '0.00', 'n/a')
    """
    text = number(value, decimals)
    return f"+{text}" if value is not None and value > 0 and float(text.replace(",", "")) != 0 else text


def number(value: float | None, decimals: int = 0) -> str:
    """Return a number with thousands separators.

    >>> number(1234567), number(0.1234, 3), number(-0.001, 2)
    ('1,234,567', '0.123', '0.00')
    """
    if value is None or not math.isfinite(value):
        return UNDEFINED
    text = f"{value:,.{decimals}f}"
    return text.lstrip("-") if not text.strip("-0.,") else text


def quantity(value: float | None) -> str:
    """Return a number with the decimals that it has, at most six: shares, and parts of them.

    >>> quantity(1200), quantity(-0.25), quantity(None)
    ('1,200', '-0.25', 'n/a')
    """
    text = number(value, 6)
    return text.rstrip("0").rstrip(".") if "." in text else text


def instant(value: str | dt.datetime | None) -> str:
    """Return an instant in UTC, to the second.

    >>> instant("2026-03-02T14:30:00.25-05:00")
    '2026-03-02 19:30:00 UTC'
    """
    at = parsed(value)
    return UNDEFINED if at is None else f"{at.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"


def parsed(value: str | dt.datetime | None) -> dt.datetime | None:
    """Return an instant of the API as an aware datetime; None for none.

    Raises
    ------
    ValueError
        When the text is no instant or has no offset.
    """
    if value is None or value == "":
        return None
    at = dt.datetime.fromisoformat(value) if isinstance(value, str) else value
    if at.tzinfo is None:
        raise ValueError(f"Expected an instant with its offset, found {value!r}.")
    return at


def age(seconds: float) -> str:
    """Return an age in its largest unit.

    >>> age(4.2), age(181), age(7300), age(200_000)
    ('4 s', '3 min', '2 h', '2 days')
    """
    if seconds < MINUTE:
        return f"{seconds:.0f} s"
    if seconds < HOUR:
        return f"{seconds // MINUTE:.0f} min"
    return f"{seconds // HOUR:.0f} h" if seconds < 2 * DAY else f"{seconds // DAY:.0f} days"


def escaped(text: object) -> str:
    """Return text that is safe within HTML.

    >>> escaped("<b>")
    '&lt;b&gt;'
    """
    return escape(str(text))
