"""The desk's book in memory, under the name that tests know it by."""

from __future__ import annotations

from trading.brokers.memory import MemoryBook

__all__ = ["MemoryBook"]
