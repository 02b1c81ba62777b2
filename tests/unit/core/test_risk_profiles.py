"""A risk profile tightens the settings, never loosens them, and leaves nothing behind; real money brings one along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.configuration.risk_profiles import MEANINGS, PROFILES, profile_settings, stricter
from core.configuration.trading import Risk
from core.errors import ConfigError
from core.settings import Settings, read_settings

DIRECTOR = {
    "RISK__MAX_POSITIONS": 3,
    "RISK__MAX_POSITION_PCT": 40.0,
    "RISK__MAX_ENTRIES_A_DAY": 3,
    "RISK__REST_AFTER_LOSS": True,
    "RISK__STOP_REQUIRED": True,
    "RISK__MAX_LOSS_AT_RISK_PCT": 1.0,
    "RISK__WARN_CORRELATION": 0.7,
    "MONITOR__MODE": "enforce",
    "MONITOR__DRAWDOWN_ALERT_PCT": 1.0,
    "MONITOR__DRAWDOWN_HALT_PCT": 2.0,
}
LIVE = {"VENUE__KIND": "ib", "VENUE__LIVE": "1", "VENUE__IB__PORT": "4001", "PROVIDER": "yfinance"}
NOWHERE = Path("nowhere")


def in_force(settings: Settings) -> dict[str, object]:
    return {name: settings.value_of(name) for name in DIRECTOR}


def test_the_director_has_the_rules_of_the_documents() -> None:
    assert profile_settings() == list(DIRECTOR)
    assert in_force(Settings().with_profile("director")) == DIRECTOR
    assert in_force(read_settings({"RISK__PROFILE": "director"}, NOWHERE)) == DIRECTOR


def test_the_desk_profile_changes_nothing() -> None:
    loose = Settings.of(risk__max_positions=9, monitor__mode="log")
    assert loose.with_profile("desk").model_dump() == loose.model_dump()
    assert Settings().risk.profile == "desk"
    assert set(PROFILES) == set(MEANINGS)
    assert all(f"`{name}`" in str(Risk.model_fields["profile"].description) for name in PROFILES)


def test_a_named_profile_tightens_what_was_set_looser_and_keeps_what_was_set_stricter() -> None:
    names = {
        "RISK__MAX_POSITIONS": "9",
        "RISK__MAX_POSITION_PCT": "20",
        "RISK__MAX_ENTRIES_A_DAY": "off",
        "MONITOR__MODE": "log",
    }

    found = read_settings(names | {"RISK__PROFILE": "director"}, NOWHERE)

    assert (found.risk.max_positions, found.risk.max_position_pct) == (3, 20.0)
    assert (found.risk.max_entries_a_day, found.monitor.mode) == (3, "enforce")


def test_leaving_a_profile_brings_back_what_was_set() -> None:
    set_by_name = Settings.of(risk__max_positions=9, risk__max_entries_a_day="off", monitor__drawdown_halt_pct=5)
    strict = set_by_name.with_profile("director")

    assert (strict.risk.max_positions, strict.risk.max_entries_a_day, strict.monitor.drawdown_halt_pct) == (3, 3, 2.0)
    assert in_force(strict.with_changes(seed=8)) == in_force(strict)
    back = strict.with_changes(seed=8).with_profile("desk")
    assert in_force(back) == in_force(set_by_name)
    assert strict.with_changes(risk__max_positions=2).risk.max_positions == 2
    assert strict.with_changes(risk__max_positions=7).risk.max_positions == 3


@pytest.mark.parametrize("name", ["directr", "Director", "DIRECTOR"])
def test_an_unknown_profile_is_refused_with_the_nearest(name: str) -> None:
    with pytest.raises(ConfigError, match=r"RISK__PROFILE: expected desk or director.*Did you mean director\?$"):
        Settings().with_profile(name)
    with pytest.raises(ConfigError, match=r"RISK__PROFILE.*Did you mean director\?$"):
        read_settings({"RISK__PROFILE": name}, NOWHERE)


def test_real_money_trades_by_the_director_unless_another_is_named() -> None:
    live = read_settings(LIVE, NOWHERE)
    assert (live.risk.profile, in_force(live)) == ("director", DIRECTOR)

    desk = read_settings(LIVE | {"RISK__PROFILE": "desk"}, NOWHERE)
    assert (desk.risk.profile, desk.risk.stop_required, desk.risk.max_loss_at_risk_pct) == ("desk", False, None)
    assert (desk.monitor.mode, desk.risk.max_entries_a_day) == ("enforce", 3), "real money's own rules stay"

    paper = live.with_changes(venue__live=False, venue__ib__port=4002)
    assert in_force(paper) == in_force(Settings())


def test_what_is_set_by_name_stays_under_the_profile_that_real_money_brings_along_and_not_under_a_named_one() -> None:
    looser = LIVE | {"RISK__MAX_POSITIONS": "9", "RISK__MAX_ENTRIES_A_DAY": "off", "RISK__STOP_REQUIRED": "0"}

    brought, named = read_settings(looser, NOWHERE), read_settings(looser | {"RISK__PROFILE": "director"}, NOWHERE)

    assert (brought.risk.max_positions, brought.risk.max_entries_a_day, brought.risk.stop_required) == (9, None, False)
    assert in_force(named) == in_force(brought.with_profile("director")) == DIRECTOR


set_by_name = st.fixed_dictionaries(
    {
        "risk__max_positions": st.integers(1, 20),
        "risk__max_position_pct": st.floats(1, 100),
        "risk__max_entries_a_day": st.none() | st.integers(1, 20),
        "risk__max_loss_at_risk_pct": st.none() | st.floats(0.1, 100),
        "risk__warn_correlation": st.none() | st.floats(-1, 1),
        "risk__stop_required": st.booleans(),
        "risk__rest_after_loss": st.booleans(),
        "monitor__mode": st.sampled_from(["log", "enforce"]),
    }
)


@given(values=set_by_name, drawdowns=st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)).map(sorted))
def test_a_profile_never_loosens(values: dict[str, Any], drawdowns: list[float]) -> None:
    alert_pct, halt_pct = drawdowns
    loose = Settings.of(**values, monitor__drawdown_alert_pct=alert_pct, monitor__drawdown_halt_pct=halt_pct)

    strict = loose.with_profile("director")

    for name, value in in_force(strict).items():
        assert value == stricter(loose.value_of(name), value) == stricter(DIRECTOR[name], value), name
    assert strict.monitor.drawdown_alert_pct <= strict.monitor.drawdown_halt_pct
    assert in_force(strict.with_profile("desk")) == in_force(loose)
