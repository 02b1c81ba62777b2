"""The rules that open positions are left by where it is not a strategy of `STRATEGIES`: exits only, never an entry.

A position is left by the rule that opened it, with its parameters, until it is closed or a person hands it over. So a strategy
that was taken out of `STRATEGIES` goes on leaving its positions, and so does one whose symbol left the universe. Of a rule that
cannot be built any more only the position's time limit is left, and a person is told each day.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import pandas as pd

from core.frames import SIGNALS
from pipeline.signals import signals_of
from pipeline.sleeves import symbols_of
from pipeline.strategies import rule_of
from storage.trading.position_rules import RuleSource
from trading.strategies.named import Named
from trading.strategies.per_symbol import base_rule
from trading.strategies.registry import STRATEGIES, make_strategy
from trading.strategies.vix_filter import rule_name

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from core.models import OrderIntent, Position
    from monitoring.alerts import Alerts
    from pipeline.resources import Resources
    from storage.trading.ledger import Ledger
    from storage.trading.position_rules import PositionRules
    from storage.trading.strategy_params import StrategyParams
    from trading.decide import Key
    from trading.strategies.base import Entry, Exit, Strategy

UNMANAGED: Final = "unmanaged"
EXITS = ["exit_long", "exit_short"]


class Orphan(NamedTuple):
    """A position whose rule cannot be built, and why."""

    strategy: str
    symbol: str
    why: str

    def __str__(self) -> str:
        return (
            f"{self.symbol} of {self.strategy} has no rule that leaves it, but its stop, target and time limit: {self.why} "
            f"Hand it over: `desk hand-over {self.strategy} {self.symbol} --to STRATEGY` or `--to-person NAME`."
        )


@dataclass(frozen=True)
class TimeLimitOnly:
    """Stand-in for a rule that cannot be built: no signals, so that the position's own time limit alone leaves it."""

    name: str
    entry: Entry = "next_open"
    exit: Exit = "next_open"
    max_sessions: int | None = None

    def signals(self, bars: pd.DataFrame) -> pd.DataFrame:
        """Return SIGNALS that enter and leave nothing."""
        silent = {"session": bars["session"].to_numpy(), "entry": 0, **dict.fromkeys(EXITS, False)}
        return SIGNALS.coerce(pd.DataFrame(silent | dict.fromkeys(("stop_pct", "target_pct", "strength"), float("nan"))))

    def describe(self) -> dict[str, Any]:
        """Return no parameters."""
        return {}


