"""The view of risk: every limit of a book with its use and distance, the emergency stop first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from core.errors import ConfigError
from pipeline.resources import Resources, live
from pipeline.risk.limit_use import LimitState, LimitUse
from pipeline.views.money.held import HeldNow, held_now
from pipeline.views.risk.held_figures import held_figures, symbols_of
from pipeline.views.risk.limit_list import limit_uses
from pipeline.views.risk.recent_record import RecentReader
from pipeline.views.view import MOST_ROWS, After, Book, Filter, Row, View, part


class RiskFilter(Filter):
    """Books, and whether limits that are off are shown."""

    book: Book = None
    off: Annotated[bool, Field(description="Also the limits that are off.")] = False


class RiskRow(Row):
    """A limit with its use and distance."""

    book: str
    limit: Annotated[str, Field(description="Name of the limit, that of the refusals it causes where it refuses.")]
    setting: Annotated[str | None, Field(description="Setting that it stands in; null: it is none.")]
    unit: Annotated[str, Field(description="Unit of limit_value, used and distance.")]
    limit_value: Annotated[float | None, Field(description="The limit, in its unit; null: it is off, or not known.")]
    used: Annotated[float | None, Field(description="The figure that it is compared with; null: not measured, see note.")]
    distance: Annotated[float | None, Field(description="Room up to the limit, in its unit; negative beyond it.")]
    distance_pct: Annotated[float | None, Field(description="The same in % of the limit; null of a limit of 0.")]
    state: Annotated[
        LimitState, Field(description="ok; warning near the limit or in a pause; breach beyond it; off; unknown: not measured.")
    ]
    subject: Annotated[str | None, Field(description="Symbol, pair or sleeve that uses it most.")]
    note: Annotated[str | None, Field(description="What the figure was measured on, or why it is not.")]


def read_risk(
    wanted: RiskFilter, after: After = None, limit: int = MOST_ROWS, *, resources: Resources | None = None
) -> Sequence[RiskRow]:
    """Return the limits of every book, or of one."""
    resources = resources or live()
    held = held_now(wanted.book, resources=resources)
    rows = [row_of(book, use) for book in held.books for use in uses_of(book, held, resources=resources)]
    return part([row for row in rows if wanted.off or row.state != "off"], RISK.key, after, limit)


def uses_of(book: str, held: HeldNow, *, resources: Resources | None = None) -> list[LimitUse]:
    """Return every limit of a book with its use; one without its limits where its settings contradict the desk's."""
    resources = resources or live()
    try:
        desk = resources.for_portfolio(book)
    except ConfigError as error:  # real money without its switch
        return [LimitUse("entry_blocks", None, "reasons why nothing may be opened", 0.0, 1.0, note=str(error))]
    risk, monitor = desk.settings.risk, desk.settings.monitor
    sessions = max(risk.correlation_sessions, monitor.var_window_sessions)
    symbols = symbols_of([each for each in held.positions if each.portfolio == book])
    returns = desk.bar_history.returns(symbols, sessions)
    figures = held_figures(book, held, returns, risk.correlation_sessions, monitor.var_window_sessions)
    return limit_uses(desk.settings, figures, RecentReader.of(desk).read(book, held))


def row_of(book: str, use: LimitUse) -> RiskRow:
    """Return a limit's use as a row."""
    return RiskRow(
        book=book,
        limit=use.name,
        setting=use.setting,
        unit=use.unit,
        limit_value=use.limit,
        used=use.used,
        distance=use.distance,
        distance_pct=use.distance_pct,
        state=use.state,
        subject=use.subject,
        note=use.note,
    )


RISK = View(
    name="risk",
    summary="Every limit of a book with its use and distance, the emergency stop first.",
    filter=RiskFilter,
    row=RiskRow,
    read=read_risk,
    key=("book", "limit", "subject"),
    shown=("book", "limit", "unit", "limit_value", "used", "distance", "distance_pct", "state", "subject", "setting", "note"),
)
