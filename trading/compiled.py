"""`compiled`: numba's `njit` with a disk cache that notices a changed rule. Owns the decorator and nothing it decorates.

Compiling the kernels takes seconds, so they are cached. Numba throws a cached function away when the file it stands in changes,
but not when a function it calls has changed in another file: after an update the backtest would go on using the old fill rule.
Here the cache carries a stamp of every file of rules as well.
"""

from __future__ import annotations

import hashlib
import inspect
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from numba import njit

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")

RULE_FILES = ("costs.py", "fills.py", "risk.py", "sizing.py")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile on first call (nogil), and keep the machine code on disk where a folder for it can be written."""
    try:
        dispatcher = njit(cache=True, nogil=True)(function)
    except RuntimeError:  # no writable cache folder: compile in every process
        return njit(nogil=True)(function)
    index = dispatcher._cache._cache_file  # type: ignore[attr-defined]  # noqa: SLF001  # there is no public way to add a stamp
    index._source_stamp = (index._source_stamp, rules_stamp(), source_hash(inspect.getfile(function)))  # noqa: SLF001
    return dispatcher


@lru_cache(maxsize=1)
def rules_stamp() -> str:
    """Hash of the contents of every file of rules."""
    return "".join(source_hash(str(Path(__file__).with_name(name))) for name in RULE_FILES)


@lru_cache(maxsize=16)
def source_hash(path: str) -> str:
    """Hash of a file's contents."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
