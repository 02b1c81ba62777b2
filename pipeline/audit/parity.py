"""Whether what the desk does is what the backtest did: trade by trade, to the cent. Owns the comparison and its four names.

A gap between a record (a replay, or the live ledger) and the backtest over the same sessions has one of four causes:

- `signal`: the two saw another signal, for a bar was revised or the code changed since;
- `missed`: the same signal, and one of them has no trade (refused, expired, cancelled, sent too late);
- `fill`: the same trade at another raw price, in another session, of another size or left for another reason;
- `cost`: the same fills, and another slippage or commission.

Money: the record's profit less the backtest's. A trade in both splits into cost (difference of `cost_usd`) and fill (the rest).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd

from core.errors import DataError
from core.frames import SIGNALS
from pipeline.accounts.valuation import initial_equity_usd
from pipeline.resources import Resources, live
from pipeline.signals import signals_of
from trading.fills import END_OF_DATA, REASONS
from trading.portfolio import trades_of
from trading.strategies.vix_filter import rule_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backtest.engine import Result
    from core.models import Position
    from pipeline.audit.replay import Replay
    from trading.strategies.base import Strategy

CAUSES: Final = ("signal", "fill", "cost", "missed")
LONG_AGO, FAR = dt.date(1678, 1, 1), dt.date(2262, 1, 1)  # the first and the last year that pandas knows
CENT: Final = 0.005  # dollars: less than this rounds to the same cent
SAME_WITHIN: Final = 1e-9  # relative: prices and sizes take the same steps in another order
KEY: Final = ("strategy", "symbol", "decision_session")
OPEN_END: Final = REASONS[END_OF_DATA]
EXACT: Final = ("side", "entry_session", "exit_session", "reason")
CLOSE: Final = ("quantity", "entry_price", "exit_price")


@dataclass(frozen=True)
class Record:
    """What a desk did, however it is known.

    Attributes
    ----------
    trades
        TRADES that are over.
    positions
        What is still held.
    equity
        Columns session, equity_usd, from the first session on.
    signals
        SIGNALS with strategy and symbol, as they were acted on.
    """

    trades: pd.DataFrame
    positions: tuple[Position, ...]
    equity: pd.DataFrame
    signals: pd.DataFrame


@dataclass(frozen=True)
class Parity:
    """Outcome of a comparison.

    Attributes
    ----------
    differences
        One row each: cause, strategy, symbol, session (of the decision), detail, record_usd and backtest_usd (profits, None
        where there is no trade), gap_usd.
    trades, sessions
        How many were compared.
    equity_gap_usd
        Largest difference of the value at a close; the last close is left out while a position is open, which the backtest has
        sold there.
    """

    differences: pd.DataFrame
    trades: int
    sessions: int
    equity_gap_usd: float

    @property
    def holds(self) -> bool:
        """No difference, and every close is the same to the cent."""
        return self.differences.empty and self.equity_gap_usd < CENT

    def split(self) -> pd.DataFrame:
        """For each cause: how many differences, and their money."""
        by_cause = self.differences.groupby("cause")["gap_usd"].agg(["size", "sum"]).reindex(list(CAUSES), fill_value=0)
        return by_cause.rename(columns={"size": "differences", "sum": "gap_usd"}).reset_index()


def compare(record: Record, result: Result, signals: pd.DataFrame) -> Parity:
    """Hold a record against the backtest.

    Parameters
    ----------
    signals
        The backtest's: SIGNALS with strategy and symbol, of the sessions of the record.
    """
    expected = result.trades
    finished = expected[expected["reason"] != OPEN_END]
    apart = signal_gap(record.signals, signals)
    parts = [
        [_Row("signal", *row) for row in apart.itertuples(index=False, name=None)],
        _finished(record.trades, finished, apart),
        _still_open(record.positions, expected[expected["reason"] == OPEN_END]),
    ]
    found = pd.DataFrame([row for part in parts for row in part], columns=list(_Row._fields))
    found = found.sort_values(["session", "symbol", "cause"], kind="stable", ignore_index=True)
    gap = _equity_gap(record.equity, result.equity, still_open=len(finished) < len(expected))
    return Parity(found, len(finished), len(record.equity), gap)


def of_replay(replayed: Replay, *, resources: Resources | None = None) -> Parity:
    """Hold a replay against the portfolio backtest of its sessions, symbols and answers of the filter."""
    resources = resources or live()
    first, last = (replayed.equity["session"].iloc[place].date() for place in (0, -1))
    symbols = sorted(set(replayed.signals["symbol"]))
    result, signals = backtest_of(resources, first, last, symbols, strategies=replayed.strategies, accept=replayed.accept)
    return compare(Record(replayed.trades, replayed.positions, replayed.equity, replayed.signals), result, signals)


def of_ledger(first: dt.date | None, last: dt.date | None, *, resources: Resources | None = None) -> Parity:
    """Hold the live portfolio's record against the backtest with the same answers of the filter.

    Parameters
    ----------
    first, last
        Sessions; default: the first and the last on record. A book that was not empty before `first` differs for that alone.

    Raises
    ------
    DataError
        When nothing is on record.
    """
    resources = resources or live()
    ledger, portfolio, names = (
        resources.ledger,
        resources.settings.portfolio,
        [strategy.name for strategy in resources.strategies],
    )
    equity = ledger.equity(portfolio)
    equity = equity[(equity["session"] >= pd.Timestamp(first or LONG_AGO)) & (equity["session"] <= pd.Timestamp(last or FAR))]
    if equity.empty:
        raise DataError(f"Portfolio {portfolio!r}: no session on record from {first} to {last}. Trade first: `desk trade`.")
    days = [stamp.date() for stamp in equity["session"]]
    signals = _whole([ledger.signals(day) for day in days])
    answers = _whole([ledger.predictions(day).assign(session=pd.Timestamp(day)) for day in days])
    answers = answers[answers["strategy"].isin(names)]
    accept = answers.assign(accept=answers["signal"] == "enter", strategy=[rule_name(name) for name in answers["strategy"]])
    trades = trades_of([(order, fill) for order, fill in ledger.fills(portfolio) if fill.session <= days[-1]])
    held = tuple(ledger.positions(portfolio))
    result, expected = backtest_of(
        resources,
        days[0],
        days[-1],
        resources.universe(),
        resources.strategies,
        accept=accept,
        initial_cash_usd=initial_equity_usd(resources.account),
    )
    mine = signals[signals["strategy"].isin(names)]
    record = Record(trades[trades["decision_session"] >= pd.Timestamp(days[0])], held, equity, mine)
    return compare(record, result, expected[expected["session"].isin(equity["session"])])


def backtest_of(  # noqa: PLR0917  # a question of six parts
    resources: Resources,
    first: dt.date,
    last: dt.date,
    symbols: Sequence[str],
    strategies: Sequence[Strategy],
    accept: pd.DataFrame | None,
    initial_cash_usd: float | None = None,
) -> tuple[Result, pd.DataFrame]:
    """The portfolio backtest on the bars as they are known today, and its signals."""
    from backtest.engine import backtest
    from features.regime import with_vix
    from pipeline.bars import load_bars

    frame, vix = load_bars(resources.bars, last.isoformat(), symbols)
    bars = {str(symbol): with_vix(part.reset_index(drop=True), vix) for symbol, part in frame.groupby("symbol")}
    result = backtest(
        bars,
        strategies,
        resources.costs,
        limits=resources.limits,
        initial_cash_usd=resources.settings.initial_cash_usd if initial_cash_usd is None else initial_cash_usd,
        accept=accept,
        start=first,
    )
    whole = pd.concat([signals_of(strategies, part) for part in bars.values()], ignore_index=True)
    return result, whole[whole["session"] >= pd.Timestamp(first)]


def signal_gap(record: pd.DataFrame, expected: pd.DataFrame) -> pd.DataFrame:
    """Rows whose signals differ in a bit, or that one side lacks: strategy, symbol, session, detail (what differs)."""
    key, columns = ["strategy", "symbol", "session"], [name for name in SIGNALS.columns if name != "session"]
    both = record[[*key, *columns]].merge(
        expected[[*key, *columns]], on=key, how="outer", suffixes=("", "_expected"), indicator=True
    )
    detail = pd.Series("", index=both.index, dtype=object)
    for name in columns:
        mine, theirs = both[name], both[f"{name}_expected"]
        apart = (both["_merge"] == "both") & (mine != theirs) & ~(mine.isna() & theirs.isna())
        detail[apart] = detail[apart] + f" {name}"
    detail[both["_merge"] == "left_only"] = " no signal in the backtest"
    detail[both["_merge"] == "right_only"] = " no signal on record"
    return both.loc[detail != "", key].assign(detail=detail[detail != ""].str.strip()).reset_index(drop=True)


def _whole(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The parts that have rows, one under the other; an empty part has no types to give."""
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


