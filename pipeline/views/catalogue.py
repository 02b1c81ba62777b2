"""Every view, in the order of the documentation."""

from __future__ import annotations

from typing import Any

from pipeline.views.decisions import DECISIONS, SIGNALS
from pipeline.views.equity import EQUITY
from pipeline.views.models.ab_tests import AB_TESTS
from pipeline.views.models.drift import DRIFT
from pipeline.views.models.promotions import PROMOTIONS
from pipeline.views.money.exposure import EXPOSURE
from pipeline.views.money.pnl import PNL
from pipeline.views.money.positions import POSITIONS
from pipeline.views.money.prices import PRICES
from pipeline.views.orders import FILLS, ORDERS
from pipeline.views.research.rankings import RANKINGS
from pipeline.views.research.runs import RUNS
from pipeline.views.risk.correlation import CORRELATION
from pipeline.views.risk.heartbeats import HEARTBEATS
from pipeline.views.risk.limits import RISK
from pipeline.views.sessions import SESSIONS
from pipeline.views.trades import TRADES
from pipeline.views.view import View

VIEWS: tuple[View[Any, Any], ...] = (
    *(EQUITY, PNL, POSITIONS, EXPOSURE, RISK, CORRELATION, HEARTBEATS),
    *(ORDERS, FILLS, TRADES, SIGNALS, DECISIONS, PRICES, SESSIONS),
)
MODEL_VIEWS: tuple[View[Any, Any], ...] = (AB_TESTS, DRIFT, PROMOTIONS)  # under /models and `desk models`
RESEARCH_VIEWS: tuple[View[Any, Any], ...] = (RUNS, RANKINGS)  # under /research
