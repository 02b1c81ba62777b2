"""A desk's record of many years, written through COPY without evenings: books that trade every week, right to the cent."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import sqlalchemy as sa

from core.deployments import Deployment, Sleeve, Stage, State, sleeve_name
from core.frames import TRADES
from core.sessions import close_of, open_of, sessions_between
from storage.engine import copy_in
from storage.market.bars import BarStore
from storage.trading.deployments import Deployments
from tests.standins.feed import walk

if TYPE_CHECKING:
    from collections.abc import Sequence

EVERY, HELD = 5, 2  # sessions from one entry to the next of a key, and from entry to exit
CASH, SHARES = 1_000_000.0, 10
COMMISSION, SLIPPAGE = 1e-4, 2e-4
ORDER: Final = ("client_order_id", "portfolio", "strategy", "symbol", "session", "decision_session", "leg", "side", "quantity")
ORDER_COLUMNS: Final = (
    *ORDER,
    "order_type",
    "stop_pct",
    "target_pct",
    "max_sessions",
    "entry_order_id",
    "created_at",
    "code_commit",
)
FILL_COLUMNS: Final = (
    "fill_id", "client_order_id", "symbol", "side", "quantity", "price", "raw_price", "commission_usd", "session", "filled_at",
    "reason", "created_at",
)  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """Size of a record: its span, its books, and the sleeves of each with their symbols.

    Attributes
    ----------
    books
        The first is the default deployment's; the others are deployed.
    """

    first: dt.date = dt.date(2009, 1, 2)
    last: dt.date = dt.date(2018, 12, 31)
    books: tuple[str, ...] = ("main", "duo", "trio")
    rules: tuple[str, ...] = ("bollinger", "rsi", "zscore")
    width: int = 12

    @property
    def symbols(self) -> list[str]:
        """The symbols of every sleeve."""
        return [symbol for rule in self.rules for symbol in self.traded(rule)]

    def traded(self, rule: str) -> list[str]:
        """The symbols of a rule's sleeves."""
        return [f"{rule[:1].upper()}{chr(65 + number)}X" for number in range(self.width)]

    def sleeve(self, book: str, rule: str) -> str:
        """The name of a book's sleeve."""
        return f"{rule}_vix" if book == self.books[0] else sleeve_name(book, rule)

    def keys(self) -> list[tuple[str, str, str]]:
        """Book, sleeve and symbol of everything that is traded."""
        return [
            (book, self.sleeve(book, rule), symbol)
            for book in self.books
            for rule in self.rules
            for symbol in self.traded(rule)
        ]

    def deployments(self) -> list[Deployment]:
        """The deployments but the first."""
        return [
            Deployment(
                name=book,
                version=1,
                stage=Stage.PAPER,
                state=State.ACTIVE,
                sleeves=tuple(
                    Sleeve(self.sleeve(book, rule), rule, tuple(self.traded(rule)), CASH / len(self.rules))
                    for rule in self.rules
                ),
                capital_usd=CASH,
                profile="desk",
                portfolio_id=None,
                promise={},
                author="test",
                reason="a record of many years",
            )
            for book in self.books[1:]
        ]


