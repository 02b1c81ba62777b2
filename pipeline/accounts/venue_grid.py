"""The venue's grid of an instrument, kept in the table of instruments and corrected by what a person has set there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.instruments import corrected, fields_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from core.models import Instrument
    from storage.market.instruments import InstrumentStore


@dataclass(frozen=True)
class VenueGrid:
    """Record what a venue says of an instrument, and return it with a person's corrections.

    Attributes
    ----------
    venue
        Name of the venue; the paper broker has no word of its own and is not recorded.
    """

    instruments: InstrumentStore
    venue: str
    clock: Callable[[], dt.datetime]

    def __call__(self, grid: Instrument) -> Instrument:
        """Return the grid as the desk uses it."""
        if self.venue != "paper":
            self.instruments.record(grid.symbol, fields_of(grid), source=self.venue, recorded_at=self.clock())
        return corrected(grid, self.instruments.read([grid.symbol])[0])
