"""Tables of a simulation, put into a page of the documentation between their markers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def percent(rate: float) -> str:
    """Return a rate as a percentage with one digit."""
    return f"{rate:.1%}"


def write_table(document: Path, name: str, table: str) -> None:
    """Put a table between its markers."""
    text = document.read_text()
    marked = rf"(<!-- {name} -->\n).*?(\n<!-- end -->)"
    assert re.search(marked, text, re.DOTALL), f"{document.name} has no place for {name}"
    document.write_text(re.sub(marked, lambda found: found[1] + table + found[2], text, count=1, flags=re.DOTALL))
