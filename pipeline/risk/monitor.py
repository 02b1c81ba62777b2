"""Measure the portfolio's risk again and again, alert, and enforce the limits where the mode says so: the risk worker.

Marked to the last prices: equity against its peak, gross and net exposure, value at risk. A breach is written into the
heartbeat and mailed once; in the mode `enforce` it halts the desk, cancels the open orders and then flattens, in this order.
It sells once two looks in a row have seen the breach: one wrong price must not.

A look that fails is logged, mailed once and tried again; `HEARTBEAT_MAX_AGE_SECONDS` holds entries back meanwhile.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog

from core.errors import DataError, DeskError, ExecutorBusy
from pipeline.accounts import valuation
from pipeline.resources import Resources, live
from pipeline.risk import kill_switch
from trading.drawdown import PERCENT, DrawdownLimits, Level, drawdown_pct

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    import pandas as pd

    from pipeline.accounts.valuation import StalePosition
    from pipeline.risk.flatten import Flattening
    from storage.trading.heartbeats import Heartbeat

log = structlog.get_logger()
DRAWDOWN, VALUE_AT_RISK, EXPOSURE, STALE_PRICE = "drawdown", "value_at_risk", "exposure", "stale_price"
SELLING = "selling"  # among the breaches: a sale has begun
BEATEN_TO_DAYS = 1.6  # calendar days that hold so many sessions, holidays included


def look(*, mode: str | None = None, resources: Resources | None = None) -> tuple[Heartbeat, Flattening | None]:
    """Measure, write the heartbeat, mail what is new, and enforce where the mode says so; what was sold comes along."""
    resources = resources or live()
    before = resources.heartbeats.last(resources.settings.portfolio)
    now = measure(resources, mode or resources.settings.risk_mode)
    sell = _must_sell(resources, before, now)
    if sell:
        now = replace(now, breaches={**now.breaches, SELLING: {}})
    resources.heartbeats.add(now)
    log.info("risk", level=now.level, equity_usd=now.equity_usd, drawdown_pct=now.drawdown_pct, var_usd=now.var_historical_usd)
    _tell(resources, before, now)
    if now.mode == "enforce" and now.level == Level.HALT and kill_switch.standing(resources) is None:
        kill_switch.halt(words(now.breaches), kill_switch.RISK_WORKER, resources=resources)
    return now, _sell(resources, now) if sell else None


def measure(resources: Resources, mode: str) -> Heartbeat:
    """The portfolio's risk at this moment.

    Raises
    ------
    core.errors.DataError
        When a symbol held never had a price.
    """
    from storage.trading.heartbeats import Heartbeat
    from trading import var

    settings, positions = resources.settings, resources.ledger.positions(resources.settings.portfolio)
    held, newest = sorted({position.symbol for position in positions}), resources.bars.last_sessions()
    end = max(newest.values(), default=dt.date.min) if resources.historical else resources.clock().date()
    prices = valuation.closing_prices(resources.bars, held, end)
    absent = [symbol for symbol in held if symbol not in prices]
    if absent:
        raise DataError(f"Risk: expected bars of {absent[0]}, which is held, found none. Load them.")
    exposures = {
        symbol: sum(float(each.quantity) for each in positions if each.symbol == symbol) * prices[symbol] for symbol in held
    }
    equity = float(resources.broker.account(prices).equity_usd)
    peak = max(peak_usd(resources), equity)
    made = var.pnl(_returns(resources, held, end), exposures) if held else None
    figures: dict[str, Any] = {
        "equity_usd": equity,
        "peak_usd": peak,
        "drawdown_pct": drawdown_pct(equity, peak),
        "gross_usd": sum(abs(float(each.quantity)) * prices[each.symbol] for each in positions),
        "net_usd": sum(exposures.values()),
        "var_historical_usd": 0.0 if made is None else var.historical_usd(made),
        "var_parametric_usd": 0.0 if made is None else var.parametric_usd(made),
    }
    stale = valuation.stale_positions(resources.bars, held, max(newest.values())) if held else []
    level, breaches = judge(resources, figures, stale)
    return Heartbeat(settings.portfolio, resources.clock(), mode, level, **figures, positions=len(positions), breaches=breaches)


def judge(resources: Resources, figures: dict[str, Any], stale: Sequence[StalePosition]) -> tuple[Level, dict[str, Any]]:
    """The worst level, and each rule that is broken with its limit and what was found.

    Exposure over its limit is an alert alone: prices that moved since the decision are enough for it. So is a position marked
    to a price older than the others, as one in a delisted symbol is, and a value at risk with a limit that nobody can measure.
    """
    settings, equity = resources.settings, figures["equity_usd"]
    breaches: dict[str, Any] = {}
    level = limits_of(resources).level(equity, figures["peak_usd"])
    if level is not Level.OK:
        limit = settings.drawdown_halt_pct if level is Level.HALT else settings.drawdown_alert_pct
        breaches[DRAWDOWN] = _breach(limit, figures["drawdown_pct"])
    known = [figures[name] for name in ("var_historical_usd", "var_parametric_usd") if figures[name] is not None]
    worst_pct = PERCENT * max(known, default=0.0) / equity if equity > 0 else 0.0
    if settings.var_limit_pct is not None and worst_pct > settings.var_limit_pct:
        breaches[VALUE_AT_RISK] = _breach(settings.var_limit_pct, worst_pct)
        level = Level.HALT
    elif settings.var_limit_pct is not None and not known:
        breaches[VALUE_AT_RISK] = _breach(settings.var_limit_pct, None)
    if figures["gross_usd"] > equity * settings.max_exposure_pct / PERCENT:
        breaches[EXPOSURE] = _breach(settings.max_exposure_pct, PERCENT * figures["gross_usd"] / equity if equity > 0 else None)
    if stale:
        oldest, symbols = max(each.sessions for each in stale), [each.symbol for each in stale]
        breaches[STALE_PRICE] = _breach(valuation.STALE_AFTER_SESSIONS, oldest, "sessions") | {"symbols": symbols}
    return Level.ALERT if breaches and level is Level.OK else level, breaches


def _must_sell(resources: Resources, before: Heartbeat | None, now: Heartbeat) -> bool:
    """Whether two looks in a row call for it, or a sale that has begun has not ended.

    A price that recovers does not stop a sale; a person who resumes trading does.
    """
    if now.mode != "enforce" or before is None or before.mode != "enforce":
        return False
    if now.level == before.level == Level.HALT:
        return True
    return SELLING in before.breaches and now.positions > 0 and kill_switch.standing(resources) is not None


def _sell(resources: Resources, now: Heartbeat) -> Flattening | None:
    """Cancel and flatten; None when another executor is at work, and the next look tries again."""
    from pipeline.risk.flatten import flatten
    from storage.locks import executor_lock

    try:
        with executor_lock(resources.engine, resources.settings.portfolio):
            return flatten(words(now.breaches) or "a sale that has begun goes on", resources=resources)
    except ExecutorBusy as busy:
        log.warning("flatten_waits", reason=str(busy))
        return None


def limits_of(resources: Resources) -> DrawdownLimits:
    """Drawdown limits of the settings."""
    return DrawdownLimits(resources.settings.drawdown_alert_pct, resources.settings.drawdown_halt_pct)


def peak_usd(resources: Resources) -> float:
    """Highest equity on record since a person last resumed trading, 0 without any.

    The paper portfolio's initial cash counts until then; an account elsewhere began with what it had.
    """
    last = resources.halts.current(resources.settings.portfolio)
    resumed = last.created_at if last is not None and not last.halted else None
    highest = resources.heartbeats.peak_equity_usd(resources.settings.portfolio, resumed) or 0.0
    if resumed is not None or resources.settings.broker != "paper":
        return highest
    return max(highest, float(resources.settings.initial_cash_usd))


def words(breaches: Any) -> str:  # noqa: ANN401  # JSON
    """Breaches in words: drawdown 2.99 % (limit 2 %)."""
    said = [
        f"{rule} {'undefined' if each['found'] is None else format(each['found'], '.4g')} {each['unit']}"
        f" (limit {each['limit']:g} {each['unit']})" + "".join(f" {symbol}" for symbol in each.get("symbols", ()))
        for rule, each in breaches.items()
        if rule != SELLING
    ]
    return ", ".join(said)


def _tell(resources: Resources, before: Heartbeat | None, now: Heartbeat) -> None:
    """Mail a level that rose or a rule newly broken, once; the heartbeat before tells what was mailed already."""
    ranks = list(Level)
    worse = ranks.index(Level(now.level)) > (ranks.index(Level(before.level)) if before else 0)
    if not worse and not set(now.breaches) - set(before.breaches if before else ()) - {SELLING}:
        return
    then = "The desk is halted, and sells everything if the next look agrees."
    if now.mode != "enforce":
        then = "RISK_MODE=log: nothing is done about it."
    body = f"Equity ${now.equity_usd:,.2f}, {now.drawdown_pct:.2f} % under its peak of ${now.peak_usd:,.2f}."
    if now.level == Level.HALT:
        resources.alerts.send(f"Risk limit of {now.portfolio} broken: {words(now.breaches)}", f"{body}\n{then}", "critical")
    else:
        resources.alerts.send(f"Risk of {now.portfolio}: {words(now.breaches)}", body)


def _returns(resources: Resources, symbols: list[str], end: dt.date) -> pd.DataFrame:
    """Returns of the window of the value at risk, one column a symbol; one without bars in it has none."""
    window = int(resources.settings.var_window_sessions * BEATEN_TO_DAYS) + 10
    bars = resources.bars.read(symbols, start=end - dt.timedelta(days=window), end=end)
    closes = bars.pivot(index="session", columns="symbol", values="close").reindex(columns=symbols)
    return closes.pct_change(fill_method=None).tail(resources.settings.var_window_sessions)


def _breach(limit: float, found: float | None, unit: str = "%") -> dict[str, Any]:
    return {"limit": limit, "found": found, "unit": unit}


def run(
    stop: threading.Event,
    *,
    mode: str | None = None,
    interval_seconds: float | None = None,
    on_look: Callable[[Heartbeat], None] = lambda _: None,
    resources: Resources | None = None,
) -> int:
    """Look until `stop` is set; returns how many looks succeeded."""
    from sqlalchemy.exc import SQLAlchemyError

    resources = resources or live()
    pause = interval_seconds or resources.settings.risk_interval_seconds
    looks, failed = 0, ""
    while not stop.is_set():
        try:
            heartbeat, _ = look(mode=mode, resources=resources)
        except (DeskError, SQLAlchemyError, OSError) as error:
            failed = _failed(resources, error, failed)
        else:
            looks, failed = looks + 1, ""
            on_look(heartbeat)
        stop.wait(pause)
    return looks


def _failed(resources: Resources, error: Exception, before: str) -> str:
    """Log a failed look; mail it unless the one before failed in the same way."""
    kind = type(error).__name__
    log.error("risk_look_failed", error=kind, says=str(error))
    if kind != before:
        resources.alerts.send("The risk worker cannot see the portfolio", f"{kind}: {error}\nIt goes on trying.", "critical")
    return kind
