"""Rows of the API about money, orders, trades and risk, in the true shape of each view; a unit test holds them to it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np

Row = dict[str, Any]
LAST = dt.date(2026, 3, 2)
CREATED = "2026-03-02T21:35:00Z"
CREATED_EXCHANGE = "2026-03-02T16:35:00-05:00"
ENTRY_ID, EXIT_ID = "20260225-entry-SPY-main-bollinger", "20260302-exit-SPY-main-bollinger"


def weekdays(count: int, last: dt.date = LAST) -> list[dt.date]:
    """The last `count` weekdays up to `last`."""
    days: list[dt.date] = []
    while len(days) < count:
        if last.weekday() < 5:
            days.append(last)
        last -= dt.timedelta(days=1)
    return days[::-1]


def equity(count: int, seed: int = 7) -> list[Row]:
    """A curve of `count` sessions."""
    values = 100_000 * np.cumprod(1 + np.random.default_rng(seed).normal(0.0004, 0.008, count))
    falls = 100 * (1 - values / np.maximum.accumulate(values)) if count else values
    return [
        {
            "book": "main", "session": day.isoformat(), "closed_at": f"{day}T21:00:00Z",
            "closed_at_exchange": f"{day}T16:00:00-05:00", "equity_usd": round(float(value), 2), "cash_usd": 60_000.0,
            "exposure_usd": 21_125.4, "positions": 2, "profit_usd": round(float(value) - 100_000, 2),
            "drawdown_pct": round(float(fall), 4),
        }
        for day, value, fall in zip(weekdays(count), values, falls, strict=True)
    ]  # fmt: skip


def trades(count: int, seed: int = 8) -> list[Row]:
    """Closed trades, newest first; the newest is that of the order pages."""
    days, gains = weekdays(count + 6), np.random.default_rng(seed).normal(12, 180, count)
    return [
        {
            "book": "main", "sleeve": "bollinger", "symbol": ("SPY", "QQQ", "IWM")[each % 3], "side": "long",
            "quantity": 10.0 + each % 40, "decision_session": days[-5 - each].isoformat(),
            "entry_session": days[-4 - each].isoformat(), "entry_price": 500.1, "exit_session": days[-1 - each].isoformat(),
            "exit_price": 503.3, "holding_sessions": 4, "reason": ("rule", "stop", "target")[each % 3],
            "pnl_usd": round(float(gains[each]), 2), "cost_usd": 1.25, "gross_return_pct": 0.66, "net_return_pct": 0.61,
            "stop_pct": 3.0, "target_pct": 4.0, "mean_price": 505.5, "band_price": 498.75,
            "entry_order_id": ENTRY_ID if each == 0 else None,
        }
        for each in range(count)
    ]  # fmt: skip


def prices(count: int = 70) -> list[Row]:
    """Bars of SPY with bands, the newest trade's fills, and no band at the start."""
    days, steps = weekdays(count), np.random.default_rng(9).normal(0, 3, count)
    closes = 500 + np.cumsum(steps) * 0.4
    rows: list[Row] = [
        {
            "symbol": "SPY", "session": day.isoformat(), "open": round(close - step / 2, 2), "high": round(close + 3, 2),
            "low": round(close - 4, 2), "close": round(close, 2), "volume": 5e7,
            "band_upper": round(close + 9, 2) if at >= 20 else None, "band_mean": round(close + 1, 2) if at >= 20 else None,
            "band_lower": round(close - 7, 2) if at >= 20 else None, "zscore": None, "rsi": 40.0 + at % 20, "marks": [],
        }
        for at, (day, close, step) in enumerate(zip(days, closes.tolist(), steps.tolist(), strict=True))
    ]  # fmt: skip
    for at, kind, order in ((-4, "entry", ENTRY_ID), (-1, "exit", EXIT_ID)):
        rows[at]["marks"] = [
            {
                "kind": kind, "book": "main", "sleeve": "bollinger", "session": rows[at]["session"],
                "side": "buy" if kind == "entry" else "sell", "quantity": 10.0, "price": rows[at]["open"],
                "client_order_id": order, "reason": "open",
            }
        ]  # fmt: skip
    return rows


