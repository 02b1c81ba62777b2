"""The page of research on a stand-in of the API, through Streamlit's own harness; charts are looked at in tests/browser."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from streamlit.testing.v1 import AppTest

from monitoring.dashboard.pages import research
from monitoring.dashboard.parts import heat_map
from tests.standins import dashboard_answers
from tests.standins.dashboard_answers import HTML

if TYPE_CHECKING:
    from tests.standins.dashboard_answers import PagesApi


def opened(section: str = "Runs") -> AppTest:
    """The page with a section chosen."""

    def script() -> None:
        from monitoring.dashboard.pages import research

        research.draw(None)

    page = AppTest.from_function(script, default_timeout=20)
    page.session_state["section"] = section
    return without_exception(page.run())


def without_exception(page: AppTest) -> AppTest:
    """The page, which ran to its end."""
    assert [each.value for each in page.exception] == []
    return page


def shown(page: AppTest) -> str:
    """The HTML of the page's own tables, cards and messages."""
    return "\n".join(each.proto.body for each in page.get("html"))


def chosen(page: AppTest, *runs: str) -> AppTest:
    """The page with runs chosen for comparison."""
    return without_exception(page.multiselect(key="research-chosen").set_value(list(runs)).run())


def ids(api: PagesApi) -> list[str]:
    """The runs on record."""
    return [row["run_id"] for row in api.rows["/research/runs"]]


def test_runs_stand_in_a_table_and_html_in_a_name_is_text(pages_api: PagesApi) -> None:
    text = shown(opened())

    for cell in ("20260302T214000-00000000", "+21.40", "-7.25", "0.870", "&lt;script&gt;", ">n/a<"):
        assert cell in text
    assert HTML not in text
    assert not any(each.startswith("/research/compare") for each in pages_api.requests)


def test_a_filter_is_the_apis(pages_api: PagesApi) -> None:
    page = opened()
    page.selectbox(key="research-kind").set_value("filtered")
    without_exception(page.text_input(key="research-strategy").set_value("rsi").run())
    assert "/research/runs?kind=filtered&strategy=rsi&limit=200" in pages_api.requests


def test_two_runs_stand_side_by_side_and_on_one_chart(pages_api: PagesApi) -> None:
    first, second = ids(pages_api)[:2]
    page = chosen(opened(), first)
    assert "Choose one more run to compare." in shown(page)
    page = chosen(page, second, first)

    (component,) = page.get("bidi_component")
    spec: dict[str, Any] = json.loads(json.loads(component.proto.json)["spec"])
    found = dashboard_answers.comparison([pages_api.rows["/research/runs"][place] for place in (1, 0)])
    assert [each["values"] for each in spec["panes"][0]["series"]] == [each["value"] for each in found["curves"]]
    assert f"/research/compare?run={second}&run={first}&points=1000" in pages_api.requests
    text = shown(page)
    assert '<td class="">Total return</td><td class="">%</td><td class="figure">21.40</td><td class="figure">21.40</td>' in text
    assert (
        '<td class="">Deflated Sharpe ratio</td><td class=""></td><td class="figure">0.870</td><td class="figure">n/a</td>'
        in text
    )
    assert ">Sharpe ratio</td>" not in text, "no run defines it"


def test_a_run_without_trades_is_compared_without_a_curve(pages_api: PagesApi) -> None:
    page = chosen(opened(), ids(pages_api)[0], ids(pages_api)[3])

    assert "no session in common" in shown(page)
    assert page.get("bidi_component") == []


def test_runs_that_are_chosen_stay_chosen_under_another_filter(pages_api: PagesApi) -> None:
    runs = ids(pages_api)
    page = chosen(opened(), *runs[:2])
    pages_api.rows["/research/runs"] = pages_api.rows["/research/runs"][2:]
    without_exception(page.run())

    assert page.multiselect(key="research-chosen").value == runs[:2]


def test_the_files_have_what_is_compared_and_what_is_filtered(pages_api: PagesApi) -> None:
    opened()
    runs = ids(pages_api)[:2]
    table = list(csv.DictReader(io.StringIO(research._comparison_file(tuple(runs)).decode())))
    exported = research.api().export("/research/runs", kind="filtered")

    assert {row["name"]: row[runs[0]] for row in table}["total_return"] == "0.214"
    assert exported.startswith(b"run_id,kind")
    assert "/research/runs?kind=filtered&format=csv" in pages_api.requests


def test_a_heat_map_has_the_figure_of_each_cell(pages_api: PagesApi) -> None:
    page = opened("Heat map")
    page.selectbox(key="heat-strategy").set_value("rsi")
    text = shown(without_exception(page.run()))

    assert "/research/heatmap?strategy=rsi&x=rsi_sessions&y=oversold&metric=sharpe" in pages_api.requests
    assert text.count('class="figure heat-') == 34
    assert '<td class="figure heat-6">1.20 <small>2</small></td>' in text
    assert '<td class="figure">not tried</td>' in text
    assert "Pale is -0.50, strong 1.20." in text
    assert "68 trials." in text


def test_a_heat_map_of_shares_is_in_percent() -> None:
    axes = {"x": {"name": "oversold", "values": ["20", "25"]}, "y": {"name": HTML, "values": [HTML]}}
    found = {**axes, "mean": [[0.5, -0.25]], "count": [[3, 1]], "trials": [[3, 1]]}
    text = heat_map.markup(found, caption=HTML, scale=100.0, unit="%")

    assert "50.00 <small>3</small>" in text
    assert "Pale is -25.00 %, strong 50.00 %." in text
    assert HTML not in text


def test_without_trials_the_heat_map_says_so(pages_api: PagesApi) -> None:
    pages_api.objects["/research/heatmap"] |= {"total": 0, "mean": [], "count": [], "trials": []}
    assert "No trial has both strategy and symbol." in shown(opened("Heat map"))


def test_rankings_are_those_of_the_api(pages_api: PagesApi) -> None:
    page = opened("Rankings")
    text = shown(page)
    assert text.index(">S1<") < text.index(">S2<") < text.index(">S40<")
    assert "oversold=21" in text

    pages_api.rows["/research/rankings"] = []
    without_exception(page.selectbox(key="ranking-of").set_value("shortlist").run())
    assert "No shortlist is stored." in shown(page)
    assert "/research/rankings?of=shortlist&min_trades=30&limit=200" in pages_api.requests


@pytest.mark.parametrize("section", ["Runs", "Heat map", "Rankings"])
def test_without_an_api_each_section_says_so(no_api: str, section: str) -> None:
    assert f"The API at {no_api} does not answer (ConnectError)." in shown(opened(section))
