"""docs/risk.md names the rules, settings and defaults that the code has."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from core.settings import Settings
from pipeline.risk import monitor, pre_send, venue_clock
from trading.risk import VERDICTS
from trading.risk_manager import RiskRules

TEXT = (Path(__file__).resolve().parents[4] / "docs/risk.md").read_text()
COUNTED_OR_MEASURED = {
    "max_positions", "max_position", "max_exposure", "max_symbol", "max_net", "max_entries_a_day", "cool_down",
    "correlation", "liquidity", "scaling",
}  # fmt: skip


def rows() -> list[list[str]]:
    lines = TEXT.split("| Reason |")[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_rule_has_its_row() -> None:
    named = {name for row in rows() for name in re.findall(r"`(\w+)`", row[0])}
    pre_send_rules = {pre_send.KILL_SWITCH, pre_send.HEARTBEAT, pre_send.DATA_GUARD, monitor.DRAWDOWN, *venue_clock.REMEDY}
    assert named == COUNTED_OR_MEASURED | pre_send_rules | set(VERDICTS) - {"accepted"}


def test_every_setting_of_a_rule_is_named_with_its_default() -> None:
    defaults = Settings(_env_file=None)
    for _, names, shown, _ in rows():
        settings = re.findall(r"`([A-Z_]+)`", names)
        for name, text in zip(settings, shown.split(","), strict=True):
            value = getattr(defaults, name.lower())
            found = "" if value is None else f"{value:g}" if isinstance(value, int | float) else str(value)
            assert found == text.strip(), name


def test_every_rule_that_only_the_running_desk_has_is_off_unless_set() -> None:
    assert all(getattr(RiskRules(), field.name) is None for field in fields(RiskRules))
    defaults = Settings(_env_file=None)
    assert all(getattr(defaults, f"risk_{field.name}") is None for field in fields(RiskRules))
    assert (defaults.risk_mode, defaults.data_guard, defaults.heartbeat_max_age_seconds) == ("log", "off", None)


def test_every_default_in_brackets_is_the_real_one() -> None:
    defaults = Settings(_env_file=None)
    found = re.findall(r"`([A-Z_]+)`\s\((\d+)\)", TEXT)
    assert len(found) >= 6
    assert {name: float(text) for name, text in found} == {name: float(getattr(defaults, name.lower())) for name, _ in found}
