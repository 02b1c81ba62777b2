"""`compiled`: numba's `njit` with a disk cache that notices a changed rule.

Compiling the kernels takes seconds, so they are cached. Numba throws a cached function away when the file it stands in changes,
but not when a function it calls has changed in another file: after an update the backtest would go on using the old fill rule.
Here the cache carries a stamp of every file that holds a compiled function.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from numba import njit

from core.folders import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")

PACKAGES = ("features", "trading", "backtest", "research")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile on first call (nogil), and keep the machine code on disk where a folder for it can be written."""
    try:
        dispatcher = njit(cache=True, nogil=True)(function)
    except RuntimeError:  # no writable cache folder: compile in every process
        return njit(nogil=True)(function)
    index = dispatcher._cache._cache_file  # type: ignore[attr-defined]  # noqa: SLF001  # there is no public way to add a stamp
    index._source_stamp = (index._source_stamp, kernels_stamp())  # noqa: SLF001
    return dispatcher


@lru_cache(maxsize=1)
def kernels_stamp() -> str:
    """Hash of the contents of every file with a compiled function in it."""
    sources = (path.read_bytes() for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))
    return hashlib.sha256(b"".join(source for source in sources if b"@compiled" in source)).hexdigest()