@dataclass(frozen=True)
class ExitRules:
    """The rules of positions that no listed strategy leaves, by strategy and symbol; None where a person does."""

    rules: Mapping[Key, Strategy | None]
    orphans: tuple[Orphan, ...] = ()

    @property
    def symbols(self) -> list[str]:
        """The symbols whose bars the rules need, sorted."""
        return sorted({symbol for (_, symbol), rule in self.rules.items() if rule is not None})

    def add_signals(self, signals: pd.DataFrame, day: dt.date, bars: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        """Return the signals of a session with those of these rules, under the names of the strategies that hold the positions.

        A row that is there keeps everything but its exits. A symbol without a bar for the session gets no row.
        """
        stamp, added = pd.Timestamp(day), []
        signals = signals.copy()
        for (strategy, symbol), rule in self.rules.items():
            own = bars.get(symbol)
            if rule is None or own is None or own["session"].iloc[-1] != stamp:
                continue
            row = signals_of((rule,), own).query("session == @stamp").assign(strategy=strategy)
            there = (signals["strategy"] == strategy) & (signals["symbol"] == symbol) if len(signals) else pd.Series(dtype=bool)
            if there.any():
                signals.loc[there, EXITS] = row[EXITS].to_numpy()
            else:  # another rule's entries are not this strategy's
                added.append(row if rule.name == strategy else row.assign(entry=row["entry"].mul(0).astype("int8")))
        return pd.concat([*([signals] if len(signals) else []), *added], ignore_index=True) if added else signals


@dataclass(frozen=True)
class ExitRuleBook:
    """Finds the rule of each position.

    Attributes
    ----------
    listed
        The strategies that trade.
    symbols
        The symbols that each of them trades, by its name.
    """

    listed: Sequence[Strategy]
    symbols: Mapping[str, Collection[str]]
    store: PositionRules
    parameters: StrategyParams

    @classmethod
    def of(cls, resources: Resources) -> Self:
        """Build from the desk's strategies, universe and stores."""
        return cls(resources.strategies, symbols_of(resources.sleeves), resources.position_rules, resources.parameters)

    def rules_of(self, positions: Iterable[Position], until: dt.datetime | None = None) -> ExitRules:
        """Return the rules of those positions that are not left by a listed strategy in one of its symbols.

        Parameters
        ----------
        until
            Hand-overs up to this moment (aware) count; None: all.
        """
        held = list(positions)
        listed = {strategy.name: strategy for strategy in self.listed}
        entries = [position.entry_order_id for position in held]
        given = self.store.hand_overs(entries, until) if entries else {}
        rules: dict[Key, Strategy | None] = {}
        orphans = []
        for position in held:
            key, handed = (position.strategy, position.symbol), given.get(position.entry_order_id)
            if handed is not None and handed.person:
                rules[key] = None
            elif handed is None and position.strategy in listed:
                if position.symbol not in self.symbols[position.strategy]:
                    rules[key] = listed[position.strategy]
            else:
                try:
                    rules[key] = _built(RuleSource(handed.source, handed.params)) if handed else self._opener(position)
                except Exception as error:  # noqa: BLE001  # a user's own file may raise anything; a person reads it each day
                    rules[key] = TimeLimitOnly(position.strategy)
                    orphans.append(Orphan(*key, str(error)))
        return ExitRules(rules, tuple(orphans))

    def _opener(self, position: Position) -> Strategy:
        """Return the rule that opened a position: the stored one, else that of its name as parameters were at the entry."""
        order_id = position.entry_order_id
        stored = self.store.entries([order_id]).get(order_id)
        if stored is not None:
            return _named(_built(stored), position.strategy)
        snapshot = self.parameters.as_of(self.store.decided_at([order_id]).get(order_id))
        return _named(rule_of(rule_name(position.strategy), snapshot), position.strategy)


def sources_of(entries: Iterable[OrderIntent], strategies: Sequence[Strategy], listed: Iterable[str]) -> dict[str, RuleSource]:
    """Return what the rule of each entry is built from, by its order.

    Parameters
    ----------
    listed
        `STRATEGIES`, which has the files of a user's own strategies.
    """
    by_name = {strategy.name: strategy for strategy in strategies}
    files = {make_strategy(name).name: name for name in listed if ".py:" in name}
    rules = {order.client_order_id: base_rule(by_name[order.strategy], order.symbol) for order in entries}
    return {
        order_id: RuleSource(rule.name if rule.name in STRATEGIES else files.get(rule.name, rule.name), rule.describe())
        for order_id, rule in rules.items()
    }


def alert_orphans(orphans: Sequence[Orphan], day: dt.date, portfolio: str, ledger: Ledger, alerts: Alerts) -> None:
    """Mail the positions without a rule, once a session."""
    row = {"portfolio": portfolio, "session": day, "reason": UNMANAGED}
    rows = [row | {"strategy": each.strategy, "symbol": each.symbol, "details": {"why": each.why}} for each in orphans]
    if ledger.save_risk_events(rows):
        alerts.send(f"{len(orphans)} positions have no rule that leaves them", "\n".join(map(str, orphans)), "critical")


def _built(rule: RuleSource) -> Strategy:
    return make_strategy(rule.source, rule.params)


def _named(rule: Strategy, name: str) -> Strategy:
    """Return the rule under the name that its positions carry; a filter, which touches no exit, may have given it."""
    return rule if rule.name == name else Named(rule, name)
