"""The decision of one session: exits, entries and their sizes, from signals, positions and cash.

Pure: state comes in, intents and refusals go out; nothing is sent or stored. The rules it applies (`exit_due`, `allocate`) are
the ones the backtest kernel applies, so that both make the same trades.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from core.errors import StopTrading
from core.models import MOST_USD, Leg, Origin
from core.sessions import calendar_name, next_session
from trading.fills import HELD, exit_due
from trading.orders import entry_order, exit_order
from trading.portfolio import account, sessions_held
from trading.risk import VERDICTS, allocate

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    import pandas as pd
    from numpy.typing import NDArray

    from core.models import OrderIntent, Position
    from trading.risk import Limits
    from trading.strategies.base import Strategy


Key = tuple[str, str]  # strategy and symbol


@dataclass(frozen=True)
class Refusal:
    """A candidate that is not entered, with the reason: `held`, `filter`, `no_prediction`, `max_positions`, `no_capital` ...

    `unreadable_equity` when cash or a price is no number that somebody could own: nothing is sized on it.
    """

    strategy: str
    symbol: str
    session: dt.date
    reason: str


@dataclass(frozen=True)
class Decisions:
    """Intents to write down and place, exits first; and the candidates refused."""

    intents: tuple[OrderIntent, ...]
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True)
class Holdings:
    """State of the portfolio at the decision: its positions, open orders and cash, and the last price of each symbol.

    `prices` are the closes of the session, or for a decision at the open the closes before it. `peak_usd` is the highest equity
    on record; None when there is none, as before the first session. `exit_rules` names the rule that leaves a position where it
    is not the strategy of its name, or None where a person does: no rule and no time limit leaves that one.
    """

    portfolio: str
    positions: Sequence[Position]
    open_orders: Sequence[OrderIntent]
    cash_usd: Decimal | float
    prices: Mapping[str, float]
    peak_usd: float | None = None
    exit_rules: Mapping[Key, Strategy | None] = field(default_factory=dict)


def decide(
    session: dt.date,
    signals: pd.DataFrame,
    strategies: Sequence[Strategy],
    holdings: Holdings,
    limits: Limits,
    *,
    accept: Mapping[Key, bool] | None = None,
    probability: Mapping[Key, float] | None = None,
    arms: Mapping[Key, str] | None = None,
    moment: Literal["open", "close"] = "close",
) -> Decisions:
    """Decide at the close of `session`, or at its open for the strategies that enter there.

    Orders decided at this very session are ignored, so that deciding again gives the same answer; exits with an arm, which no
    strategy decided, count.

    Parameters
    ----------
    signals
        One row for each strategy and each symbol with a bar that session: SIGNALS with the columns strategy, symbol and close,
        the decision price (open, for a decision at the open). Strengths of several strategies must be comparable.
    accept
        The entry filter's answer for each candidate; None when there is no filter.
    probability
        By which candidates are ranked, the highest first; None ranks them by the strength of their signals.
    arms
        The arm of an A/B test that decided a candidate, part of its order's id; none outside a test.

    Raises
    ------
    StopTrading
        When a position was entered after `session`, or the signals are another session's.
    DataError
        When a symbol held or ordered has no price.

    Examples
    --------
    Two candidates and one place, which goes to the stronger. The size risks 0.25 % of $100,000 over a stop of 2 % of $100:

    >>> import datetime as dt
    >>> import pandas as pd
    >>> from trading.risk import Limits
    >>> from trading.strategies.registry import make_strategy
    >>> day = dt.date(2018, 12, 27)
    >>> signals = pd.DataFrame({
    ...     "strategy": "rsi", "symbol": ["AAA", "BBB"], "session": pd.Timestamp(day), "entry": [1, 1], "strength": [0.2, 0.9],
    ...     "exit_long": False, "exit_short": False, "stop_pct": 2.0, "target_pct": 4.0, "close": 100.0,
    ... })
    >>> holdings = Holdings("main", positions=[], open_orders=[], cash_usd=100_000.0, prices={"AAA": 100.0, "BBB": 100.0})
    >>> decisions = decide(day, signals, [make_strategy("rsi")], holdings, Limits(max_positions=1))
    >>> [(str(order.side), order.symbol, float(order.quantity), str(order.session)) for order in decisions.intents]
    [('buy', 'BBB', 125.0, '2018-12-28')]
    >>> [(refusal.symbol, refusal.reason) for refusal in decisions.refusals]
    [('AAA', 'max_positions')]
    """
    late = [position.symbol for position in holdings.positions if position.entry_session > session]
    if late:
        raise StopTrading(f"Deciding for {session}, but {late[0]} was entered later. Decide for the newest session only.")
    if not (signals["session"].dt.date == session).all():
        raise StopTrading(f"Deciding for {session} on signals of another session. Compute the signals of that session.")
    rules = {strategy.name: strategy for strategy in strategies}
    rows = signals.sort_values(["strategy", "symbol"], ignore_index=True)
    orders = [order for order in holdings.open_orders if order.decision_session < session or not order.by_strategy]
    exits = _exits(session, rows, rules, holdings, orders) if moment == "close" else []
    entering = [name for name, rule in rules.items() if rule.entry == ("open" if moment == "open" else "next_open")]
    rows = rows[rows["strategy"].isin(entering)].reset_index(drop=True)
    if rows.empty:
        return Decisions(tuple(exits), ())
    keys: list[Key] = list(zip(rows["strategy"], rows["symbol"], strict=True))
    wanted, refused = _candidates(rows, keys, holdings, orders, accept)
    value = account(holdings.cash_usd, holdings.positions, orders, holdings.prices)
    if not (abs(value.equity_usd) < MOST_USD and value.exposure_usd < MOST_USD):  # NaN is neither
        refused |= {int(i): "unreadable_equity" for i in np.flatnonzero(wanted)}
        return Decisions(tuple(exits), tuple(Refusal(*keys[i], session, refused[i]) for i in refused))
    strength = rows["strength"] if probability is None else [probability.get(key, np.nan) for key in keys]
    signed, verdict = allocate(
        wanted,
        rows["open" if moment == "open" else "close"].to_numpy(dtype=np.float64),
        rows["stop_pct"].to_numpy(dtype=np.float64),
        np.asarray(strength, dtype=np.float64),
        value.equity_usd,
        value.exposure_usd,
        len(holdings.positions) + sum(order.leg is Leg.ENTRY for order in orders),
        value.equity_usd if holdings.peak_usd is None else holdings.peak_usd,
        limits.terms(),
    )
    refused |= {int(i): VERDICTS[verdict[i]] for i in np.flatnonzero(verdict)}
    entries = [
        entry_order(
            holdings.portfolio,
            *keys[i],
            decision_session=session,
            session=session if moment == "open" else next_session(session, calendar_name(keys[i][1])),
            signed_quantity=float(signed[i]),
            stop_pct=float(rows["stop_pct"][i]),
            target_pct=float(rows["target_pct"][i]),
            max_sessions=rules[keys[i][0]].max_sessions,
            arm=(arms or {}).get(keys[i], ""),
            origin=Origin.SIGNAL,
        )
        for i in np.flatnonzero(signed)
    ]
    refusals = tuple(Refusal(*keys[i], session, reason) for i, reason in refused.items())
    return Decisions((*exits, *entries), refusals)


def _exits(
    session: dt.date, rows: pd.DataFrame, rules: Mapping[str, Strategy], holdings: Holdings, orders: Sequence[OrderIntent]
) -> list[OrderIntent]:
    """Return the rule and time exits at this close. No bar, no decision; an exit already ordered waits for its fill."""
    leaving = {(order.strategy, order.symbol) for order in orders if order.leg is Leg.EXIT}
    by_key = {(row.strategy, row.symbol): row for row in rows.itertuples()}
    exits = []
    for position in holdings.positions:
        key = (position.strategy, position.symbol)
        row, strategy = by_key.get(key), holdings.exit_rules.get(key, rules.get(position.strategy))
        if strategy is None or row is None or key in leaving:
            continue
        rule = bool(row.exit_long if position.quantity > 0 else row.exit_short)
        held = sessions_held(position.symbol, position.entry_session, session)
        if exit_due(rule, held, position.max_sessions or 0) != HELD:
            at = session if strategy.exit == "close" else next_session(session, calendar_name(position.symbol))
            exits.append(exit_order(position, decision_session=session, session=at, origin=Origin.SIGNAL))
    return exits


def _candidates(
    rows: pd.DataFrame,
    keys: Sequence[Key],
    holdings: Holdings,
    orders: Sequence[OrderIntent],
    accept: Mapping[Key, bool] | None,
) -> tuple[NDArray[np.int8], dict[int, str]]:
    """Return the entries that compete for capital, +1, -1 or 0 for each row, and the reasons of those that do not, by row."""
    taken = {(held.strategy, held.symbol) for held in holdings.positions} | {(order.strategy, order.symbol) for order in orders}
    wanted = rows["entry"].to_numpy(dtype=np.int8, copy=True)
    refused = {}
    for i in np.flatnonzero(wanted).tolist():
        if keys[i] in taken:
            refused[i] = "held"
        elif accept is not None and not accept.get(keys[i], False):
            refused[i] = "filter" if keys[i] in accept else "no_prediction"
        else:
            continue
        wanted[i] = 0
    return wanted, refused
