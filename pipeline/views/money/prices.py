"""The view of a symbol's bars with a strategy's lines and the desk's own entries, exits, stops and targets."""

from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from core.book_events import BookEventKind
from core.errors import UnknownSymbol
from core.models import Position
from core.sessions import normalise_symbol
from pipeline.accounts.past_positions import in_terms_of_bars
from pipeline.accounts.recorded_actions import FAR, Action, recorded_actions, restated
from pipeline.resources import Resources, live
from pipeline.views.money.indicators import lines_of, optional, shown_rule
from pipeline.views.view import MOST_POINTS, NAMES, After, Filter, First, Last, Row, View
from storage.market.bars import BarStore
from storage.views.bar_history import History
from storage.views.book_figures import BookFigures, Execution
from storage.views.reading import snapshot

ONE_DAY = dt.timedelta(days=1)


class PriceFilter(Filter):
    """A symbol, a span of sessions and the strategy whose lines are drawn."""

    symbol: Annotated[
        str | None,
        Field(max_length=20, pattern=NAMES, description="Symbol in any common spelling; omitted: the desk's first."),
        AfterValidator(lambda value: value and normalise_symbol(value)),
    ] = None
    strategy: Annotated[
        str | None,
        Field(
            max_length=200, pattern=NAMES, description="Strategy or sleeve whose lines are drawn; omitted: the desk's first."
        ),
    ] = None
    first: First = None
    last: Last = None


class PriceMark(BaseModel):
    """An entry or exit of the desk, or the stop or target of an open position, in the terms of the bars."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["entry", "exit", "stop", "target"]
    book: str
    sleeve: str
    session: Annotated[dt.date, Field(description="Session of the fill; of a stop or target that of the entry.")]
    side: Annotated[Literal["buy", "sell"], Field(description="Side of the fill, or of the order that would leave.")]
    quantity: Annotated[float, Field(description="Shares.")]
    price: Annotated[float, Field(description="Price of the fill with slippage, or of the stop or target, in USD.")]
    client_order_id: Annotated[str, Field(description="Order of the fill; of a stop or target its entry.")]
    reason: Annotated[str | None, Field(description="Reason of the fill.")]


class PriceRow(Row):
    """A daily bar in today's split terms, with the lines of a strategy and what the desk did."""

    symbol: str
    session: dt.date
    open: Annotated[float, Field(description="In the symbol's currency, split-adjusted.")]
    high: Annotated[float, Field(description="In the symbol's currency, split-adjusted.")]
    low: Annotated[float, Field(description="In the symbol's currency, split-adjusted.")]
    close: Annotated[float, Field(description="In the symbol's currency, split-adjusted.")]
    volume: Annotated[float | None, Field(description="Shares.")]
    band_upper: Annotated[float | None, Field(description="Upper band of the strategy; null: it has none, or warms up.")]
    band_mean: Annotated[float | None, Field(description="Mean that the strategy returns to, as a price.")]
    band_lower: Annotated[float | None, Field(description="Lower band of the strategy, as a price.")]
    zscore: Annotated[float | None, Field(description="Distance of the close from the mean, in standard deviations.")]
    rsi: Annotated[float | None, Field(description="Relative strength index, 0 to 100.")]
    marks: Annotated[
        tuple[PriceMark, ...],
        Field(description="Entries and exits of the session; on the newest bar also stops and targets of open positions."),
    ]


def read_prices(
    wanted: PriceFilter, after: After = None, limit: int = MOST_POINTS, *, resources: Resources | None = None
) -> Sequence[PriceRow]:
    """Return the newest 2,000 bars of a symbol within a span, oldest first.

    Raises
    ------
    core.errors.UnknownSymbol
        When no bar of it is stored.
    """
    resources = resources or live()
    symbol = wanted.symbol or resources.universe()[0]
    rule = shown_rule(wanted.strategy, symbol, resources=resources)
    with snapshot(resources.engine) as connection:
        figures, bars = BookFigures(connection), resources.bar_history.on(connection)
        history = bars.history(symbol)
        if history is None:
            raise UnknownSymbol(symbol, resources.bars.symbols())
        begin, end = _span(history.sessions, wanted, after, limit)
        if end <= begin:
            return []
        sessions = history.sessions[begin:end].tolist()
        rescaled = bars.last_rescaled([symbol])
        executions = figures.executions(symbol, sessions[0] - ONE_DAY, sessions[-1])
        held = held_in(symbol, rescaled, figures, resources.bars) if end == len(history.sessions) else []
    actions = recorded_actions(resources.bars, [symbol], FAR).get(symbol, []) if rescaled else []
    marks: defaultdict[dt.date, list[dict[str, Any]]] = defaultdict(list)
    for each in executions:
        marks[each.session].append(mark_of(each, *ratios_since(each, history, actions)))
    marks[sessions[-1]] += levels_of(held)
    lines = lines_of(rule, history.close)
    columns = {
        **{name: getattr(history, name)[begin:end].tolist() for name in ("open", "high", "low", "close")},
        "volume": optional(history.volume, begin, end),
        **{name: optional(values, begin, end) for name, values in lines._asdict().items()},
    }
    return PRICES.rows([*_rows(symbol, sessions, columns, marks)])


