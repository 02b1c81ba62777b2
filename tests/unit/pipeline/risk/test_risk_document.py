"""docs/risk.md names the rules, settings and defaults that the code has."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from core.configuration.names import text_of
from core.configuration.real_money import RULES
from core.configuration.risk_profiles import PROFILES, profile_settings
from core.settings import Settings
from pipeline.risk import monitor, pre_send, venue_clock
from trading.risk import VERDICTS
from trading.risk_manager import RiskRules

TEXT = (Path(__file__).resolve().parents[4] / "docs/risk.md").read_text()
COUNTED_OR_MEASURED = {
    "max_positions", "max_position", "max_exposure", "max_symbol", "max_net", "max_entries_a_day", "cool_down",
    "correlation", "liquidity", "scaling", "no_stop", "loss_at_risk", "loss_day", "correlation_warning",
}  # fmt: skip


def rows() -> list[list[str]]:
    lines = TEXT.split("| Reason |")[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_rule_has_its_row() -> None:
    named = {name for row in rows() for name in re.findall(r"`(\w+)`", row[0])}
    pre_send_rules = {pre_send.KILL_SWITCH, pre_send.HEARTBEAT, pre_send.DATA_GUARD, monitor.DRAWDOWN, *venue_clock.REMEDY}
    assert named == COUNTED_OR_MEASURED | pre_send_rules | set(VERDICTS) - {"accepted"}


def test_every_setting_of_a_rule_is_named_with_its_default() -> None:
    defaults = Settings()
    for _, names, shown, _ in rows():
        settings = re.findall(r"`([A-Z_]+)`", names)
        for name, text in zip(settings, shown.split(","), strict=True):
            value = defaults.value_of(name)
            found = "" if value is None else f"{value:g}" if isinstance(value, int | float) else str(value)
            assert found == text.strip(), name


def test_every_rule_that_only_the_running_desk_has_is_off_unless_set() -> None:
    defaults = Settings()
    for field in fields(RiskRules):
        assert getattr(RiskRules(), field.name) in {None, False}
        assert getattr(defaults.risk, field.name) in {None, False}
    assert (defaults.monitor.mode, defaults.guard.mode, defaults.pre_send.heartbeat_max_age_seconds) == ("log", "off", None)


def test_the_table_of_profiles_is_what_the_code_has() -> None:
    lines = TEXT.split("## Profiles")[1].split("| Setting |")[1].split("\n\n")[0].splitlines()
    shown = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    head = re.findall(r"`(\w+)`", lines[0])
    profiles = {name: Settings().with_profile(name) for name in PROFILES}

    assert head == list(PROFILES)
    assert [row[0].strip("`") for row in shown] == profile_settings()
    for row in shown:
        setting = row[0].strip("`")
        assert row[1:-1] == [text_of(profiles[name].value_of(setting)) for name in head], setting


def test_every_rule_of_real_money_is_in_its_table() -> None:
    lines = TEXT.split("## Real money")[1].split("| Setting |")[1].split("\n\n")[0].splitlines()[2:]
    shown = {line.split("|")[1].strip(" `"): line.split("|")[2].strip(" `") for line in lines}
    rules = {f"{group}__{field}".upper(): text_of(value) for group, values in RULES.items() for field, value in values.items()}
    assert shown == rules


def test_every_default_in_brackets_is_the_real_one() -> None:
    defaults = Settings()
    found = re.findall(r"`([A-Z_]+)`\s\((\d+)\)", TEXT)
    assert len(found) >= 6
    assert {name: float(text) for name, text in found} == {name: float(defaults.value_of(name)) for name, _ in found}
