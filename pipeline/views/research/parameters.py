"""The view of a strategy's parameters over time, and each parameter as a form needs it: type, bounds, unit, description."""

from __future__ import annotations

import datetime as dt
import inspect
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field

from pipeline.resources import Resources, live
from pipeline.views.view import MOST_ROWS, After, Filter, Row, Symbol, View

if TYPE_CHECKING:
    from trading.strategies.base import Parameters

UNITS: Final = {
    "sessions": "sessions",
    "pct": "%",
    "z": "standard deviations",
    "deviations": "standard deviations",
    "oversold": "RSI, 0 to 100",
    "recovered": "RSI, 0 to 100",
    "rsi": "RSI, 0 to 100",
    "adx": "ADX, 0 to 100",
    "filled": "share of the gap",
    "compressed": "ratio of two ranges",
    "expanded": "ratio of two ranges",
    "body": "share of the bar's range",
}
KINDS: Final = {"integer": "integer", "number": "number", "string": "text", "boolean": "flag"}
BOUNDS: Final = {"minimum": "minimum", "maximum": "maximum", "exclusiveMinimum": "above", "exclusiveMaximum": "below"}


class ParameterFilter(Filter):
    """Versions of one strategy, of one symbol's own where named."""

    strategy: Annotated[str, Field(max_length=50, pattern=r"^\w+$", description="Name of a strategy.")]
    symbol: Symbol = None


class ParameterVersionRow(Row):
    """A version of a strategy's parameters."""

    id: int
    strategy: str
    symbol: Annotated[str | None, Field(description="Of this symbol alone; null: of all symbols without their own.")]
    version: Annotated[int, Field(description="From 1, for each pair of strategy and symbol.")]
    enabled: Annotated[bool, Field(description="false: no entries.")]
    preset: str | None
    params: Annotated[dict[str, Any], Field(description="Every parameter; empty: as for all symbols, or the defaults.")]
    changed: Annotated[list[str], Field(description="Parameters that differ from the version before; all of a first one.")]
    author: str
    reason: str
    created_at: dt.datetime


class ParameterField(Row):
    """A parameter as a form needs it."""

    name: str
    kind: Literal["integer", "number", "text", "flag"]
    optional: Annotated[bool, Field(description="true: null is allowed, and stands for none.")]
    default: int | float | str | bool | None
    minimum: Annotated[float | None, Field(description="Smallest value allowed.")]
    maximum: Annotated[float | None, Field(description="Largest value allowed.")]
    above: Annotated[float | None, Field(description="Values must be larger.")]
    below: Annotated[float | None, Field(description="Values must be smaller.")]
    choices: Annotated[list[str] | None, Field(description="The only values allowed; null: no list.")]
    unit: Annotated[str | None, Field(description="null: a number without a unit, or a text.")]
    description: str
    for_symbol: Annotated[bool, Field(description="false: it is the same in all symbols.")]


class StrategySchema(Row):
    """A strategy and its parameters."""

    strategy: str
    summary: str
    entry: Annotated[str, Field(description="next_open or open: the fill of an entry.")]
    exit: Annotated[str, Field(description="next_open or close: the fill of an exit by rule or time.")]
    parameters: list[ParameterField]
    presets: Annotated[dict[str, dict[str, Any]], Field(description="Named sets of parameters.")]


def read_parameters(
    wanted: ParameterFilter, after: After = None, limit: int = MOST_ROWS, *, resources: Resources | None = None
) -> Sequence[ParameterVersionRow]:
    """Return every version of a strategy's parameters, newest first.

    Raises
    ------
    core.errors.ConfigError
        When no built-in strategy has that name.
    core.errors.UnknownSymbol
    """
    from pipeline.strategy_parameters import require_name, require_symbol

    resources = resources or live()
    require_name(wanted.strategy)
    symbol = require_symbol(wanted.symbol, resources.bars, resources.universe)
    rows = resources.parameters.versions(wanted.strategy, symbol, None if after is None else after[0], limit)
    return PARAMETERS.rows([_version(dict(row)) for row in rows])


def strategy_schema(strategy: str) -> StrategySchema:
    """Return a strategy's parameters with types, bounds, units and descriptions, in the order of its definition.

    Raises
    ------
    core.errors.ConfigError
        When no built-in strategy has that name.
    """
    from pipeline.strategy_parameters import require_name
    from trading.strategies.presets import PRESETS
    from trading.strategies.registry import STRATEGIES

    require_name(strategy)
    kind = STRATEGIES[strategy]
    schema, described = kind.model_json_schema()["properties"], descriptions_of(kind)
    built: Any = kind()
    return StrategySchema(
        strategy=strategy,
        summary=_one_line((inspect.getdoc(kind) or "").partition("\n\n")[0]),
        entry=built.entry,
        exit=built.exit,
        parameters=[_field(name, schema[name], described.get(name, "")) for name in kind.model_fields],
        presets={name: dict(values) for name, values in PRESETS.get(strategy, {}).items()},
    )


def descriptions_of(kind: type[Parameters]) -> dict[str, str]:
    """Return the description of each parameter, from the section `Parameters` of the class's docstring."""
    section = (inspect.getdoc(kind) or "").partition("Parameters\n----------\n")[2]
    described: dict[str, str] = {}
    for names, text in re.findall(r"^(\w[\w, ]*)\n((?:[ ]{4}.*(?:\n|$))+)", section, re.MULTILINE):
        described |= dict.fromkeys(names.split(", "), _one_line(text))
    return described


def unit_of(name: str) -> str | None:
    """Return the unit of a parameter, which the last or the first part of its name says.

    >>> unit_of("band_sessions"), unit_of("stop_pct"), unit_of("rsi_low"), unit_of("direction")
    ('sessions', '%', 'RSI, 0 to 100', None)
    """
    parts = name.split("_")
    return UNITS.get(parts[-1]) or UNITS.get(parts[0])


def _version(row: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a version's row."""
    before = row.pop("before")
    return {**row, "changed": _changed(before, row["params"])}


def _field(name: str, schema: Mapping[str, Any], description: str) -> ParameterField:
    kinds = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    (plain,) = kinds
    limits = {ours: plain.get(theirs) for theirs, ours in BOUNDS.items()}
    return ParameterField(
        name=name,
        kind=KINDS[plain["type"]],
        optional=len(kinds) < len(schema.get("anyOf", kinds)),
        default=schema.get("default"),
        choices=plain.get("enum"),
        unit=unit_of(name),
        description=description,
        for_symbol=name != "max_sessions",
        **limits,
    )


def _changed(before: Mapping[str, Any] | None, params: Mapping[str, Any]) -> list[str]:
    """Return the parameters whose values differ from those of the version before."""
    if not before:
        return sorted(params)
    return sorted(name for name in {*before, *params} if before.get(name) != params.get(name))


def _one_line(text: str) -> str:
    return " ".join(text.split())


PARAMETERS = View(
    name="history",
    summary="Every version of a strategy's parameters, newest first.",
    filter=ParameterFilter,
    row=ParameterVersionRow,
    read=read_parameters,
    key=("id",),
    shown=("created_at", "symbol", "version", "enabled", "preset", "author", "reason", "changed"),
)