class _Row(NamedTuple):
    cause: str
    strategy: str
    symbol: str
    session: pd.Timestamp
    detail: str
    record_usd: float | None = None
    backtest_usd: float | None = None
    gap_usd: float = 0.0


def _finished(made: pd.DataFrame, expected: pd.DataFrame, apart: pd.DataFrame) -> list[_Row]:
    """Trades that one side alone has, and those that differ."""
    mine, theirs = _by_key(made), _by_key(expected)
    rows: list[_Row] = []
    for key in sorted({*mine, *theirs}):
        trade, other = mine.get(key), theirs.get(key)
        if trade is not None and other is not None:
            rows += _apart(key, trade, other, apart)
        else:
            cause = "signal" if _signals_differ(apart, *key, key[2]) else "missed"
            rows.append(_alone(cause, key, trade, other))
    return rows


def _alone(cause: str, key: Key, trade: dict[str, Any] | None, other: dict[str, Any] | None) -> _Row:
    """A trade of one side."""
    if trade is not None:
        return _Row(cause, *key, "not in the backtest", trade["pnl_usd"], None, trade["pnl_usd"])
    theirs = other or {}
    return _Row(cause, *key, "not on record", None, theirs["pnl_usd"], -theirs["pnl_usd"])


def _apart(key: Key, trade: dict[str, Any], other: dict[str, Any], apart: pd.DataFrame) -> list[_Row]:
    """What differs in a trade that both sides have, its money split into cost and the rest."""
    said = [f"{name} {trade[name]}, backtest {other[name]}" for name in EXACT if trade[name] != other[name]]
    said += [f"{name} {trade[name]:.6f}, backtest {other[name]:.6f}" for name in CLOSE if not _same(trade[name], other[name])]
    gap, cost = trade["pnl_usd"] - other["pnl_usd"], other["cost_usd"] - trade["cost_usd"]
    if not said and abs(gap) < CENT and abs(cost) < CENT:
        return []
    money = (trade["pnl_usd"], other["pnl_usd"])
    late = max(trade["exit_session"], other["exit_session"])
    rest = "signal" if _signals_differ(apart, *key, late) else "fill"
    rows = [_Row("cost", *key, f"costs {trade['cost_usd']:.2f}, backtest {other['cost_usd']:.2f}", *money, cost)]
    if abs(cost) < CENT:
        return [_Row(rest, *key, "; ".join(said) or "another profit", *money, gap)]
    if abs(gap - cost) < CENT and all(trade[name] == other[name] for name in EXACT) and _same(*_sizes(trade, other)):
        return rows
    return [*rows, _Row(rest, *key, "; ".join(said), *money, gap - cost)]


