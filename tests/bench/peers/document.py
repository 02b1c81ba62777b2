"""Sections of docs/benchmarks.md that a program writes, each between two comments of its name. Owns the file's place alone."""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PAGE = Path(__file__).parents[3] / "docs" / "benchmarks.md"


def write_section(name: str, body: str, page: Path = PAGE) -> None:
    """Replace what stands between `<!-- name -->` and `<!-- /name -->`."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    text = page.read_text(encoding="utf-8")
    if begin not in text or end not in text:
        raise ValueError(f"{page.name}: expected the comments {begin} and {end}, found none. Put them where the table goes.")
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    page.write_text(pattern.sub(lambda _: f"{begin}\n{body.strip()}\n{end}", text), encoding="utf-8")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; the first column is text, the others are numbers.

    >>> print(table(["a", "b"], [["x", 1]]))
    | a | b |
    |---|---:|
    | x | 1 |
    """
    lines = [columns, *rows]
    shown = ["| " + " | ".join(map(str, line)) + " |" for line in lines]
    return "\n".join([shown[0], "|" + "|".join(["---", *["---:"] * (len(columns) - 1)]) + "|", *shown[1:]])


def measured_on() -> str:
    """Date and machine, without its name."""
    today = dt.datetime.now(tz=dt.UTC).date()
    return f"Measured on {today}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}."
