"""From a sweep to a portfolio: rank, correlate, allocate, validate; and whether the stored one may trade.

Owns the order of these and what is stored between them. Every figure is made by `research.selection`, `research.allocation` and
`research.validation` on backtests run again here, up to the session asked for.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import structlog

from core.errors import DataError
from pipeline.bars import bars_by_symbol
from pipeline.research.sweep import FIGURES, NAMED
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import pandas as pd

    from backtest.engine import Result
    from backtest.panel import Panel
    from research.allocation import Allocation, Method
    from research.selection import Pick
    from research.validation import Sleeve, ValidationLimits
    from research.validation_report import Report
    from storage.research.portfolios import Portfolio
    from trading.risk import Limits
    from trading.strategies.base import Strategy

log = structlog.get_logger()
MIN_TRADES = 30  # the mean of fewer says little, and the best of many such means says nothing
TOP = 20
WITHDRAWN = "withdrawn"


@dataclass(frozen=True)
class Candidate:
    """A strategy with parameters on one symbol: `strategy` is a name as `make_strategy` takes it."""

    strategy: str
    symbol: str
    params: Mapping[str, Any]
    vix_gate: bool

    @property
    def label(self) -> str:
        """Its name in tables: strategy@symbol."""
        from research.selection import label

        return label(f"{self.strategy}_vix" if self.vix_gate else self.strategy, self.symbol)

    def make(self) -> Strategy:
        """The strategy itself."""
        from trading.strategies.registry import make_strategy

        return make_strategy(self.strategy, self.params, vix_filter=self.vix_gate)


@dataclass(frozen=True)
class Shortlist:
    """The best of a sweep: `table` as `research.selection.rank`, curves run again, and the diversified pick among them."""

    table: pd.DataFrame
    candidates: dict[str, Candidate]
    results: dict[str, Result]
    returns: pd.DataFrame
    correlation: pd.DataFrame
    flagged: pd.DataFrame
    pick: Pick


def ranked(
    session: str, *, min_trades: int = MIN_TRADES, among: Collection[str] | None = None, resources: Resources | None = None
) -> pd.DataFrame:
    """The newest sweep up to `session`, by profit per trade, then Sharpe: the columns of `selection.RANKED` and `params`.

    Parameters
    ----------
    among
        Labels of candidates; others are left out. None: all.

    Raises
    ------
    DataError
        When nothing was swept, or no cell has so many trades.
    """
    from research.selection import rank

    resources = resources or live()
    swept = resources.trials.swept(FIGURES, dt.date.fromisoformat(session))
    if swept.empty:
        raise DataError(f"Ranking: expected a sweep up to {session}, found none. Run one: `desk sweep --session {session}`.")
    named = swept.assign(
        strategy=[params.get(NAMED, rule) for rule, params in zip(swept["strategy"], swept["params"], strict=True)]
    )
    table = rank(named.drop(columns="last_session"), min_trades=min_trades)
    if among is not None:
        kept = [each.label in among for each in candidates_of(table)]
        table = table[kept].reset_index(drop=True).assign(rank=range(1, sum(kept) + 1))
    if table.empty:
        raise DataError(
            f"Ranking: expected a backtest with {min_trades} trades or more, found none among {len(swept)}."
            f" The most is {int(swept['trade_count'].max() or 0)}: lower --min-trades, or sweep more."
        )
    return table


def shortlist(
    session: str,
    *,
    top: int = TOP,
    min_trades: int = MIN_TRADES,
    among: Collection[str] | None = None,
    flag_above: float = 0.7,
    below: float = 0.5,
    at_most: int = 3,
    resources: Resources | None = None,
) -> Shortlist:
    """Run the best `top` of the ranking again and pick those that do not resemble each other.

    Parameters
    ----------
    flag_above, below
        Correlations of daily returns: pairs over the one are flagged, the picked stay under the other.
    """
    from research.selection import correlations, diversify, flagged, returns_of

    resources = resources or live()
    table = ranked(session, min_trades=min_trades, among=among, resources=resources).head(top)
    candidates = {each.label: each for each in candidates_of(table)}
    results = replay(resources, list(candidates.values()), session)
    returns = returns_of({name: result.equity for name, result in results.items()})
    correlation = correlations(returns)
    pick = diversify(correlation, list(candidates), below=below, at_most=at_most)
    return Shortlist(table, candidates, results, returns, correlation, flagged(correlation, flag_above), pick)


def candidates_of(table: pd.DataFrame) -> list[Candidate]:
    """The rows of a ranking as candidates."""
    return [_candidate(*row) for row in table[["strategy", "symbol", "params"]].to_numpy()]


def replay(
    resources: Resources, candidates: Sequence[Candidate], session: str, *, start: dt.date | None = None
) -> dict[str, Result]:
    """Backtest each candidate on its own up to `session`, from the initial cash, by label; entries from `start` on."""
    from backtest.engine import backtest

    panels = panels_of(resources, {each.symbol for each in candidates}, session)
    cash = resources.settings.initial_cash_usd
    return {
        each.label: backtest(
            panels[each.symbol], each.make(), resources.costs, limits=resources.limits, initial_cash_usd=cash, start=start
        )
        for each in candidates
    }


def panels_of(resources: Resources, symbols: set[str], session: str) -> dict[str, Panel]:
    """One panel a symbol, of the bars up to `session`."""
    from backtest.panel import prepare
    from core.errors import UnknownSymbol

    bars = bars_by_symbol(resources.bars, session, resources.universe())
    for symbol in symbols - set(bars):
        raise UnknownSymbol(symbol, bars)
    return {symbol: prepare({symbol: bars[symbol]}) for symbol in sorted(symbols)}


def share(
    chosen: Shortlist,
    *,
    method: Method = "risk_parity_profit_weighted",
    capital_usd: float = 1000.0,
    low_usd: float = 250.0,
    high_usd: float = 400.0,
    at_most: int = 3,
) -> Allocation:
    """Share capital among the picked of a shortlist; see `research.allocation.allocate_capital`."""
    import pandas as pd

    from research.allocation import allocate_capital

    labels = list(chosen.pick.chosen)
    profit = pd.Series({name: chosen.results[name].metrics["profit_per_trade"] for name in labels}, dtype="float64")
    return allocate_capital(
        chosen.returns[labels],
        profit,
        method=method,
        capital_usd=capital_usd,
        low_usd=low_usd,
        high_usd=high_usd,
        at_most=at_most,
    )


def store(session: str, chosen: Shortlist, shared: Allocation, *, resources: Resources | None = None) -> int:
    """Store a portfolio chosen on the sessions up to `session`, and return its id."""
    from storage.research.portfolios import save_portfolio

    resources = resources or live()
    members = [
        {
            **asdict(chosen.candidates[name]),
            "usd": float(usd),
            "profit_per_trade": chosen.results[name].metrics["profit_per_trade"],
        }
        for name, usd in zip(shared.usd.index.astype(str), shared.usd, strict=True)
    ]
    figures = {
        "capital_usd": float(shared.usd.sum()) + shared.cash_usd,
        "cash_usd": shared.cash_usd,
        "expected_return": shared.expected_return,
        "volatility": shared.volatility,
        "sharpe": shared.sharpe,
        "max_drawdown": shared.max_drawdown,
    }
    number = save_portfolio(
        resources.engine, session=dt.date.fromisoformat(session), method=shared.method, members=members, figures=figures
    )
    log.info("portfolio_stored", portfolio=number, session=session, members=[each.label for each in map(member_of, members)])
    return number


def validate_risk(session: str, *, resources: Resources | None = None) -> Report:
    """Hold the stored portfolio against its limits on everything up to `session`, and store what was found."""
    from storage.research.portfolios import save_validation

    resources = resources or live()
    number, report = examine(session, resources=resources)
    day = dt.date.fromisoformat(session)
    save_validation(resources.engine, portfolio_id=number, session=day, status=report.status, report=report.as_dict())
    return report


def examine(session: str, *, resources: Resources | None = None) -> tuple[int, Report]:
    """The stored portfolio's id, and what its limits say of everything up to `session`.

    Raises
    ------
    DataError
        When no portfolio is stored.
    """
    from research.selection import returns_of
    from research.validation import validate

    resources = resources or live()
    stored = stored_portfolio(resources, dt.date.fromisoformat(session))
    if stored is None:
        raise DataError(f"Validation: expected a portfolio stored up to {session}, found none. Make one: `desk allocate`.")
    members = [(member_of(member), float(member["usd"])) for member in stored.members]
    results = replay(resources, [each for each, _ in members], session)
    returns = returns_of({name: result.equity for name, result in results.items()})
    sleeves = [_sleeve(each, usd, results[each.label], returns[each.label], resources.limits) for each, usd in members]
    return stored.id, validate(sleeves, float(stored.figures["capital_usd"]), limits_of(resources))


def withdraw(session: str, *, resources: Resources | None = None) -> None:
    """Take the stored portfolio back: from now on none is stored, and none stands in the way of trading."""
    from storage.research.portfolios import save_portfolio

    resources = resources or live()
    save_portfolio(resources.engine, session=dt.date.fromisoformat(session), method=WITHDRAWN, members=[], figures={})


def objection(resources: Resources, day: dt.date) -> str | None:
    """Why the stored portfolio may not open positions on `day`; None when it may, or when none is stored."""
    from storage.research.portfolios import latest_validation

    stored = stored_portfolio(resources, day)
    if stored is None:
        return None
    last = latest_validation(resources.engine, stored.id, by=day)
    remedy = "Run `desk validate-risk` and read its report, or take the portfolio back with `desk validate-risk --withdraw`."
    if last is None:
        return f"Portfolio {stored.id} was never validated. {remedy}"
    if last.status == "FAIL":
        return f"Portfolio {stored.id} failed its validation of {last.session}. {remedy}"
    age, most = (day - last.session).days, resources.settings.validation_max_age_days
    if age > most:
        return f"Portfolio {stored.id} was validated {age} days ago, on {last.session}; {most} are allowed. {remedy}"
    return None


def limits_of(resources: Resources) -> ValidationLimits:
    """The limits of the settings."""
    from research.validation import ValidationLimits

    settings = resources.settings
    stop = settings.validate_max_stop_pct
    return ValidationLimits(
        max_position_pct=settings.validate_max_position_pct,
        max_loss_at_risk_pct=settings.validate_max_loss_at_risk_pct,
        check_stop_pct=stop is not None,
        max_stop_pct=1.0 if stop is None else stop,
        max_exposure_pct=settings.validate_max_exposure_pct,
        max_drawdown_pct=settings.validate_max_drawdown_pct,
        max_correlation=settings.validate_max_correlation,
        max_trades_a_day=settings.validate_max_trades_a_day,
    )


def member_of(member: Mapping[str, Any]) -> Candidate:
    """The candidate that a stored member is."""
    return Candidate(member["strategy"], member["symbol"], member["params"], member["vix_gate"])


def stored_portfolio(resources: Resources, day: dt.date) -> Portfolio | None:
    """The portfolio stored last, of `day` or before, unless it was withdrawn."""
    from storage.research.portfolios import latest_portfolio

    stored = latest_portfolio(resources.engine, by=day)
    return None if stored is None or stored.method == WITHDRAWN else stored


def _candidate(strategy: str, symbol: str, stored: Mapping[str, Any]) -> Candidate:
    params = {name: value for name, value in stored.items() if name not in {NAMED, "vix_gate"}}
    return Candidate(strategy, symbol, params, bool(stored.get("vix_gate")))


def _sleeve(each: Candidate, usd: float, result: Result, returns: pd.Series, limits: Limits) -> Sleeve:
    from research.validation import Sleeve, largest_position_usd

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
    """The widest stop of a strategy's signals on the panel's only symbol; None when one has none, or there are no signals."""
    import numpy as np

    signals = panel.signals(strategy, 0)
    stops = signals.stop_pct[signals.entry != 0]
    return float(stops.max()) if len(stops) and np.isfinite(stops).all() else None
