"""Validation of a portfolio before it trades: its figures of the past against stated limits.

Figures are those of the past that the sleeves were backtested on. A portfolio that passes has not broken the limits in it,
which is less than a promise for the future.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.errors import ConfigError, DataError
from research.portfolio.allocation import check_returns, deepest_fall, held
from research.portfolio.validation_report import Finding, ValidationReport

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trading.risk import Limits

ROUNDING = 1e-9  # a limit met exactly is not broken by the last digits of a division
MIN_TRADES = 10  # a spread of fewer says little
MIN_SESSIONS = 3  # two returns always lie on a line: their correlation is 1 or -1 whatever they are


@dataclass(frozen=True)
class ValidationLimits:
    """Limits of a portfolio that may trade; a value equal to its limit passes.

    Parameters
    ----------
    max_position_pct
        Largest position, in percent of the capital.
    max_loss_at_risk_pct
        What one position may lose as planned, in percent of the capital: its notional times the distance of its stop or,
        without a stop, times `deviations_without_stop` standard deviations of its trades' net returns.
    check_stop_pct, max_stop_pct
        Whether the distance of each stop is limited too, and to what, in percent of the price. Off unless asked for: so near a
        stop is often met within the day, and says nothing of the size of the position.
    max_exposure_pct
        All sleeves' money, in percent of the capital.
    max_drawdown_pct
        Deepest fall of the sleeves held together, cash included, in percent of the highest value before it.
    max_correlation
        Of any two sleeves' returns. Signed: curves that offset each other pass.
    max_trades_a_day
        Entries of all sleeves on their busiest day.
    """

    max_position_pct: float = 40.0
    max_loss_at_risk_pct: float = 1.0
    deviations_without_stop: float = 3.0
    check_stop_pct: bool = False
    max_stop_pct: float = 1.0
    max_exposure_pct: float = 100.0
    max_drawdown_pct: float = 2.0
    max_correlation: float = 0.7
    max_trades_a_day: int = 3

    def __post_init__(self) -> None:
        for name in ("max_position_pct", "max_loss_at_risk_pct", "max_stop_pct", "max_exposure_pct", "max_drawdown_pct"):
            value = getattr(self, name)
            if not 0 < value <= 100:  # noqa: PLR2004  # per cent
                raise ConfigError(f"{name}: expected above 0 and at most 100, found {value}. It is in percent: 1 = 1 %.")
        if not -1 <= self.max_correlation <= 1:
            raise ConfigError(f"max_correlation: expected -1 to 1, found {self.max_correlation}.")
        if self.max_trades_a_day < 1:
            raise ConfigError(f"max_trades_a_day: expected 1 or more, found {self.max_trades_a_day}.")
        if not 0 < self.deviations_without_stop < math.inf:
            raise ConfigError(f"deviations_without_stop: expected above 0, found {self.deviations_without_stop}.")


@dataclass(frozen=True, eq=False)
class Sleeve:
    """One strategy on one symbol with money of its own, and its record.

    Parameters
    ----------
    stop_pct
        Distance of the stop in percent of the entry price; None = no stop.
    returns
        Fractions a session, indexed by session, as of `research.portfolio.selection.returns_of`; None = not known.
    trades
        Columns entry_session and net_return (fraction of the notional), as of TRADES; None = not known.
    position_usd
        Largest notional that the sizing rule gives a position, as of `largest_position_usd`; None = all of the sleeve's money.
    """

    strategy: str
    symbol: str
    allocated_usd: float
    stop_pct: float | None = None
    returns: pd.Series | None = None
    trades: pd.DataFrame | None = None
    position_usd: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.allocated_usd < math.inf:
            raise ConfigError(f"allocated_usd of {self.label}: expected above 0, found {self.allocated_usd}.")
        if self.stop_pct is not None and not 0 < self.stop_pct < math.inf:
            raise ConfigError(f"stop_pct of {self.label}: expected above 0, or None for no stop; found {self.stop_pct}.")
        if not 0 < self.largest_usd <= self.allocated_usd * (1 + ROUNDING):
            raise ConfigError(
                f"position_usd of {self.label}: expected above 0 and at most its {self.allocated_usd:,.2f} USD,"
                f" found {self.position_usd}."
            )

    @property
    def label(self) -> str:
        """Name of the sleeve, strategy@symbol."""
        return f"{self.strategy}@{self.symbol}"

    @property
    def largest_usd(self) -> float:
        """Notional of its largest position."""
        return self.allocated_usd if self.position_usd is None else self.position_usd


def largest_position_usd(allocated_usd: float, stop_pct: float | None, limits: Limits) -> float:
    """Notional that the sizing rule gives a first position of a sleeve: `trading.sizing.quantity` without its price.

    >>> from trading.risk import Limits
    >>> largest_position_usd(400, 0.8, Limits(risk_per_trade_pct=0.25, max_position_pct=40))  # 0.25 / 0.8 of 400
    125.0
    """
    share = min(limits.max_position_pct, limits.max_exposure_pct) / 100
    return allocated_usd * (share if stop_pct is None else min(share, limits.risk_per_trade_pct / stop_pct))


def validate(sleeves: Sequence[Sleeve], capital_usd: float, limits: ValidationLimits | None = None) -> ValidationReport:
    """Compare a portfolio with its limits, one finding a rule.

    Raises
    ------
    ConfigError
        When the capital is not above 0.
    DataError
        When there are no sleeves, one comes twice, or their returns are of different sessions or none that an account can have.
    """
    _check(sleeves, capital_usd)
    terms = limits or ValidationLimits()
    findings = [_position(sleeves, capital_usd, terms), _loss_at_risk(sleeves, capital_usd, terms)]
    if terms.check_stop_pct:
        findings.append(_stop(sleeves, terms))
    findings += [_exposure(sleeves, capital_usd, terms), _drawdown(sleeves, capital_usd, terms)]
    findings += [_correlation(sleeves, terms), _trades_a_day(sleeves, terms)]
    return ValidationReport(
        float(capital_usd), {sleeve.label: float(sleeve.allocated_usd) for sleeve in sleeves}, tuple(findings)
    )


def _check(sleeves: Sequence[Sleeve], capital_usd: float) -> None:
    if not 0 < capital_usd < math.inf:
        raise ConfigError(f"capital_usd: expected above 0, found {capital_usd}.")
    if not sleeves:
        raise DataError("Validation: expected one sleeve or more, found none. Allocate capital first.")
    labels = [sleeve.label for sleeve in sleeves]
    for label in labels:
        if labels.count(label) > 1:
            raise DataError(f"Validation: expected each sleeve once, found {label} twice. Add their money up in one.")
    known = [sleeve for sleeve in sleeves if sleeve.returns is not None]
    for sleeve in known:
        if not sleeve.returns.index.equals(known[0].returns.index):  # type: ignore[union-attr]  # known
            raise DataError(
                f"Returns of {sleeve.label}: expected the sessions of {known[0].label}, found others."
                " Take the columns of one table, research.portfolio.selection.returns_of."
            )
    check_returns(_returns(known), [sleeve.label for sleeve in known])


def _returns(sleeves: Sequence[Sleeve]) -> pd.DataFrame:
    return pd.DataFrame({sleeve.label: sleeve.returns for sleeve in sleeves if sleeve.returns is not None})


def _above(found: float, limit: float) -> bool:
    return found > limit + ROUNDING * abs(limit)


def _of_each(
    rule: str, unit: str, limit: float, each: Mapping[str, float | None], *, remedy: str, unknown: str = ""
) -> Finding:
    """A rule on every sleeve or pair: broken by one is broken; a value of None could not be measured."""
    known = {name: value for name, value in each.items() if value is not None}
    found = max(known.values(), default=None)
    broken = [f"{name} {value:.6g}" for name, value in known.items() if _above(value, limit)]
    missing = [name for name, value in each.items() if value is None]
    if broken:
        return Finding(rule, limit, found, unit, "FAIL", f"{', '.join(broken)}. {remedy}")
    if missing:
        return Finding(rule, limit, found, unit, "NOT MEASURABLE", f"{unknown}: {', '.join(missing)}.")
    return Finding(rule, limit, found, unit, "PASS", max(known, key=lambda name: known[name]))


def _position(sleeves: Sequence[Sleeve], capital_usd: float, limits: ValidationLimits) -> Finding:
    each = {sleeve.label: 100 * sleeve.largest_usd / capital_usd for sleeve in sleeves}
    return _of_each("position", "% of capital", limits.max_position_pct, each, remedy="Give it less, or cap its positions.")


def _loss_at_risk(sleeves: Sequence[Sleeve], capital_usd: float, limits: ValidationLimits) -> Finding:
    each: dict[str, float | None] = {}
    for sleeve in sleeves:
        distance = _distance_pct(sleeve, limits.deviations_without_stop)
        each[sleeve.label] = None if distance is None else sleeve.largest_usd / capital_usd * distance
    unknown = f"No stop, and fewer than {MIN_TRADES} trades to measure a spread on"
    remedy = "Size its positions by the distance of the stop or by volatility: smaller, not a nearer stop."
    return _of_each("loss_at_risk", "% of capital", limits.max_loss_at_risk_pct, each, remedy=remedy, unknown=unknown)


def _distance_pct(sleeve: Sleeve, deviations: float) -> float | None:
    """Return the planned loss of a position, in percent of its notional; None when it is not measurable."""
    if sleeve.stop_pct is not None:
        return sleeve.stop_pct
    if sleeve.trades is None or len(sleeve.trades) < MIN_TRADES:
        return None
    spread = float(sleeve.trades["net_return"].std(ddof=1))
    return 100 * deviations * spread if math.isfinite(spread) else None


def _stop(sleeves: Sequence[Sleeve], limits: ValidationLimits) -> Finding:
    stops = {sleeve.label: sleeve.stop_pct for sleeve in sleeves if sleeve.stop_pct is not None}
    without = [sleeve.label for sleeve in sleeves if sleeve.stop_pct is None]
    remedy = "Set a nearer stop, or rely on loss_at_risk alone."
    found = max(stops.values(), default=None)
    if without:  # no stop is no limit, which is more than any
        detail = f"No stop: {', '.join(without)}. {remedy}"
        return Finding("stop", limits.max_stop_pct, found, "% of price", "FAIL", detail)
    return _of_each("stop", "% of price", limits.max_stop_pct, stops, remedy=remedy)


def _exposure(sleeves: Sequence[Sleeve], capital_usd: float, limits: ValidationLimits) -> Finding:
    found = 100 * math.fsum(sleeve.allocated_usd for sleeve in sleeves) / capital_usd
    each = {"all sleeves": found}
    return _of_each("exposure", "% of capital", limits.max_exposure_pct, each, remedy="Lower the shares, or add capital.")


def _drawdown(sleeves: Sequence[Sleeve], capital_usd: float, limits: ValidationLimits) -> Finding:
    usd = pd.Series({sleeve.label: float(sleeve.allocated_usd) for sleeve in sleeves})
    cash_usd = capital_usd - math.fsum(usd)
    missing = [sleeve.label for sleeve in sleeves if sleeve.returns is None or sleeve.returns.empty]
    limit, unit = limits.max_drawdown_pct, "% of the peak"
    if missing:
        return Finding("drawdown", limit, None, unit, "NOT MEASURABLE", f"No returns are known: {', '.join(missing)}.")
    if cash_usd < -ROUNDING * capital_usd:
        return Finding("drawdown", limit, None, unit, "NOT MEASURABLE", "More is allocated than there is.")
    returns = _returns(sleeves)
    each = {"all sleeves": 100 * abs(deepest_fall(held(returns, usd, max(cash_usd, 0.0))))}
    return _of_each("drawdown", unit, limit, each, remedy="Hold calmer sleeves, smaller ones, or more cash.")


def _correlation(sleeves: Sequence[Sleeve], limits: ValidationLimits) -> Finding:
    if len(sleeves) == 1:
        return Finding("correlation", limits.max_correlation, None, "", "PASS", "One sleeve has no pairs.")
    names = [sleeve.label for sleeve in sleeves]
    table = _returns(sleeves).corr(min_periods=MIN_SESSIONS).reindex(index=names, columns=names)
    square = table.to_numpy(dtype=np.float64)
    each: dict[str, float | None] = {}
    for i, j in itertools.combinations(range(len(names)), 2):
        value = float(square[i, j])
        each[f"{names[i]} and {names[j]}"] = value if math.isfinite(value) else None
    remedy, unknown = "Drop the worse of the pair and pick again.", "No returns, or they never moved"
    return _of_each("correlation", "", limits.max_correlation, each, remedy=remedy, unknown=unknown)


def _trades_a_day(sleeves: Sequence[Sleeve], limits: ValidationLimits) -> Finding:
    entries = [sleeve.trades["entry_session"] for sleeve in sleeves if sleeve.trades is not None]
    missing = [sleeve.label for sleeve in sleeves if sleeve.trades is None]
    days = pd.to_datetime(pd.concat(entries)).dt.normalize().value_counts() if entries else pd.Series(dtype=np.int64)
    busiest = int(days.max()) if len(days) else 0
    limit = float(limits.max_trades_a_day)
    on = f"on {days.index[days == busiest].min():%Y-%m-%d}" if busiest else "no trades"
    if busiest > limit:  # those not known could only add to it
        detail = f"{on}. Hold fewer sleeves, or limit the positions opened at once."
        return Finding("trades_a_day", limit, busiest, "", "FAIL", detail)
    if missing:
        return Finding("trades_a_day", limit, None, "", "NOT MEASURABLE", f"No trades are known: {', '.join(missing)}.")
    return Finding("trades_a_day", limit, busiest, "", "PASS", on)
