"""One traded day against the backtest: its orders decided and filled again, and the gap split by cause. Owns that measurement.

The day is decided anew from what the portfolio held at the close before it, on the bars and signals as they are known today,
and filled by the paper broker. Both days, the real and the expected one, are marked to the same closes, so that the difference
of their profits comes from fills alone; each fill present in both splits into its raw price (fill) and what it paid (cost).
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from core.models import Leg, Side
from core.sessions import next_session, sessions_between
from pipeline.accounts.book import accept, book_before
from pipeline.accounts.valuation import closing_prices, initial_equity_usd
from pipeline.audit.parity import CAUSES, CENT, signal_gap
from pipeline.audit.vintages import deadlines
from pipeline.bars import VIX
from pipeline.execution.daily_trade import answers_of
from pipeline.resources import Resources, live
from pipeline.signals import joint_name, signals_of
from trading.brokers.paper import PaperBroker
from trading.brokers.placing import place
from trading.decide import Holdings, decide

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from core.models import Fill, OrderIntent
    from trading.brokers.memory import MemoryBook
    from trading.strategies.base import Strategy

Key = tuple[str, str, Leg]  # strategy, symbol, leg: a symbol is entered and left at most once a session by each strategy


class Money(NamedTuple):
    """What fills brought by the close of their session: at raw prices, and what slippage and commission took."""

    raw_usd: float
    cost_usd: float


@dataclass(frozen=True)
class Difference:
    """One fill, decision or signal in which the day and the backtest part."""

    cause: str
    strategy: str
    symbol: str
    detail: str
    gap_usd: float = 0.0


@dataclass(frozen=True)
class Day:
    """A traded day.

    Attributes
    ----------
    record_usd, backtest_usd
        What the session's fills brought by its close, in the ledger and in the backtest.
    """

    session: dt.date
    differences: tuple[Difference, ...]
    record_usd: float
    backtest_usd: float

    def count(self, cause: str) -> int:
        """Differences of a cause."""
        return sum(each.cause == cause for each in self.differences)

    def usd(self, cause: str) -> float:
        """Their money: the record's profit less the backtest's."""
        return sum(each.gap_usd for each in self.differences if each.cause == cause)


def record_day(session: str, *, resources: Resources | None = None) -> dict[str, Any]:
    """Measure a traded day against the backtest, store the split, and alert when the signals were not the same.

    Call it once the session is on record; called again, it adds a newer measurement, and alerts if the signals differ in
    another way than before.
    """
    resources = resources or live()
    day = measure(resources, dt.date.fromisoformat(session))
    row = row_of(day, resources.settings.portfolio, joint_name(resources.strategies))
    ledger = resources.parity_ledger
    before = ledger.of_session(resources.settings.portfolio, day.session)
    ledger.add(row)
    if _signal_rows(row) and (before is None or _signal_rows(row) != _signal_rows(before)):
        said = [f"{each.symbol}: {each.detail}" for each in day.differences if each.cause == "signal"]
        resources.alerts.send(f"Signals of {session} are not the backtest's", "\n".join(said))
    kept = (f"{cause}_{what}" for cause in CAUSES for what in ("differences", "usd"))
    return {"session": session, **{name: row[name] for name in kept}, "details": row["details"]}


def _signal_rows(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The differences in signals of a measured day."""
    return [each for each in row["details"] if each["cause"] == "signal"]


def measure(resources: Resources, day: dt.date) -> Day:
    """Hold the live portfolio's session `day` against the backtest: the orders it filled, and the signals of its close."""
    before = sessions_between(day - dt.timedelta(days=10), day)[-2].date()
    portfolio = resources.settings.portfolio
    signals = signals_at(resources, resources.strategies, (before, day))
    parts = [_signals_apart(resources, each, signals) for each in (before, day)]
    apart = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    then = apart[apart["session"] == pd.Timestamp(before)]
    decided = set(zip(then["strategy"], then["symbol"], strict=True))
    closes = closes_at(resources, day)
    made = [pair for pair in resources.ledger.fills(portfolio) if pair[1].session == day]
    expected = _lived_again(resources, before, day, signals)
    mine, theirs = _money(made, closes), _money(expected, closes)
    named = zip(apart["strategy"], apart["symbol"], apart["session"], apart["detail"], strict=True)
    rows = [Difference("signal", name, symbol, f"{session:%Y-%m-%d}: {detail}") for name, symbol, session, detail in named]
    for key in sorted({*mine, *theirs}):
        rows += _difference(key, mine.get(key), theirs.get(key), signal=key[:2] in decided)
    return Day(day, tuple(rows), _total(mine), _total(theirs))


