"""Presets hold the mission's figures; a name finds them, and what is wrong with a name or a figure is said in words."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

from core.errors import ConfigError
from trading.strategies.presets import AS_SPECIFIED, PRESETS, TUNED
from trading.strategies.registry import STRATEGIES, make_strategy, split_preset

# The figures of rows S1 to S6, written down a second time.
STATED = {
    "bollinger": {"band_sessions": 20, "deviations": 2, "max_sessions": 2, "stop_pct": 0.8, "target_pct": 1.5},
    "rsi": {"rsi_sessions": 14, "oversold": 25, "recovered": 50, "max_sessions": 3, "stop_pct": 1, "target_pct": 2},
    "gap": {"gap_pct": 1.5, "filled": 0.5, "direction": "both", "max_sessions": 1, "stop_pct": 1},
    "compression": {
        "compressed": 0.6,
        "expanded": 1.2,
        "quiet_sessions": 3,
        "max_sessions": 5,
        "stop_pct": 1,
        "target_pct": 2.5,
    },
    "zscore": {"sessions": 60, "entry_z": -1, "exit_z": -0.5, "stop_z": 3, "rsi_low": 30, "rsi_high": 70, "adx_below": 30},
    "trend": {"fast_sessions": 15, "slow_sessions": 100, "adx_least": 20, "body_least": None},
}


@pytest.mark.parametrize("name", STRATEGIES)
def test_as_specified_is_what_the_mission_states(name: str) -> None:
    parameters = make_strategy(f"{name}:{AS_SPECIFIED}").describe()

    assert {field: parameters[field] for field in STATED[name]} == STATED[name]


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_preset_names_every_parameter_so_that_a_new_default_does_not_change_it(name: str) -> None:
    assert set(PRESETS) == set(STRATEGIES)
    for preset, figures in PRESETS[name].items():
        assert make_strategy(f"{name}:{preset}").describe() == dict(figures)


def test_the_tuned_presets_are_the_documented_ones_and_no_others() -> None:
    text = (Path(__file__).resolve().parents[4] / "docs/tuned-presets.md").read_text()
    documented = {
        name: json.loads(figures) for name, figures in re.findall(r"^`(\w+):tuned` = `(\{.*\})`$", text, re.MULTILINE)
    }

    assert documented == {name: dict(found[TUNED]) for name, found in sorted(PRESETS.items()) if TUNED in found}


def test_a_preset_cannot_be_changed_by_accident() -> None:
    with pytest.raises(TypeError):
        PRESETS["rsi"][AS_SPECIFIED]["stop_pct"] = 3  # type: ignore[index]


def test_parameters_given_beside_a_preset_go_before_it() -> None:
    strategy = make_strategy("compression:as_specified", {"expanded": 1.1})

    assert strategy.describe()["expanded"] == 1.1
    assert strategy.describe()["compressed"] == 0.6
    assert strategy.name == "compression"


def test_a_path_is_no_preset() -> None:
    assert split_preset("folder/own.py:Mondays") == ("folder/own.py:Mondays", None)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("bollinger:as_specifed", "Unknown preset 'as_specifed' of 'bollinger'. Did you mean 'as_specified'?"),
        ("bollinger:", "Unknown preset '' of 'bollinger'. Known: as_specified, tuned."),
        ("rsi:moonshot", "Unknown preset 'moonshot' of 'rsi'. Known: as_specified, tuned."),
        ("bolinger:as_specified", "Unknown strategy 'bolinger'. Did you mean 'bollinger'?"),
    ],
)
def test_an_unknown_name_gets_the_nearest_one(name: str, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        make_strategy(name)

    assert str(raised.value) == words


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"stop_pct": -1}, "stop_pct: expected greater than 0, found -1."),
        ({"stop_pct": 0}, "stop_pct: expected greater than 0, found 0."),
        ({"stop_pct": 100}, "stop_pct: expected less than 100, found 100."),
        ({"target_pct": math.inf}, "target_pct: expected a finite number, found inf."),
        ({"deviations": math.nan}, "deviations: expected a finite number, found nan."),
        ({"band_sessions": 2.5}, "band_sessions: expected a valid integer, got a number with a fractional part, found 2.5."),
        ({"band_sesions": 10}, "there is no 'band_sesions'. Did you mean 'band_sessions'?"),
        ({"mood": 1}, "there is no 'mood'. Known: band_sessions, deviations, max_sessions, stop_pct, target_pct."),
        ({"stop_pct": 0, "mood": 1}, "stop_pct: expected greater than 0, found 0. there is no 'mood'."),
    ],
)
def test_a_wrong_parameter_is_named_with_what_was_expected_and_found(params: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        make_strategy("bollinger", params)

    assert f"Parameters of 'bollinger': {words}" in str(raised.value)
    assert "pydantic" not in str(raised.value)
