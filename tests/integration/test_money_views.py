"""Views of money and risk on a desk that traded its evenings by its own steps: the default book and a deployment."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from core.errors import ConfigError, UnknownSymbol
from features.indicators import bollinger, rsi
from pipeline.deployments import changes, deploy
from pipeline.execution.hand_over import hand_over
from pipeline.risk.data_guard import check_data
from pipeline.risk.kill_switch import halt, resume
from pipeline.risk.monitor import check_portfolio
from pipeline.views.money.exposure import ExposureFilter, read_exposure
from pipeline.views.money.pnl import PnlFilter, read_pnl
from pipeline.views.money.positions import PositionFilter, read_positions
from pipeline.views.money.prices import PriceFilter, read_prices
from pipeline.views.risk.correlation import CorrelationFilter, read_correlation
from pipeline.views.risk.heartbeats import HeartbeatFilter, read_heartbeats
from pipeline.views.risk.limits import RiskFilter, RiskRow, read_risk
from tests.standins.deployed_market import TRIO, days_between, evening, market_desk, stored_portfolio

if TYPE_CHECKING:
    from core.settings import Settings
    from pipeline.resources import Resources

pytestmark = pytest.mark.integration
FIRST, LAST = dt.date(2018, 6, 1), dt.date(2018, 8, 15)
