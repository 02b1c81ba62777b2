"""The decision of one session: what to leave, what to enter and how much, from signals, positions and the account.

Pure: state comes in, intents and refusals go out; nothing is sent or stored. The rules it applies (`exit_due`, `allocate`) are
the ones the backtest kernel applies, so that both make the same trades.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from core.errors import StopTrading
from core.models import Leg
from core.sessions import calendar_name, next_session
from trading.fills import HELD, exit_due
from trading.orders import entry_order, exit_order
from trading.portfolio import sessions_held
from trading.risk import VERDICTS, allocate

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from core.models import OrderIntent, Position
    from trading.portfolio import Account
    from trading.risk import Limits
    from trading.strategies.base import Strategy


@dataclass(frozen=True)
class Refusal:
    """A candidate that was not entered, and why: `held`, `filter`, `no_prediction`, `max_positions` or `no_capital`."""

    symbol: str
    session: dt.date
    reason: str


@dataclass(frozen=True)
class Decisions:
    """Intents to write down and place, exits first; and the candidates refused."""

    intents: tuple[OrderIntent, ...]
    refusals: tuple[Refusal, ...]


def decide(
    session: dt.date,
    signals: pd.DataFrame,
    strategy: Strategy,
    *,
    portfolio: str,
    positions: Sequence[Position],
    open_orders: Sequence[OrderIntent],
    account: Account,
    limits: Limits,
    accept: Mapping[str, bool] | None = None,
    moment: Literal["open", "close"] = "close",
) -> Decisions:
    """Decide at the close of `session`, or at its open for a strategy that enters there.

    Parameters
    ----------
    signals
        One row for each symbol with a bar that session: SIGNALS with columns symbol and close (the decision price; `open`
        instead at the open).
    positions, open_orders
        The whole portfolio's. Orders decided at this very session are left out of account, so that deciding again gives the
        same answer.
    account
        Marked to the closes of `session`, or of the session before for a decision at the open.
    accept
        The entry filter's answer for each candidate's symbol; None when there is no filter.

    Raises
    ------
    StopTrading
        When the portfolio holds a position entered after `session`: that day's decision lies in the past.
    """
    late = [position.symbol for position in positions if position.entry_session > session]
    if late:
        raise StopTrading(f"Deciding for {session}, but {late[0]} was entered later. Decide for the newest session only.")
    if not (signals["session"].dt.date == session).all():
        raise StopTrading(f"Deciding for {session} on signals of another session. Compute the signals of that session.")
    rows = signals.sort_values("symbol", ignore_index=True)
    earlier = [order for order in open_orders if (order.decision_session, moment) < (session, "close")]
    exits = _exits(session, rows, strategy, positions, earlier) if moment == "close" else []
    enters_now = strategy.entry == ("open" if moment == "open" else "next_open")
    if not enters_now:
        return Decisions(tuple(exits), ())
    entries, refusals = _entries(session, rows, strategy, portfolio, positions, earlier, account, limits, accept)
    return Decisions((*exits, *entries), tuple(refusals))
