"""The API's requests, answers and problems as types. Owns names, units and examples; no behaviour."""

from __future__ import annotations

import datetime as dt
from difflib import get_close_matches
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from core.frames import FEATURES
from core.sessions import normalise_symbol
from trading.strategies.registry import STRATEGIES

MAX_BATCH_ROWS = 1_000
NAMES = frozenset(FEATURES)
STRICT = ConfigDict(extra="forbid", strict=True)
SYMBOL = r"^ *[A-Za-z0-9^][A-Za-z0-9^.=/-]*(_[A-Za-z0-9]+)? *$"


def _complete(value: dict[str, float | None]) -> dict[str, float | None]:
    """Refuse missing and unknown features by name."""
    if value.keys() != NAMES:
        missing, strange = sorted(NAMES - value.keys()), sorted(value.keys() - NAMES)
        raise ValueError(f"Expected exactly the model's features; missing {missing}, unknown {strange}.")
    return value


Symbol = Annotated[
    str,
    Field(min_length=1, max_length=20, pattern=SYMBOL, description="Ticker in any common spelling."),
    AfterValidator(normalise_symbol),
]
Features = Annotated[
    dict[str, Annotated[float, Field(allow_inf_nan=False)] | None],
    AfterValidator(_complete),
    WithJsonSchema(
        {
            "type": "object",
            "properties": {name: {"anyOf": [{"type": "number"}, {"type": "null"}]} for name in FEATURES},
            "required": list(FEATURES),
            "additionalProperties": False,
        }
    ),
]
SAYING = r"^[^\x00]*[^\s\x00][^\x00]*$"  # something, without the NUL that PostgreSQL does not store
Reason = Annotated[str, Field(min_length=1, max_length=500, pattern=SAYING, description="Why.")]
Author = Annotated[str, Field(min_length=1, max_length=100, pattern=SAYING, description="Who.")]


def _known(name: str) -> str:
    """Refuse a rule that does not exist."""
    if name not in STRATEGIES:
        near = get_close_matches(name, STRATEGIES, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(STRATEGIES)}."
        raise ValueError(f"Unknown strategy {name!r}. {hint}")
    return name


Arm = Annotated[
    str,
    Field(pattern=r"^(champion|challenger(-[0-9]{1,3})?)$", description="Which model answers; GET /models lists them."),
]
StrategyName = Annotated[
    str,
    Field(max_length=50),
    AfterValidator(_known),
    WithJsonSchema({"type": "string", "enum": list(STRATEGIES)}),
]


class NextDayRequest(BaseModel):
    """A symbol whose features are in the online store, or a symbol with features of your own."""

    model_config = STRICT | ConfigDict(json_schema_extra={"examples": [{"symbol": "SPY"}]})

    symbol: Symbol
    features: Annotated[
        Features | None,
        Field(description="Every feature of the model by name; null where unknown. Omit to use the online store."),
    ] = None
    arm: Arm = "champion"


class EntryRequest(NextDayRequest):
    """A symbol, with features of your own or not, and the strategy whose candidate it is."""

    strategy: Annotated[
        StrategyName | None, Field(description="May be omitted where the model knows one strategy; GET /models says which.")
    ] = None


class NextDayPrediction(BaseModel):
    """The predicted return of a symbol from this close to the next, adjusted for splits."""

    timestamp: Annotated[dt.datetime, Field(description="When this was computed (UTC).")]
    symbol: str
    session: Annotated[dt.date, Field(description="Session at whose close the features were taken.")]
    for_session: Annotated[dt.date, Field(description="Session at whose close the return is known.")]
    predicted_return: Annotated[float, Field(description="Close to next close, as a fraction.")]
    low: Annotated[float, Field(description="Lower end of the 90 % interval.")]
    high: Annotated[float, Field(description="Upper end of the 90 % interval.")]
    confidence: Annotated[
        float,
        Field(ge=0, le=1, description="Probability that the return is on the side called; for HOLD, between both limits."),
    ]
    signal: Annotated[
        Literal["BUY", "SELL", "HOLD"],
        Field(description="BUY above NEXT_DAY__BUY_ABOVE_PCT, SELL below NEXT_DAY__SELL_BELOW_PCT."),
    ]
    arm: Annotated[str, Field(description="Which model answered.")]
    model_name: str
    model_version: str
    feature_timestamp: Annotated[dt.datetime | None, Field(description="Close of the features' bar; null for features given.")]
    feature_hash: Annotated[str, Field(description="Digest of the features, as stored beside them.")]


