"""The dashboard's own settings, from variables alone."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from monitoring.dashboard.environment import Environment


def test_an_empty_variable_is_not_set() -> None:
    assert Environment.of({"DASHBOARD__API_URL": "", "DASHBOARD__READ_KEY": " ", "API__URL": "elsewhere"}) == Environment()


def test_the_first_of_several_read_keys_counts_and_is_not_shown() -> None:
    environment = Environment.of({"DASHBOARD__READ_KEY": "first-of-them, second"})
    assert environment.read_key is not None
    assert environment.read_key.get_secret_value() == "first-of-them"
    assert "first-of-them" not in repr(environment)


def test_a_wrong_interval_stops_the_start() -> None:
    with pytest.raises(ValidationError, match="refresh_seconds"):
        Environment.of({"DASHBOARD__REFRESH_SECONDS": "0"})
