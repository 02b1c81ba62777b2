"""The record of a book as a comparison with its backtest needs it: closes, cash that came and went, trades, gaps, answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on

from core.book_events import CASH_KINDS, TRANSFERS
from storage.trading.control_tables import parity_days
from storage.trading.tables import book_events, equity, predictions, trades

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Sessions = NDArray[np.datetime64]

CAUSES: Final = ("signal", "fill", "cost", "missed")  # of `trading.parity_days`
DAY: Final = "datetime64[D]"


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


class LiveRecords:
    """Rows of `trading.equity`, `trades`, `book_events`, `parity_days` and `predictions` as arrays."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def closes(self, book: str) -> Closes:
        """Return the equity of a book at each close."""
        row = equity.c
        rows = self._rows(sa.select(row.session, row.equity_usd).where(row.portfolio == book).order_by(row.session))
        return Closes(_sessions(each[0] for each in rows), _numbers(each[1] for each in rows))

    def cash_moved(self, book: str) -> CashMoved:
        """Return the cash that no trade brought to a book, by session."""
        row, transfers = book_events.c, [str(kind) for kind in TRANSFERS]
        moved = sa.case((row.kind.in_(transfers), row.cash_usd), else_=0)
        query = sa.select(row.session, *(sa.cast(sa.func.sum(each), sa.Double) for each in (moved, row.cash_usd)))
        query = query.where(row.portfolio == book, row.kind.in_([str(kind) for kind in CASH_KINDS]))
        rows = self._rows(query.group_by(row.session).order_by(row.session))
        return CashMoved(_sessions(each[0] for each in rows), *(_numbers(each[k] for each in rows) for k in (1, 2)))

    def trades(self, book: str) -> ClosedTrades:
        """Return the closed trades of a book."""
        row = trades.c
        query = sa.select(row.strategy, row.exit_session, row.net_return).where(row.portfolio == book)
        rows = self._rows(query.order_by(row.exit_session, row.entry_session, row.strategy, row.symbol))
        sleeves = np.array([each[0] for each in rows], dtype=object)
        return ClosedTrades(sleeves, _sessions(each[1] for each in rows), _numbers(each[2] for each in rows))

    def gaps(self, book: str) -> Gaps:
        """Return the newest measurement of each session."""
        row = parity_days.c
        query = (
            sa.select(row.session, *(row[f"{cause}_usd"] for cause in CAUSES))
            .ext(distinct_on(row.session))
            .where(row.portfolio == book)
            .order_by(row.session, row.id.desc())
        )
        rows = self._rows(query)
        usd = np.array([each[1:] for each in rows], dtype=np.float64).reshape(len(rows), len(CAUSES))
        return Gaps(_sessions(each[0] for each in rows), usd)

    def answers(self, model_name: str, model_version: str) -> Answers:
        """Return the answers of a version about entries whose trades are closed, one for each strategy, symbol and session.

        Of an entry that several books traded, the first book by name counts.
        """
        answer, trade = predictions.c, trades.c
        same = (
            (trade.strategy == answer.strategy) & (trade.symbol == answer.symbol) & (trade.decision_session == answer.session)
        )
        query = (
            sa.select(answer.probability, trade.net_return)
            .join_from(predictions, trades, same)
            .ext(distinct_on(answer.strategy, answer.symbol, answer.session))
            .where(answer.model_name == model_name, answer.model_version == model_version)
            .order_by(answer.strategy, answer.symbol, answer.session, trade.portfolio)
        )
        rows = self._rows(query)
        return Answers(_numbers(each[0] for each in rows), _numbers(each[1] for each in rows))

    def _rows(self, query: sa.Select[Any]) -> list[tuple[Any, ...]]:
        with self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(query)]


def _sessions(values: Any) -> Sessions:  # noqa: ANN401  # dates, once
    return np.array(list(values), dtype=DAY)


def _numbers(values: Any) -> Array:  # noqa: ANN401  # numbers, once
    return np.array(list(values), dtype=np.float64)
