"""One request to Alpaca and what its answer proves. Owns the client's patience and the reading of refusals; no order logic.

The keys are handed to alpaca-py and appear in no message: an error names the request, never its headers.
"""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from functools import wraps
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from alpaca.common.exceptions import APIError
from alpaca.common.rest import RESTClient
from alpaca.trading.client import TradingClient
from requests import RequestException

from core.configuration.addresses import objection
from core.errors import ConfigError, RetryLater, UnreadableAnswer
from core.models import Refused
from trading.brokers.listing import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydantic import SecretStr

    from core.configuration.addresses import Purpose

    Json = dict[str, Any]

P = ParamSpec("P")
T = TypeVar("T")
DUPLICATE = "client_order_id must be unique"
DAY_TRADES_CODE = 40310100
_FINAL_STATUSES = frozenset(range(400, 500)) - {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
# Alpaca has one code for many reasons; its words tell them apart. The first that matches counts.
_REASONS = (
    (r"day trad(e|ing) protection|pattern day", Refused.DAY_TRADES),
    (r"buying power|insufficient balance", Refused.BUYING_POWER),
    (r"asset .*(not found|not tradable|not active)|asset not found", Refused.UNKNOWN_SYMBOL),
    (r"halt", Refused.HALTED),
    (r"order not found", Refused.UNKNOWN_ORDER),
    (r"already in|not cancelable|not open", Refused.TOO_LATE),
    (r"short", Refused.NOT_SHORTABLE),
    (r"market is closed|market hours|market is not open", Refused.MARKET_CLOSED),
    (r"minimal amount|notional", Refused.NOTIONAL),
    (r"_price|sub-penny", Refused.PRICE),
    (r"\bqty\b|fraction", Refused.QUANTITY),
    (r"by user request|account|restricted|blocked", Refused.ACCOUNT),
)


def require_host(url: str | None, purpose: Purpose) -> None:
    """Refuse an address that is neither loopback nor of Alpaca's paper account, before a key goes there.

    Raises
    ------
    core.errors.ConfigError
        When it may be real money: that has no address to set.
    """
    refusal = None if url is None else objection(url, purpose, live=False)
    if refusal is not None:
        raise ConfigError(f"Alpaca's address for {purpose}: {refusal}.")


class VenueRefusal(Exception):
    """Alpaca understood the request and does not do it; the adapter makes an `Answer` of it."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    @property
    def refused(self) -> Refused:
        """The desk's name for the reason."""
        if self.code == DAY_TRADES_CODE:
            return Refused.DAY_TRADES
        return next((name for pattern, name in _REASONS if re.search(pattern, self.message, re.IGNORECASE)), Refused.OTHER)


class OneRequest(RESTClient):
    """A client of alpaca-py that sends a request once, with a timeout; call `be_brief` when it is made.

    alpaca-py waits for an answer without limit, and sends a request again, an order included, after 429 and 504: a 504 proves
    nothing, and the order sent again would be refused for its id and be taken as rejected. Both are switched off here.
    """

    timeout_seconds: float

    def be_brief(self, timeout_seconds: float) -> None:
        """Send each request once, and take no answer later than that."""
        self._retry = 0
        self.timeout_seconds = timeout_seconds

    def _one_request(self, method: str, url: str, opts: Json, retry: int) -> Any:  # noqa: ANN401  # alpaca-py's own
        brief = {"timeout": self.timeout_seconds, "allow_redirects": False}  # another host is another account
        return super()._one_request(method, url, opts | brief, retry)


class AlpacaClient(OneRequest, TradingClient):
    """alpaca-py's client of the trading API.

    Parameters
    ----------
    live
        The endpoint for real money; otherwise the paper one, or `url`.
    timeout_seconds
        Silence after which an answer no longer counts.
    """

    def __init__(
        self,
        key: SecretStr,
        secret: SecretStr,
        *,
        live: bool = False,
        url: str | None = None,
        timeout_seconds: float = 10.0,
    ) -> None:
        require_host(None if live else url, "trading")
        super().__init__(
            key.get_secret_value(), secret.get_secret_value(), paper=not live, raw_data=True, url_override=None if live else url
        )
        self.be_brief(timeout_seconds)

    def one(self, method: str, path: str, data: Json | None = None) -> Json:
        """The object that a request answers with; see `send` for what it raises."""
        answer = self.send(method, path, data)
        if not isinstance(answer, dict):
            raise RetryLater(f"Alpaca's answer to {_named(method, path)} is no object.")
        return answer

    def many(self, path: str, data: Json | None = None) -> list[Json]:
        """The objects that a GET answers with; see `send` for what it raises."""
        answer = self.rows(path, data)
        if not all(isinstance(row, dict) for row in answer):
            raise RetryLater(f"Alpaca's answer to {_named('GET', path)} is no list of objects.")
        return answer

    def rows(self, path: str, data: Json | None = None) -> list[Any]:
        """The rows that a GET answers with, whatever each one is; see `send` for what it raises."""
        answer = self.send("GET", path, data)
        if not isinstance(answer, list):
            raise RetryLater(f"Alpaca's answer to {_named('GET', path)} is no list.")
        return answer

    def send(self, method: str, path: str, data: Json | None = None) -> object:
        """The JSON of the answer, None when it is empty; see `proving` for what it raises."""
        with proving(_named(method, path)):
            return self._request(method, path, data)


def readable(method: Callable[P, T]) -> Callable[P, T]:
    """Make `UnreadableAnswer` of an answer with a field missing or of an unknown kind, and `RetryLater` of a refused question.

    Neither proves anything.
    """

    @wraps(method)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except UNREADABLE as error:
            raise UnreadableAnswer(
                f"Alpaca's answer cannot be read in {method.__name__} ({type(error).__name__}: {error})."
            ) from error
        except VenueRefusal as refusal:
            raise RetryLater(f"Alpaca refuses to answer {method.__name__} ({refusal.message}).") from refusal

    return wrapped


@contextmanager
def proving(request: str, *, coded: bool = True) -> Iterator[None]:
    """Raise, in place of what alpaca-py does, what the answer to the request within proves.

    Parameters
    ----------
    coded
        Whether a refusal counts with Alpaca's code alone, as for orders; market data refuses without one.

    Raises
    ------
    VenueRefusal
        When it proves that nothing was done.
    core.errors.RetryLater
        When it proves nothing: no answer, a server error, a page that is no JSON.
    core.errors.ConfigError
        When the keys are not accepted.
    """
    try:
        yield
    except APIError as error:
        raise meaning(error, request, coded=coded) from None
    except (RequestException, ValueError) as error:  # no connection, no answer in time, or no JSON
        raise RetryLater(f"Alpaca gave no readable answer to {request} ({type(error).__name__}).") from None


def _named(method: str, path: str) -> str:
    """A request as a message names it."""
    return f"{method} {path}"


def meaning(error: APIError, request: str, *, coded: bool = True) -> Exception:
    """Return the error that an answer with an error status proves; see `proving`."""
    status = int(error.status_code or 0)
    code, message = _words(str(error))
    if status == HTTPStatus.UNAUTHORIZED or (status == HTTPStatus.FORBIDDEN and code is None):
        answer = f"HTTP {status}: {message}" if message else f"HTTP {status}"
        return ConfigError(
            f"Alpaca does not accept the keys for {request} ({answer}). Check VENUE__ALPACA__API_KEY and "
            "VENUE__ALPACA__SECRET_KEY, that they "
            "belong to the endpoint (paper keys without VENUE__LIVE, live keys with it), and for market data "
            "VENUE__ALPACA__DATA_FEED."
        )
    if status in _FINAL_STATUSES and (code is not None or (message and not coded)):
        return VenueRefusal(status, code or 0, message)
    return RetryLater(f"Alpaca answered {request} with HTTP {status}.", retry_after_seconds=_retry_after(error))


def _words(body: str) -> tuple[int | None, str]:
    """Code and message of an error's body: neither when Alpaca did not write it, no code from market data."""
    try:
        content = json.loads(body)
        message, code = str(content["message"]), content.get("code")
        return (None if code is None else int(code)), message
    except (ValueError, KeyError, TypeError, AttributeError):
        return None, ""


def _retry_after(error: APIError) -> float | None:
    text = "" if error.response is None else error.response.headers.get("Retry-After", "")
    return float(text) if re.fullmatch(r"\d+(\.\d+)?", text) else None
