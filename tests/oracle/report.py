"""Compare with backtesting.py on every corpus symbol and with the reading copy on random markets; write the counts.

`make oracle` runs it, which takes some minutes. It fails, and writes nothing, when a difference has no name.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING

from rich.progress import track

from ingestion.providers.files import FilesProvider
from tests.bench.peers.document import measured_on, table, write_section
from tests.oracle.kernel_run import compare_many
from tests.oracle.peer import CASES, CORPUS, RULES, compare, corpus_bars

if TYPE_CHECKING:
    from tests.oracle.kernel_run import Count
    from tests.oracle.peer import Comparison


def main() -> None:
    """Run both comparisons and write section `oracle` of docs/benchmarks.md."""
    bars = corpus_bars(FilesProvider(CORPUS).default_universe)
    todo = [(name, params, frame) for name, params in CASES for frame in bars.values()]
    found = [compare(*one) for one in track(todo, description="backtesting.py")]
    if different := [(one.strategy, one.symbol, one.unexplained) for one in found if one.unexplained]:
        sys.exit(f"Differences without a name, as (ours, theirs): {different}")
    write_section("oracle", f"{measured_on()}\n\n{_peer_table(found)}\n\n{_kernel_text(compare_many())}")


def _peer_table(found: list[Comparison]) -> str:
    rows = []
    for strategy in dict.fromkeys(one.strategy for one in found):
        of = [one for one in found if one.strategy == strategy]
        sums = [sum(getattr(one, name) for one in of) for name in ("bars", "ours", "theirs", "equal")]
        explained = sum((one.explained for one in of), Counter())
        rows.append(
            [f"`{strategy}`" if "," not in strategy else strategy, len(of), *(f"{n:,}" for n in sums), _named(explained)]
        )
    columns = ["Strategy", "Symbols", "Bars", "Trades here", "Trades there", "Equal", "Differ by a named rule"]
    named = "\n".join(f"- *{name}*: {text}." for name, text in RULES.items())
    return f"{table(columns, rows)}\n\nThe named rules:\n{named}"


def _named(explained: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in explained.items()) or "0"


def _kernel_text(count: Count) -> str:
    return (
        f"The compiled kernel and the copy written for reading agreed on {count.bars:,} bars in "
        f"{count.markets:,} random markets: {count.trades:,} trades, {count.refusals:,} refused entries, equity and exposure."
    )


if __name__ == "__main__":
    main()
