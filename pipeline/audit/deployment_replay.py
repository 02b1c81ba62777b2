"""Replay a deployment: the daily path over past sessions, sleeve by sleeve with its capital, held against the backtests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from core.errors import ConfigError
from pipeline.audit.parity import Parity, compare_replay
from pipeline.audit.replay import Replay, no_progress, run_replay
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    import datetime as dt

    from pipeline.audit.replay import Progress


@dataclass(frozen=True)
class DeploymentReplay:
    """The replay of each sleeve of a deployment, by the sleeve's name, each in a book of its own."""

    deployment: str
    replays: dict[str, Replay]

    @property
    def trades(self) -> pd.DataFrame:
        """Closed TRADES of all sleeves."""
        return pd.concat([replay.trades for replay in self.replays.values()], ignore_index=True)


def replay_deployment(
    first: dt.date,
    last: dt.date,
    *,
    model: str | None = None,
    on_progress: Progress = no_progress,
    resources: Resources | None = None,
) -> DeploymentReplay:
    """Replay the sleeves of the desk's deployment from `first` to `last`, both included; see `run_replay`.

    Raises
    ------
    ConfigError
        When the desk is the default deployment's, which `run_replay` replays.
    """
    resources = resources or live()
    if resources.deployment is None:
        raise ConfigError(f"{resources.settings.portfolio} has no sleeves of its own. Replay it without --deployment.")
    replays = {}
    for sleeve in resources.sleeves:
        replays[sleeve.strategies[0].name] = run_replay(
            first,
            last,
            symbols=sleeve.symbols,
            model=model if sleeve.filtered else None,
            strategies=sleeve.strategies,
            initial_cash_usd=sleeve.capital_usd,
            on_progress=on_progress,
            resources=resources,
        )
    return DeploymentReplay(resources.deployment.name, replays)


def compare_deployment_replay(replayed: DeploymentReplay, *, resources: Resources | None = None) -> Parity:
    """Compare a deployment's replay with the backtests of its sleeves, over the same sessions and filter answers."""
    resources = resources or live()
    capital = {sleeve.strategies[0].name: sleeve.capital_usd for sleeve in resources.sleeves}
    found = [
        compare_replay(replay, initial_cash_usd=capital[name], resources=resources) for name, replay in replayed.replays.items()
    ]
    differences = pd.concat([each.differences for each in found], ignore_index=True)
    return Parity(
        differences,
        sum(each.trades for each in found),
        max(each.sessions for each in found),
        max(each.equity_gap_usd for each in found),
    )
