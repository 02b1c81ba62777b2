"""The client of the prediction API: one request a candidate, and the error that each kind of answer stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import structlog
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from core.errors import ConfigError, NoChampion, RetryLater
from trading.strategies.vix_filter import rule_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pydantic import SecretStr

    from trading.decide import Key

EMPTY: Mapping[str, str] = {}
log = structlog.get_logger()


@retry(
    retry=retry_if_exception_type(RetryLater), stop=stop_after_attempt(4), wait=wait_exponential_jitter(0.5, 8), reraise=True
)
def request_predictions(
    url: str, candidates: Iterable[Key], keys: Sequence[SecretStr] = (), *, rules: Mapping[str, str] = EMPTY
) -> list[dict[str, Any]]:
    """POST each strategy and symbol to `/predict-entry`; a candidate that the API has no current features of is absent.

    Parameters
    ----------
    rules
        The rule's name of each strategy whose own name does not say it, as of a deployment's sleeve.

    Returns
    -------
    list
        The answers, each under the strategy's name as it was given, with the VIX filter's suffix.

    Raises
    ------
    RetryLater
        When the API cannot be reached, or cannot reach its own stores.
    NoChampion
        When it has no model yet: waiting would not help.
    ConfigError
        When it does not accept the key.
    """
    answers: list[dict[str, Any]] = []
    wanted = list(candidates)
    if not wanted:
        return answers
    headers = {"X-API-Key": keys[0].get_secret_value()} if keys else {}
    with httpx.Client(base_url=url, timeout=10.0, headers=headers) as client:
        for strategy, symbol in wanted:
            try:
                response = client.post(
                    "/predict-entry", json={"symbol": symbol, "strategy": rules.get(strategy) or rule_name(strategy)}
                )
            except httpx.TransportError as error:
                raise RetryLater(f"The prediction API at {url} does not answer ({error}). Is it running? `make up`.") from error
            if NoChampion.__name__ in response.text and response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                raise NoChampion(f"{response.json()['detail']} {response.json()['remedy']}")
            if response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
                raise RetryLater(f"The prediction API answered {response.status_code}: {response.text}")
            if response.status_code == httpx.codes.UNAUTHORIZED:
                raise ConfigError(f"{response.json()['detail']} Set API__READ_KEYS to the same for the desk and the API.")
            if response.status_code in {httpx.codes.NOT_FOUND, httpx.codes.CONFLICT}:
                log.warning("no_prediction", strategy=strategy, symbol=symbol, answer=response.text)
                continue
            response.raise_for_status()
            answers.append({**response.json(), "strategy": strategy})
    return answers
