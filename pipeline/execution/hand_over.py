"""Hand a position over: to another rule, or to a person. From then on that rule leaves it, or no rule does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from core.errors import ConfigError
from core.sessions import normalise_symbol
from pipeline.resources import Resources, live
from pipeline.strategies import rule_of
from storage.trading.position_rules import HandOver, RuleSource
from trading.strategies.per_symbol import base_rule
from trading.strategies.registry import STRATEGIES, make_strategy
from trading.strategies.vix_filter import rule_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.models import Position
    from storage.trading.strategy_params import Snapshot

log = structlog.get_logger()


def hand_over(
    strategy: str,
    symbol: str,
    *,
    to: str = "",
    person: str = "",
    reason: str,
    author: str = "",
    resources: Resources | None = None,
) -> HandOver:
    """Record who leaves a position from now on, and return the record. Stop, target and time limit of the position stay.

    A person's position is left by no rule and no time limit; its stop and target go on protecting it. The newest hand-over of a
    position counts, so that it can be handed back.

    Parameters
    ----------
    strategy
        The strategy that holds the position, with or without the VIX filter's suffix.
    to
        Name of the strategy whose exits count: with the parameters in force now, or those of a preset, `name:preset`.
    person
        Name of the person who takes it.

    Raises
    ------
    ConfigError
        When there is no such position or strategy, no reason, or not exactly one to hand it to.
    """
    resources = resources or live()
    if bool(to) == bool(person.strip()):
        raise ConfigError("Hand over: expected a strategy or a person, found " + ("both." if to else "neither."))
    if not reason.strip():
        raise ConfigError("Hand over: expected a reason, found none.")
    portfolio = resources.settings.portfolio
    position = _position(resources.ledger.positions(portfolio), strategy, normalise_symbol(symbol))
    rule = _source(to, position.symbol, resources.parameters.as_of(None)) if to else RuleSource("")
    given = HandOver(
        portfolio=portfolio,
        strategy=position.strategy,
        symbol=position.symbol,
        entry_order_id=position.entry_order_id,
        person=person.strip(),
        source=rule.source,
        params=rule.params,
        author=author,
        reason=reason.strip(),
    )
    resources.position_rules.hand_over(given)
    log.info("handed_over", strategy=given.strategy, symbol=given.symbol, to=given.source or given.person, reason=given.reason)
    return given


def _position(positions: Sequence[Position], strategy: str, symbol: str) -> Position:
    """Return the position of a strategy in a symbol; an exact name before one without the suffix."""
    mine = [held for held in positions if held.symbol == symbol]
    for names in ([held.strategy for held in mine], [rule_name(held.strategy) for held in mine]):
        if strategy in names:
            return mine[names.index(strategy)]
    held = ", ".join(f"{each.strategy} {each.symbol}" for each in positions) or "none"
    raise ConfigError(f"Hand over: expected a position that is held, found {strategy} {symbol}. Held: {held}.")


def _source(name: str, symbol: str, snapshot: Snapshot) -> RuleSource:
    """Return what the rule is built from, with every parameter that it has in the symbol now."""
    if ".py:" in name:
        return RuleSource(name, make_strategy(name).describe())
    rule = base_rule(rule_of(name, snapshot) if name in STRATEGIES else make_strategy(name), symbol)
    return RuleSource(rule.name, rule.describe())
