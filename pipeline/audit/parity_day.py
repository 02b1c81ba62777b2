"""Compare one traded day with the backtest and split the difference of their profits by cause.

The day is decided again from what the portfolio held at the close before it, on the bars and signals as they are known today,
and filled by the paper broker. Both days, the recorded and the expected one, are marked to the same closes, so that the
difference of their profits comes from fills alone; each fill present in both splits into its raw price (fill) and what it paid
(cost).
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from core.book_events import exact_ratio
from core.models import Leg, Side
from pipeline.accounts.recorded_actions import ratio_since, recorded_actions
from pipeline.audit.decision_replay import DecisionInputs, closes_at, decision_signals, repeat_fills, session_before
from pipeline.audit.parity import CAUSES, FAR, signal_differences
from pipeline.audit.trade_differences import CENT
from pipeline.audit.vintages import decision_deadlines
from pipeline.resources import Resources, live
from pipeline.signals import joint_name
from trading.corporate_actions import scaled_fill

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from core.models import Fill, OrderIntent
    from storage.market.bars import BarStore

Key = tuple[str, str, Leg]  # strategy, symbol, leg: a symbol is entered and left at most once a session by each strategy


class FillValue(NamedTuple):
    """Value of fills at the close of their session: at raw prices, and what slippage and commission took."""

    raw_usd: float
    cost_usd: float


@dataclass(frozen=True)
class Difference:
    """One fill, decision or signal in which the day and the backtest differ."""

    cause: str
    strategy: str
    symbol: str
    detail: str
    gap_usd: float = 0.0


@dataclass(frozen=True)
class ParityDay:
    """A traded day compared with the backtest.

    Attributes
    ----------
    record_usd, backtest_usd
        Profit of the session's fills by its close, in the ledger and in the backtest.
    """

    session: dt.date
    differences: tuple[Difference, ...]
    record_usd: float
    backtest_usd: float

    def count(self, cause: str) -> int:
        """Return the number of differences of a cause."""
        return sum(each.cause == cause for each in self.differences)

    def usd(self, cause: str) -> float:
        """Return the money of a cause's differences: the record's profit less the backtest's."""
        return sum(each.gap_usd for each in self.differences if each.cause == cause)

    def details(self) -> list[dict[str, Any]]:
        """Return the differences as JSON values."""
        return [asdict(each) for each in self.differences]

    def split(self) -> dict[str, Any]:
        """Return `<cause>_differences` and `<cause>_usd` of each cause."""
        counts = {f"{cause}_differences": self.count(cause) for cause in CAUSES}
        return counts | {f"{cause}_usd": self.usd(cause) for cause in CAUSES}

    def as_dict(self) -> dict[str, Any]:
        """Return the session, the split by cause and the details as JSON values."""
        ordered = (f"{cause}_{part}" for cause in CAUSES for part in ("differences", "usd"))
        split = self.split()
        return {"session": self.session.isoformat(), **{name: split[name] for name in ordered}, "details": self.details()}


def record_day(session: str, *, resources: Resources | None = None) -> ParityDay:
    """Compare a traded day with the backtest, store the split, and alert when the signals were not the same.

    Call it once the session is on record; called again, it adds a newer measurement, and alerts if the signals differ in
    another way than before.
    """
    resources = resources or live()
    inputs = DecisionInputs.of(resources)
    day = measure_day(inputs, dt.date.fromisoformat(session))
    row, portfolio = row_of(day, inputs.account.portfolio, joint_name(inputs.strategies)), inputs.account.portfolio
    before = resources.parity_ledger.of_session(portfolio, day.session)
    resources.parity_ledger.add(row)
    if _signal_rows(row) and (before is None or _signal_rows(row) != _signal_rows(before)):
        lines = [f"{each.symbol}: {each.detail}" for each in day.differences if each.cause == "signal"]
        resources.alerts.send(f"Signals of {session} are not the backtest's", "\n".join(lines))
    return day


def measure_day(inputs: DecisionInputs, day: dt.date) -> ParityDay:
    """Compare the live portfolio's session `day` with the backtest: the orders it filled, and the signals of its close."""
    before, portfolio = session_before(day), inputs.account.portfolio
    signals = pd.concat([decision_signals(inputs, each) for each in (before, day)], ignore_index=True)
    parts = [_stored_signal_differences(inputs, each, signals) for each in (before, day)]
    differing = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    decided = differing[differing["session"] == pd.Timestamp(before)]
    signal_keys = set(zip(decided["strategy"], decided["symbol"], strict=True))
    closes = closes_at(inputs, day)
    ledger = inputs.account.ledger
    recorded = [pair for pair in ledger.fills(portfolio) if pair[1].session == day]
    if inputs.as_of is None:
        recorded = _in_terms_of_bars(inputs.bars, recorded)
    mine, theirs = _values(recorded, closes), _values(repeat_fills(inputs, day, signals), closes)
    named = zip(differing["strategy"], differing["symbol"], differing["session"], differing["detail"], strict=True)
    rows = [Difference("signal", name, symbol, f"{session:%Y-%m-%d}: {detail}") for name, symbol, session, detail in named]
    for key in sorted({*mine, *theirs}):
        rows += _fill_differences(key, mine.get(key), theirs.get(key), signal=key[:2] in signal_keys)
    return ParityDay(day, tuple(rows), _total(mine), _total(theirs))


