"""The OpenAPI document kept to: generated requests, right and wrong, get documented answers and never a 500."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from core.frames import FEATURES
from serving.app import create_app
from tests.properties import examples
from tests.standins.api_desk import CONTROL_KEY, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.standins.api_desk import Desk

pytestmark = pytest.mark.integration
EXAMPLES = examples(8)
OPERATIONS = {GenerationMode.POSITIVE: 64, GenerationMode.NEGATIVE: 57}  # the others take nothing that could be wrong
STREAMS = {"/events"}  # an answer without an end: test_events.py
CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
)


@pytest.fixture
def document(desk: Desk) -> Iterator[Any]:
    """The schema of the API as it runs on a real socket."""
    desk.settings = desk.settings.with_changes(api__controls_per_minute=1e6)
    desk.next_day_registry.versions["champion"] = "1"
    app = create_app(desk)  # type: ignore[arg-type]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for(lambda: server.started, seconds=20)
    yield without_keys(f"http://127.0.0.1:{port}")
    server.should_exit = True
    thread.join(timeout=10)


def without_keys(url: str) -> Any:
    """The document as one with a key reads it; test_control.py tries the keys."""
    raw = httpx.get(f"{url}/openapi.json").json()
    del raw["components"]["securitySchemes"]
    for path in raw["paths"].values():
        for operation in path.values():
            operation.pop("security", None)
    found = schemathesis.openapi.from_dict(raw)
    found.config.update(base_url=url)
    return found


@pytest.mark.hypothesis
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_generated_requests_get_documented_answers(
    document: Any, mode: GenerationMode, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prints the counts that docs/serving.md quotes."""
    tried, cases = 0, 0
    failures: list[str] = []
    for result in document.get_all_operations():
        operation = result.ok()
        if operation.path in STREAMS:
            continue
        if mode is GenerationMode.NEGATIVE and not (operation.body or operation.query or operation.path_parameters):
            continue
        tried += 1
        # Of a query parameter given several times the last counts, so a wrong one before it is not seen.
        checks = (*CHECKS, negative_data_rejection) if operation.body else CHECKS

        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case: Any) -> None:
            nonlocal cases
            cases += 1
            case.call_and_validate(headers={"X-API-Key": CONTROL_KEY}, checks=checks)  # noqa: B023  # called at once

        try:
            check()
        except (FailureGroup, ExceptionGroup) as failure:  # the other operations are tried all the same
            failures.append(f"{operation.label}: {failure}")
    with capsys.disabled():
        print(f"\nschemathesis, {mode.value}: {tried} operations, {cases} cases, {len(failures)} failures")  # noqa: T201
    assert failures == []
    assert tried == OPERATIONS[mode]


def test_the_document_asks_for_exactly_the_features(document: Any) -> None:
    features = document.raw_schema["components"]["schemas"]["EntryRequest"]["properties"]["features"]["anyOf"][0]

    assert features["required"] == list(FEATURES)
    assert not features["additionalProperties"]
