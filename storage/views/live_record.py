"""The record of a book as a comparison with its backtest needs it: closes, cash that came and went, trades, gaps, answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on

from core.book_events import CASH_KINDS, TRANSFERS
from storage.trading.control_tables import parity_days
from storage.trading.tables import book_events, equity, predictions, trades
from storage.views.packed import days, floats, pack, packed, packed_days, unpacked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Sessions = NDArray[np.datetime64]

BOOK: Final[sa.BindParameter[str]] = sa.bindparam("book")
CAUSES: Final = ("signal", "fill", "cost", "missed")  # of `trading.parity_days`


class Closes(NamedTuple):
    """Equity at each close on record (sessions,), oldest first."""

    sessions: Sessions
    equity_usd: Array


class CashMoved(NamedTuple):
    """Cash by session (sessions,), negative when it left: deposits less withdrawals; these with dividends and adjustments."""

    sessions: Sessions
    transferred_usd: Array
    cash_usd: Array


class ClosedTrades(NamedTuple):
    """Sleeve, session of the exit and net return of each closed trade (trades,), in the order of their exits."""

    sleeves: NDArray[np.object_]
    exit_sessions: Sessions
    net_returns: Array


class Gaps(NamedTuple):
    """Profit of the record less the backtest's, in US dollars, by session and cause (sessions, causes in order of `CAUSES`)."""

    sessions: Sessions
    usd: Array


class Answers(NamedTuple):
    """Probability that the entry filter gave and net return of the trade that followed (trades,)."""

    probabilities: Array
    net_returns: Array


class LiveRecord(NamedTuple):
    """The record of a book."""

    closes: Closes
    cash: CashMoved
    trades: ClosedTrades
    gaps: Gaps


class LiveRecords:
    """Rows of `trading.equity`, `trades`, `book_events`, `parity_days` and `predictions` as arrays.

    They come packed; see `storage.views.packed`.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def of(self, book: str) -> LiveRecord:
        """Return the record of a book; empty where it has none."""
        with self._engine.connect() as connection:
            closes, (equity_usd,) = unpacked(connection, CLOSES, book=book)
            moved, cash = unpacked(connection, CASH, book=book)
            measured, gaps = unpacked(connection, GAPS, book=book)
            trades = connection.execute(TRADES, {"book": book}).all()
        return LiveRecord(Closes(closes, equity_usd), CashMoved(moved, *cash), _trades(trades), Gaps(measured, gaps.T))

    def answers(self, model_name: str, model_version: str) -> Answers:
        """Return the answers of a version about entries whose trades are closed, one for each strategy, symbol and session.

        Of an entry that several books traded, the first book by name counts.
        """
        with self._engine.connect() as connection:
            _, (probabilities, net) = unpacked(connection, ANSWERS, model=model_name, version=model_version)
        return Answers(probabilities, net)


def _trades(by_sleeve: Sequence[Any]) -> ClosedTrades:
    """Return trades that came packed by sleeve in the order of their exits."""
    rows = [(str(name), days(exits), days(entries), floats(net)) for name, exits, entries, net in by_sleeve]
    sleeves = np.repeat(np.array([name for name, *_ in rows], dtype=object), [len(net) for *_, net in rows])
    exits, entries = (np.concatenate([days(None), *(row[place] for row in rows)]) for place in (1, 2))
    net = np.concatenate([floats(None), *(row[3] for row in rows)])
    in_time = np.lexsort((net, entries, exits))
    return ClosedTrades(sleeves[in_time], exits[in_time], net[in_time])


def _cash() -> sa.Select[Any]:
    row, transfers = book_events.c, [str(kind) for kind in TRANSFERS]
    moved = sa.case((row.kind.in_(transfers), row.cash_usd), else_=0)
    sums = (sa.func.sum(each).label(name) for name, each in (("moved", moved), ("cash", row.cash_usd)))
    kinds = row.kind.in_([str(kind) for kind in CASH_KINDS])
    return sa.select(row.session, *sums).where(row.portfolio == BOOK, kinds).group_by(row.session)


def _gaps() -> sa.Select[Any]:
    """Return the newest measurement of each session."""
    row = parity_days.c
    newest = sa.select(row.session, *(row[f"{cause}_usd"] for cause in CAUSES)).ext(distinct_on(row.session))
    return newest.where(row.portfolio == BOOK).order_by(row.session, row.id.desc())


def _answers() -> sa.Select[Any]:
    answer, trade = predictions.c, trades.c
    same = (trade.strategy == answer.strategy) & (trade.symbol == answer.symbol) & (trade.decision_session == answer.session)
    key = (answer.strategy, answer.symbol, answer.session)
    settled = sa.select(answer.session, answer.probability, trade.net_return).join_from(predictions, trades, same)
    wanted = (answer.model_name == sa.bindparam("model")) & (answer.model_version == sa.bindparam("version"))
    return settled.ext(distinct_on(*key)).where(wanted).order_by(*key, trade.portfolio)


# Built once: SQLAlchemy takes longer to build them than PostgreSQL to answer.
CLOSES: Final = pack(sa.select(equity.c.session, equity.c.equity_usd).where(equity.c.portfolio == BOOK))
CASH: Final = pack(_cash())
GAPS: Final = pack(_gaps())
ANSWERS: Final = pack(_answers())
TRADES: Final = (
    sa.select(
        trades.c.strategy,
        packed_days(trades.c.exit_session),
        packed_days(trades.c.entry_session),
        packed(trades.c.net_return),
    )
    .where(trades.c.portfolio == BOOK)
    .group_by(trades.c.strategy)
)
