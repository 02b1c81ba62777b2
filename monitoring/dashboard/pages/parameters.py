"""Parameters: each strategy with its switch, the form that changes its parameters, and every version with what it changed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from monitoring.dashboard import control, table
from monitoring.dashboard.control import Change
from monitoring.dashboard.errors import ApiError
from monitoring.dashboard.parts import parameter_form, parameter_history
from monitoring.dashboard.parts.parameter_form import ALL, Base
from monitoring.dashboard.reading import api, environment, reading
from monitoring.dashboard.table import Column

if TYPE_CHECKING:
    from collections.abc import Mapping

NOTE: Final = (
    "A change applies from the next step that starts; orders already sent stay. Parameters are those of the whole desk, not of "
    "one book. A strategy that is switched off enters nothing; its positions leave by their own rules."
)
DONE: Final = "parameters-done"  # of the session: the sentence about the change just made
STRATEGIES: Final = (
    Column("strategy", "Strategy"),
    Column("symbol", "Symbol", text=lambda row: row["symbol"] or ALL),
    Column(
        "enabled",
        "Entries",
        tone=lambda row: "good" if row["enabled"] else "caution",
        text=lambda row: "on" if row["enabled"] else "off",
    ),
    Column("version", "Version", text=lambda row: str(row["version"]) if row["version"] else "defaults"),
    Column("preset", "Preset"),
    Column("created_at", "Since", kind="instant"),
    Column("author", "By"),
    Column("reason", "Reason", wraps=True),
)


def draw(book: str | None) -> None:
    """Draw the page: the strategies, and below them the forms and versions of the chosen one."""
    del book  # parameters are the desk's
    st.title("Parameters")
    st.caption(NOTE)
    above = st.container()  # drawn last: what a change has done shows at once
    if (chosen := _chosen()) is not None:
        name, symbol = chosen
        _draw_forms(name, symbol)
        st.header("Versions", divider=True)
        st.fragment(parameter_history.draw, run_every=environment().refresh_seconds)(name, symbol)
        table.download(
            "Versions as CSV",
            f"parameters-{name}-{symbol or 'all'}.csv",
            lambda: api().export(f"/strategies/{name}/history", symbol=symbol),
            key="parameters-csv",
        )
    with above:
        st.fragment(_refreshed, run_every=environment().refresh_seconds)()


def _refreshed() -> None:
    with reading() as reader:
        rows = reader.rows("/strategies")
        table.draw(STRATEGIES, rows, caption="Strategies of the desk", empty="No strategy is built in.", rest="")


def _chosen() -> tuple[str, str | None] | None:
    """Draw the choice of a strategy and of a symbol; None where the API names no strategy."""
    try:
        rows = api().read("/strategies").rows
    except ApiError:
        rows = []
    if not rows:
        return None
    left, right = st.columns(2)
    names = list(dict.fromkeys(str(row["strategy"]) for row in rows))
    name = str(left.selectbox("Strategy", names, key="parameters-strategy", bind="query-params"))
    own = sorted({str(row["symbol"]) for row in rows if row["strategy"] == name and row["symbol"]})
    symbol = right.selectbox(
        "Symbol: choose one, or type it",
        [ALL, *own],
        key=f"parameters-{name}-symbol",
        accept_new_options=True,
        help="Parameters of a symbol count there instead of those for all symbols.",
    )
    return name, None if symbol in {None, ALL} else str(symbol).strip().upper()


def _draw_forms(name: str, symbol: str | None) -> None:
    try:
        schema = api().read(f"/strategies/{name}/schema").content
        base = parameter_form.base_of(name, symbol)
    except ApiError as error:
        st.error(f"No change can be made: {error}")
        return
    st.header(f"{name}, {base.symbol or ALL}", divider=True)
    st.text(schema["summary"])
    st.text(base.about)
    if done := st.session_state.pop(DONE, None):
        st.success(done)
    conflict = partial(parameter_form.draw_conflict, base)
    save, reset, switch = _save(base), _reset(base), switch_change(base.state, base.symbol)
    made = [save] if control.draw(save, fields=partial(parameter_form.draw_fields, schema, base), on_conflict=conflict) else []
    left, right = st.columns(2)
    with left:
        made += [reset] if control.draw(reset, on_conflict=conflict) else []
    with right:
        made += [switch] if control.draw(switch, on_conflict=conflict) else []
    if made:
        parameter_form.reload()
        st.session_state[DONE] = made[0].done
        st.rerun()


def _save(base: Base) -> Change:
    return Change(
        name=f"parameters-save-{base.key}",
        button="Save as a new version",
        method="PUT",
        path=f"/strategies/{base.strategy}/parameters",
        body=base.body,
        done="The new version is in force.",
        conflict=parameter_form.CONFLICT,
    )


def _reset(base: Base) -> Change:
    target = "the defaults" if base.symbol is None else f"those for {ALL}"
    return Change(
        name=f"parameters-reset-{base.key}",
        button=f"Reset to {target}",
        method="PUT",
        path=f"/strategies/{base.strategy}/parameters",
        body={**base.body, "reset": True},
        done=f"The parameters are {target} again.",
        confirmation=f"RESET {base.strategy}",
        conflict=parameter_form.CONFLICT,
    )


def switch_change(state: Mapping[str, Any], symbol: str | None) -> Change:
    """Return the change that holds the entries of a strategy back, or lets it enter again.

    >>> switch_change({"strategy": "rsi", "enabled": True}, None).confirmation
    'DISABLE rsi'
    """
    name, verb = str(state["strategy"]), "disable" if state["enabled"] else "enable"
    where = symbol or ALL
    return Change(
        name=f"parameters-{verb}-{name}-{symbol or 'all'}",
        button=f"{verb.capitalize()} {name} in {where}",
        method="POST",
        path=f"/strategies/{name}/{verb}",
        body={"symbol": symbol} if symbol else {},
        done=f"{name} enters nothing in {where}." if state["enabled"] else f"{name} may enter in {where}.",
        confirmation=f"{verb.upper()} {name}",
    )