def signals_at(
    resources: Resources, strategies: Sequence[Strategy], days: tuple[dt.date, ...], as_of: dt.datetime | None = None
) -> pd.DataFrame:
    """SIGNALS with strategy, symbol and close of some sessions, computed now from the bars known at `as_of`, or all."""
    from features.regime import with_vix

    bars = resources.bars.read([*resources.universe(), VIX], end=max(days), as_of=as_of)
    vix = bars[bars["symbol"] == VIX]
    rows = []
    for _, part in bars[bars["symbol"] != VIX].groupby("symbol"):
        signals = signals_of(strategies, with_vix(part.reset_index(drop=True), vix))
        rows.append(signals[signals["session"].isin([pd.Timestamp(day) for day in days])])
    return pd.concat(rows, ignore_index=True)


def closes_at(resources: Resources, day: dt.date, as_of: dt.datetime | None = None) -> dict[str, float]:
    """Last close of each symbol of the universe, and of each that was ever held, at or before a session."""
    traded = {fill.symbol for _, fill in resources.ledger.fills(resources.settings.portfolio)}
    return closing_prices(resources.bars, {*resources.universe(), *traded}, day, as_of)


def holdings_before(resources: Resources, book: MemoryBook, before: dt.date, as_of: dt.datetime | None = None) -> Holdings:
    """What the portfolio had at the close of `before`, for a decision there."""
    ledger, portfolio = resources.ledger, resources.settings.portfolio
    waiting = [order for order, _ in book.open_orders(portfolio)]
    history = ledger.equity(portfolio)
    at = history.loc[history["session"] == pd.Timestamp(before), "cash_usd"]
    initial = initial_equity_usd(resources.account)
    cash = float(at.iloc[0]) if len(at) else initial + float(book.cash_flow_usd(portfolio))
    past = history.loc[history["session"] < pd.Timestamp(before), "equity_usd"]
    peak = max(initial, float(past.max())) if len(past) else initial
    return Holdings(portfolio, book.positions(portfolio), waiting, cash, closes_at(resources, before, as_of), peak)


def decide_again(
    resources: Resources, strategies: Sequence[Strategy], session: dt.date, *, as_of: dt.datetime | None = None
) -> tuple[OrderIntent, ...]:
    """What the desk decides at a close it has lived through, from the bars known at `as_of` and what it held then."""
    signals = signals_at(resources, strategies, (session,), as_of)
    return _decided(resources, strategies, _book_at(resources, session), session, signals, as_of)


def fill_again(resources: Resources, strategies: Sequence[Strategy], session: dt.date, client_order_id: str) -> dict[str, Any]:
    """A stop or target that the paper broker executed in a session, executed again; `same` is None at any other venue."""
    stored = [
        fill for order, fill in resources.ledger.fills(resources.settings.portfolio) if order.client_order_id == client_order_id
    ]
    if resources.paper is None or not stored:
        return {"same": None, "why": "the venue executed it by its own prices" if stored else "no fill on record"}
    before = sessions_between(session - dt.timedelta(days=10), session)[-2].date()
    fresh = [
        fill
        for order, fill in _lived_again(resources, before, session, signals_at(resources, strategies, (before,)))
        if order.client_order_id == client_order_id
    ]
    return {"same": fresh == stored, "why": "" if fresh == stored else f"stored {stored}, again {fresh}"}


def _lived_again(resources: Resources, before: dt.date, day: dt.date, signals: pd.DataFrame) -> list[tuple[OrderIntent, Fill]]:
    """The session's fills had the backtest decided at the close before it."""
    portfolio = resources.settings.portfolio
    book = _book_at(resources, before)
    known = {fill.fill_id for _, fill in book.fills(portfolio)}
    broker = PaperBroker(book, resources.costs, portfolio=portfolio)
    place(book, broker, _decided(resources, resources.strategies, book, before, signals))
    broker.advance(day, resources.bars.read(resources.universe(), start=day, end=day))
    return [pair for pair in book.fills(portfolio) if pair[1].fill_id not in known]


def _decided(  # noqa: PLR0917  # private, each named at its calls
    resources: Resources,
    strategies: Sequence[Strategy],
    book: MemoryBook,
    session: dt.date,
    signals: pd.DataFrame,
    as_of: dt.datetime | None = None,
) -> tuple[OrderIntent, ...]:
    rows = signals[signals["session"] == pd.Timestamp(session)].reset_index(drop=True)
    said, holdings = answers_of(resources.ledger.predictions(session)), holdings_before(resources, book, session, as_of)
    decisions = decide(
        session, rows, strategies, holdings, resources.limits, accept=said.accept, probability=said.probability, arms=said.arms
    )
    return decisions.intents