def _still_open(positions: Sequence[Position], expected: pd.DataFrame) -> list[_Row]:
    """Positions that one side alone holds at the end, or that they entered apart."""
    mine = {(held.strategy, held.symbol): held for held in positions}
    theirs = {key[:2]: row for key, row in _by_key(expected).items()}
    rows = []
    for key in sorted({*mine, *theirs}):
        held, other = mine.get(key), theirs.get(key)
        if held is not None and other is None:
            rows.append(_Row("missed", *key, pd.Timestamp(held.entry_session), "held at the end, not in the backtest"))
        elif other is not None and held is None:
            rows.append(_Row("missed", *key, other["decision_session"], "held at the end of the backtest alone"))
        elif held is not None and other is not None and (said := _entered_apart(held, other)):
            rows.append(_Row("fill", *key, other["decision_session"], said))
    return rows


def _entered_apart(held: Position, other: dict[str, Any]) -> str:
    """How a position differs from the backtest's; empty when it does not."""
    mine = (float(held.quantity), float(held.entry_price))
    theirs = (other["side"] * other["quantity"], other["entry_price"])
    same = all(_same(*pair) for pair in zip(mine, theirs, strict=True))
    if same and pd.Timestamp(held.entry_session) == other["entry_session"]:
        return ""
    return f"held at the end: {mine[0]} at {mine[1]} since {held.entry_session}, backtest {theirs[0]} at {theirs[1]}"


Key = tuple[str, str, pd.Timestamp]


def _by_key(trades: pd.DataFrame) -> dict[Key, dict[str, Any]]:
    rows: list[dict[str, Any]] = trades.to_dict("records")  # type: ignore[assignment]  # every column has a name
    return {(row["strategy"], row["symbol"], row["decision_session"]): row for row in rows}


def _signals_differ(apart: pd.DataFrame, strategy: str, symbol: str, first: pd.Timestamp, last: pd.Timestamp) -> bool:
    """Whether the two saw another signal of the symbol between two sessions, both included."""
    here = (apart["strategy"] == strategy) & (apart["symbol"] == symbol)
    return bool((here & (apart["session"] >= first) & (apart["session"] <= last)).any())


def _sizes(trade: dict[str, Any], other: dict[str, Any]) -> tuple[float, float]:
    return trade["quantity"], other["quantity"]


def _same(one: float, other: float) -> bool:
    return bool(np.isclose(one, other, rtol=SAME_WITHIN, atol=0.0))


def _equity_gap(mine: pd.DataFrame, theirs: pd.DataFrame, *, still_open: bool) -> float:
    """Largest difference at a close that both have."""
    both = mine.merge(theirs, on="session", suffixes=("", "_expected"))
    both = both.iloc[: len(both) - still_open]
    return float((both["equity_usd"] - both["equity_usd_expected"]).abs().max()) if len(both) else 0.0
