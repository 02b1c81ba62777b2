"""Log lines are JSON where nobody watches, and nothing below the level is written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import structlog

from core.log import configure_logging

if TYPE_CHECKING:
    import pytest


def test_a_line_is_one_json_object_with_its_bound_context(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO")
    try:
        with structlog.contextvars.bound_contextvars(session="2018-12-31"):
            structlog.get_logger().info("bars_loaded", new=2)
            structlog.get_logger().debug("unseen")
    finally:
        structlog.reset_defaults()

    (line,) = capsys.readouterr().err.splitlines()
    found = json.loads(line)
    assert (found["event"], found["new"], found["session"], found["level"]) == ("bars_loaded", 2, "2018-12-31", "info")
    assert found["timestamp"].endswith("Z")
