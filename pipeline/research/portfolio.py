"""The portfolio of a choice: capital shared among the picked, stored, withdrawn; and whether the stored one may trade."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from typing import TYPE_CHECKING

import structlog

from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from pipeline.research.shortlist import Shortlist
    from research.allocation import Allocation, Method
    from storage.research.portfolios import Portfolios

log = structlog.get_logger()


def allocate(
    shortlist: Shortlist,
    *,
    method: Method = "risk_parity_profit_weighted",
    capital_usd: float = 1000.0,
    low_usd: float = 250.0,
    high_usd: float = 400.0,
    at_most: int = 3,
) -> Allocation:
    """Return the capital of each picked candidate of a shortlist; see `research.allocation.allocate_capital`."""
    import pandas as pd

    from research.allocation import allocate_capital

    labels = list(shortlist.pick.chosen)
    profit = pd.Series({name: shortlist.curves[name].metrics["profit_per_trade"] for name in labels}, dtype="float64")
    return allocate_capital(
        shortlist.returns[labels],
        profit,
        method=method,
        capital_usd=capital_usd,
        low_usd=low_usd,
        high_usd=high_usd,
        at_most=at_most,
    )


def store_portfolio(session: str, shortlist: Shortlist, allocation: Allocation, *, resources: Resources | None = None) -> int:
    """Store a portfolio chosen on the sessions up to `session`, and return its id."""
    return save_allocation((resources or live()).portfolios, session, shortlist, allocation)


def save_allocation(portfolios: Portfolios, session: str, shortlist: Shortlist, allocation: Allocation) -> int:
    """Store an allocation as a portfolio, and return its id."""
    members = [
        {
            **asdict(shortlist.candidates[name]),
            "usd": float(usd),
            "profit_per_trade": shortlist.curves[name].metrics["profit_per_trade"],
        }
        for name, usd in zip(allocation.usd.index.astype(str), allocation.usd, strict=True)
    ]
    figures = {
        "capital_usd": float(allocation.usd.sum()) + allocation.cash_usd,
        "cash_usd": allocation.cash_usd,
        "expected_return": allocation.expected_return,
        "volatility": allocation.volatility,
        "sharpe": allocation.sharpe,
        "max_drawdown": allocation.max_drawdown,
    }
    day, made_from = dt.date.fromisoformat(session), shortlist.dataset
    number = portfolios.save(session=day, method=allocation.method, members=members, figures=figures, dataset=made_from)
    log.info("portfolio_stored", portfolio=number, session=session, members=[str(name) for name in allocation.usd.index])
    return number


def withdraw_portfolio(session: str, *, resources: Resources | None = None) -> None:
    """Withdraw the stored portfolio: from now on none is in force, and none blocks trading."""
    (resources or live()).portfolios.withdraw(dt.date.fromisoformat(session))


def objection(portfolios: Portfolios, day: dt.date, max_age_days: int) -> str | None:
    """Return why the stored portfolio may not open positions on `day`; None when it may, or when none is in force.

    Parameters
    ----------
    max_age_days
        Most calendar days since its last validation.
    """
    stored = portfolios.in_force(by=day)
    if stored is None:
        return None
    last = portfolios.latest_validation(stored.id, by=day)
    remedy = "Run `desk validate-risk` and read its report, or withdraw the portfolio with `desk validate-risk --withdraw`."
    if last is None:
        return f"Portfolio {stored.id} was never validated. {remedy}"
    if last.status == "FAIL":
        return f"Portfolio {stored.id} failed its validation of {last.session}. {remedy}"
    age = (day - last.session).days
    if age > max_age_days:
        return f"Portfolio {stored.id} was validated {age} days ago, on {last.session}; {max_age_days} are allowed. {remedy}"
    return None