def pnl() -> list[Row]:
    """Results of four periods."""
    return [
        {
            "period": name, "book": "main", "sleeve": None, "symbol": None, "after": "2026-02-27", "session": "2026-03-02",
            "pnl_usd": profit, "realised_usd": profit, "unrealised_usd": 0.0, "costs_usd": 0.0, "other_usd": 0.0,
            "unattributed_usd": 0.0, "transfers_usd": 0.0, "return_pct": share, "trades": count,
            "win_rate_pct": 60.0 if count else None, "reason": None,
        }
        for name, profit, share, count in (
            ("today", 312.4, 0.21, 0), ("week", -120.0, -0.08, 1), ("month", 1_804.55, 1.2, 5), ("start", 48_211.9, 48.2, 301),
        )
    ]  # fmt: skip


def names(kind: str, *values: str) -> list[Row]:
    """Results since the start by sleeve or symbol."""
    return [pnl()[-1] | {kind: value} for value in values]


def positions() -> list[Row]:
    """Two open positions, one without a stop."""
    whole = {
        "book": "main", "side": "long", "entry_session": "2026-02-26", "price_session": "2026-03-02", "sessions_held": 3,
        "sessions_left": 2, "left_by": "strategy", "reason": None,
    }  # fmt: skip
    return [
        whole | {
            "sleeve": "bollinger", "symbol": "SPY", "quantity": 30.0, "entry_price": 513.64, "entry_order_id": "a",
            "last_price": 510.7, "value_usd": 15_321.0, "unrealised_usd": -88.2, "unrealised_pct": -0.57, "stop_price": 498.2,
            "stop_distance_pct": 2.45, "target_price": 534.2, "target_distance_pct": 4.6, "left_by_name": "bollinger",
        },
        whole | {
            "sleeve": "gap", "symbol": "QQQ", "quantity": 12.5, "entry_price": 480.28, "entry_order_id": "b",
            "last_price": 483.7, "value_usd": 5_804.4, "unrealised_usd": 41.04, "unrealised_pct": 0.71, "stop_price": None,
            "stop_distance_pct": None, "target_price": None, "target_distance_pct": None, "left_by_name": "gap",
        },
    ]  # fmt: skip


def orders() -> list[Row]:
    """The last entry and the exit of the newest trade."""
    whole = {
        "book": "main", "limit_price": None, "stop_price": None, "stop_pct": 3.0, "target_pct": 4.0, "max_sessions": 5,
        "origin": "signal", "arm": "", "created_at": CREATED, "created_at_exchange": CREATED_EXCHANGE, "updated_at": CREATED,
        "updated_at_exchange": CREATED_EXCHANGE, "code_commit": "0123abc", "dag_run": None, "session": "2026-03-02",
        "decision_session": "2026-02-27", "order_type": "market", "state": "filled", "reason": "at the open",
        "commission_usd": 0.5, "slippage_usd": 0.4,
    }  # fmt: skip
    return [
        whole | {
            "client_order_id": "20260302-entry-QQQ-main-gap", "sleeve": "gap", "symbol": "QQQ", "leg": "entry", "side": "buy",
            "quantity": 12.5, "filled_quantity": 12.5, "average_price": 480.28, "entry_order_id": None,
        },
        whole | {
            "client_order_id": EXIT_ID, "sleeve": "bollinger", "symbol": "SPY", "leg": "exit", "side": "sell",
            "quantity": 10.0, "filled_quantity": 10.0, "average_price": 503.3, "entry_order_id": ENTRY_ID,
        },
    ]  # fmt: skip


def order_page(order_id: str) -> Row:
    """Return the answer of `GET /orders/{id}` for the newest trade's entry or exit."""
    leg = "entry" if order_id == ENTRY_ID else "exit"
    return {
        "order": {
            "client_order_id": order_id, "portfolio": "main", "strategy": "bollinger", "symbol": "SPY", "session": "2026-02-25",
            "decision_session": "2026-02-24", "leg": leg, "side": "buy" if leg == "entry" else "sell", "quantity": "10.000000",
            "order_type": "market", "state": "filled", "created_at": CREATED, "origin": "signal",
        },
        "events": [
            {"state": "intent", "reason": "decided", "created_at": CREATED},
            {"state": "filled", "reason": f"the {leg} at the <b>open</b>", "created_at": "2026-02-25T14:30:00Z"},
        ],
        "fills": [
            {
                "fill_id": f"paper-{leg}", "quantity": "10.000000", "price": "500.100000", "raw_price": "500.000000",
                "commission_usd": "0.5", "session": "2026-02-25", "filled_at": "2026-02-25T14:30:00Z", "reason": "open",
            }
        ],
        "entry_order": None if leg == "entry" else ENTRY_ID,
        "signal": {"strategy": "bollinger", "symbol": "SPY", "entry": 1, "strength": 1.75, "stop_pct": 3.0},
        "prediction": {
            "model_name": "entry-filter", "model_version": "7", "probability": 0.6142, "predicted_return": 0.0031,
            "signal": "enter",
        },
        "model": {"name": "entry-filter", "version": "7", "run_id": "a1b2c3", "aliases": ["champion"]},
        "features": {"symbol": "SPY", "rsi_14": 31.25, "known_at": CREATED},
        "served": None,
        "bars": {
            "symbol": "SPY", "session": "2026-02-24", "close": 499.5, "source": "yahoo", "ingested_at": CREATED, "revision": 1,
            "revisions_since": 0,
        },
        "validation": {"id": 3, "session": "2026-02-24", "passed": True, "created_at": CREATED},
        "code": {"commit": "0123abc", "dag_run": None},
        "not_linked": ["The API has no record of the answer: it writes in batches, or the answer came from elsewhere."],
    }  # fmt: skip


