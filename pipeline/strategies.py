"""Build strategies from stored parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.trading.strategy_params import Snapshot, Stored
    from trading.strategies.base import Strategy


def rule_of(name: str, snapshot: Snapshot) -> Strategy:
    """Return the strategy with the parameters in force: those for all symbols, and their own for the symbols that have some.

    Nothing stored gives the strategy's defaults. The time limit of all symbols is the one of the row for all symbols, because
    the engine takes one a strategy.

    Raises
    ------
    ConfigError
        When a stored row does not fit the strategy, as after an upgrade that renamed a parameter; names the row.
    """
    from trading.strategies.per_symbol import PerSymbol

    general = snapshot.rows.get((name, None))
    default = _built(name, general, {})
    shared = {"max_sessions": default.max_sessions}
    rows = {symbol: snapshot.rows[name, symbol] for symbol in snapshot.symbols(name)}
    own = {symbol: _built(name, row, shared) for symbol, row in rows.items() if row.params}
    return PerSymbol(own, default) if own else default


def desk_rules(names: Sequence[str], snapshot: Snapshot) -> tuple[Strategy, ...]:
    """Return the rules of a desk that decides at the close, without filters and switches.

    Raises
    ------
    ConfigError
        When one decides at the open, which the daily desk does not run, or two have one name.
    """
    rules = tuple(rule_of(name, snapshot) for name in names)
    early = [rule.name for rule in rules if rule.entry == "open"]
    if early:
        raise ConfigError(
            f"STRATEGIES: {early[0]} decides at the open, and the daily desk decides at the close before it. Take it out; it "
            f"can be researched: `desk backtest --strategy {early[0]}`."
        )
    if len({rule.name for rule in rules}) < len(rules):
        raise ConfigError(f"STRATEGIES: expected different ones, found {', '.join(sorted(rule.name for rule in rules))}.")
    return rules


def switched(strategy: Strategy, name: str, snapshot: Snapshot) -> Strategy:
    """Return the strategy without entries in the symbols that are switched off under `name`; itself when none is."""
    from trading.strategies.per_symbol import Switch

    general = snapshot.rows.get((name, None))
    if general is not None and not general.enabled:
        return Switch(strategy)
    off = frozenset(symbol for symbol in snapshot.symbols(name) if not snapshot.rows[name, symbol].enabled)
    return Switch(strategy, off) if off else strategy


def _built(name: str, row: Stored | None, shared: dict[str, Any]) -> Strategy:
    from trading.strategies.registry import make_strategy

    if row is None:
        return make_strategy(name)
    params = {**row.params, **{key: value for key, value in shared.items() if key in row.params}}
    try:
        return make_strategy(name, params)
    except ConfigError as error:
        raise ConfigError(
            f"Stored parameters of {name!r} for {row.symbol or 'all symbols'}, version {row.version}: {error} "
            f"Set them again: `desk params set {name} ...`."
        ) from error
