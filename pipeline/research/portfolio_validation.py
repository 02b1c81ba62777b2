"""Validation of the stored portfolio: its sleeves backtested up to a session and compared with the limits."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from pipeline.bars import bars_by_symbol
from pipeline.research.backtest_terms import BacktestTerms
from pipeline.research.candidates import Candidate, backtest_each
from pipeline.research.datasets import ResearchData
from pipeline.research.portfolio import UnknownPortfolio
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from backtest.engine import Result
    from backtest.panel import Panel
    from core.settings import Settings
    from research.portfolio.validation import Sleeve, ValidationLimits
    from research.portfolio.validation_report import ValidationReport
    from storage.research.portfolios import Portfolio
    from trading.risk import Limits
    from trading.strategies.base import Strategy


def validate_portfolio(
    session: str, number: int | None = None, *, dataset: str | None = None, resources: Resources | None = None
) -> ValidationReport:
    """Compare a portfolio with its limits on everything up to `session`, and store the report.

    Parameters
    ----------
    number
        Its id; None is the one made last up to `session`.

    Parameters
    ----------
    dataset
        Name of the research dataset whose bars are used; the live bars unless given.

    Raises
    ------
    UnknownPortfolio
        When there is no such portfolio.
    UnknownSymbol
        When one of its symbols has no bars.
    """
    resources = resources or live()
    day = dt.date.fromisoformat(session)
    stored = resources.portfolios.latest(by=day) if number is None else resources.portfolios.get(number)
    if stored is None:
        which = f"a portfolio up to {session}" if number is None else f"portfolio {number}"
        raise UnknownPortfolio(
            f"Validation: expected {which}, found none. `desk portfolios` lists them; `desk allocate` makes one."
        )
    terms = BacktestTerms.of(resources)
    data = ResearchData.of(resources, dataset)
    symbols = sorted({member["symbol"] for member in stored.members})  # the universe may have changed since
    bars = bars_by_symbol(resources.bars, session, symbols) if dataset is None else data.by_symbol(session)
    report = validation_of(stored, bars, terms, limits_of(resources.settings))
    resources.portfolios.save_validation(
        portfolio_id=stored.id, session=day, status=report.status, report=report.as_dict(), dataset=data.reference
    )
    return report


def validation_of(
    portfolio: Portfolio, bars: Mapping[str, pd.DataFrame], terms: BacktestTerms, limits: ValidationLimits
) -> ValidationReport:
    """Return the validation of a portfolio on bars by symbol."""
    from research.portfolio.selection import returns_of
    from research.portfolio.validation import validate

    members = [(member_of(member), float(member["usd"])) for member in portfolio.members]
    results = backtest_each([each for each, _ in members], bars, terms)
    returns = returns_of({name: result.equity for name, result in results.items()})
    sleeves = [_sleeve(each, usd, results[each.label], returns[each.label], terms.limits) for each, usd in members]
    return validate(sleeves, float(portfolio.figures["capital_usd"]), limits)


def limits_of(settings: Settings) -> ValidationLimits:
    """Return the limits of the settings."""
    from research.portfolio.validation import ValidationLimits

    stop = settings.validation.max_stop_pct
    return ValidationLimits(
        max_position_pct=settings.validation.max_position_pct,
        max_loss_at_risk_pct=settings.validation.max_loss_at_risk_pct,
        check_stop_pct=stop is not None,
        max_stop_pct=1.0 if stop is None else stop,
        max_exposure_pct=settings.validation.max_exposure_pct,
        max_drawdown_pct=settings.validation.max_drawdown_pct,
        max_correlation=settings.validation.max_correlation,
        max_trades_a_day=settings.validation.max_trades_a_day,
    )


def member_of(member: Mapping[str, Any]) -> Candidate:
    """Return the candidate of a stored member."""
    return Candidate(member["strategy"], member["symbol"], member["params"], member["vix_gate"])


def _sleeve(each: Candidate, usd: float, result: Result, returns: pd.Series, limits: Limits) -> Sleeve:
    from research.portfolio.validation import Sleeve, largest_position_usd

    stop_pct = _widest_stop_pct(result.panel, each.make())
    return Sleeve(
        each.strategy,
        each.symbol,
        usd,
        stop_pct,
        returns,
        result.trades,
        largest_position_usd(usd, stop_pct, limits),
    )


def _widest_stop_pct(panel: Panel, strategy: Strategy) -> float | None:
    """Return the widest stop of a strategy's signals on the panel's only symbol; None when a signal has none."""
    import numpy as np

    signals = panel.signals(strategy, 0)
    stops = signals.stop_pct[signals.entry != 0]
    return float(stops.max()) if len(stops) and np.isfinite(stops).all() else None