def ratios_since(fill: Execution, history: History, actions: Sequence[Action]) -> tuple[float, float]:
    """Return the ratios of quantity and price by which the stored bars have been re-scaled since a fill.

    Parameters
    ----------
    actions
        Recorded splits and spin-offs of the symbol, oldest first.
    """
    later = [each for each in actions if each.session > fill.session]
    day = np.datetime64(fill.session)
    place = int(np.searchsorted(history.sessions, day)) if later else 0
    if not later or place == len(history.sessions) or history.sessions[place] != day:
        return 1.0, 1.0
    bar = (float(history.open[place]), float(history.low[place]), float(history.high[place]))
    done = later[: restated(float(fill.price), bar, [each.value for each in later])]
    shares = [each.value for each in done if each.kind is BookEventKind.SPLIT]
    return math.prod(shares), math.prod(each.value for each in done)


def mark_of(fill: Execution, ratio: float, price_ratio: float) -> dict[str, Any]:
    """Return a fill as the values of a mark, its quantity and price in the terms after the ratios."""
    return {
        "kind": fill.leg,
        "book": fill.book,
        "sleeve": fill.sleeve,
        "session": fill.session,
        "side": fill.side,
        "quantity": float(fill.quantity) * ratio,
        "price": float(fill.price) / price_ratio,
        "client_order_id": fill.client_order_id,
        "reason": fill.reason,
    }


def held_in(symbol: str, rescaled: Mapping[str, dt.date], figures: BookFigures, bars: BarStore) -> list[Position]:
    """Return the open positions of every book in a symbol, in the terms of the stored bars."""
    positions = figures.positions_in(symbol)
    if not rescaled:
        return positions
    return in_terms_of_bars(positions, rescaled, figures.events({each.portfolio for each in positions}), bars)


def levels_of(positions: Sequence[Position]) -> list[dict[str, Any]]:
    """Return the stops and targets of positions, as the values of marks."""
    return [
        {
            "kind": kind,
            "book": held.portfolio,
            "sleeve": held.strategy,
            "session": held.entry_session,
            "side": "sell" if held.quantity > 0 else "buy",
            "quantity": float(abs(held.quantity)),
            "price": float(price),
            "client_order_id": held.entry_order_id,
            "reason": None,
        }
        for held in positions
        for kind, price in (("stop", held.stop_price), ("target", held.target_price))
        if price is not None
    ]


def _span(sessions: np.ndarray[Any, Any], wanted: PriceFilter, after: After, limit: int) -> tuple[int, int]:
    """Return the places of the first bar of a page and of the one after its last."""
    end = len(sessions) if wanted.last is None else int(np.searchsorted(sessions, np.datetime64(wanted.last), "right"))
    begin = 0 if wanted.first is None else int(np.searchsorted(sessions, np.datetime64(wanted.first)))
    begin = max(begin, end - MOST_POINTS)
    if after is not None:
        begin = max(begin, int(np.searchsorted(sessions, np.datetime64(after[0]), "right")))
    return begin, min(end, begin + limit)


def _rows(
    symbol: str, sessions: Sequence[dt.date], columns: Mapping[str, list[Any]], marks: Mapping[dt.date, list[dict[str, Any]]]
) -> Iterator[dict[str, Any]]:
    for session, *values in zip(sessions, *columns.values(), strict=True):
        figures = dict(zip(columns, values, strict=True))
        yield {"symbol": symbol, "session": session, **figures, "marks": marks.get(session, ())}


PRICES = View(
    name="prices",
    summary="Bars of a symbol with the lines of a strategy, and the desk's entries, exits, stops and targets, oldest first.",
    filter=PriceFilter,
    row=PriceRow,
    read=read_prices,
    key=("session",),
    shown=("session", "open", "high", "low", "close", "band_lower", "band_mean", "band_upper", "zscore", "rsi", "marks"),
    most=MOST_POINTS,
)
