"""The form of a strategy's parameters: made from their schema, filled from the version that its reader saw.

What the form was made from stays in the session until it is saved or loaded anew, so that a change of somebody else in between
is a conflict and never overwritten.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from monitoring.dashboard import figures, table
from monitoring.dashboard.errors import ApiError
from monitoring.dashboard.parts import parameter_history
from monitoring.dashboard.reading import api

if TYPE_CHECKING:
    from collections.abc import Mapping

ALL: Final = "all symbols"
BASE: Final = "parameters-base"  # of the session: the choice, and what its form was made from
CONFLICT: Final = "Nothing was saved. What was changed since you opened the form stands below."
NOTHING: Final = "Expected a changed parameter: the form holds what is in force. Nothing was changed."


@dataclass(frozen=True)
class Base:
    """The state that a form was made from.

    Attributes
    ----------
    symbol
        None: all symbols without parameters of their own.
    state
        The parameters in force at that time, as the API answered.
    """

    strategy: str
    symbol: str | None
    state: Mapping[str, Any]

    @property
    def version(self) -> int:
        """Version of this strategy's and symbol's own row; 0 where none is stored."""
        return int(self.state["version"]) if self.state["row_symbol"] == self.symbol else 0

    @property
    def key(self) -> str:
        """Text that names the form."""
        return f"{self.strategy}-{self.symbol or 'all'}-{self.version}"

    @property
    def body(self) -> dict[str, object]:
        """The fields of a request that changes these parameters."""
        return {"expected_version": self.version, **({"symbol": self.symbol} if self.symbol else {})}

    @property
    def about(self) -> str:
        """The sentence about the version that the form was made from."""
        state = self.state
        if not state["version"]:
            return "The form shows the strategy's defaults: no version is stored."
        where = "" if self.version else f", that for {ALL}: {self.symbol} has none of its own"
        made = f"{figures.instant(state['created_at'])} by {state['author'] or figures.UNDEFINED}"
        return f"The form shows version {state['version']}{where}. {made}: {state['reason'] or 'no reason on record'}"


def base_of(strategy: str, symbol: str | None) -> Base:
    """Return what the form is made from: what this session holds already, else what is in force now.

    Raises
    ------
    ApiError
        When the API does not answer, or has no such symbol.
    """
    chosen, held = st.session_state.get(BASE, (None, None))
    if held is None or chosen != (strategy, symbol):
        (state, *_) = api().read(f"/strategies/{strategy}", symbol=symbol).rows
        held = Base(strategy, state["symbol"], state)  # as the desk spells it
        st.session_state[BASE] = ((strategy, symbol), held)
    return held  # type: ignore[no-any-return]  # of the session


def reload() -> None:
    """Make the next form from what is in force then."""
    st.session_state.pop(BASE, None)


def draw_fields(schema: Mapping[str, Any], base: Base) -> tuple[dict[str, object], str]:
    """Draw a field for each parameter; return the changed values for the request, and a sentence when nothing differs."""
    places = st.columns(3)
    values = {}
    for number, field in enumerate(schema["parameters"]):
        with places[number % len(places)]:
            values[field["name"]] = _draw_field(field, base)
    changed = {name: value for name, value in values.items() if value != base.state["params"].get(name)}
    return {"values": changed}, "" if changed else NOTHING


def _draw_field(field: Mapping[str, Any], base: Base) -> Any:  # noqa: ANN401  # a value of JSON
    """Draw the field of one parameter; return its value, None for none."""
    name, value = str(field["name"]), base.state["params"].get(field["name"])
    common: dict[str, Any] = {
        "key": f"parameter-{base.key}-{name}",
        "help": help_of(field),
        "disabled": base.symbol is not None and not field["for_symbol"],
    }
    label = f"{name} ({field['unit']})" if field["unit"] else name
    if field["choices"]:
        return st.selectbox(label, field["choices"], index=_place(field["choices"], value), **common)
    if field["kind"] == "flag":
        return st.checkbox(label, bool(value), **common)
    if field["kind"] == "text":
        return st.text_input(label, value or "", **common) or None
    number = int if field["kind"] == "integer" else float
    low, high = (None if field[each] is None else number(field[each]) for each in ("minimum", "maximum"))
    start = None if value is None else number(value)
    if field["optional"] and common["key"] not in st.session_state:
        # A field can be emptied only where its own start is empty.
        st.session_state[common["key"]] = start
    limits: dict[str, Any] = {"min_value": low, "max_value": high, "step": 1 if number is int else 0.1}
    shown: dict[str, Any] = {"value": None if field["optional"] else start, "format": "%d" if number is int else "%g"}
    return st.number_input(label, placeholder="none", **shown, **limits, **common)


def _place(choices: list[str], value: object) -> int | None:
    return choices.index(str(value)) if value in choices else None


def help_of(field: Mapping[str, Any]) -> str:
    """Return the explanation of a parameter: description, bounds and default.

    >>> bounds = {"minimum": 2, "maximum": None, "above": None, "below": 100}
    >>> help_of(bounds | {"description": "Sessions.", "optional": True, "default": 14, "for_symbol": True})
    'Sessions. At least 2, below 100. Empty: none. Default: 14.'
    """
    words = {"minimum": "at least", "above": "above", "maximum": "at most", "below": "below"}
    bounds = ", ".join(f"{word} {field[name]:g}" for name, word in words.items() if field[name] is not None)
    default = "none" if field["default"] is None else field["default"]
    parts = [
        _plain(str(field["description"])),
        f"{bounds[0].upper()}{bounds[1:]}." if bounds else "",
        "Empty: none." if field["optional"] else "",
        f"Default: {default}.",
        "" if field["for_symbol"] else "It is the same in all symbols.",
    ]
    return " ".join(filter(None, parts))


def _plain(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return "".join(f"\\{each}" if each in "\\`*_[]<>#$:~" else each for each in text)


def draw_conflict(base: Base) -> None:
    """Draw who changed what since the form was made, and the button that makes it anew."""
    try:
        rows = api().read(f"/strategies/{base.strategy}/history", symbol=base.symbol, limit=100).rows
    except ApiError as error:
        st.error(str(error))
        rows = []
    own = [row for row in rows if row["symbol"] == base.symbol]
    since = [row for row in parameter_history.with_differences(own) if row["version"] > base.version]
    table.draw(
        parameter_history.COLUMNS,
        since,
        caption=f"Changed since version {base.version}",
        empty="The history does not show the change.",
    )
    st.button("Load what is in force now; my values are dropped", on_click=reload, key=f"parameters-reload-{base.key}")
