"""The stand-in's rows have the true shape of the API's: a field renamed there fails here."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from pipeline.views.alerts import AlertRow
from pipeline.views.catalogue import VIEWS
from pipeline.views.deployments import DeploymentRow
from serving.routers.health import Health
from serving.routers.orders import OrderPage
from serving.schemas import HaltState, Readiness
from tests.standins.dashboard_api import StandIn, desk
from tests.standins.money_rows import ENTRY_ID, EXIT_ID, halt_state

ROWS = desk(sessions=5, closed=4)
TYPES: dict[str, Any] = {f"/{view.name}": view.row for view in VIEWS} | {"/alerts": AlertRow, "/deployments": DeploymentRow}


@pytest.mark.parametrize("path", [path for path in ROWS if path.partition("?")[0] in TYPES])
def test_rows_have_every_field_of_the_view_and_no_other(path: str) -> None:
    kind = TYPES[path.partition("?")[0]]
    rows = ROWS[path]
    TypeAdapter(list[kind]).validate_python(rows)
    assert {frozenset(row) for row in rows} == {frozenset(kind.model_fields)}


def test_pages_that_are_no_list_have_their_shape_too() -> None:
    api = StandIn()
    Health.model_validate(api.health)
    Readiness.model_validate(api.ready | {"entry": "entry-filter 7", "next_day": "none"})
    HaltState.model_validate(halt_state("main", halted=True))
    for each in (ENTRY_ID, EXIT_ID):
        OrderPage.model_validate(api.pages[each])