def risk() -> list[Row]:
    """Limits of every state, with the frequency of trades."""
    return [
        {
            "book": "main", "limit": name, "setting": f"RISK__{name.upper()}", "unit": unit, "limit_value": limit, "used": used,
            "distance": distance, "distance_pct": share, "state": state, "subject": subject, "note": note,
        }
        for name, unit, limit, used, distance, share, state, subject, note in (
            ("drawdown_halt", "% under the peak", 10.0, 4.0, 6.0, 60.0, "ok", None, "At the last prices."),
            ("drawdown_alert", "% under the peak", 5.0, 4.0, 1.0, 20.0, "warning", None, "At the last prices."),
            ("var_historical", "% of equity", 3.0, 1.2, 1.8, 60.0, "ok", None, None),
            ("max_exposure", "% of equity", 100.0, 104.5, -4.5, -4.5, "breach", None, None),
            ("no_stop", "positions without a stop", 0.0, 1.0, -1.0, None, "breach", "QQQ", None),
            ("heartbeat", "s", 900.0, 75.0, 825.0, 91.67, "ok", None, None),
            ("liquidity", "% of average volume", 1.0, None, None, None, "unknown", None, "Measured on each order."),
            ("trade_frequency_most", "entries a session", 0.5, 0.2, 0.3, 60.0, "ok", "bollinger", "As expected."),
            ("trade_frequency_least", "entries a session", 0.05, 0.2, 0.15, 300.0, "ok", "bollinger", "As expected."),
        )
    ]  # fmt: skip


def heartbeats(count: int = 60) -> list[Row]:
    """A heartbeat an hour."""
    first = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC) - dt.timedelta(hours=count)
    return [
        {
            "book": "main", "at": (first + dt.timedelta(hours=at)).isoformat(),
            "at_exchange": (first + dt.timedelta(hours=at)).astimezone(dt.timezone(dt.timedelta(hours=-5))).isoformat(),
            "mode": "log", "level": "ok", "equity_usd": 96_000.0 + 10 * at, "peak_usd": 100_000.0,
            "drawdown_pct": 4.0 - 0.01 * at, "gross_usd": 21_125.4, "net_usd": 21_125.4,
            "var_historical_usd": None if at < 5 else 1_150.0 + at, "var_parametric_usd": 1_010.0 + at, "positions": 2,
            "breaches": [],
        }
        for at in range(count)
    ]  # fmt: skip


def exposure() -> list[Row]:
    """The open positions, with a waiting order."""
    return [
        {
            "book": "main", "sleeve": each["sleeve"], "symbol": each["symbol"], "held": "long", "quantity": each["quantity"],
            "last_price": each["last_price"], "price_session": "2026-03-02", "value_usd": each["value_usd"],
            "gross_usd": each["value_usd"], "share_pct": 15.3, "gross_pct": 15.3, "waiting_orders": 1, "waiting_usd": 5_100.0,
            "waiting_pct": 5.1, "equity_usd": 100_000.0, "equity_session": "2026-03-02", "reason": None,
        }
        for each in positions()
    ]  # fmt: skip


