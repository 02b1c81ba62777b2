"""Every table of the desk: importing this module declares all of them on `storage.columns.metadata`."""

from __future__ import annotations

from storage.alerts import tables as alerts
from storage.columns import metadata
from storage.features import tables as features
from storage.market import tables as market
from storage.models import tables as models
from storage.research import tables as research
from storage.trading import control_tables as control
from storage.trading import deployment_tables as deployments
from storage.trading import evening_tables as evenings
from storage.trading import tables as trading

__all__ = ["alerts", "control", "deployments", "evenings", "features", "market", "metadata", "models", "research", "trading"]
