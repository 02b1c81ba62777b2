"""Reading for pages: rows of the API in one run, and one message about those that are missing or old."""

from __future__ import annotations

import datetime as dt
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import streamlit as st

from monitoring.dashboard import figures
from monitoring.dashboard.api import Answer, Api, Parameter
from monitoring.dashboard.environment import Environment
from monitoring.dashboard.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@st.cache_resource(show_spinner=False)
def environment() -> Environment:
    """Return the process's settings, read once."""
    return Environment.of(os.environ)


@st.cache_resource(show_spinner=False, on_release=Api.close)
def api() -> Api:
    """Return the process's one client, shared by every page and browser."""
    return Api(environment())


class Reader:
    """Reads for one run of a page, and notes what failed. A failed read gives None, never an exception."""

    def __init__(self, source: Api) -> None:
        self.api = source
        self._answers: list[Answer] = []
        self._failures: list[ApiError] = []

    def content(self, path: str, accept: tuple[int, ...] = (), /, **parameters: Parameter) -> Any | None:  # noqa: ANN401
        """Return the JSON of a route; None when there is none, now or earlier."""
        answer = self._noted(lambda: self.api.read(path, accept, **parameters))
        return None if answer is None else answer.content

    def rows(self, path: str, **parameters: Parameter) -> list[dict[str, Any]] | None:
        """Return one page of a view; None when there is none."""
        answer = self._noted(lambda: self.api.read(path, **parameters))
        return None if answer is None else answer.rows

    def optional_rows(self, path: str, **parameters: Parameter) -> list[dict[str, Any]] | None:
        """Return one page of a view; None when there is none. A request that the API refuses is no failure of the page."""
        try:
            answer = self.api.read(path, **parameters)
        except ApiError as error:
            if not error.is_refusal or error.is_denied:
                self._failures.append(error)
            return None
        self._answers.append(answer)
        return answer.rows

    def all_rows(self, path: str, *, most: int = 20_000, **parameters: Parameter) -> list[dict[str, Any]] | None:
        """Return every page of a view; None when there is none."""
        answer = self._noted(lambda: self.api.read_all(path, most=most, **parameters))
        return None if answer is None else answer.rows

    def message(self, now: dt.datetime) -> str | None:
        """Return why figures are missing or old, and how old; None when everything is of this moment.

        A failure that several reads share is told once.
        """
        old = [each for each in self._answers if each.error is not None]
        reasons = dict.fromkeys(str(each) for each in (*(answer.error for answer in old), *self._failures))
        if not reasons:
            return None
        oldest = max((each.age_seconds(now) for each in old), default=None)
        held = [] if oldest is None else [f"Figures are up to {figures.age(oldest)} old."]
        missing = ["Some are missing." if self._answers else "Nothing can be shown."] if self._failures else []
        return " ".join((*reasons, *held, *missing))

    def _noted(self, read: Callable[[], Answer]) -> Answer | None:
        try:
            answer = read()
        except ApiError as error:
            self._failures.append(error)
            return None
        self._answers.append(answer)
        return answer


@contextmanager
def reading() -> Iterator[Reader]:
    """Yield a reader for one run of a page; above what the run draws stands its message, or the time of its figures."""
    place = st.container()  # not `st.empty`, which would clear the line first and move the page up and down
    reader = Reader(api())
    yield reader
    now = dt.datetime.now(dt.UTC)
    if message := reader.message(now):
        place.html(f'<div role="alert" class="desk-notice bad">■ {figures.escaped(message)}</div>')
    else:
        place.html(f'<p class="desk-notice">Figures of {figures.instant(now)}</p>')
