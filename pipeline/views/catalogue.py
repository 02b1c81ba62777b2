"""Every view, in the order of the documentation."""

from __future__ import annotations

from typing import Any

from pipeline.views.decisions import DECISIONS, SIGNALS
from pipeline.views.equity import EQUITY
from pipeline.views.orders import FILLS, ORDERS
from pipeline.views.sessions import SESSIONS
from pipeline.views.trades import TRADES
from pipeline.views.view import View

VIEWS: tuple[View[Any, Any], ...] = (EQUITY, ORDERS, FILLS, TRADES, SIGNALS, DECISIONS, SESSIONS)
