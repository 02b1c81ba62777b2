"""Every limit of a book with its use: sizes, losses, checks before an order is sent, and performance. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from core.settings import Settings
from monitoring.performance.findings import Finding
from pipeline.risk.limit_use import LimitUse
from pipeline.views.risk.held_figures import HeldFigures, Most
from pipeline.views.risk.recent_record import BookRecent

PERCENT = 100.0
OF_EQUITY = "% of equity"
SINCE_LOSS = "sessions since a loss"
AT_ORDER = "Measured on each order."
NO_PAIR = "Fewer than two symbols are held."
NO_STOP = "Without a stop, so that the loss is not limited: "


def limit_uses(settings: Settings, held: HeldFigures, recent: BookRecent) -> list[LimitUse]:
    """Return every limit, the emergency stop first."""
    return [
        *loss_limits(settings, held, recent),
        *size_limits(settings, held),
        *entry_limits(settings, held, recent),
        *check_limits(settings, recent),
        *performance_limits(settings, held, recent),
    ]


def loss_limits(settings: Settings, held: HeldFigures, recent: BookRecent) -> list[LimitUse]:
    """Return the limits of what is lost, and of what may be."""
    monitor, risk, unit = settings.monitor, settings.risk, "% under the peak"
    now, closes = recent.now, recent.closes
    unstopped = NO_STOP + ", ".join(held.without_stop) if held.without_stop else None
    at_stop = _value(held.loss_at_stop_pct) or 0.0, _subject(held.loss_at_stop_pct), unstopped
    var = monitor.var_limit_pct
    return [
        LimitUse(
            "drawdown_halt", "MONITOR__DRAWDOWN_HALT_PCT", unit, monitor.drawdown_halt_pct, now.pct,
            note=f"{now.note} MONITOR__MODE={monitor.mode}.", warned_at=monitor.drawdown_alert_pct,
            inclusive=True,
        ),
        LimitUse(
            "drawdown_alert", "MONITOR__DRAWDOWN_ALERT_PCT", unit, monitor.drawdown_alert_pct, now.pct, None, now.note,
            inclusive=True,
        ),
        LimitUse(
            "max_drawdown", "RISK__MAX_DRAWDOWN_PCT", unit, risk.max_drawdown_pct, closes.pct, None, closes.note, inclusive=True
        ),
        LimitUse(
            "halve_drawdown", "RISK__HALVE_DRAWDOWN_PCT", unit, risk.halve_drawdown_pct, closes.pct, None, closes.note,
            pauses=True,
        ),
        LimitUse("var_historical", "MONITOR__VAR_LIMIT_PCT", OF_EQUITY, var, held.var_historical_pct),
        LimitUse("var_parametric", "MONITOR__VAR_LIMIT_PCT", OF_EQUITY, var, held.var_parametric_pct),
        LimitUse("risk_per_trade", "RISK__PER_TRADE_PCT", OF_EQUITY, risk.per_trade_pct, *at_stop),
        LimitUse("loss_at_risk", "RISK__MAX_LOSS_AT_RISK_PCT", OF_EQUITY, risk.max_loss_at_risk_pct, *at_stop),
        LimitUse(
            "no_stop", "RISK__STOP_REQUIRED", "positions without a stop", 0.0 if risk.stop_required else None,
            float(len(held.without_stop)), subject=", ".join(held.without_stop) or None,
        ),
    ]  # fmt: skip


def size_limits(settings: Settings, held: HeldFigures) -> list[LimitUse]:
    """Return the limits of what is held and ordered."""
    risk, position, symbol = settings.risk, held.position_pct, held.symbol_pct
    leverage = settings.venue.paper.leverage if settings.venue.kind == "paper" else None
    used_leverage = None if held.gross_pct is None else held.gross_pct / PERCENT
    return [
        LimitUse("max_positions", "RISK__MAX_POSITIONS", "positions", float(risk.max_positions), float(held.lines)),
        LimitUse(
            "max_position", "RISK__MAX_POSITION_PCT", OF_EQUITY, risk.max_position_pct, _value(position) or 0.0,
            subject=_subject(position),
        ),
        LimitUse(
            "max_symbol", "RISK__MAX_SYMBOL_PCT", OF_EQUITY, risk.max_symbol_pct, _value(symbol) or 0.0, _subject(symbol)
        ),
        LimitUse("max_exposure", "RISK__MAX_EXPOSURE_PCT", OF_EQUITY, risk.max_exposure_pct, held.gross_pct),
        LimitUse("max_net", "RISK__MAX_NET_PCT", OF_EQUITY, risk.max_net_pct, held.net_pct),
        LimitUse("buying_power", "VENUE__PAPER__LEVERAGE", "times equity", leverage, used_leverage),
    ]  # fmt: skip


def entry_limits(settings: Settings, held: HeldFigures, recent: BookRecent) -> list[LimitUse]:
    """Return the rules of new entries."""
    risk, lost, entries = settings.risk, recent.since_loss, recent.entries
    pair, most = held.correlation, risk.max_entries_a_day
    related = _related(held)
    since = _value(lost), _subject(lost), None if lost else "No recent loss."
    return [
        LimitUse(
            "max_entries_a_day", "RISK__MAX_ENTRIES_A_DAY", "entries of one sleeve in a session", most and float(most),
            entries.value if entries else 0.0, subject=_subject(entries),
        ),
        LimitUse(
            "cool_down", "RISK__COOL_DOWN_SESSIONS", SINCE_LOSS, _number(risk.cool_down_sessions), *since, at_least=True,
            pauses=True,
        ),
        LimitUse(
            "loss_day", "RISK__REST_AFTER_LOSS", SINCE_LOSS, 1.0 if risk.rest_after_loss else None, *since, at_least=True,
            pauses=True,
        ),
        LimitUse(
            "correlation", "RISK__MAX_CORRELATION", "correlation", risk.max_correlation, _value(pair), _subject(pair), related
        ),
        LimitUse(
            "correlation_warning", "RISK__WARN_CORRELATION", "correlation", risk.warn_correlation, _value(pair), _subject(pair),
            related, pauses=True,
        ),
        LimitUse("liquidity", "RISK__MAX_VOLUME_PCT", "% of average volume", risk.max_volume_pct, None, note=AT_ORDER),
        *_scaling(settings, recent),
    ]  # fmt: skip


def check_limits(settings: Settings, recent: BookRecent) -> list[LimitUse]:
    """Return the checks before an order is sent."""
    guard, pre_send = settings.guard, settings.pre_send
    age, spread = recent.heartbeat_age_seconds, recent.spread_bps
    on = None if guard.mode == "off" else 0.0
    words = "; ".join(f"{symbol}: {faults}" for symbol, faults in recent.blocked.items())
    quoted = settings.venue.kind == "alpaca"
    return [
        LimitUse(
            "entry_blocks", None, "reasons why nothing may be opened", 0.0, float(len(recent.blocks)),
            note=" ".join(recent.blocks) or None,
        ),
        LimitUse(
            "heartbeat", "PRE_SEND__HEARTBEAT_MAX_AGE_SECONDS", "s", pre_send.heartbeat_max_age_seconds, age,
            note="The risk worker has never measured this book." if age is None else None,
        ),
        LimitUse(
            "clock", "PRE_SEND__CLOCK_TOLERANCE_SECONDS", "s", pre_send.clock_tolerance_seconds if quoted else None, None,
            note="Measured before the first entry of a run." if quoted else "The venue has no clock of its own.",
        ),
        LimitUse(
            "data_guard", "GUARD__MODE", "symbols blocked", on, float(len(recent.blocked)),
            subject=", ".join(recent.blocked) or None, note=words or None,
        ),
        LimitUse(
            "quote_spread", "GUARD__SPREAD_FAIL_BPS", "bps", guard.spread_fail_bps if on is not None and quoted else None,
            spread.value if spread else None, subject=_subject(spread), warned_at=guard.spread_warn_bps,
            note=None if spread else "No quote was found too wide." if quoted else "The venue has no quotes.",
        ),
    ]  # fmt: skip


def performance_limits(settings: Settings, held: HeldFigures, recent: BookRecent) -> list[LimitUse]:
    """Return the limits of the watch over live performance."""
    limits = settings.performance
    enough = recent.trades >= limits.min_trades
    rate = PERCENT * recent.winners / recent.trades if recent.trades else None
    judged = f"{recent.winners} of {recent.trades} trades of {limits.window_days} days won"
    few = f"{judged}; judged from {limits.min_trades} on."
    return [
        LimitUse(
            "win_rate", "PERFORMANCE__MIN_WIN_RATE_PCT", "%", limits.min_win_rate_pct, rate if enough else None,
            note=f"{judged}." if enough else few, at_least=True,
        ),
        LimitUse(
            "performance_drawdown", "PERFORMANCE__MAX_DRAWDOWN_PCT", "% under the peak", limits.max_drawdown_pct,
            recent.closes.pct, note=recent.closes.note,
        ),
        LimitUse(
            "performance_correlation", "PERFORMANCE__MAX_CORRELATION", "correlation", limits.max_correlation,
            _value(held.correlation), _subject(held.correlation), _related(held),
        ),
        *(use for each in recent.frequency for use in _frequency(each)),
        *map(_gap, recent.gap),
    ]  # fmt: skip


def _frequency(finding: Finding) -> list[LimitUse]:
    """Return both ends of the range of entries a session that a promise lets expect."""
    name, unit, setting, sleeve = (
        "trade_frequency",
        "entries a session",
        "PERFORMANCE__FALSE_ALARMS_PCT",
        finding.sleeve or None,
    )
    if finding.interval is None:
        return [LimitUse(name, setting, unit, finding.asked, None, sleeve, finding.text)]
    low, high = finding.interval
    return [
        LimitUse(f"{name}_most", setting, unit, high, finding.measured, sleeve, finding.text),
        LimitUse(f"{name}_least", setting, unit, low, finding.measured, sleeve, finding.text, at_least=True),
    ]


def _gap(finding: Finding) -> LimitUse:
    return LimitUse(
        "no_trade", None, "sessions without an entry", finding.asked, finding.measured, finding.sleeve or None, finding.text
    )


def _scaling(settings: Settings, recent: BookRecent) -> Sequence[LimitUse]:
    """Return the bounds of the equity that positions are sized on; beyond one sizes stand still."""
    risk, unit, setting = settings.risk, "% of the initial cash", "RISK__SCALE_{}_PCT"
    return [
        LimitUse("scaling_low", setting.format("LOW"), unit, risk.scale_low_pct, recent.equity_pct, at_least=True, pauses=True),
        LimitUse("scaling_high", setting.format("HIGH"), unit, risk.scale_high_pct, recent.equity_pct, pauses=True),
    ]


def _related(held: HeldFigures) -> str | None:
    if not held.pairs:
        return NO_PAIR
    missing = held.pairs - held.measured_pairs
    return f"{missing} of {held.pairs} pairs have too few common sessions." if missing else None


def _value(most: Most | None) -> float | None:
    return None if most is None else most.value


def _subject(most: Most | None) -> str | None:
    return None if most is None else most.subject


def _number(value: int | None) -> float | None:
    return None if value is None else float(value)
