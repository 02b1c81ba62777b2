"""Structured logging: coloured lines on a terminal, JSON elsewhere."""

from __future__ import annotations

import logging
import sys

import structlog

from core.provenance import dag_run


def configure_logging(level: str = "INFO") -> None:
    """Send structlog events to stderr: readable on a terminal, one JSON object a line otherwise.

    A task of Airflow is left as Airflow has configured it: its log has levels, and what goes to stderr is an error there.
    """
    if dag_run() is not None and structlog.is_configured():
        return
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # the stream of the moment, not of the start
    )
