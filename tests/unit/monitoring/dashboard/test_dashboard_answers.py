"""The stand-in answers in the API's true shape: a field renamed there fails here."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from monitoring.dashboard.parts import research_tables
from pipeline.views.catalogue import MODEL_VIEWS, RESEARCH_VIEWS
from pipeline.views.models.calibration import Calibration
from pipeline.views.models.versions import VersionList
from pipeline.views.performance.live_vs_backtest import LiveVsBacktest
from pipeline.views.research.comparison import RunsCompared, unit_of
from pipeline.views.research.heat_map import HeatMap
from serving.schemas import ModelList, StrategyState
from tests.standins import dashboard_answers as answers

ROWS, OBJECTS = answers.rows(), answers.objects()
VIEWS = {f"/models/{each.name}": each for each in MODEL_VIEWS} | {f"/research/{each.name}": each for each in RESEARCH_VIEWS}
TYPES: dict[str, type[BaseModel]] = {
    "/live-vs-backtest": LiveVsBacktest,
    "/models": ModelList,
    "/models/versions": VersionList,
    "/models/versions?kind=next_day": VersionList,
    "/models/calibration": Calibration,
    "/research/heatmap": HeatMap,
}


@pytest.mark.parametrize("path", list(VIEWS))
def test_rows_are_those_of_the_view(path: str) -> None:
    VIEWS[path].rows_adapter.validate_python(ROWS[path])
    assert all(set(row) == set(VIEWS[path].row.model_fields) for row in ROWS[path])


@pytest.mark.parametrize("path", list(TYPES))
def test_objects_are_those_of_the_route(path: str) -> None:
    TYPES[path].model_validate(OBJECTS[path])


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        (LiveVsBacktest, answers.without_promise()),
        (LiveVsBacktest, answers.live_vs_backtest(0)),
        (RunsCompared, answers.comparison(ROWS["/research/runs"][:3])),
        (TypeAdapter(list[StrategyState]), OBJECTS["/strategies"]),
    ],
)
def test_other_answers_have_their_shape_too(kind: Any, found: Any) -> None:
    (kind.validate_python if isinstance(kind, TypeAdapter) else kind.model_validate)(found)


def test_figures_of_a_heat_map_have_the_units_of_the_api() -> None:
    assert {name: research_tables.SHOWN[unit_of(name)] for name in research_tables.FIGURES} == research_tables.FIGURES
