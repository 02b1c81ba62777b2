"""Whether what must run beside the daily DAGs runs, by the signs of life it leaves. Owns the judgement; it starts nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.errors import ConfigError
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence

INTERVALS = 3  # a sign of life may be missed twice


@dataclass(frozen=True)
class Seen:
    """What a service left: whether it does its work, in words, and when it last did."""

    service: str
    well: bool
    says: str
    at: dt.datetime | None = None


def look(names: Sequence[str] = (), *, resources: Resources | None = None) -> list[Seen]:
    """Each service named, all of them without a name.

    Raises
    ------
    core.errors.ConfigError
        When there is no such service.
    """
    resources = resources or live()
    unknown = sorted({*names} - {*SERVICES})
    if unknown:
        raise ConfigError(f"Service: expected {' or '.join(SERVICES)}, found {unknown[0]!r}.")
    return [SERVICES[name](resources) for name in names or SERVICES]


def risk_worker(resources: Resources) -> Seen:
    """The worker by its newest heartbeat, held against the age from which the executor opens nothing."""
    last = resources.heartbeats.last(resources.settings.portfolio)
    limit = heartbeat_limit_seconds(resources)
    if last is None:
        return Seen(RISK_WORKER, False, f"no heartbeat of {resources.settings.portfolio} yet: desk risk-worker")
    return _aged(RISK_WORKER, resources, last.at, limit, f"level {last.level}, mode {last.mode}")


def order_listener(resources: Resources) -> Seen:
    """The listener by its last word with the venue; one that waits for a person does not do its work."""
    from pipeline.execution.order_listener import halted_by_listener, last_beat

    if resources.settings.broker != "alpaca":
        return Seen(ORDER_LISTENER, True, f"not needed: BROKER={resources.settings.broker} has no stream")
    halt = halted_by_listener(resources.halts, resources.settings.portfolio)
    if halt is not None:
        return Seen(ORDER_LISTENER, False, f"it has halted the desk and waits for desk resume: {halt.reason}")
    last = last_beat(resources.data_dir, resources.settings.portfolio)
    if last is None:
        return Seen(ORDER_LISTENER, False, "it has not yet spoken with the venue: desk listen")
    return _aged(ORDER_LISTENER, resources, last.at, INTERVALS * last.poll_seconds, f"connections: {last.connections}")


def heartbeat_limit_seconds(resources: Resources) -> float:
    """The age from which a heartbeat is too old: the executor's own limit, where it has one."""
    return resources.settings.heartbeat_max_age_seconds or INTERVALS * resources.settings.risk_interval_seconds


def _aged(service: str, resources: Resources, at: dt.datetime, limit_seconds: float, more: str) -> Seen:
    age = (resources.clock() - at).total_seconds()
    well = age <= limit_seconds
    words = f"{'seen' if well else 'last seen'} {age:.0f} s ago, {more}"
    return Seen(service, well, words if well else f"{words}; expected at most {limit_seconds:g} s", at)


RISK_WORKER, ORDER_LISTENER = "risk-worker", "order-listener"
SERVICES: dict[str, Callable[[Resources], Seen]] = {RISK_WORKER: risk_worker, ORDER_LISTENER: order_listener}