def _book_at(resources: Resources, session: dt.date) -> MemoryBook:
    """The book at the close of a session, without the orders decided there."""
    return _with_waiting(resources, book_before(resources.ledger, resources.settings.portfolio, next_session(session)), session)


def _with_waiting(resources: Resources, book: MemoryBook, before: dt.date) -> MemoryBook:
    """Add the exits that were decided earlier and have not been filled: they wait for a bar."""
    portfolio = resources.settings.portfolio
    open_exits = [order for order, _ in resources.ledger.open_orders(portfolio)]
    later = [order for order, fill in resources.ledger.fills(portfolio) if fill.session > before]
    for order in (*open_exits, *later):
        if order.leg is Leg.EXIT and order.decision_session < before and book.order(order.client_order_id) is None:
            accept(book, order)
    return book


def _signals_apart(resources: Resources, day: dt.date, signals: pd.DataFrame) -> pd.DataFrame:
    """Stored signals of a session that differ from the ones computed now, with a word about why."""
    stored = resources.ledger.signals(day)
    stored = stored[stored["strategy"].isin([strategy.name for strategy in resources.strategies])]
    apart = signal_gap(stored, signals[signals["session"] == pd.Timestamp(day)])
    if stored.empty or apart.empty:  # a day on which the desk did not run has no signals to differ
        return apart.iloc[:0]
    moment = deadlines(pd.DatetimeIndex([pd.Timestamp(day)]))[0].to_pydatetime()
    then = signal_gap(stored, signals_at(resources, resources.strategies, (day,), as_of=moment))
    why = " (a bar was revised since)" if then.empty else " (not even from the bars known then: code or parameters changed)"
    return apart.assign(detail=apart["detail"] + why)


def _difference(key: Key, mine: Money | None, theirs: Money | None, *, signal: bool) -> list[Difference]:
    """How an entry or exit differs: its raw price, its cost, or that one side alone has it."""
    strategy, symbol, leg = key
    if mine is None or theirs is None:
        gap = _net(mine) - _net(theirs)
        said = f"{leg} not filled" if mine is None else f"{leg} filled, not in the backtest"
        return [Difference("signal" if signal else "missed", strategy, symbol, said, gap)]
    raw, cost = mine.raw_usd - theirs.raw_usd, theirs.cost_usd - mine.cost_usd
    parts = [("signal" if signal else "fill", f"{leg} at another price or of another size", raw), ("cost", f"{leg}", cost)]
    return [Difference(cause, strategy, symbol, said, gap) for cause, said, gap in parts if abs(gap) >= CENT]


def _money(pairs: Iterable[tuple[OrderIntent, Fill]], closes: Mapping[str, float]) -> dict[Key, Money]:
    """Fills of a session, by strategy, symbol and leg."""
    found: dict[Key, Money] = defaultdict(lambda: Money(0.0, 0.0))
    for order, fill in pairs:
        quantity, raw = float(fill.quantity), float(fill.raw_price)
        signed = quantity if fill.side is Side.BUY else -quantity
        taken = abs(float(fill.price) - raw) * quantity + float(fill.commission_usd)
        before = found[order.strategy, fill.symbol, order.leg]
        gained = signed * (closes.get(fill.symbol, raw) - raw)
        found[order.strategy, fill.symbol, order.leg] = Money(before.raw_usd + gained, before.cost_usd + taken)
    return dict(found)


def _net(money: Money | None) -> float:
    return 0.0 if money is None else money.raw_usd - money.cost_usd


def _total(money: Mapping[Key, Money]) -> float:
    return sum(_net(each) for each in money.values())


def row_of(day: Day, portfolio: str, strategy: str) -> dict[str, Any]:
    """The day as a row of `trading.parity_days`."""
    return {
        "portfolio": portfolio,
        "strategy": strategy,
        "session": day.session,
        **{f"{cause}_differences": day.count(cause) for cause in CAUSES},
        **{f"{cause}_usd": day.usd(cause) for cause in CAUSES},
        "record_usd": day.record_usd,
        "backtest_usd": day.backtest_usd,
        "details": [
            {name: getattr(each, name) for name in ("cause", "strategy", "symbol", "detail", "gap_usd")}
            for each in day.differences
        ],
    }