class EntryPrediction(BaseModel):
    """The filter's opinion on entering at the next open."""

    timestamp: Annotated[dt.datetime, Field(description="When this was computed (UTC).")]
    symbol: str
    session: Annotated[dt.date, Field(description="Session at whose close the features were taken.")]
    for_session: Annotated[dt.date, Field(description="Session at whose open an entry would be filled.")]
    strategy: Annotated[str, Field(description="The rule whose candidate was judged.")]
    probability: Annotated[float, Field(ge=0, le=1, description="That an entry ends as a winner, net of costs.")]
    predicted_return: Annotated[float, Field(description="Expected net return of an entry, as a fraction.")]
    confidence: Annotated[float, Field(ge=0, le=1, description="|2 * probability - 1|.")]
    signal: Annotated[Literal["enter", "skip"], Field(description="`enter` when the filter lets the strategy's entry pass.")]
    arm: Annotated[str, Field(description="Which model answered.")]
    model_name: str
    model_version: str
    feature_timestamp: Annotated[dt.datetime | None, Field(description="Close of the features' bar; null for features given.")]
    feature_hash: Annotated[str, Field(description="Digest of the features, as stored beside them.")]


class Problem(BaseModel):
    """A problem, its cause and its remedy (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    remedy: Annotated[str, Field(description="What to do.")]
    instance: str


Q = TypeVar("Q", bound=BaseModel)
A = TypeVar("A", bound=BaseModel)


class Batch(BaseModel, Generic[Q]):
    """Up to 1,000 questions at once."""

    model_config = STRICT | ConfigDict(json_schema_extra={"examples": [{"rows": [{"symbol": "SPY"}, {"symbol": "QQQ"}]}]})

    rows: Annotated[list[Q], Field(min_length=1, max_length=MAX_BATCH_ROWS)]


class BatchItem(BaseModel, Generic[A]):
    """A prediction, or the problem with this one row."""

    prediction: A | None
    problem: Problem | None


class BatchAnswer(BaseModel, Generic[A]):
    """One item for each row asked, in the same order."""

    items: list[BatchItem[A]]


class EntryBatch(Batch[EntryRequest]):
    """Up to 1,000 candidates at once."""


class NextDayBatch(Batch[NextDayRequest]):
    """Up to 1,000 symbols at once."""


class EntryAnswers(BatchAnswer[EntryPrediction]):
    """One item for each candidate asked about, in the same order."""


class NextDayAnswers(BatchAnswer[NextDayPrediction]):
    """One item for each symbol asked about, in the same order."""


class ModelInfo(BaseModel):
    """A model that serves."""

    kind: Annotated[Literal["entry", "next_day"], Field(description="Which route it answers.")]
    arm: str
    name: str
    version: str
    trained_through: Annotated[str, Field(description="The last session that it learnt from.")]
    strategies: Annotated[list[str], Field(description="Whose candidates it learnt from; empty for the next day.")]
    features: list[str]
    loaded_at: dt.datetime
    fast: Annotated[bool, Field(description="True when single rows take the fast path, in microseconds.")]


class ModelList(BaseModel):
    """The models that serve, and the versions refused meanwhile."""

    models: list[ModelInfo]
    trouble: Annotated[list[str], Field(description="Refused versions and an unreachable registry, with the reason.")]


class StrategyState(BaseModel):
    """Parameters in force of a strategy in one symbol, or in all others (null)."""

    strategy: str
    symbol: str | None
    enabled: bool
    version: Annotated[int, Field(description="Of the row they come from; 0: nothing is stored, the defaults count.")]
    row_symbol: Annotated[str | None, Field(description="Symbol of that row; null: the row for all symbols.")]
    params: dict[str, Any]
    preset: str | None
    author: str | None
    reason: str | None
    created_at: dt.datetime | None


class ParametersChange(BaseModel):
    """New values for some parameters, or a reset to what all symbols have (without a symbol: to the defaults)."""

    model_config = STRICT | ConfigDict(
        json_schema_extra={
            "examples": [{"values": {"stop_pct": 4.0}, "expected_version": 0, "reason": "wider stop", "author": "ann"}]
        }
    )

    values: Annotated[dict[str, Any], Field(default_factory=dict, max_length=50, description="Parameters that change.")]
    symbol: Annotated[Symbol | None, Field(description="For this symbol alone.")] = None
    reset: bool = False
    expected_version: Annotated[int, Field(ge=0, le=2**31 - 1, description="Version of the row that the change is made from.")]
    reason: Reason
    author: Author


class SwitchChange(BaseModel):
    """Reason for switching a strategy, and its scope."""

    model_config = STRICT | ConfigDict(json_schema_extra={"examples": [{"reason": "earnings week", "author": "ann"}]})

    symbol: Annotated[Symbol | None, Field(description="In this symbol alone.")] = None
    reason: Reason
    author: Author


class HaltChange(BaseModel):
    """Reason for a halt or resumption of trading, and its author."""

    model_config = STRICT | ConfigDict(json_schema_extra={"examples": [{"reason": "prices look wrong", "author": "ann"}]})

    portfolio: Annotated[
        str | None, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_.-]+$", description="Omitted: the desk's own.")
    ] = None
    reason: Reason
    author: Author


class HaltState(BaseModel):
    """The halt switch of a portfolio; without an author it was never turned."""

    portfolio: str
    halted: bool
    reason: str | None = None
    author: str | None = None
    created_at: dt.datetime | None = None
    entries_blocked: Annotated[
        list[str], Field(description="Every reason why the portfolio may open nothing: a halt, its state, its validation.")
    ] = []


class BacktestMetrics(BaseModel):
    """A stored backtest, net of costs; null where a figure is not defined."""

    run_id: str
    kind: str
    created_at: dt.datetime
    meta: Annotated[dict[str, Any], Field(description="Strategy, parameters, symbols, span, costs.")]
    metrics: dict[str, float | None]


class ScorecardRow(BaseModel):
    """A success criterion; null where nothing was measured, there is no interval, or an end has no bound."""

    name: str
    criterion: str
    asked: str
    measured: float | None
    low: Annotated[float | None, Field(description="Low end of the 95 % interval.")]
    high: float | None
    unit: str
    n: Annotated[int, Field(description="Observations: trades, sessions, weeks, predictions or backtests.")]
    method: Annotated[str, Field(description="How the interval was made.")]
    verdict: Literal["met", "met by the estimate, not by the interval", "not met", "not enough", "not measured"]
    detail: str


class ScorecardAnswer(BaseModel):
    """Every success criterion by a book's record."""

    source: str
    first: Annotated[dt.date | None, Field(description="First session of the record.")]
    last: dt.date | None
    rows: list[ScorecardRow]


class Readiness(BaseModel):
    """Readiness to serve the desk's own predictions, of entries; part by part."""

    ready: bool
    state: Annotated[
        Literal["green", "amber", "red"],
        Field(description="amber: predictions are served, and something deserves a look; red: none are served."),
    ]
    database: str
    entry: Annotated[str, Field(description="The entry filter that answers POST /predict-entry; without one nothing is ready.")]
    next_day: Annotated[str, Field(description="The model that answers POST /predict-next-day; a desk trades without it.")]
    trouble: Annotated[list[str], Field(description="What deserves a look.")]
    entries_blocked: Annotated[
        dict[str, list[str]] | None,
        Field(
            description="The deployments that may open nothing, each with the reasons; they do not make the API less ready. "
            "null: the database does not answer."
        ),
    ] = None
