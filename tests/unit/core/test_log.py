"""Log lines are JSON where nobody watches, and nothing below the level is written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import structlog
import structlog.testing

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


def test_a_task_of_airflow_logs_as_airflow_has_configured_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = structlog.testing.LogCapture()
    structlog.configure(processors=[seen])
    monkeypatch.setenv("AIRFLOW_CTX_DAG_ID", "trading_execution")
    monkeypatch.setenv("AIRFLOW_CTX_DAG_RUN_ID", "manual__1")

    configure_logging("INFO")
    structlog.get_logger().info("mail_stored")

    assert [entry["log_level"] for entry in seen.entries] == ["info"]
    assert capsys.readouterr().err == ""
