"""Rules that real money switches on, each unless it was set by name. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from core.configuration.risk_profiles import DIRECTOR

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.configuration.kinds import Group

RULES: Final[Mapping[str, Mapping[str, Any]]] = {
    "monitor": {"mode": "enforce"},
    "pre_send": {"heartbeat_max_age_seconds": 180.0},
    "risk": {"profile": DIRECTOR, "max_entries_a_day": 3, "cool_down_sessions": 1},
    "guard": {"mode": "on"},
}


def with_rules(name: str, group: Group) -> Group:
    """Return the group with the rules of real money in place of defaults; what was set, `off` included, stays as it was set."""
    return overlaid(group, {field: value for field, value in RULES[name].items() if field not in group.model_fields_set})


def overlaid(group: Group, values: Mapping[str, Any]) -> Group:
    """Return the group with these values. They count as not set, so that defaults return when the reason ends."""
    return type(group).model_construct(_fields_set=set(group.model_fields_set), **{**group.__dict__, **values})
