"""Differences between recorded trades and those of a backtest, each with its cause and its money."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.models import Position

CENT: Final = 0.005  # dollars: less than this rounds to the same cent
SAME_WITHIN: Final = 1e-9  # relative: prices and sizes take the same steps in another order
EXACT: Final = ("side", "entry_session", "exit_session", "reason")
QUANTITY: Final = "quantity"
CLOSE: Final = (QUANTITY, "entry_price", "exit_price")
Key = tuple[str, str, pd.Timestamp]  # strategy, symbol, session of the decision


class Row(NamedTuple):
    """One difference, as a row of `pipeline.audit.parity.Parity.differences`."""

    cause: str
    strategy: str
    symbol: str
    session: pd.Timestamp
    detail: str
    record_usd: float | None = None
    backtest_usd: float | None = None
    gap_usd: float = 0.0


def closed_trade_differences(
    recorded: pd.DataFrame, expected: pd.DataFrame, differing: pd.DataFrame, same_shares: float
) -> list[Row]:
    """Return the differences of closed trades: those that one side alone has, and those that differ."""
    mine, theirs = _by_key(recorded), _by_key(expected)
    rows: list[Row] = []
    for key in sorted({*mine, *theirs}):
        trade, other = mine.get(key), theirs.get(key)
        if trade is not None and other is not None:
            rows += _trade_differences(key, trade, other, differing, same_shares)
        else:
            cause = "signal" if _signals_differ(differing, *key, key[2]) else "missed"
            rows.append(_one_sided(cause, key, trade, other))
    return rows


def _one_sided(cause: str, key: Key, trade: dict[str, Any] | None, other: dict[str, Any] | None) -> Row:
    """Return the difference of a trade that one side alone has."""
    if trade is not None:
        return Row(cause, *key, "not in the backtest", trade["pnl_usd"], None, trade["pnl_usd"])
    theirs = other or {}
    return Row(cause, *key, "not on record", None, theirs["pnl_usd"], -theirs["pnl_usd"])


def _trade_differences(
    key: Key, trade: dict[str, Any], other: dict[str, Any], differing: pd.DataFrame, same_shares: float
) -> list[Row]:
    """Return the differences of a trade that both sides have, its money split into cost and the rest."""
    details = [f"{name} {trade[name]}, backtest {other[name]}" for name in EXACT if trade[name] != other[name]]
    details += [
        f"{name} {trade[name]:.6f}, backtest {other[name]:.6f}"
        for name in CLOSE
        if not _alike_in(name, trade, other, same_shares)
    ]
    gap, cost = trade["pnl_usd"] - other["pnl_usd"], other["cost_usd"] - trade["cost_usd"]
    if not details and abs(gap) < CENT and abs(cost) < CENT:
        return []
    money = (trade["pnl_usd"], other["pnl_usd"])
    late = max(trade["exit_session"], other["exit_session"])
    rest = "signal" if _signals_differ(differing, *key, late) else "fill"
    rows = [Row("cost", *key, f"costs {trade['cost_usd']:.2f}, backtest {other['cost_usd']:.2f}", *money, cost)]
    if abs(cost) < CENT:
        return [Row(rest, *key, "; ".join(details) or "another profit", *money, gap)]
    if (
        abs(gap - cost) < CENT
        and all(trade[name] == other[name] for name in EXACT)
        and _alike_in(QUANTITY, trade, other, same_shares)
    ):
        return rows
    return [*rows, Row(rest, *key, "; ".join(details), *money, gap - cost)]


def open_position_differences(positions: Sequence[Position], expected: pd.DataFrame, same_shares: float) -> list[Row]:
    """Return the differences of positions at the end: held by one side alone, or entered differently."""
    mine = {(held.strategy, held.symbol): held for held in positions}
    theirs = {key[:2]: row for key, row in _by_key(expected).items()}
    rows = []
    for key in sorted({*mine, *theirs}):
        held, other = mine.get(key), theirs.get(key)
        if held is not None and other is None:
            rows.append(Row("missed", *key, pd.Timestamp(held.entry_session), "held at the end, not in the backtest"))
        elif other is not None and held is None:
            rows.append(Row("missed", *key, other["decision_session"], "held at the end of the backtest alone"))
        elif held is not None and other is not None and (detail := _entry_difference(held, other, same_shares)):
            rows.append(Row("fill", *key, other["decision_session"], detail))
    return rows


def _entry_difference(held: Position, other: dict[str, Any], same_shares: float) -> str:
    """Return how a position differs from the backtest's; empty when it does not."""
    mine = (float(held.quantity), float(held.entry_price))
    theirs = (other["side"] * other["quantity"], other["entry_price"])
    same = _same(mine[0], theirs[0], same_shares) and _same(mine[1], theirs[1])
    if same and pd.Timestamp(held.entry_session) == other["entry_session"]:
        return ""
    return f"held at the end: {mine[0]} at {mine[1]} since {held.entry_session}, backtest {theirs[0]} at {theirs[1]}"


def _by_key(trades: pd.DataFrame) -> dict[Key, dict[str, Any]]:
    rows: list[dict[str, Any]] = trades.to_dict("records")  # type: ignore[assignment]  # every column has a name
    return {(row["strategy"], row["symbol"], row["decision_session"]): row for row in rows}


def _signals_differ(differing: pd.DataFrame, strategy: str, symbol: str, first: pd.Timestamp, last: pd.Timestamp) -> bool:
    """Return True when a signal of the symbol differs between two sessions, both included."""
    here = (differing["strategy"] == strategy) & (differing["symbol"] == symbol)
    return bool((here & (differing["session"] >= first) & (differing["session"] <= last)).any())


def _alike_in(name: str, trade: dict[str, Any], other: dict[str, Any], same_shares: float) -> bool:
    part = same_shares / other[QUANTITY]  # what a fraction of that size, settled in cash, may move an average price by
    return _same(trade[name], other[name], part * other[name])


def _same(one: float, other: float, within: float = 0.0) -> bool:
    return bool(np.isclose(one, other, rtol=SAME_WITHIN, atol=within))