def write_record(engine: sa.Engine, shape: Shape | None = None, *, heartbeat_minutes: int = 60) -> dict[str, int]:
    """Write bars, orders, fills, trades, positions, closes and heartbeats; return the number of rows of each table."""
    shape = shape or Shape()
    days = sessions_between(shape.first, shape.last)
    bars = {symbol: walk(symbol, shape.first, shape.last, seed=5) for symbol in shape.symbols}
    loaded = close_of(shape.last) + dt.timedelta(hours=1)
    BarStore(engine).write(pd.concat(bars.values(), ignore_index=True), source="walk", ingested_at=loaded, backfilled=True)
    keys = shape.keys()
    for deployment in shape.deployments():
        Deployments(engine).add(deployment)
    trips = pd.concat([_trips(*key, place, days, bars[key[2]]) for place, key in enumerate(keys)], ignore_index=True)
    fills, equity = _fills(trips, days), _equity(trips, days, bars, shape.books)
    tables = {
        "order_intents": _intents(fills)[list(ORDER_COLUMNS)],
        "orders": pd.DataFrame(
            {"client_order_id": fills["client_order_id"], "state": "filled", "updated_at": fills["filled_at"]}
        ),
        "fills": fills[list(FILL_COLUMNS)],
        "trades": _trades(trips, days),
        "positions": _positions(trips, days),
        "equity": equity,
    }
    with engine.begin() as connection:
        for name, frame in tables.items():
            copy_in(connection, frame, f"trading.{name}", tuple(frame.columns))
        for book in shape.books:
            connection.execute(
                sa.text(_HEARTBEATS), {"book": book, "first": shape.first, "last": loaded, "minutes": heartbeat_minutes}
            )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM ANALYZE"))
        return {name: len(frame) for name, frame in tables.items()} | {
            "bars": len(days) * len(shape.symbols),
            "heartbeats": int(connection.execute(sa.text("SELECT count(*) FROM trading.risk_heartbeats")).scalar_one()),
        }


_HEARTBEATS = """
INSERT INTO trading.risk_heartbeats (portfolio, at, mode, level, equity_usd, peak_usd, drawdown_pct, gross_usd, net_usd,
    var_historical_usd, var_parametric_usd, positions, breaches)
SELECT :book, moment, 'log', 'ok', 1e6, 1e6, 0.1, 5e4, 5e4, 900, 950, 3, '{}'
FROM generate_series(CAST(:first AS timestamptz), CAST(:last AS timestamptz), make_interval(mins => :minutes)) AS moment
"""


def _trips(book: str, sleeve: str, symbol: str, place: int, days: pd.DatetimeIndex, bars: pd.DataFrame) -> pd.DataFrame:
    """Return a trip every `EVERY` sessions, each of `HELD`: places of its sessions and its prices; the last may be open."""
    entered = np.arange(1 + place % EVERY, len(days), EVERY)
    left = np.where(entered + HELD < len(days), entered + HELD, -1)
    opens = bars["open"].to_numpy()
    return pd.DataFrame(
        {
            "portfolio": book,
            "strategy": sleeve,
            "symbol": symbol,
            "entered": entered,
            "left": left,
            "raw_entry": opens[entered],
            "raw_exit": np.where(left >= 0, opens[left], np.nan),
        }
    )


def _fills(trips: pd.DataFrame, days: pd.DatetimeIndex) -> pd.DataFrame:
    """Return the fills of the trips, entries first, with the columns of their orders."""
    closed = trips[trips["left"] >= 0]
    parts = []
    for leg, part, at, raw, sign in (("entry", trips, "entered", "raw_entry", 1), ("exit", closed, "left", "raw_exit", -1)):
        price = part[raw] * (1 + sign * SLIPPAGE)
        order = part.assign(leg=leg, side="buy" if sign > 0 else "sell", quantity=SHARES, price=price, raw_price=part[raw])
        order["session"], order["decision_session"] = days[part[at]], days[part[at] - 1]
        order["client_order_id"] = _ids(order, order["session"], leg)
        order["entry_order_id"] = None if leg == "entry" else _ids(order, days[part["entered"]], "entry")
        parts.append(order)
    fills = pd.concat(parts, ignore_index=True)
    fills["fill_id"], fills["reason"] = "paper-" + fills["client_order_id"], np.where(fills["leg"] == "entry", "entry", "rule")
    fills["commission_usd"] = fills["quantity"] * fills["price"] * COMMISSION
    opens = {day: open_of(day.date()) for day in days}
    fills["filled_at"] = pd.DatetimeIndex(fills["session"].map(opens))
    fills["created_at"] = fills["filled_at"]
    return fills


