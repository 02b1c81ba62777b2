"""Change the stored strategy parameters and list those in force. Every change is checked first; storage has the versions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from core.errors import ConfigError, UnknownSymbol
from core.sessions import normalise_symbol
from pipeline.resources import Resources, live
from pipeline.strategies import rule_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from storage.market.bars import BarStore
    from storage.trading.strategy_params import Snapshot, Stored, StrategyParams


@dataclass(frozen=True)
class InForce:
    """Every parameter that a strategy has in a symbol (None: in all others), and the row it comes from (None: no row)."""

    strategy: str
    symbol: str | None
    params: Mapping[str, Any]
    stored: Stored | None


def change(
    strategy: str,
    values: Mapping[str, Any],
    *,
    symbol: str | None = None,
    reset: bool = False,
    expected_version: int | None = None,
    reason: str,
    author: str = "",
    resources: Resources | None = None,
) -> Stored:
    """Store a new version of a strategy's parameters and return it; what is switched off stays off.

    Parameters
    ----------
    strategy
        A strategy's name; `name:preset` starts from the preset, else the parameters in force are the start.
    values
        Parameters that change.
    symbol
        For this symbol alone; None for all without parameters of their own.
    reset
        Back to the parameters for all symbols, or without a symbol to the strategy's defaults.
    expected_version
        The version that the change was made from, 0 for none; unless given, the newest now.

    Raises
    ------
    ConfigError
        When a name, a parameter or the version is wrong, there is nothing to change, or the symbol's time limit would differ
        from all others'.
    UnknownSymbol
        When the symbol is neither stored nor in the universe.
    """
    from trading.strategies.registry import make_strategy, split_preset

    resources = resources or live()
    name, preset = split_preset(strategy)
    require_name(name)
    if reset == bool(values or preset):
        raise ConfigError("Expected parameters, a preset, or a reset alone; found " + ("both." if reset else "none of them."))
    wanted = require_symbol(symbol, resources.bars, resources.universe)
    snapshot = resources.parameters.as_of(None)
    row = snapshot.rows.get((name, wanted))
    if preset is None:
        start = snapshot.current(name, wanted)
        built = make_strategy(name, {**(start.params if start else {}), **values})
    else:
        built = make_strategy(strategy, values)
    params = {} if reset else built.describe()
    if wanted is not None and params:
        _require_same_limit(name, wanted, params, snapshot)
    return _store(
        resources.parameters,
        name,
        params,
        symbol=wanted,
        enabled=row.enabled if row else True,
        preset=preset,
        expected_version=(row.version if row else 0) if expected_version is None else expected_version,
        reason=reason,
        author=author,
    )


def switch(
    strategy: str,
    *,
    enabled: bool,
    symbol: str | None = None,
    reason: str,
    author: str = "",
    resources: Resources | None = None,
) -> Stored:
    """Switch a strategy's entries off or on, in one symbol or in all, and return the new version; parameters stay."""
    resources = resources or live()
    require_name(strategy)
    wanted = require_symbol(symbol, resources.bars, resources.universe)
    row = resources.parameters.as_of(None).rows.get((strategy, wanted))
    return _store(
        resources.parameters,
        strategy,
        row.params if row else {},
        symbol=wanted,
        enabled=enabled,
        preset=row.preset if row else None,
        expected_version=row.version if row else 0,
        reason=reason,
        author=author,
    )


def in_force(strategy: str | None = None, symbol: str | None = None, *, resources: Resources | None = None) -> list[InForce]:
    """Return the parameters in force of one strategy or all: for all symbols and each with its own row, or for `symbol`."""
    from trading.strategies.per_symbol import PerSymbol
    from trading.strategies.registry import STRATEGIES

    resources = resources or live()
    if strategy is not None:
        require_name(strategy)
    wanted = require_symbol(symbol, resources.bars, resources.universe)
    snapshot = resources.parameters.as_of(None)
    rows = []
    for name in [strategy] if strategy else STRATEGIES:
        rule = rule_of(name, snapshot)
        for each in [wanted] if wanted else [None, *snapshot.symbols(name)]:
            own = rule.strategy_by_symbol.get(each or "", rule.strategy) if isinstance(rule, PerSymbol) else rule
            rows.append(InForce(name, each, own.describe(), snapshot.current(name, each)))
    return rows


def history(strategy: str, symbol: str | None = None, *, resources: Resources | None = None) -> pd.DataFrame:
    """Return every version ever set, oldest first: `storage.trading.strategy_params.HISTORY`."""
    resources = resources or live()
    require_name(strategy)
    return resources.parameters.history(strategy, require_symbol(symbol, resources.bars, resources.universe))


def require_name(name: str) -> None:
    """Refuse a name that is no built-in strategy: a user's own file has no parameters on record."""
    from trading.strategies.registry import STRATEGIES, make_strategy

    if name not in STRATEGIES:
        make_strategy(name)  # an unknown name is refused there, with the nearest one
        raise ConfigError(f"Stored parameters: expected one of {', '.join(STRATEGIES)}, found {name!r}.")


def require_symbol(symbol: str | None, bars: BarStore, universe: Callable[[], Sequence[str]]) -> str | None:
    """Return the symbol in the desk's spelling; refuse one that nobody trades: a misspelt symbol would switch off nothing."""
    if symbol is None:
        return None
    wanted, traded = normalise_symbol(symbol), {*bars.symbols(), *universe()}
    if wanted not in traded:
        raise UnknownSymbol(wanted, sorted(traded))
    return wanted


def _require_same_limit(name: str, symbol: str, params: Mapping[str, Any], snapshot: Snapshot) -> None:
    """Refuse a symbol's own parameters with which the desk could not trade it beside all others."""
    from trading.strategies.per_symbol import PerSymbol
    from trading.strategies.registry import make_strategy

    for_all = replace(snapshot, rows={key: row for key, row in snapshot.rows.items() if key[1] is None})
    PerSymbol({symbol: make_strategy(name, params)}, rule_of(name, for_all))


def _store(store: StrategyParams, name: str, params: Mapping[str, Any], *, symbol: str | None, **version: Any) -> Stored:  # noqa: ANN401  # columns of the row
    """Add the version and return it as it was stored."""
    store.set(name, params, symbol=symbol, **version)
    return store.as_of(None).rows[name, symbol]
