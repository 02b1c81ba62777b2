"""Status of the services beside the daily DAGs, by their heartbeats, and of the positions' rules. Starts nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.ages import seconds_ahead
from core.errors import ConfigError
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence

    from core.settings import Settings

INTERVALS = 3  # two heartbeats in a row may be missed


@dataclass(frozen=True)
class ServiceStatus:
    """Status of a service: healthy or not, why, and the time of its last heartbeat (None: there was none)."""

    service: str
    healthy: bool
    detail: str
    seen_at: dt.datetime | None = None


def check_services(names: Sequence[str] = (), *, resources: Resources | None = None) -> list[ServiceStatus]:
    """Return the status of each service named; of all of them without a name.

    Raises
    ------
    core.errors.ConfigError
        When there is no such service.
    """
    resources = resources or live()
    unknown = sorted({*names} - {*SERVICES})
    if unknown:
        raise ConfigError(f"Service: expected {' or '.join(SERVICES)}, found {unknown[0]!r}.")
    return [SERVICES[name](resources=resources) for name in names or SERVICES]


def risk_worker(*, resources: Resources | None = None) -> ServiceStatus:
    """Return the risk worker's status: its newest heartbeat against the age from which the executor opens nothing."""
    resources = resources or live()
    last = resources.heartbeats.last(resources.settings.portfolio)
    limit = heartbeat_limit_seconds(resources.settings)
    if last is None:
        return ServiceStatus(RISK_WORKER, False, f"no heartbeat of {resources.settings.portfolio} yet: desk risk-worker")
    seen = f"level {last.level}, mode {last.mode}"
    return _aged(RISK_WORKER, last.at, limit, seen, now=resources.clock(), ahead=_tolerance_seconds(resources.settings))


def order_listener(*, resources: Resources | None = None) -> ServiceStatus:
    """Return the order listener's status: its last contact with the venue; one that waits for `desk resume` is not healthy."""
    from pipeline.execution.order_listener import halted_by_listener, last_beat

    resources = resources or live()
    if resources.settings.venue.kind != "alpaca":
        return ServiceStatus(ORDER_LISTENER, True, f"not needed: VENUE__KIND={resources.settings.venue.kind} has no stream")
    halt = halted_by_listener(resources.halts, resources.settings.portfolio)
    if halt is not None:
        return ServiceStatus(ORDER_LISTENER, False, f"it has halted the desk and waits for desk resume: {halt.reason}")
    last = last_beat(resources.data_dir, resources.settings.portfolio)
    if last is None:
        return ServiceStatus(ORDER_LISTENER, False, "it has not yet spoken with the venue: desk listen")
    limit, seen = INTERVALS * last.poll_seconds, f"connections: {last.connections}"
    return _aged(ORDER_LISTENER, last.at, limit, seen, now=resources.clock(), ahead=_tolerance_seconds(resources.settings))


def positions(*, resources: Resources | None = None) -> ServiceStatus:
    """Return whether every position has a rule that leaves it; name those left by other rules than the listed strategies."""
    from pipeline.execution.exit_rules import ExitRuleBook

    resources = resources or live()
    held = resources.ledger.positions(resources.settings.portfolio)
    exits = ExitRuleBook.of(resources).rules_of(held)
    if exits.orphans:
        return ServiceStatus(POSITIONS, False, " ".join(map(str, exits.orphans)))
    leavers = {key: rule.name if rule else "a person" for key, rule in exits.rules.items()}
    others = [f"{symbol} of {strategy} by {leaver}" for (strategy, symbol), leaver in leavers.items()]
    return ServiceStatus(POSITIONS, True, f"{len(held)} held" + (f"; left {', '.join(others)}" if others else ""))


def heartbeat_limit_seconds(settings: Settings) -> float:
    """Return the age from which a heartbeat is too old: the executor's own limit, where it has one."""
    return settings.pre_send.heartbeat_max_age_seconds or INTERVALS * settings.monitor.interval_seconds


def _tolerance_seconds(settings: Settings) -> float:
    return settings.pre_send.clock_tolerance_seconds


def _aged(service: str, at: dt.datetime, limit_seconds: float, more: str, *, now: dt.datetime, ahead: float) -> ServiceStatus:
    if found := seconds_ahead(at, now, ahead):
        detail = f"last seen {found:.0f} s in the future, {more}; expected at most {ahead:g} s: a clock is wrong"
        return ServiceStatus(service, False, detail, at)
    age = max((now - at).total_seconds(), 0.0)
    healthy = age <= limit_seconds
    detail = f"{'seen' if healthy else 'last seen'} {age:.0f} s ago, {more}"
    return ServiceStatus(service, healthy, detail if healthy else f"{detail}; expected at most {limit_seconds:g} s", at)


RISK_WORKER, ORDER_LISTENER, POSITIONS = "risk-worker", "order-listener", "positions"
SERVICES: dict[str, Callable[..., ServiceStatus]] = {
    RISK_WORKER: risk_worker,
    ORDER_LISTENER: order_listener,
    POSITIONS: positions,
}
