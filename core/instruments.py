"""Fields of an instrument, each with the source that states it.

Several sources may speak of one field. A person comes first, then the venue, then the data provider, then the rule of the
spelling (`core.symbols`); of one source the newest statement counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final

from core.errors import ConfigError
from core.symbols import AssetClass, normalise_symbol, traits_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping

    from core.models import Instrument

PERSON, RULE = "person", "rule"
VENUES: Final = ("alpaca", "ib", "paper")
AMOUNTS: Final = ("price_tick", "quantity_step", "min_quantity", "min_notional")
NAME_AT: Final = "name:"  # a field `name:alpaca` holds the venue's or provider's own spelling
FIELDS: Final = ("asset_class", "currency", "calendar", *AMOUNTS)
_CURRENCY = re.compile(r"[A-Za-z]{3,5}")


@dataclass(frozen=True)
class Statement:
    """One field of an instrument as one source states it.

    Attributes
    ----------
    source
        `person`, a venue (`alpaca`, `ib`) or a provider (`yfinance`).
    """

    symbol: str
    field: str
    value: str
    source: str
    recorded_at: dt.datetime


@dataclass(frozen=True)
class InstrumentRecord:
    """One row of the table of instruments: every field that is known, and the source of each.

    Attributes
    ----------
    price_tick, quantity_step, min_quantity, min_notional
        Grid and smallest order of the venue, None where nobody said. `min_notional` is in `currency`.
    names
        The spelling of each venue or provider that has its own.
    sources
        The source of each field that is known.
    """

    symbol: str
    asset_class: AssetClass
    currency: str
    calendar: str
    price_tick: Decimal | None
    quantity_step: Decimal | None
    min_quantity: Decimal | None
    min_notional: Decimal | None
    names: Mapping[str, str]
    sources: Mapping[str, str]


def resolve(symbol: str, statements: Iterable[Statement] = ()) -> InstrumentRecord:
    """Return what is known of a symbol: of each field the statement of the first source, the newest one of it.

    >>> record = resolve("VOD.L")
    >>> record.asset_class.value, record.currency, record.calendar, record.sources["calendar"]
    ('equity', 'GBp', 'XLON', 'rule')
    """
    traits = traits_of(symbol)
    values: dict[str, tuple[str, str]] = {"asset_class": (traits.asset_class.value, RULE), "calendar": (traits.calendar, RULE)}
    if traits.currency:
        values["currency"] = (traits.currency, RULE)
    own = [each for each in statements if each.symbol == symbol]
    for each in sorted(own, key=lambda one: (-_rank(one.source), one.recorded_at)):
        values[each.field] = (each.value, each.source)
    amounts = {name: Decimal(values[name][0]) if name in values else None for name in AMOUNTS}
    return InstrumentRecord(
        symbol=symbol,
        asset_class=AssetClass(values["asset_class"][0]),
        currency=values.get("currency", ("", RULE))[0],
        calendar=values["calendar"][0],
        **amounts,
        names={name.removeprefix(NAME_AT): value for name, (value, _) in values.items() if name.startswith(NAME_AT)},
        sources={name: source for name, (_, source) in values.items()},
    )


def fields_of(grid: Instrument) -> dict[str, str]:
    """Return the fields that a venue's grid says; an amount of 0 is no limit."""
    amounts = dict(zip(AMOUNTS, (grid.price_tick, grid.quantity_step, grid.min_quantity, grid.min_notional_usd), strict=True))
    return {**grid.statements, **{field: format(amount, "f") for field, amount in amounts.items() if amount}}


def corrected(grid: Instrument, record: InstrumentRecord) -> Instrument:
    """Return a venue's grid with the amounts that a person has set in the table."""
    names = dict(zip(AMOUNTS, ("price_tick", "quantity_step", "min_quantity", "min_notional_usd"), strict=True))
    values = {names[field]: getattr(record, field) for field in AMOUNTS if record.sources.get(field) == PERSON}
    return replace(grid, **values)


def checked(field: str, value: str) -> str:
    """Return the value of a field in its one spelling.

    Raises
    ------
    ConfigError
        When there is no such field, or the field cannot have the value.

    Examples
    --------
    >>> checked("calendar", "LSE"), checked("quantity_step", "0.010")
    ('XLON', '0.010')
    >>> checked("lot", "1")
    Traceback (most recent call last):
    core.errors.ConfigError: Expected one of asset_class, currency, calendar, price_tick, quantity_step, min_quantity, \
min_notional or name:VENUE, found 'lot'.
    """
    from core.sessions import resolve_calendar

    text = value.strip()
    if field == "calendar":
        return resolve_calendar(text)
    if field == "asset_class" and text.lower() not in list(AssetClass):
        raise ConfigError(f"asset_class: expected one of {', '.join(AssetClass)}, found {value!r}.")
    if field == "currency" and not _CURRENCY.fullmatch(text):
        raise ConfigError(f"currency: expected three to five letters (USD, GBp, USDT), found {value!r}.")
    if field in AMOUNTS and not _positive(text):
        raise ConfigError(f"{field}: expected a number above 0, found {value!r}.")
    if field.startswith(NAME_AT) and not (text and field.removeprefix(NAME_AT)):
        raise ConfigError(f"{field}: expected name:VENUE and a spelling, found {value!r}.")
    if field not in FIELDS and not field.startswith(NAME_AT):
        raise ConfigError(f"Expected one of {', '.join(FIELDS)} or {NAME_AT}VENUE, found {field!r}.")
    return text.lower() if field == "asset_class" else text


def calendar_corrections(records: Iterable[InstrumentRecord]) -> dict[str, str]:
    """Return the calendars that are not those of the rule, by symbol, for `core.sessions.correct_calendars`."""
    return {each.symbol: each.calendar for each in records if each.calendar != traits_of(each.symbol).calendar}


def one_spelling(symbol: str) -> str:
    """Return the symbol as the table has it, or raise `ConfigError` when it is no symbol."""
    name = normalise_symbol(symbol)
    if not name or any(character.isspace() for character in name):
        raise ConfigError(f"Expected a symbol (AAPL, BRK-B, VOD.L, BTC-USD), found {symbol!r}.")
    return name


def _positive(text: str) -> bool:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return False
    return amount.is_finite() and amount > 0


def _rank(source: str) -> int:
    """Return 0 for the source that counts most."""
    return 0 if source == PERSON else 1 if source in VENUES else 2