def _ids(rows: pd.DataFrame, sessions: Sequence[pd.Timestamp] | pd.Series, leg: str) -> pd.Series:
    dates = pd.Series(pd.DatetimeIndex(sessions).strftime("%Y%m%d"), index=rows.index)
    return dates + f"-{leg}-" + rows["symbol"] + "-" + rows["portfolio"] + "-" + rows["strategy"]


def _intents(fills: pd.DataFrame) -> pd.DataFrame:
    entries = fills["leg"] == "entry"
    return fills.assign(
        order_type="market",
        stop_pct=np.where(entries, 5.0, np.nan),
        target_pct=np.where(entries, 8.0, np.nan),
        max_sessions=pd.Series(np.where(entries, 3, None), dtype="Int64"),
        code_commit="unknown",
    )


def _trades(trips: pd.DataFrame, days: pd.DatetimeIndex) -> pd.DataFrame:
    closed = trips[trips["left"] >= 0]
    paid, got = closed["raw_entry"] * (1 + SLIPPAGE), closed["raw_exit"] * (1 - SLIPPAGE)
    fees = SHARES * COMMISSION * (paid + got)
    pnl = SHARES * (got - paid) - fees
    rows = closed[["portfolio", "strategy", "symbol"]].assign(
        side=1,
        decision_session=days[closed["entered"] - 1],
        entry_session=days[closed["entered"]],
        exit_session=days[closed["left"]],
        entry_price=paid,
        exit_price=got,
        quantity=float(SHARES),
        gross_return=closed["raw_exit"] / closed["raw_entry"] - 1,
        net_return=pnl / (SHARES * paid),
        pnl_usd=pnl,
        cost_usd=SHARES * (closed["raw_exit"] - closed["raw_entry"]) - pnl,
        holding_sessions=HELD,
        reason="rule",
    )
    return rows[["portfolio", *TRADES.columns]]


def _positions(trips: pd.DataFrame, days: pd.DatetimeIndex) -> pd.DataFrame:
    held = trips[trips["left"] < 0]
    entry = held["raw_entry"]
    return held[["portfolio", "strategy", "symbol"]].assign(
        quantity=SHARES,
        entry_session=days[held["entered"]],
        entry_price=entry * (1 + SLIPPAGE),
        stop_price=entry * 0.95,
        target_price=entry * 1.08,
        max_sessions=3,
        entry_order_id=_ids(held, days[held["entered"]], "entry"),
    )


def _equity(trips: pd.DataFrame, days: pd.DatetimeIndex, bars: dict[str, pd.DataFrame], books: Sequence[str]) -> pd.DataFrame:
    """Return cash, value and positions of each book at each close."""
    frames = []
    for book in books:
        flow, value, positions = np.zeros((3, len(days)))
        for _, key in trips[trips["portfolio"] == book].groupby(["strategy", "symbol"]):
            shares = np.zeros(len(days) + 1)
            closed = key[key["left"] >= 0]
            paid, got = key["raw_entry"] * (1 + SLIPPAGE), closed["raw_exit"] * (1 - SLIPPAGE)
            np.add.at(flow, key["entered"].to_numpy(), -SHARES * paid.to_numpy() * (1 + COMMISSION))
            np.add.at(flow, closed["left"].to_numpy(), SHARES * got.to_numpy() * (1 - COMMISSION))
            shares[key["entered"]] += SHARES
            shares[closed["left"]] -= SHARES
            held = np.cumsum(shares[:-1])
            value += held * bars[str(key["symbol"].iloc[0])]["close"].to_numpy()
            positions += held > 0
        cash = CASH + np.cumsum(flow)
        frames.append(
            pd.DataFrame(
                {
                    "portfolio": book,
                    "session": days,
                    "cash_usd": cash,
                    "equity_usd": cash + value,
                    "exposure_usd": value,
                    "positions": positions.astype(int),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)
