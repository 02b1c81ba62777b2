"""`compiled`: numba's `njit` with a disk cache that notices a changed rule.

Compiling the kernels takes seconds, so they are cached. Numba throws a cached function away when the file it stands in changes,
but not when a function it calls has changed in another file: after an update the backtest would go on using the old fill rule.
Here the cache carries a stamp of every file that holds a compiled function, and one that cannot be read counts as empty: an
index holds pickled types, so one written before a kernel type was renamed or moved does not load.
"""

from __future__ import annotations

import hashlib
import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from numba import njit
from numba.core.caching import IndexDataCacheFile

from core.folders import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")

_log = logging.getLogger("core.compiled")

PACKAGES = ("features", "trading", "backtest", "research")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile on first call (nogil), and keep the machine code on disk where a folder for it can be written."""
    try:
        dispatcher = njit(cache=True, nogil=True)(function)
    except RuntimeError:  # no writable cache folder: compile in every process
        return njit(nogil=True)(function)
    cache: Any = dispatcher._cache  # type: ignore[attr-defined]  # noqa: SLF001  # there is no public way to add a stamp
    stamp = (cache._cache_file._source_stamp, kernels_stamp())  # noqa: SLF001
    cache._cache_file = _CacheFile(cache.cache_path, cache._impl.filename_base, stamp)  # type: ignore[no-untyped-call]  # noqa: SLF001
    return dispatcher


class _CacheFile(IndexDataCacheFile):
    """Numba's cache of one function; an index or code that cannot be read is none, and the next save overwrites it."""

    def _load_index(self) -> dict[Any, str]:
        try:
            found: dict[Any, str] = super()._load_index()  # type: ignore[no-untyped-call]
        except Exception as problem:  # noqa: BLE001  # unpickling raises whatever the pickled types' modules raise
            _log.info("Cache index %s does not load, and the kernel is compiled again: %r", self._index_path, problem)
            return {}
        return found

    def load(self, key: object) -> Any:  # noqa: ANN401  # what numba pickled
        try:
            return super().load(key)  # type: ignore[no-untyped-call]
        except Exception as problem:  # noqa: BLE001  # as above
            _log.info("Cached code beside %s does not load, and the kernel is compiled again: %r", self._index_path, problem)
            return None


@lru_cache(maxsize=1)
def kernels_stamp() -> str:
    """Hash of the contents of every file with a compiled function in it."""
    sources = (path.read_bytes() for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))
    return hashlib.sha256(b"".join(source for source in sources if b"@compiled" in source)).hexdigest()
