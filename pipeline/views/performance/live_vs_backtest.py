"""Live against backtest: the figures of a book and its sleeves beside what was promised, both curves, and the gap by cause."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field

from core.errors import ConfigError
from monitoring.performance.expectation import SUM
from pipeline.resources import Resources, live
from pipeline.views.performance.live_curve import LiveCurve, make_curve
from pipeline.views.performance.live_figures import LiveComparison, compare_book
from pipeline.views.view import MOST_POINTS, Row

if TYPE_CHECKING:
    from core.deployments import Deployment
    from storage.views.live_record import Array, Closes, Sessions

PARITY: Final = "parity days"
BACKTEST: Final = "backtest of the same sessions"
NOTHING: Final = "nothing"


class LiveVsBacktest(Row):
    """A book beside its backtest."""

    book: str
    first: Annotated[dt.date | None, Field(description="First close on record; null before it.")]
    last: Annotated[dt.date | None, Field(description="Newest close on record.")]
    promised: Annotated[bool, Field(description="A backtest's promise is stored with the deployment.")]
    reason: Annotated[str, Field(description="The reason why there is no promise; else empty.")]
    source: Annotated[
        Literal["parity days", "backtest of the same sessions", "nothing"],
        Field(
            description="What `backtest_usd` comes from. Parity days: each session was decided again from what the book held, "
            "and the differences add up. The backtest follows each difference through later sessions too; what is open at its "
            "last close it sells."
        ),
    ]
    unmeasured: Annotated[int, Field(description="Sessions after the first without a parity day; they add nothing to the gap.")]
    rows: Annotated[list[LiveComparison], Field(description="The whole book first, then each sleeve.")]
    curve: LiveCurve


def read_live_vs_backtest(
    book: str | None = None, *, compare: bool = False, points: int = MOST_POINTS, resources: Resources | None = None
) -> LiveVsBacktest:
    """Return a book beside its backtest.

    Parameters
    ----------
    book
        A deployment, or another book of the ledger; the default one unless given.
    compare
        Backtest the same sessions for the curve, which takes seconds; otherwise it is made of the stored parity days.
    points
        Most points of the curves.

    Raises
    ------
    ConfigError
        When there is no such book.
    """
    resources = resources or live()
    name = book or resources.desk_portfolio
    deployment = resources.deployments.get(name)
    if deployment is None and name != resources.desk_portfolio and name not in resources.ledger.portfolios():
        raise ConfigError(f"Book {name!r}: expected a deployment or a book of the ledger, found none. See `desk deployments`.")
    closes, cash, trades, gaps = resources.live_records.of(name)
    promised = _promises(deployment)
    sleeves = {*promised, *trades.sleeves, *(sleeve.name for sleeve in (deployment.sleeves if deployment else ()))} - {SUM}
    reference = _backtest(name, closes, resources=resources) if compare and len(closes.sessions) else None
    return LiveVsBacktest(
        book=name,
        first=_day(closes, 0),
        last=_day(closes, -1),
        promised=bool(promised),
        reason="" if promised else _no_promise(name, deployment),
        source=BACKTEST if reference is not None else PARITY if len(gaps.sessions) else NOTHING,
        unmeasured=len(set(closes.sessions[1:].tolist()) - set(gaps.sessions.tolist())),
        rows=compare_book(closes, cash, trades, promised, sorted(sleeves)),
        curve=make_curve(closes, cash, gaps, promised=promised.get(SUM), backtest=reference, most=points),
    )


def _promises(deployment: Deployment | None) -> dict[str, Any]:
    from pipeline.risk.performance import promises_of

    return promises_of(deployment)


def _no_promise(name: str, deployment: Deployment | None) -> str:
    if deployment is None or not deployment.sleeves:
        return f"{name} trades the strategies of the settings: nobody deployed it, so no backtest promised anything."
    return f"{name} was stored without a promise: no backtest of its sleeves was made when it was deployed."


def _backtest(name: str, closes: Closes, *, resources: Resources | None = None) -> tuple[Sessions, Array] | None:
    """Return sessions and equity of the backtest of a book's sessions; None where it has none."""
    from pipeline.research.book_backtest import backtest_book
    from pipeline.research.sleeve_backtests import joint_equity

    results = backtest_book(name, first=closes.sessions[0].item(), last=closes.sessions[-1].item(), resources=resources)
    equity = joint_equity(results)
    return equity["session"].to_numpy(dtype="datetime64[D]"), equity["equity_usd"].to_numpy(dtype="float64")


def _day(closes: Closes, place: int) -> dt.date | None:
    day: dt.date | None = closes.sessions[place].item() if len(closes.sessions) else None
    return day