def correlation() -> list[Row]:
    """Three symbols, one held short, one pair without a figure."""
    whole = {"book": "main", "n": 60, "sessions": 60, "last": "2026-03-02", "reason": None}
    return [
        whole | {"symbol": "IWM", "other": "QQQ", "correlation": 0.62, "effective": -0.62},
        whole | {"symbol": "IWM", "other": "SPY", "correlation": -0.31, "effective": -0.31},
        whole | {
            "symbol": "QQQ", "other": "SPY", "correlation": None, "effective": None, "n": 3,
            "reason": "Fewer than 20 common sessions.",
        },
    ]  # fmt: skip


def sessions() -> list[Row]:
    """The newest evening of the desk, of which one step failed, and the one before."""
    whole = {
        "started_at": "2026-03-02T21:30:00Z", "started_at_exchange": "2026-03-02T16:30:00-05:00",
        "ended_at": "2026-03-02T21:40:00Z", "seconds": 600.0, "step_count": 6, "steps": [],
    }  # fmt: skip
    return [
        whole | {"session": "2026-03-02", "book": "main", "outcome": "failed", "problem": "place: no <i>venue</i>"},
        whole | {"session": "2026-03-02", "book": "trio", "outcome": "done", "problem": None},
        whole | {"session": "2026-02-27", "book": "main", "outcome": "failed", "problem": "settle: an older one"},
    ]


def alerts() -> list[Row]:
    """One open alert."""
    return [
        {
            "id": 1, "key": "unknown-order", "kind": "orders", "book": "main", "severity": "critical", "state": "raised",
            "subject": "Order <b>gap</b> is unknown at the venue", "body": "", "details": {},
            "raised_at": "2026-03-02T21:36:10Z", "last_seen_at": "2026-03-02T21:36:10Z", "repeats": 0, "pending": False,
            "acknowledged_by": None, "acknowledged_reason": None, "acknowledged_at": None, "resolved_by": None,
            "resolved_reason": None, "resolved_at": None,
        }
    ]  # fmt: skip


def deployments(equity_usd: float | None) -> list[Row]:
    """An active deployment and a paused one."""
    whole = {"stage": "paper", "author": "ann", "reason": "validated", "created_at": CREATED, "profile": "desk"}
    return [
        whole | {
            "name": "main", "version": 1, "state": "active", "portfolio_id": None, "capital_usd": 100_000.0,
            "equity_usd": equity_usd, "session": None if equity_usd is None else "2026-03-02",
            "positions": 0 if equity_usd is None else 2, "sleeves": ["bollinger", "gap"], "entries_blocked": [],
        },
        whole | {
            "name": "trio", "version": 2, "state": "paused", "portfolio_id": 1, "capital_usd": 50_000.0,
            "equity_usd": 50_000.0, "session": "2026-03-02", "positions": 0, "sleeves": ["rsi"],
            "entries_blocked": ["paused by ann"],
        },
    ]  # fmt: skip


def health() -> Row:
    """A report with one failed check."""
    return {
        "at": "2026-03-02T21:41:00Z",
        "healthy": False,
        "checks": [
            {"name": "disk", "healthy": True, "detail": "41 % used", "severity": "critical"},
            {"name": "airflow", "healthy": False, "detail": "does not answer", "severity": "warning"},
        ],
    }


def halt_state(book: str, *, halted: bool = False) -> Row:
    """The halt switch of a book."""
    return {
        "portfolio": book, "halted": halted, "reason": "drill" if halted else None, "author": "ann" if halted else None,
        "created_at": CREATED if halted else None, "entries_blocked": ["halted: drill"] if halted else [],
    }  # fmt: skip


def money_rows(curve: list[Row], closed: int) -> dict[str, list[Row]]:
    """The rows of every view of these; without a curve the desk is an empty one."""
    if not curve:
        empty = ("equity", "trades", "pnl", "positions", "orders", "alerts", "risk", "heartbeats", "exposure", "correlation")
        rows: dict[str, list[Row]] = {f"/{name}": [] for name in (*empty, "sessions", "prices")}
        return rows | {"/deployments": deployments(None)}
    return {
        "/equity": curve,
        "/trades": trades(closed),
        "/pnl": pnl(),
        "/pnl?by=sleeve": names("sleeve", "bollinger", "gap"),
        "/pnl?by=symbol": names("symbol", "IWM", "QQQ", "SPY"),
        "/positions": positions(),
        "/orders": orders(),
        "/alerts": alerts(),
        "/deployments": deployments(curve[-1]["equity_usd"]),
        "/risk": risk(),
        "/heartbeats": heartbeats(),
        "/exposure": exposure(),
        "/correlation": correlation(),
        "/sessions": sessions(),
        "/prices": prices(),
    }
