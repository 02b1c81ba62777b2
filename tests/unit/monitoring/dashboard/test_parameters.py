"""The page of parameters on a stand-in of the API, through Streamlit's own harness."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from monitoring.dashboard.parts import parameter_form, parameter_history
from tests.standins.dashboard_api import CONTROL_KEY, READ_KEY
from tests.standins.shown_page import Tables, html_of
from tests.standins.steering_api import HTML, SteeringApi, defaults


def script() -> None:
    from monitoring.dashboard.pages import parameters

    parameters.draw("main")


def opened() -> AppTest:
    page = AppTest.from_function(script, default_timeout=30).run()
    assert [each.value for each in page.exception] == []
    return page


def submitted(page: AppTest, form: str, button: str, key: str = CONTROL_KEY, **typed: str) -> AppTest:
    for name, text in {"author": "ann", "reason": "wider", "key": key, **typed}.items():
        try:
            page.text_input(key=f"{form}-{name}").set_value(text)
        except KeyError:
            assert name == "key", "the key is typed once a session"
    next(each for each in page.button if each.label == button).click()
    page = page.run()
    assert [each.value for each in page.exception] == []
    return page


def save(page: AppTest, form: str = "parameters-save-rsi-all-2", **typed: str) -> AppTest:
    return submitted(page, form, "Save as a new version", **typed)


def stop_pct(page: AppTest, version: int = 2) -> object:
    return page.number_input(key=f"parameter-rsi-all-{version}-stop_pct")


@pytest.mark.usefixtures("steering_api")
def test_every_strategy_shows_its_switch_version_and_reason_as_text() -> None:
    text = html_of(opened())
    shown = Tables(text).named("Strategies of the desk")
    assert [row[:4] for row in shown.rows] == [
        ["rsi", "all symbols", "● on", "2"],
        ["bollinger", "all symbols", "● on", "defaults"],
        ["gap", "all symbols", "● on", "defaults"],
    ]
    assert HTML not in text
    assert "&lt;script&gt;" in text


@pytest.mark.usefixtures("steering_api")
def test_the_form_has_each_parameter_with_its_unit_bounds_description_and_value() -> None:
    page = opened()
    fields = {each.key.rpartition("-")[2]: each for each in page.number_input}
    assert {name: field.value for name, field in fields.items()} == defaults("rsi") | {"stop_pct": 4.0}
    assert fields["rsi_sessions"].label == "rsi_sessions (sessions)"
    assert fields["rsi_sessions"].min == 2
    assert "At least 2. Default: 14." in fields["rsi_sessions"].help
    assert "Empty: none" in fields["stop_pct"].help
    assert "version 2. 2026-03-02 23:30:00 UTC by bob" in "\n".join(each.value for each in page.text)


def test_only_what_was_changed_is_saved_from_the_version_that_was_read(steering_api: SteeringApi) -> None:
    page = opened()
    stop_pct(page).set_value(None)  # type: ignore[attr-defined]
    page = save(page)
    body = {"values": {"stop_pct": None}, "expected_version": 2, "reason": "wider", "author": "ann"}
    assert steering_api.changes == [("/strategies/rsi/parameters", body)]
    assert [each.value for each in page.success] == ["The new version is in force."]
    assert stop_pct(page, 3).value is None  # type: ignore[attr-defined]
    versions = Tables(html_of(page)).named("Versions of rsi")
    assert versions.rows[0][4] == "stop_pct 4.0 → none"


def test_a_form_without_a_change_is_not_sent(steering_api: SteeringApi) -> None:
    page = save(opened())
    assert page.error[0].value.startswith("Expected a changed parameter")
    assert steering_api.changes == []


def test_a_conflict_shows_who_changed_what_and_loads_it_on_request(steering_api: SteeringApi) -> None:
    page = opened()
    stop_pct(page).set_value(2.5)  # type: ignore[attr-defined]
    steering_api.add("rsi", defaults("rsi") | {"stop_pct": 3.0}, ["stop_pct"], {"author": "eve", "reason": "earnings"})
    page = save(page)
    assert page.error[0].value.startswith("Expected version 2, found 3.")
    since = Tables(html_of(page)).named("Changed since version 2")
    assert [(row[2], row[4], row[6], row[7]) for row in since.rows] == [("3", "stop_pct 4.0 → 3.0", "eve", "earnings")]
    assert steering_api.changes == [], "nothing was overwritten"

    assert stop_pct(page.run()).value == 2.5, "the typed values stay until the new ones are loaded"  # type: ignore[attr-defined]
    page = save(page)
    next(each for each in page.button if each.label.startswith("Load what is in force")).click()
    page = page.run()
    assert stop_pct(page, 3).value == 3.0  # type: ignore[attr-defined]


def test_a_reset_needs_its_words(steering_api: SteeringApi) -> None:
    form = "parameters-reset-rsi-all-2"
    page = submitted(opened(), form, "Reset to the defaults", typed="reset")
    assert "Expected RESET rsi typed" in page.error[0].value
    submitted(page, form, "Reset to the defaults", typed="RESET rsi")
    assert [body["reset"] for _, body in steering_api.changes] == [True]


def test_a_strategy_is_switched_off_and_on(steering_api: SteeringApi) -> None:
    page = submitted(opened(), "parameters-disable-rsi-all", "Disable rsi in all symbols", typed="DISABLE rsi")
    assert steering_api.changes == [("/strategies/rsi/disable", {"reason": "wider", "author": "ann"})]
    assert Tables(html_of(page)).named("Strategies").rows[0][2] == "▲ off"
    assert Tables(html_of(page)).named("Versions").rows[0][4] == "switched off"
    assert "Enable rsi in all symbols" in [each.label for each in page.button]


def test_a_symbol_without_parameters_of_its_own_starts_at_version_0() -> None:
    for_all = {"version": 7, "row_symbol": None}
    assert parameter_form.Base("rsi", "SPY", for_all).body == {"expected_version": 0, "symbol": "SPY"}
    assert parameter_form.Base("rsi", "SPY", for_all | {"row_symbol": "SPY"}).body == {"expected_version": 7, "symbol": "SPY"}
    assert parameter_form.Base("rsi", None, for_all).body == {"expected_version": 7}


def test_what_is_the_same_in_all_symbols_is_not_edited_for_one(steering_api: SteeringApi) -> None:
    steering_api.own_symbols = ("SPY",)
    page = opened()
    page.selectbox(key="parameters-rsi-symbol").set_value("SPY").run()
    fields = {each.key: each.disabled for each in page.number_input}
    assert [name for name, disabled in fields.items() if disabled] == ["parameter-rsi-SPY-0-max_sessions"]


def test_a_key_that_only_reads_changes_nothing(steering_api: SteeringApi) -> None:
    page = opened()
    stop_pct(page).set_value(2.5)  # type: ignore[attr-defined]
    assert "This key reads" in save(page, key=READ_KEY).error[0].value
    assert steering_api.changes == []


@pytest.mark.usefixtures("no_api")
def test_without_an_api_no_form_is_offered() -> None:
    page = opened()
    assert "Nothing can be shown." in html_of(page)
    assert list(page.number_input) == []


def test_the_first_version_says_what_it_set() -> None:
    row = {"symbol": None, "version": 1, "params": {"stop_pct": 1.0}, "changed": ["stop_pct"], "enabled": True}
    assert parameter_history.with_differences([row])[0]["difference"] == "stop_pct 1.0"
