"""The view of profit: today, this week, this month and since the start, by book, sleeve or symbol, split by cause."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from pipeline.accounts.book_profits import PERIODS, BookProfit, Period, ProfitReader
from pipeline.accounts.closing_values import Valuer
from pipeline.accounts.profit import Key, Profit
from pipeline.resources import Resources, live
from pipeline.views.money.books import initial_equities
from pipeline.views.view import MOST_ROWS, After, Book, Filter, Row, View, part
from storage.views.book_figures import BookFigures
from storage.views.reading import snapshot

PERCENT = 100.0
HALF_A_CENT = 0.005
NO_CLOSE = "No close of the book is on record."


class PnlFilter(Filter):
    """Books, the rows of each, and the periods."""

    book: Book = None
    by: Annotated[
        Literal["book", "sleeve", "symbol"], Field(description="A row for each book, or for each of its sleeves or symbols.")
    ] = "book"
    period: Annotated[
        Period | None,
        Field(description="today, week (since the last session of the week before), month or start; omitted: all."),
    ] = None
    session: Annotated[
        dt.date | None, Field(description="Up to the close of this session (YYYY-MM-DD); omitted: the newest on record.")
    ] = None


class PnlRow(Row):
    """Profit in a period: pnl_usd = realised_usd + unrealised_usd - costs_usd + other_usd + unattributed_usd."""

    period: Period
    book: str
    sleeve: Annotated[str | None, Field(description="null: all of them, or what belongs to none when rows are by sleeve.")]
    symbol: Annotated[str | None, Field(description="null: all of them, or what belongs to none when rows are by symbol.")]
    after: Annotated[dt.date | None, Field(description="Session of the close before the period; null: the initial cash.")]
    session: Annotated[dt.date | None, Field(description="Session of the last close of the period; null: none is on record.")]
    pnl_usd: Annotated[float | None, Field(description="Change of value less deposits plus withdrawals, in USD.")]
    realised_usd: Annotated[
        float | None, Field(description="Price profit, from their entries on, of trades finished in the period, in USD.")
    ]
    unrealised_usd: Annotated[float | None, Field(description="Change of the price profit of trades not finished yet, in USD.")]
    costs_usd: Annotated[float | None, Field(description="Commission and slippage of the fills; positive: they cost. In USD.")]
    other_usd: Annotated[float | None, Field(description="Dividends, fees and other cash of the book, in USD.")]
    unattributed_usd: Annotated[
        float | None,
        Field(description="Change of value that no fill, event or price on record explains, in USD; of the book alone."),
    ]
    transfers_usd: Annotated[
        float | None, Field(description="Deposits less withdrawals, in USD; no profit. null by sleeve and symbol.")
    ]
    return_pct: Annotated[float | None, Field(description="pnl_usd in % of the book's equity before the period.")]
    trades: Annotated[int, Field(description="Trades finished in the period.")]
    win_rate_pct: Annotated[float | None, Field(description="Share of them with a profit net of costs, in %; null: no trade.")]
    reason: Annotated[str | None, Field(description="Why figures are null, or what is not counted; null: nothing is amiss.")]


def read_pnl(
    wanted: PnlFilter, after: After = None, limit: int = MOST_ROWS, *, resources: Resources | None = None
) -> Sequence[PnlRow]:
    """Return the profit of each book in each period, by book, sleeve or symbol."""
    resources = resources or live()
    with snapshot(resources.engine) as connection:
        figures, history = BookFigures(connection), resources.bar_history.on(connection)
        books = initial_equities(wanted.book, figures, (resources.parent or resources).settings)
        reader = ProfitReader(figures, Valuer(resources.ledger, resources.bars, history), books)
        profits = reader.read((wanted.period,) if wanted.period else PERIODS, wanted.session)
    rows = [row for each in profits for row in rows_of(each, wanted.by)]
    return part(rows, PNL.key, after, limit)


def rows_of(profit: BookProfit, by: Literal["book", "sleeve", "symbol"]) -> Iterator[PnlRow]:
    """Return the rows of a book's profit in a period: one, or one a sleeve or symbol with what belongs to none at the end."""
    if by == "book":
        whole = sum(profit.by_key.values(), Profit())
        row = _row(profit, None, None, None if profit.span is None else whole)
        yield row.model_copy(update={"transfers_usd": None if profit.span is None else _usd(profit.transfers_usd)})
        return
    groups: defaultdict[str, Profit] = defaultdict(Profit)
    for key, each in profit.by_key.items():
        groups[_name_of(key, by)] += each
    for name in sorted(groups, key=lambda name: (not name, name)):
        whole = groups[name]
        if name or max(abs(whole.total_usd), abs(whole.other_usd)) >= HALF_A_CENT:
            yield _row(profit, name or None if by == "sleeve" else None, name or None if by == "symbol" else None, whole)


def _name_of(key: Key, by: Literal["book", "sleeve", "symbol"]) -> str:
    return key.sleeve if by == "sleeve" else key.symbol


def _row(profit: BookProfit, sleeve: str | None, symbol: str | None, whole: Profit | None) -> PnlRow:
    span = profit.span
    equity = span.equity_before_usd if span else 0.0
    return PnlRow(
        period=profit.period,
        book=profit.book,
        sleeve=sleeve,
        symbol=symbol,
        after=span and span.after,
        session=span and span.until,
        pnl_usd=whole and _usd(whole.total_usd),
        realised_usd=whole and _usd(whole.realised_usd),
        unrealised_usd=whole and _usd(whole.unrealised_usd),
        costs_usd=whole and _usd(whole.costs_usd),
        other_usd=whole and _usd(whole.other_usd),
        unattributed_usd=whole and _usd(whole.unattributed_usd),
        transfers_usd=None,
        return_pct=PERCENT * whole.total_usd / equity if whole and equity > 0 else None,
        trades=whole.trades if whole else 0,
        win_rate_pct=PERCENT * whole.winners / whole.trades if whole and whole.trades else None,
        reason=_reason(profit),
    )


def _reason(profit: BookProfit) -> str | None:
    if profit.span is None:
        return NO_CLOSE
    if profit.unpriced:
        return f"Without a price at a close, and not counted: {', '.join(profit.unpriced)}."
    return None


def _usd(value: float) -> float:
    """Return an amount without the noise of its last bits."""
    return round(value, 6) + 0.0


PNL = View(
    name="pnl",
    summary="Profit today, this week, this month and since the start, split by cause, by book, sleeve or symbol.",
    filter=PnlFilter,
    row=PnlRow,
    read=read_pnl,
    key=("book", "period", "sleeve", "symbol"),
    shown=(
        "period",
        "book",
        "sleeve",
        "symbol",
        "session",
        "pnl_usd",
        "return_pct",
        "realised_usd",
        "unrealised_usd",
        "costs_usd",
        "other_usd",
        "unattributed_usd",
        "trades",
        "win_rate_pct",
    ),
)
