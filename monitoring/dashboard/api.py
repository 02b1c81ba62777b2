"""A client of the REST API that keeps the last good answer of every request, with its age.

An unchanged answer costs an ETag and a 304. When the API does not answer, `read` returns the last good answer together with the
error, so that a page can show both. Changes go through `control`, with a key that is used for that one call and never stored.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import httpx

from monitoring.dashboard.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import SecretStr

    from monitoring.dashboard.environment import Environment

FRESH_SECONDS = 1.0  # an answer this young serves the other parts of the page
PAUSE_SECONDS = 5.0  # after no answer, before the next attempt: ten tables of a page wait for one timeout, not for ten
MOST_ANSWERS, MOST_BYTES = 256, 16_000_000  # as received; parsed they take about six times that
PAGE_ROWS = 500
Query = dict[str, str | tuple[str, ...]]
Parameter = str | float | bool | tuple[str, ...] | None  # of a query; several texts repeat the name


@dataclass(frozen=True)
class Answer:
    """An answer of the API, and its time.

    Attributes
    ----------
    content
        The parsed JSON.
    at
        Instant at which the API last confirmed it, UTC.
    error
        Why this is not today's answer; None when it is.
    """

    content: Any
    at: dt.datetime
    error: ApiError | None = None

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of a page, whether the route answers `{"rows": [...]}` or a bare list."""
        rows = self.content.get("rows", []) if isinstance(self.content, dict) else self.content
        return list(rows)

    @property
    def next(self) -> str | None:
        """Cursor of the next page; None on the last one."""
        return self.content.get("next") if isinstance(self.content, dict) else None

    def age_seconds(self, now: dt.datetime) -> float:
        """Return the seconds since the API last confirmed this answer."""
        return max(0.0, (now - self.at).total_seconds())


@dataclass(frozen=True)
class _Stored:
    """An answer in memory, with its tag and size."""

    answer: Answer
    tag: str | None
    size: int
    read_at: float  # monotonic seconds


