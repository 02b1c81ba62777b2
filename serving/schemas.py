"""The API's requests, answers and problems as types. Owns names, units and examples; no behaviour."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from core.frames import FEATURES
from core.sessions import normalise_symbol


class PredictionRequest(BaseModel):
    """A symbol whose features are in the online store, or a symbol with features of your own."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"symbol": "SPY"}]})

    symbol: Annotated[str, Field(min_length=1, max_length=20, description="Ticker in any common spelling.")]
    features: Annotated[
        dict[str, float | None] | None,
        Field(description="Every feature of the model by name; null where unknown. Omit to use the online store."),
    ] = None

    @field_validator("symbol")
    @classmethod
    def _normalise(cls, value: str) -> str:
        return normalise_symbol(value)

    @field_validator("features")
    @classmethod
    def _complete(cls, value: dict[str, float | None] | None) -> dict[str, float | None] | None:
        if value is not None and set(value) != set(FEATURES):
            missing, strange = sorted(set(FEATURES) - set(value)), sorted(set(value) - set(FEATURES))
            raise ValueError(f"Expected exactly the model's features; missing {missing}, unknown {strange}.")
        return value


class Prediction(BaseModel):
    """The filter's opinion on entering at the next open."""

    timestamp: Annotated[dt.datetime, Field(description="When this was computed (UTC).")]
    symbol: str
    session: Annotated[dt.date, Field(description="Session at whose close the features were taken.")]
    for_session: Annotated[dt.date, Field(description="Session at whose open an entry would be filled.")]
    probability: Annotated[float, Field(ge=0, le=1, description="That an entry ends as a winner, net of costs.")]
    predicted_return: Annotated[float, Field(description="Expected net return of an entry, as a fraction.")]
    signal: Annotated[Literal["enter", "skip"], Field(description="Whether the filter lets an entry of the strategy pass.")]
    confidence: Annotated[float, Field(ge=0, le=1, description="|2 * probability - 1|.")]
    model_name: str
    model_version: str
    feature_timestamp: Annotated[dt.datetime | None, Field(description="Close of the features' bar; null for features given.")]


class BacktestMetrics(BaseModel):
    """A stored backtest, net of costs; null where a figure is not defined."""

    run_id: str
    kind: str
    created_at: dt.datetime
    meta: Annotated[dict[str, Any], Field(description="Strategy, parameters, symbols, span, costs.")]
    metrics: dict[str, float | None]


class Readiness(BaseModel):
    """Whether predictions can be served, part by part."""

    ready: bool
    database: str
    model: str


class Problem(BaseModel):
    """What went wrong and what to do about it (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    remedy: Annotated[str, Field(description="What to do.")]
    instance: str
