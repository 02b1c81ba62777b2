"""The route that returns everything behind an order, as `pipeline.audit.explain_order` looks it up, and its response types.

Money, prices and quantities are text, exact to the last digit; a part that is not on record is null and named in `not_linked`.
"""

from __future__ import annotations

import datetime as dt
import threading
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from pipeline.audit.explain_order import explain
from serving.access import reader
from serving.problems import ReplayBusy
from serving.routers.routes import DENIED, PROBLEM
from serving.state import state_of

router = APIRouter(prefix="/orders", tags=["orders"], dependencies=[Depends(reader)])
READING: dict[int | str, dict[str, Any]] = dict.fromkeys((*DENIED, 404, 422, 503), PROBLEM)
ONE_REPLAY = threading.BoundedSemaphore(1)
OrderId = Annotated[
    str,
    Path(max_length=200, pattern=r"^[A-Za-z0-9_.:^=-]+$", description="Client order id, or a beginning that no other shares."),
]


class Part(BaseModel):
    """A part of the page; beyond the fields named here it has every column of its row."""

    model_config = ConfigDict(extra="allow")


class Intent(Part):
    """The order as it was decided, and its state."""

    client_order_id: str
    portfolio: str
    strategy: str
    symbol: str
    session: Annotated[dt.date, Field(description="For whose open, or close, it was meant.")]
    decision_session: Annotated[dt.date, Field(description="At whose close it was decided.")]
    leg: Literal["entry", "exit"]
    side: str
    quantity: str
    order_type: str
    state: str
    created_at: dt.datetime


class Event(BaseModel):
    """A move of the order to a state."""

    state: str
    reason: str
    created_at: dt.datetime


class Execution(Part):
    """A fill."""

    fill_id: str
    quantity: str
    price: str
    commission_usd: str
    session: dt.date
    filled_at: dt.datetime
    reason: str


class Answer(Part):
    """The filter's prediction of the entry."""

    model_name: str
    model_version: str
    probability: float
    predicted_return: float
    signal: str


class ServedAnswer(Part):
    """The API's own record of that answer."""

    id: int
    served_at: dt.datetime
    arm: str
    source: str
    feature_hash: str
    latency_us: int


class Bar(Part):
    """The bar of the decision in the version that was known."""

    symbol: str
    session: dt.date | None = None
    close: float
    source: str
    ingested_at: dt.datetime
    revision: int
    revisions_since: Annotated[int, Field(description="Versions that came after the decision.")]


class Origin(BaseModel):
    """The code that decided, and its DAG run."""

    commit: str
    dag_run: str | None


class Comparison(Part):
    """A recomputed part; `same` is null where there is nothing to compare with."""

    same: bool | None


class Recomputation(Part):
    """Signal, features, score and decision, recomputed from the data known then."""

    same: Annotated[bool, Field(description="True when everything compared is the same, bit for bit.")]
    signal: Comparison
    features: Comparison
    score: Comparison
    decision: Comparison


class OrderPage(BaseModel):
    """Everything behind an order."""

    order: Intent
    events: list[Event]
    fills: list[Execution]
    entry_order: Annotated[str | None, Field(description="Of an exit: the entry that it closes.")]
    signal: dict[str, Any] | None
    prediction: Answer | None
    model: dict[str, Any] | None
    features: dict[str, Any] | None
    served: ServedAnswer | None
    bars: Bar | None
    validation: dict[str, Any] | None
    code: Origin
    not_linked: Annotated[list[str], Field(description="Parts that are not on record, in sentences.")]
    recomputed: Annotated[Recomputation | None, Field(description="With `replay` alone.")] = None


@router.get("/{client_order_id}", responses=READING)
def order(
    client_order_id: OrderId,
    request: Request,
    replay: Annotated[
        bool, Query(description="Also recompute it from what was known then: seconds of work, one at a time.")
    ] = False,
) -> OrderPage:
    """Tell everything behind an order: its fills, signal, the model's answer, features, bars, their validation, the code."""
    resources = state_of(request).resources
    if not replay:
        return OrderPage.model_validate(explain(client_order_id, resources=resources).as_dict())
    if not ONE_REPLAY.acquire(blocking=False):
        raise ReplayBusy("Another order is being recomputed, and one at a time is.")
    try:
        return OrderPage.model_validate(explain(client_order_id, replay=True, resources=resources).as_dict())
    finally:
        ONE_REPLAY.release()
