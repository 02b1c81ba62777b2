"""Parameters over the API: what a form needs to edit them, and every version that was ever stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.standins.api_desk import CONTROL_KEY
from trading.strategies.registry import STRATEGIES

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

    from tests.standins.api_desk import Desk

pytestmark = pytest.mark.integration
KEY = {"X-API-Key": CONTROL_KEY}
HTML = "<b>wider</b>"


def changed(api: TestClient, version: int, **body: Any) -> None:
    body = {"expected_version": version, "reason": HTML, "author": "<i>ann</i>", **body}
    answer = api.put("/strategies/bollinger/parameters", json=body, headers=KEY)
    assert answer.status_code == 200, answer.text


def history(api: TestClient, **query: Any) -> dict[str, Any]:
    answer = api.get("/strategies/bollinger/history", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_every_version_is_listed_newest_first_with_what_it_changed(api: TestClient) -> None:
    assert history(api) == {"rows": [], "next": None}
    changed(api, 0, values={"stop_pct": 1.0})
    changed(api, 1, values={"stop_pct": 2.0, "deviations": 2.5})
    changed(api, 0, values={"stop_pct": 3.0}, symbol="^GSPC")
    api.post("/strategies/bollinger/disable", json={"reason": "earnings", "author": "bob"}, headers=KEY)
    rows = history(api)["rows"]

    assert [(row["symbol"], row["version"], row["enabled"]) for row in rows] == [
        (None, 3, False),
        ("^GSPC", 1, True),
        (None, 2, True),
        (None, 1, True),
    ]
    assert [row["changed"] for row in rows[::2]] == [[], ["deviations", "stop_pct"]]
    assert len(rows[1]["changed"]) == len(rows[3]["changed"]) == 5, "a first version has no other to differ from"
    assert (rows[2]["reason"], rows[2]["author"], rows[2]["params"]["stop_pct"]) == (HTML, "<i>ann</i>", 2.0)
    assert [row["version"] for row in history(api, symbol="^gspc")["rows"]] == [1]
    first = history(api, limit=3)
    assert [*first["rows"], *history(api, after=first["next"])["rows"]] == rows
    assert len(api.get("/strategies/bollinger/history", params={"format": "csv"}).text.splitlines()) == 5


def test_another_strategys_versions_are_left_out(api: TestClient) -> None:
    changed(api, 0, values={"stop_pct": 1.0})

    assert api.get("/strategies/rsi/history").json()["rows"] == []


@pytest.mark.parametrize("page", ["history", "schema"])
def test_a_strategy_or_symbol_that_does_not_exist_has_no_page(api: TestClient, page: str) -> None:
    for wrong in ("bolinger", "trio"):
        answer = api.get(f"/strategies/{wrong}/{page}")
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:desk:UnknownStrategy")
    assert api.get(f"/strategies/evil.py:Strategy/{page}").status_code == 422
    missing = api.get("/strategies/bollinger/history", params={"symbol": "NOWHERE"})
    assert (missing.status_code, missing.json()["type"]) == (404, "urn:desk:UnknownSymbol")


def test_a_form_has_type_bounds_unit_default_and_description_of_each_parameter(api: TestClient) -> None:
    shown = api.get("/strategies/bollinger/schema").json()
    fields = {each["name"]: each for each in shown["parameters"]}

    assert list(fields) == ["band_sessions", "deviations", "max_sessions", "stop_pct", "target_pct"]
    assert fields["deviations"] == {
        "name": "deviations",
        "kind": "number",
        "optional": False,
        "default": 2.0,
        "minimum": None,
        "maximum": 10.0,
        "above": 0.0,
        "below": None,
        "choices": None,
        "unit": "standard deviations",
        "description": "The band: simple average of so many closes, minus so many population standard deviations.",
        "for_symbol": True,
    }
    assert (fields["max_sessions"]["kind"], fields["max_sessions"]["optional"], fields["max_sessions"]["for_symbol"]) == (
        "integer",
        True,
        False,
    )
    assert (fields["stop_pct"]["below"], fields["stop_pct"]["unit"]) == (100.0, "%")
    assert set(shown["presets"]) == {"as_specified", "tuned"}
    assert shown["summary"].startswith("Mean reversion from the lower Bollinger band")
    gap = api.get("/strategies/gap/schema").json()
    (direction,) = (each for each in gap["parameters"] if each["name"] == "direction")
    assert (direction["kind"], direction["choices"], direction["unit"]) == ("text", ["both", "down", "up"], None)


@pytest.mark.parametrize("name", list(STRATEGIES))
def test_every_parameter_is_described_and_its_bounds_are_those_that_count(api: TestClient, desk: Desk, name: str) -> None:
    shown = api.get(f"/strategies/{name}/schema").json()

    assert [each["name"] for each in shown["parameters"]] == list(STRATEGIES[name].model_fields)
    assert {each["name"]: each["default"] for each in shown["parameters"]} == STRATEGIES[name]().describe()
    for each in shown["parameters"]:
        assert each["description"], each["name"]
        assert each["unit"] or each["kind"] == "text", each["name"]
        outside = [each[bound] - step for bound, step in (("minimum", 1), ("above", 0)) if each[bound] is not None]
        outside += [each[bound] + step for bound, step in (("maximum", 1), ("below", 0)) if each[bound] is not None]
        for value in outside:
            body = {"values": {each["name"]: value}, "expected_version": 0, "reason": "try", "author": "ann"}
            refused = api.put(f"/strategies/{name}/parameters", json=body, headers=KEY)
            assert refused.status_code == 422, f"{each['name']} = {value}"
            assert each["name"] in refused.json()["detail"]
    assert desk.parameters.history(name).empty
