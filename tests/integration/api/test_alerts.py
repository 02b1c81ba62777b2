"""Alerts through the API: pages, who may change them, and what is refused."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

from storage.alerts.alert_log import NewAlert
from tests.standins.api_desk import CONTROL_KEY

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

    from tests.standins.api_desk import Desk

pytestmark = pytest.mark.integration
KEY = {"X-API-Key": CONTROL_KEY}
WHY = {"reason": "disk is being emptied", "author": "ann"}
NOON = dt.datetime(2018, 12, 28, 17, tzinfo=dt.UTC)


def raised(desk: Desk, about: str, kind: str = "health", book: str = "") -> int:
    new = NewAlert(f"{kind}:{book}:{about}", kind, book, "warning", "Disk is full", "1 GB is free.", {"free_gb": 1.0})
    return desk.alert_log.raise_alert(new, NOON).id


def move(api: TestClient, alert_id: object, verb: str = "acknowledge", **body: object) -> Any:
    return api.post(f"/alerts/{alert_id}/{verb}", json={**WHY, **body}, headers=KEY)


def test_open_alerts_come_newest_first_and_page_by_page(api: TestClient, desk: Desk) -> None:
    ids = [raised(desk, str(i)) for i in range(5)]
    first = api.get("/alerts", params={"limit": 2}).json()
    second = api.get("/alerts", params={"limit": 2, "before": first[-1]["id"]}).json()

    assert [each["id"] for each in (*first, *second)] == ids[:0:-1]
    assert (first[0]["state"], first[0]["details"], first[0]["raised_at"]) == (
        "raised",
        {"free_gb": 1.0},
        "2018-12-28T17:00:00Z",
    )
    assert api.get("/alerts", params={"limit": 501}).status_code == 422


def test_alerts_are_chosen_by_kind_and_book(api: TestClient, desk: Desk) -> None:
    health, risk = raised(desk, "disk"), raised(desk, "limits", "risk", "main")

    assert [each["id"] for each in api.get("/alerts", params={"kind": "risk"}).json()] == [risk]
    assert [each["id"] for each in api.get("/alerts", params={"book": ""}).json()] == [health]


def test_an_alert_is_acknowledged_and_resolved_by_somebody_with_a_reason(api: TestClient, desk: Desk) -> None:
    alert = raised(desk, "disk")
    taken = move(api, alert).json()
    ended = move(api, alert, "resolve", author="bob").json()

    assert (taken["state"], taken["acknowledged_by"], taken["acknowledged_reason"]) == ("acknowledged", "ann", WHY["reason"])
    assert (ended["state"], ended["resolved_by"], ended["acknowledged_by"]) == ("resolved", "bob", "ann")
    assert api.get("/alerts").json() == []
    assert [each["id"] for each in api.get("/alerts", params={"closed": True}).json()] == [alert]


def commented(api: TestClient, alert_id: object, text: str, **body: object) -> Any:
    return api.post(f"/alerts/{alert_id}/comment", json={"text": text, "author": "ann", **body}, headers=KEY)


def test_an_alert_is_shown_with_everything_that_happened_to_it(api: TestClient, desk: Desk) -> None:
    alert = raised(desk, "disk")
    move(api, alert)
    html = "<script>alert('x')</script> & <b>more</b>"
    answer = commented(api, alert, html).json()
    move(api, alert, "resolve")
    late = commented(api, alert, "it was the log", author="<i>bob</i>")

    assert [each["event"] for each in answer["events"]] == ["raised", "acknowledged", "commented"]
    assert (answer["events"][-1]["reason"], answer["state"]) == (html, "acknowledged"), "data, neither escaped nor cut"
    assert late.status_code == 200
    shown = api.get(f"/alerts/{alert}").json()
    assert shown == late.json()
    assert [each["event"] for each in shown["events"]] == ["raised", "acknowledged", "commented", "resolved", "commented"]
    assert (shown["events"][-1]["author"], shown["state"], shown["subject"]) == ("<i>bob</i>", "resolved", "Disk is full")


def test_a_comment_needs_words_an_alert_and_a_control_key(api: TestClient, desk: Desk) -> None:
    alert = raised(desk, "disk")

    assert commented(api, alert, "  ").status_code == 422
    assert commented(api, alert, "x" * 2001).status_code == 422
    assert commented(api, alert, "a\x00b").status_code == 422
    assert commented(api, alert, "why", author=" ").status_code == 422
    assert commented(api, alert + 1_000, "why").json()["type"] == "urn:desk:NoSuchAlert"
    assert api.get(f"/alerts/{alert + 1_000}").status_code == 404
    assert api.get("/alerts/0").status_code == api.get("/alerts/x").status_code == 422
    assert api.post(f"/alerts/{alert}/comment", json={"text": "why", "author": "ann"}).status_code == 401
    assert [each["event"] for each in desk.alert_log.events(alert)] == ["raised"]


@pytest.mark.parametrize("verb", ["acknowledge", "resolve"])
def test_an_unknown_or_resolved_alert_and_an_empty_reason_are_refused(api: TestClient, desk: Desk, verb: str) -> None:
    alert = raised(desk, "disk")
    assert move(api, alert, verb, reason="  ").status_code == 422
    assert move(api, 0, verb).status_code == 422
    missing = move(api, alert + 1_000, verb)
    assert (missing.status_code, missing.json()["type"]) == (404, "urn:desk:NoSuchAlert")
    assert move(api, alert, "resolve").status_code == 200

    late = move(api, alert, verb)
    assert (late.status_code, late.json()["type"]) == (409, "urn:desk:AlertMoved")
    assert "resolved by ann" in late.json()["detail"]


def test_a_change_needs_a_control_key(api: TestClient, desk: Desk) -> None:
    alert = raised(desk, "disk")

    assert api.post(f"/alerts/{alert}/acknowledge", json=WHY).status_code == 401
    assert api.post(f"/alerts/{alert}/acknowledge", json=WHY, headers={"X-API-Key": "x" * 20}).status_code == 401
    assert desk.alert_log.find(alert).state == "raised"
