"""The named risk profiles, each a set of values for settings of risk. Pure.

A profile only tightens: of its value and one that was set by name, the stricter holds. A profile that real money brought along
without being named fills in what was not set, as the other rules of real money do.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.configuration.kinds import Group

DESK: Final = "desk"
DIRECTOR: Final = "director"
Profile = dict[str, dict[str, Any]]  # by group, then by field

PROFILES: Final[Mapping[str, Profile]] = {
    DESK: {},
    DIRECTOR: {
        "risk": {
            "max_positions": 3,
            "max_position_pct": 40.0,
            "max_entries_a_day": 3,
            "rest_after_loss": True,
            "stop_required": True,
            "max_loss_at_risk_pct": 1.0,
            "warn_correlation": 0.7,
        },
        "monitor": {"mode": "enforce", "drawdown_alert_pct": 1.0, "drawdown_halt_pct": 2.0},
    },
}
MEANINGS: Final[Mapping[str, str]] = {
    DESK: "The settings as they are.",
    DIRECTOR: "The rules of the director's documents; real money trades by it unless another profile is named.",
}
STRICTNESS: Final = ("log", "enforce")  # of a mode, the strictest last


def profile_named(name: str) -> Profile:
    """Return the values of a profile, by group and field.

    Raises
    ------
    core.errors.ConfigError
        When there is no profile of this name; it suggests the nearest.

    Examples
    --------
    >>> profile_named("director")["risk"]["max_positions"]
    3
    >>> profile_named("directr")
    Traceback (most recent call last):
    core.errors.ConfigError: RISK__PROFILE: expected desk or director, found 'directr'. Did you mean director?
    """
    if name in PROFILES:
        return PROFILES[name]
    near = get_close_matches(name.lower(), PROFILES, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise ConfigError(f"RISK__PROFILE: expected {' or '.join(PROFILES)}, found {name!r}.{hint}")


def profile_settings() -> list[str]:
    """Return the settings that some profile has a value for, by their names in the environment.

    >>> profile_settings()[0]
    'RISK__MAX_POSITIONS'
    """
    names = (f"{group}__{field}".upper() for profile in PROFILES.values() for group in profile for field in profile[group])
    return list(dict.fromkeys(names))


def profile_value(name: str, setting: str) -> Any:  # noqa: ANN401  # of any setting
    """Return the value that a profile has for a setting, by its name in the environment; None when it leaves it alone.

    >>> profile_value("director", "MONITOR__MODE"), profile_value("desk", "MONITOR__MODE")
    ('enforce', None)
    """
    group, field = setting.lower().split("__")
    return profile_named(name).get(group, {}).get(field)


def stricter(one: Any, other: Any) -> Any:  # noqa: ANN401  # of any setting of a profile
    """Return the stricter of two values of a setting: the lower limit, the rule that is on; None is a limit that is off.

    >>> stricter(3, 5), stricter(None, 0.7), stricter(False, True), stricter("log", "enforce")
    (3, 0.7, True, 'enforce')
    """
    if one is None or other is None:
        return other if one is None else one
    if isinstance(one, bool):
        return one or other
    return max(one, other, key=STRICTNESS.index) if isinstance(one, str) else min(one, other)


def tightened(group: Group, profile: Mapping[str, Any], *, named: bool) -> dict[str, Any]:
    """Return the values of a group that a profile changes.

    Parameters
    ----------
    named
        True when a person or a deployment chose the profile: it then tightens what was set by name as well.
    """
    changes = {}
    for field, value in profile.items():
        present = getattr(group, field)
        if field not in group.model_fields_set or (named and stricter(present, value) != present):
            changes[field] = value
    return changes