def row_of(day: ParityDay, portfolio: str, strategy: str) -> dict[str, Any]:
    """Return the day as a row of `trading.parity_days`."""
    return {
        "portfolio": portfolio,
        "strategy": strategy,
        "session": day.session,
        **day.split(),
        "record_usd": day.record_usd,
        "backtest_usd": day.backtest_usd,
        "details": day.details(),
    }


def _signal_rows(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the differences in signals of a stored day."""
    return [each for each in row["details"] if each["cause"] == "signal"]


def _stored_signal_differences(inputs: DecisionInputs, day: dt.date, signals: pd.DataFrame) -> pd.DataFrame:
    """Return the stored signals of a session that differ from the ones computed now, with the reason in `detail`."""
    stored = _listed(inputs, inputs.account.ledger.signals(day))
    differing = signal_differences(stored, _listed(inputs, signals[signals["session"] == pd.Timestamp(day)]))
    if stored.empty or differing.empty:  # a day on which the desk did not run has no signals to differ
        return differing.iloc[:0]
    moment = decision_deadlines(pd.DatetimeIndex([pd.Timestamp(day)]))[0].to_pydatetime()
    point_in_time = signal_differences(stored, _listed(inputs, decision_signals(inputs.at(moment), day)))
    revised, changed = " (a bar was revised since)", " (not even from the bars known then: code or parameters changed)"
    return differing.assign(detail=differing["detail"] + (revised if point_in_time.empty else changed))


def _listed(inputs: DecisionInputs, signals: pd.DataFrame) -> pd.DataFrame:
    """Return the signals of the strategies that trade."""
    return signals[signals["strategy"].isin([strategy.name for strategy in inputs.strategies])]


def _fill_differences(key: Key, mine: FillValue | None, theirs: FillValue | None, *, signal: bool) -> list[Difference]:
    """Return how an entry or exit differs: its raw price, its cost, or that one side alone has it."""
    strategy, symbol, leg = key
    if mine is None or theirs is None:
        gap = _net(mine) - _net(theirs)
        detail = f"{leg} not filled" if mine is None else f"{leg} filled, not in the backtest"
        return [Difference("signal" if signal else "missed", strategy, symbol, detail, gap)]
    raw, cost = mine.raw_usd - theirs.raw_usd, theirs.cost_usd - mine.cost_usd
    parts = [("signal" if signal else "fill", f"{leg} at another price or of another size", raw), ("cost", f"{leg}", cost)]
    return [Difference(cause, strategy, symbol, detail, gap) for cause, detail, gap in parts if abs(gap) >= CENT]


def _values(pairs: Iterable[tuple[OrderIntent, Fill]], closes: Mapping[str, float]) -> dict[Key, FillValue]:
    """Return the value of a session's fills by strategy, symbol and leg."""
    values: dict[Key, FillValue] = defaultdict(lambda: FillValue(0.0, 0.0))
    for order, fill in pairs:
        quantity, raw = float(fill.quantity), float(fill.raw_price)
        signed = quantity if fill.side is Side.BUY else -quantity
        taken = abs(float(fill.price) - raw) * quantity + float(fill.commission_usd)
        key = (order.strategy, fill.symbol, order.leg)
        before, gained = values[key], signed * (closes.get(fill.symbol, raw) - raw)
        values[key] = FillValue(before.raw_usd + gained, before.cost_usd + taken)
    return dict(values)


def _in_terms_of_bars(bars: BarStore, pairs: list[tuple[OrderIntent, Fill]]) -> list[tuple[OrderIntent, Fill]]:
    """Return fills of a session in the terms of the newest bars, which later splits have re-scaled."""
    actions = recorded_actions(bars, sorted({fill.symbol for _, fill in pairs}), FAR) if pairs else {}
    if not actions:
        return pairs
    scaled = []
    for order, fill in pairs:
        since = ratio_since(bars, actions, fill.symbol, fill.session, float(fill.raw_price), after=fill.session)
        ratio = exact_ratio(since)
        scaled.append((order, scaled_fill(fill, ratio, ratio)))
    return scaled


def _net(value: FillValue | None) -> float:
    return 0.0 if value is None else value.raw_usd - value.cost_usd


def _total(values: Mapping[Key, FillValue]) -> float:
    return sum(_net(each) for each in values.values())
