"""The dashboard's one error: the API did not answer, or answered with a problem."""

from __future__ import annotations

import httpx


class ApiError(Exception):
    """The API did not answer as expected.

    Attributes
    ----------
    status
        HTTP status; None when there was no answer at all.
    kind
        Type of the problem, as in `urn:desk:VersionConflict`; empty when the API named none.
    detail, remedy
        One sentence each: the cause, and what to do.
    """

    def __init__(self, detail: str, remedy: str = "", *, status: int | None = None, kind: str = "") -> None:
        self.detail, self.remedy, self.status, self.kind = _sentence(detail), _sentence(remedy), status, kind
        super().__init__(f"{self.detail} {self.remedy}".strip())

    @property
    def is_conflict(self) -> bool:
        """True when somebody else changed the thing meanwhile."""
        return self.status == httpx.codes.CONFLICT

    @property
    def is_denied(self) -> bool:
        """True when the key is missing, unknown, or may not do this."""
        return self.status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}

    @property
    def is_missing(self) -> bool:
        """True when the API has no such thing."""
        return self.status == httpx.codes.NOT_FOUND

    @property
    def is_refusal(self) -> bool:
        """True when the request itself is wrong, so that an earlier answer does not stand in for it."""
        return (
            self.status is not None
            and httpx.codes.is_client_error(self.status)
            and self.status != httpx.codes.TOO_MANY_REQUESTS
        )

    @classmethod
    def no_answer(cls, url: str, error: Exception) -> ApiError:
        """Return the error of an API that cannot be reached or is too slow."""
        cause = type(error).__name__
        return cls(f"The API at {url} does not answer ({cause})", "Start it with `make up`, or see its log")

    @classmethod
    def of(cls, response: httpx.Response) -> ApiError:
        """Return the error of an answer that is not a success; problem+json gives its own words."""
        status = f"The API answered {response.status_code} {response.reason_phrase}"
        try:
            problem = response.json()
        except ValueError:
            problem = None
        if not isinstance(problem, dict):
            return cls(status, "See the API's log", status=response.status_code)
        detail, remedy, kind = (str(problem.get(name) or "") for name in ("detail", "remedy", "type"))
        return cls(detail or status, remedy, status=response.status_code, kind=kind)


def _sentence(text: str) -> str:
    """Return the text with a full stop at its end."""
    text = text.strip()
    return f"{text}." if text and text[-1] not in ".!?" else text
