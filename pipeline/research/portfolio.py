"""The portfolio of a choice: capital shared among the picked, and stored."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from typing import TYPE_CHECKING

import structlog

from core.errors import DataError
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from pipeline.research.shortlist import Shortlist
    from research.portfolio.allocation import Allocation, Method
    from storage.research.portfolios import Portfolio, Portfolios, StoredValidation

log = structlog.get_logger()


class UnknownPortfolio(DataError):
    """No portfolio has that id."""


def allocate(
    shortlist: Shortlist,
    *,
    method: Method = "risk_parity_profit_weighted",
    capital_usd: float = 1000.0,
    low_usd: float = 250.0,
    high_usd: float = 400.0,
    at_most: int = 3,
) -> Allocation:
    """Return the capital of each picked candidate of a shortlist; see `research.portfolio.allocation.allocate_capital`."""
    import pandas as pd

    from research.portfolio.allocation import allocate_capital

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
    """Store a portfolio chosen on the sessions up to `session`, and return its id; nothing trades it until it is deployed."""
    return save_allocation((resources or live()).portfolios, session, shortlist, allocation)


def save_allocation(
    portfolios: Portfolios, session: str, shortlist: Shortlist, allocation: Allocation, *, draft: bool = False
) -> int:
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
    number = portfolios.save(
        session=day, method=allocation.method, members=members, figures=figures, draft=draft, dataset=made_from
    )
    names = [str(name) for name in allocation.usd.index]
    log.info("portfolio_stored", portfolio=number, draft=draft, session=session, members=names)
    return number


def list_portfolios(*, resources: Resources | None = None) -> list[tuple[Portfolio, StoredValidation | None]]:
    """Return every portfolio, drafts included, newest first, each with its last validation."""
    stored = (resources or live()).portfolios
    return [(each, stored.latest_validation(each.id)) for each in stored.all()]


def confirm_draft(number: int, *, resources: Resources | None = None) -> None:
    """Make a draft a stored portfolio, which can be deployed.

    Raises
    ------
    UnknownPortfolio
        When there is no such portfolio.
    """
    stored = (resources or live()).portfolios
    require_portfolio(number, stored)
    stored.confirm(number)


def require_portfolio(number: int, stored: Portfolios) -> Portfolio:
    """Return the portfolio of an id.

    Raises
    ------
    UnknownPortfolio
        When there is none.
    """
    found = stored.get(number)
    if found is None:
        near = min(((abs(each.id - number), each.id) for each in stored.all()), default=None)
        hint = "`desk allocate --store` makes one." if near is None else f"Did you mean {near[1]}?"
        raise UnknownPortfolio(f"Portfolio {number}: there is none. {hint} `desk portfolios` lists them.")
    return found
