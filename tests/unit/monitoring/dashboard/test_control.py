"""A form that changes something, through Streamlit's own harness, on a stand-in of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlit.testing.v1 import AppTest

from monitoring.dashboard import control
from tests.standins.dashboard_api import CONTROL_KEY, READ_KEY

if TYPE_CHECKING:
    from tests.standins.dashboard_api import StandIn


def script() -> None:
    from monitoring.dashboard.control import Change, draw

    draw(Change("halt", "Halt trading", "POST", "/trading/halt", {"portfolio": "main"}, "main is halted.", "HALT main"))


def submitted(page: AppTest, **typed: str) -> AppTest:
    for name, text in typed.items():
        page.text_input(key=f"halt-{name}").set_value(text)
    page.button[0].click()
    return page.run()


def errors(page: AppTest) -> list[str]:
    return [each.value for each in page.error]


def test_a_change_needs_its_words_a_name_a_reason_and_a_key(api: StandIn) -> None:
    page = AppTest.from_function(script).run()
    assert "found halt main." in errors(submitted(page, typed="halt main", author="ann", reason="drill", key=CONTROL_KEY))[0]
    assert "your name and a reason" in errors(submitted(page, typed="HALT main", reason=" "))[0]
    assert "a control key" in errors(submitted(page, reason="drill", key=""))[0]
    assert api.changes == []


def test_a_change_goes_to_the_api_and_the_key_stays_in_the_session(api: StandIn) -> None:
    page = submitted(AppTest.from_function(script).run(), typed="HALT main", author=" ann ", reason="drill", key=CONTROL_KEY)

    assert [each.value for each in page.success] == ["main is halted."]
    assert api.changes == [("/trading/halt", {"portfolio": "main", "reason": "drill", "author": "ann"})]
    assert CONTROL_KEY not in str({name: page.session_state[name] for name in (control.HELD_KEY, control.HELD_AUTHOR)})

    page.run()
    assert "Control key" not in [each.label for each in page.text_input], "typed once a session"
    assert [page.text_input(key=f"halt-{name}").value for name in ("typed", "reason")] == ["", ""], (
        "each change is confirmed anew"
    )
    submitted(page, typed="HALT main", reason="again")
    assert len(api.changes) == 2


def test_a_key_that_only_reads_is_refused_in_the_apis_words_and_typed_again(api: StandIn) -> None:
    page = submitted(AppTest.from_function(script).run(), typed="HALT main", author="ann", reason="drill", key=READ_KEY)
    assert errors(page) == ["This key reads; expected a control key in X-API-Key. Do this."]
    assert control.HELD_KEY not in page.session_state
    assert api.changes == []


def test_a_conflict_says_that_somebody_was_first(api: StandIn) -> None:
    api.problem = (409, "Version 3 is the newest, found 2")
    page = submitted(AppTest.from_function(script).run(), typed="HALT main", author="ann", reason="drill", key=CONTROL_KEY)
    assert errors(page) == [f"Version 3 is the newest, found 2. Do this. {control.CONFLICT}"]


def test_a_change_without_an_answer_may_have_been_made(no_api: str) -> None:
    page = submitted(AppTest.from_function(script).run(), typed="HALT main", author="ann", reason="drill", key=CONTROL_KEY)
    assert errors(page)[0].startswith(f"The API at {no_api} does not answer")
    assert errors(page)[0].endswith(control.UNKNOWN_OUTCOME)
    assert CONTROL_KEY not in errors(page)[0]
