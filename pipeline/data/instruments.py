"""The table of instruments: what providers, venues and people say of each symbol."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from core.errors import ConfigError, DeskError
from core.instruments import FIELDS, NAME_AT, PERSON, InstrumentRecord, calendar_corrections, checked, fields_of, one_spelling
from core.sessions import correct_calendars
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

log = structlog.get_logger()


def list_instruments(symbols: Sequence[str] = (), *, resources: Resources | None = None) -> list[InstrumentRecord]:
    """Return what is known of these symbols, or of the universe and every symbol that some source spoke of."""
    resources = resources or live()
    if symbols:
        return resources.instruments.read([one_spelling(symbol) for symbol in symbols])
    spoken_of = {each.symbol for each in resources.instruments.read()}
    return resources.instruments.read({*spoken_of, *resources.universe()})


def correct(symbol: str, values: Mapping[str, str], *, resources: Resources | None = None) -> InstrumentRecord:
    """Store what a person says of an instrument; it counts before every other source, from the next start of a process on.

    Raises
    ------
    ConfigError
        When a field is unknown or cannot have its value; nothing is stored then.
    """
    resources = resources or live()
    if not values:
        raise ConfigError(f"Expected field=value, found none. Fields: {', '.join(FIELDS)} and {NAME_AT}VENUE.")
    name = one_spelling(symbol)
    clean = {field: checked(field, value) for field, value in values.items()}
    resources.instruments.record(name, clean, source=PERSON, recorded_at=resources.clock())
    correct_calendars(calendar_corrections(resources.instruments.read()))
    return resources.instruments.read([name])[0]


def refresh_from_venue(symbols: Sequence[str] = (), *, resources: Resources | None = None) -> dict[str, str]:
    """Store the grid and smallest order that the venue names for each symbol; return why others failed, by symbol."""
    resources = resources or live()
    failed = {}
    for symbol in [one_spelling(each) for each in symbols] or resources.universe():
        try:
            grid = resources.broker.instrument(symbol)
        except DeskError as error:
            failed[symbol] = str(error)
            continue
        source = resources.settings.venue.kind
        resources.instruments.record(symbol, fields_of(grid), source=source, recorded_at=resources.clock())
    if failed:
        log.warning("venue_knows_no_instrument", failed=failed)
    return failed
