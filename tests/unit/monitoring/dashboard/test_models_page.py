"""The page of models on a stand-in of the API, through Streamlit's own harness; charts are looked at in tests/browser."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from streamlit.testing.v1 import AppTest

from tests.standins.dashboard_answers import HTML, drift, reliability

if TYPE_CHECKING:
    from tests.standins.dashboard_answers import PagesApi


def opened() -> AppTest:
    """The page."""

    def script() -> None:
        from monitoring.dashboard.pages import models

        models.draw(None)

    page = AppTest.from_function(script, default_timeout=20).run()
    assert [each.value for each in page.exception] == []
    return page


def shown(page: AppTest) -> str:
    """The HTML of the page's own tables, cards and messages."""
    return "\n".join(each.proto.body for each in page.get("html"))


def specs(page: AppTest) -> list[dict[str, Any]]:
    """The descriptions of the page's charts."""
    return [json.loads(json.loads(each.proto.json)["spec"]) for each in page.get("bidi_component")]


def test_versions_have_age_gates_and_links_into_mlflow(pages_api: PagesApi) -> None:
    text = shown(opened())

    assert '<a href="http://127.0.0.1:5000/#/models/entry-filter/versions/3" target="_blank"' in text
    assert '<a href="http://127.0.0.1:5000/#/experiments/7/runs/r3"' in text
    for cell in ("● champion", "● passed", "■ held back", "AUC 0.51: expected at least 0.53; &lt;script&gt;", "0.01312"):
        assert cell in text
    assert HTML not in text
    assert pages_api.problem is None


def test_the_champion_stands_before_its_challengers(pages_api: PagesApi) -> None:
    pages_api.objects["/models"]["trouble"] = ["Version 9 was refused: <b>no features</b>"]
    text = shown(opened())

    assert text.index("● champion") < text.index(">challenger<")
    assert "▲ Version 9 was refused: &lt;b&gt;no features&lt;/b&gt;" in text


def test_an_ab_test_has_its_interval_and_what_stands_against_a_decision(pages_api: PagesApi) -> None:
    text = shown(opened())

    assert "-8.0 to +31.0" in text
    assert "entry-filter:3-vs-4@2026-02-02 runs. Against a decision:</strong></p><ul><li>Too few samples: 9 of 12" in text
    assert "It has not been judged yet." in text
    assert "not judged yet" in text
    assert len([each for each in pages_api.requests if each.startswith("/models/ab-tests")]) == 1


def test_drift_with_an_alert_stands_first(pages_api: PagesApi) -> None:
    text = shown(opened())
    assert text.index("rsi_14") < text.index("atr_14") < text.index("win_rate")
    assert 'bad">■ alert' in text
    assert "psi 0.41 is above 0.25" in text

    pages_api.rows["/models/drift"] = [drift(f"f{each}", psi=0.1) for each in range(1_200)]
    assert "The first 200 of 1,200 rows." in shown(opened())


def test_calibration_is_a_chart_of_realised_rates_with_intervals(pages_api: PagesApi) -> None:
    settled, training = specs(opened())
    bins = pages_api.objects["/models/calibration"]["settled"]["bins"]
    series = {each["label"]: each["values"] for each in settled["panes"][0]["series"]}

    assert settled["x"] == series["as predicted"] == [100 * each["predicted"] for each in bins]
    assert series["won"] == [100 * each["realised"] for each in bins]
    assert series["95 % low"] == [100 * each["realised_low"] for each in bins]
    assert training["panes"][0]["title"] == "Predictions of the training, out of sample"


def test_too_few_answers_have_no_interval_and_none_have_a_reason(pages_api: PagesApi) -> None:
    pages_api.objects["/models/calibration"] |= {"settled": reliability(50), "training": reliability(0)}
    page = opened()
    (settled,) = specs(page)

    assert set(settled["panes"][0]["series"][1]["values"]) == {None}
    assert "No entry that this version answered about was traded and is closed." in shown(page)


def test_without_mlflow_everything_else_stays(pages_api: PagesApi) -> None:
    pages_api.broken["/models/versions"] = (503, "MLflow does not answer in 5 s")
    page = opened()
    text = shown(page)

    assert "MLflow does not answer in 5 s. Do this. Some are missing." in text
    assert text.count("Not available") == 2
    for cell in ("● champion", "-8.0 to +31.0", "■ alert", "Promotions"):
        assert cell in text
    assert len(specs(page)) == 2


def test_an_empty_desk_says_what_there_is_not(pages_api: PagesApi) -> None:
    pages_api.rows.update({"/models/ab-tests": [], "/models/drift": [], "/models/promotions": []})
    nothing = {"model": "entry-filter", "version": None, "settled": reliability(0), "training": reliability(0)}
    pages_api.objects.update(
        {
            "/models": {"models": [], "trouble": []},
            "/models/versions": {"kind": "entry", "model": "entry-filter", "versions": []},
            "/models/calibration": nothing,
        }
    )
    text = shown(opened())

    for sentence in ("No model answers", "No version is registered", "No A/B test was begun yet", "No drift was measured yet"):
        assert sentence in text


def test_without_an_api_the_page_says_so(no_api: str) -> None:
    assert f"The API at {no_api} does not answer (ConnectError)." in shown(opened())