class Api:
    """The REST API, for every page and every browser of this process. Safe to share between threads.

    Parameters
    ----------
    transport
        Replaces the network in tests.
    now
        Returns the present instant, UTC.
    """

    def __init__(
        self,
        environment: Environment,
        transport: httpx.BaseTransport | None = None,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        self.url, self._read_key, self._now = environment.api_url, environment.read_key, now
        self._client = httpx.Client(
            base_url=environment.api_url,
            timeout=environment.timeout_seconds,
            transport=transport,
            headers={"Accept": "application/json", "User-Agent": "desk-dashboard"},
        )
        self._stored: OrderedDict[tuple[Any, ...], _Stored] = OrderedDict()
        self._lock = threading.Lock()
        self._silent: tuple[float, ApiError] | None = None  # since when the API does not answer (monotonic seconds)

    def read(self, path: str, accept: tuple[int, ...] = (), /, **parameters: Parameter) -> Answer:
        """Return the answer to a GET: this moment's, or the last good one with the error that hid the newest.

        Parameters
        ----------
        accept
            Statuses beside 200 whose body is an answer too: `/readyz` answers 503 when it is red.
        parameters
            Query parameters; None leaves one out.

        Raises
        ------
        ApiError
            When there is no answer and no earlier one either, or the request itself is refused.
        """
        query = _query(parameters)
        key = (path, *sorted(query.items()))
        with self._lock:
            stored = self._stored.get(key)
        if stored is not None and stored.answer.error is None and time.monotonic() - stored.read_at < FRESH_SECONDS:
            return stored.answer
        try:
            return self._request(key, path, query, stored, accept)
        except ApiError as error:
            if stored is None or error.is_refusal:
                raise
            return replace(stored.answer, error=error)

    def read_all(self, path: str, *, most: int = 20_000, **parameters: Parameter) -> Answer:
        """Return the pages of a view as one answer, at most `most` rows; the oldest page says how old it is.

        `next` of the answer is not None when there are more.

        Raises
        ------
        ApiError
            As `read` does.
        """
        parameters.setdefault("limit", PAGE_ROWS)
        page = self.read(path, **parameters)
        rows, at, error = page.rows, page.at, page.error
        while page.next is not None and len(rows) < most:
            page = self.read(path, **{**parameters, "after": page.next})
            rows, at, error = [*rows, *page.rows], min(at, page.at), error or page.error
        return Answer({"rows": rows[:most], "next": page.next}, at, error)

    def export(self, path: str, kind: str = "csv", /, **parameters: Parameter) -> bytes:
        """Return the whole of a view as a file, `csv` or `parquet`, exactly as the API writes it.

        Raises
        ------
        ApiError
            When the API does not answer or refuses.
        """
        return self._send("GET", path, params=_query({**parameters, "format": kind}), headers=self._reading()).content

    def control(
        self, method: str, path: str, body: Mapping[str, object], key: SecretStr | None, *, tag: str | None = None
    ) -> Any:  # noqa: ANN401  # whatever JSON the route answers
        """Change something with a control key, which is used for this call alone; return the parsed answer.

        Parameters
        ----------
        tag
            Sent as `If-Match`, where the route takes one.

        Raises
        ------
        ApiError
            When the API does not answer, or refuses the key or the change. A change that got no answer may have happened.
        """
        headers = {"X-API-Key": key.get_secret_value()} if key else {}
        headers |= {"If-Match": tag} if tag else {}
        try:
            response = self._send(method, path, json=dict(body), headers=headers)
        finally:
            self.forget()
        return response.json() if response.content else None

    def close(self) -> None:
        """Close the connections to the API."""
        self._client.close()

    def forget(self) -> None:
        """Read everything anew at the next request; what is in memory only serves when that fails."""
        with self._lock:
            self._stored = OrderedDict((key, replace(each, read_at=float("-inf"))) for key, each in self._stored.items())

    def _request(
        self, key: tuple[Any, ...], path: str, query: Query, stored: _Stored | None, accept: tuple[int, ...]
    ) -> Answer:
        """Send the request, with the tag of what is in memory; store and return the answer."""
        headers = self._reading() | ({"If-None-Match": stored.tag} if stored and stored.tag else {})
        response = self._send("GET", path, params=query, headers=headers, accept=(304, *accept))
        if response.status_code == httpx.codes.NOT_MODIFIED and stored is not None:
            fresh = replace(stored, answer=replace(stored.answer, at=self._now()), read_at=time.monotonic())
        else:
            answer = Answer(_json(response), self._now())
            fresh = _Stored(answer, response.headers.get("etag"), len(response.content), time.monotonic())
        self._store(key, fresh)
        return fresh.answer

    def _send(self, method: str, path: str, *, accept: tuple[int, ...] = (), **request: Any) -> httpx.Response:  # noqa: ANN401
        """Send one request; raise `ApiError` unless the answer is a success or one of `accept`."""
        reads = method == "GET"
        silent = self._silent
        if reads and silent is not None and time.monotonic() - silent[0] < PAUSE_SECONDS:
            raise silent[1]
        try:
            response = self._client.request(method, path, **request)
        except httpx.TransportError as error:
            failure = ApiError.no_answer(self.url, error)
            self._silent = (time.monotonic(), failure) if reads else silent
            raise failure from None  # the cause would show the headers' frame, and the key in it
        self._silent = None
        if not response.is_success and response.status_code not in accept:
            raise ApiError.of(response)
        return response

    def _store(self, key: tuple[Any, ...], fresh: _Stored) -> None:
        with self._lock:
            self._stored[key] = fresh
            self._stored.move_to_end(key)
            size = sum(each.size for each in self._stored.values())
            while len(self._stored) > MOST_ANSWERS or (size > MOST_BYTES and len(self._stored) > 1):
                size -= self._stored.popitem(last=False)[1].size

    def _reading(self) -> dict[str, str]:
        return {"X-API-Key": self._read_key.get_secret_value()} if self._read_key else {}


def _query(parameters: Mapping[str, Parameter]) -> Query:
    """Return query parameters as text, without those that are None."""
    return {name: _text(value) for name, value in parameters.items() if value is not None}


def _text(value: str | float | tuple[str, ...]) -> str | tuple[str, ...]:
    if isinstance(value, tuple):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


def _json(response: httpx.Response) -> Any:  # noqa: ANN401  # whatever JSON the route answers
    try:
        return response.json()
    except ValueError:
        raise ApiError("The API answered with something that is not JSON", "See that DASHBOARD__API_URL is the API") from None
