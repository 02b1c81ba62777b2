"""The daily trade: settle the session, decide at its close, place orders for the next open, record.

Every step takes the session whose close has just passed and is safe to run again: intents have deterministic ids and are
committed before anything is sent. A newcomer reads this file, then `trading/decide.py`.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import httpx
import pandas as pd
import structlog
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from core.errors import RetryLater
from core.sessions import next_session
from pipeline.research import bars_by_symbol
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from collections.abc import Iterable

log = structlog.get_logger()


def settle(session: str, *, resources: Resources | None = None) -> dict[str, Any]:
    """Let the paper broker live through the session: pending orders fill at its open, stops and targets on its bar."""
    found = resources or live()
    day = dt.date.fromisoformat(session)
    bars = found.bars.read(found.universe(), start=day, end=day)
    fills = found.broker.advance(day, bars)
    return {"session": session, "fills": len(fills)}


def candidates(session: str, *, resources: Resources | None = None) -> dict[str, Any]:
    """Signals of the strategy at the close of the session, stored."""
    found = resources or live()
    signals = _signals(found, session)
    found.ledger.save_signals(signals)
    return {"session": session, "symbols": len(signals), "entries": int((signals["entry"] != 0).sum())}


def predict(session: str, *, resources: Resources | None = None) -> dict[str, Any]:
    """Ask the prediction API about every candidate of the session and store the answers."""
    found = resources or live()
    signals = found.ledger.signals(dt.date.fromisoformat(session))
    answers = ask_api(found.settings.api_url, signals.loc[signals["entry"] != 0, "symbol"])
    found.ledger.save_predictions(dt.date.fromisoformat(session), found.strategy.name, answers)
    return {"session": session, "predictions": len(answers)}


@retry(
    retry=retry_if_exception_type(RetryLater), stop=stop_after_attempt(4), wait=wait_exponential_jitter(0.5, 8), reraise=True
)
def ask_api(url: str, symbols: Iterable[str]) -> list[dict[str, Any]]:
    """POST each symbol to `/predict-next-day`. Raises `RetryLater` when the API cannot be reached or is not ready."""
    answers = []
    with httpx.Client(base_url=url, timeout=10.0) as client:
        for symbol in symbols:
            try:
                response = client.post("/predict-next-day", json={"symbol": symbol})
            except httpx.TransportError as error:
                raise RetryLater(f"The prediction API at {url} does not answer ({error}). Is it running? `make up`.") from error
            if response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
                raise RetryLater(f"The prediction API answered {response.status_code}: {response.text}")
            response.raise_for_status()
            answers.append(response.json())
    return answers


def _signals(resources: Resources, session: str) -> pd.DataFrame:
    """The strategy's last row for each symbol that has a bar for the session."""
    day = pd.Timestamp(session)
    rows = []
    for symbol, bars in bars_by_symbol(resources, session).items():
        if bars["session"].iloc[-1] != day:
            log.warning("stale_symbol", symbol=symbol, session=session, last=str(bars["session"].iloc[-1].date()))
            continue
        last = resources.strategy.signals(bars).iloc[[-1]]
        rows.append(last.assign(symbol=symbol, strategy=resources.strategy.name, close=bars["close"].iloc[-1]))
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()


def next_open(session: str) -> dt.date:
    """The session at whose open today's decisions are filled."""
    return next_session(dt.date.fromisoformat(session))
