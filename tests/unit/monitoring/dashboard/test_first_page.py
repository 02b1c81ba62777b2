"""The first page names the scripts that will be needed; an upgrade of Streamlit that renames them shows here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from monitoring.dashboard import first_page
from monitoring.dashboard.app import PAGES, path_of

if TYPE_CHECKING:
    from fastapi.testclient import TestClient


def test_every_kind_of_element_has_its_script_and_what_that_imports() -> None:
    names = first_page.scripts()
    for element in first_page.ELEMENTS:
        assert [name for name in names if name.startswith(f"{element}.")], element
    assert len(names) > 50
    assert all((first_page.STATIC / "static" / "js" / name).is_file() for name in names)


def test_no_script_is_linked_twice() -> None:
    links = re.findall(r'href="(\./static/js/[^"]+)"', first_page.html())
    assert len(links) == len(set(links)) > 80


def test_every_page_answers_with_it_under_the_check_of_origin(client: TestClient) -> None:
    for path in ("/", *(f"/{path_of(title)}" for title in PAGES)):
        answer = client.get(path)
        assert (answer.status_code, answer.text) == (200, first_page.html())
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert client.get(path, headers={"host": "evil.example"}).status_code == 421
