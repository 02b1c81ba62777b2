"""Live against backtest on a stand-in of the API, through Streamlit's own harness; charts are looked at in tests/browser."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from streamlit.testing.v1 import AppTest

from monitoring.dashboard import figures
from monitoring.dashboard.pages import comparison
from tests.standins.dashboard_answers import HTML, live_vs_backtest, without_promise

if TYPE_CHECKING:
    from tests.standins.dashboard_answers import PagesApi


@pytest.fixture(autouse=True)
def short_curve(pages_api: PagesApi) -> None:
    """Sixty sessions on record."""
    pages_api.objects["/live-vs-backtest"] = live_vs_backtest(60)


def opened(book: str | None = "main") -> AppTest:
    """The page for a book."""

    def script(book: str | None) -> None:
        from monitoring.dashboard.pages import comparison

        comparison.draw(book)

    page = AppTest.from_function(script, args=(book,), default_timeout=20).run()
    assert [each.value for each in page.exception] == []
    return page


def shown(page: AppTest) -> str:
    """The HTML of the page's own tables, cards and messages."""
    return "\n".join(each.proto.body for each in page.get("html"))


def panes(page: AppTest) -> list[dict[str, Any]]:
    """The panes of the page's chart."""
    (component,) = page.get("bidi_component")
    content: list[dict[str, Any]] = json.loads(json.loads(component.proto.json)["spec"])["panes"]
    return content


def test_every_curve_is_the_apis(pages_api: PagesApi) -> None:
    curve = pages_api.objects["/live-vs-backtest"]["curve"]
    equity, gap, promise = panes(opened())

    assert {each["label"]: each["values"] for each in equity["series"]} == {
        "live": curve["live_usd"],
        "backtest": curve["backtest_usd"],
    }
    assert {each["label"]: each["values"] for each in gap["series"]} == {
        "live less backtest": curve["gap_usd"],
        **{cause: curve[f"{cause}_usd"] for cause in ("signal", "fill", "cost", "missed")},
    }
    assert [each["values"] for each in promise["series"][:2]] == [curve["low_usd"], curve["high_usd"]]
    assert (equity["bands"][0]["low"], equity["bands"][0]["high"]) == (0, 1), "the area between both is shaded"
    assert pages_api.requests == ["/live-vs-backtest?book=main&points=1000"]


def test_a_light_is_a_word_and_a_shape_beside_its_colour(pages_api: PagesApi) -> None:
    text = shown(opened())

    for cell in ('good">● +0.51 green', 'bad">■ -0.78 red', 'caution">▲ -0.15 yellow', ">not enough</td>"):
        assert cell in text
    for figure in ("0.95 (0.35 to 1.55)", "1.02 (0.87 to 1.17)", "No backtest is on record.", "3 sessions were not measured"):
        assert figure in text
    assert HTML not in text
    assert pages_api.problem is None


def test_the_gap_is_split_by_cause(pages_api: PagesApi) -> None:
    curve = pages_api.objects["/live-vs-backtest"]["curve"]
    text = shown(opened())

    for cause in ("gap", "signal", "fill", "cost", "missed"):
        assert f"{figures.signed(curve[f'{cause}_usd'][-1])} USD" in text
    assert "of it carried" not in text, "it is zero"


def test_a_book_without_a_promise_says_so_and_shows_what_there_is(pages_api: PagesApi) -> None:
    pages_api.objects["/live-vs-backtest"] = without_promise()
    page = opened()

    assert "▲ No promise: main trades the strategies of the settings" in shown(page)
    assert "No session was measured against its backtest" in shown(page)
    (equity,) = panes(page)
    assert [each["label"] for each in equity["series"]] == ["live"]


def test_a_book_that_has_not_traded_has_no_curve(pages_api: PagesApi) -> None:
    pages_api.objects["/live-vs-backtest"] = live_vs_backtest(0)
    page = opened()

    assert page.get("bidi_component") == []
    assert "No close is on record yet" in shown(page)


@pytest.mark.parametrize("status", [404, 503])
def test_a_book_that_is_gone_or_an_api_that_is_ill_is_said_at_the_top(pages_api: PagesApi, status: int) -> None:
    pages_api.problem = (status, "Book 'main': expected a deployment, found none")
    text = shown(opened())

    assert "found none. Do this. Nothing can be shown." in text
    assert "Not available" in text


def test_files_have_every_figure_and_point(pages_api: PagesApi) -> None:
    opened()
    found = pages_api.objects["/live-vs-backtest"]
    table, curves = (
        list(csv.DictReader(io.StringIO(make("main").decode()))) for make in (comparison._figures_file, comparison._curves_file)
    )

    assert [float(row["live_sharpe"]) for row in table[:3]] == [row["live_sharpe"] for row in found["rows"][:3]]
    assert [float(row["gap_usd"]) for row in curves] == found["curve"]["gap_usd"]
