"""The stand-in API with what the pages of live against backtest, models and research read, in the true shape."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from pipeline.views.performance.live_figures import DARKER, NOT_ENOUGH, light_of
from tests.standins.dashboard_api import StandIn, desk, problem
from tests.standins.money_rows import weekdays

if TYPE_CHECKING:
    from starlette.requests import Request

HTML = "<script>alert('x')</script>"
AT = "2026-03-02T21:40:00Z"
MLFLOW = "http://127.0.0.1:5000"
CAUSES = ("signal", "fill", "cost", "missed")
TERMS = {"share": 0.5, "sessions": 5, "least_pairs": 12, "level": 0.95}


def live_curve(sessions: int) -> dict[str, list[Any]]:
    """Curves of a book that falls behind its backtest a little each session."""
    places = range(sessions)
    causes = {
        "signal": [-40.0 * (each // 60) for each in places],
        "fill": [-2.5 * each for each in places],
        "cost": [-0.75 * each for each in places],
        "missed": [-300.0 * (each > 200) + 120.0 * (each > 400) for each in places],
    }
    gap = [sum(values) for values in zip(*causes.values(), strict=True)]
    live = [100_000 + 18.0 * each + 1_500 * math.sin(each / 35) for each in places]
    middle = [100_000 * math.exp(0.0003 * each) for each in places]
    return {
        "session": [day.isoformat() for day in weekdays(sessions)],
        "live_usd": live,
        "backtest_usd": [value - behind for value, behind in zip(live, gap, strict=True)],
        "gap_usd": gap,
        **{f"{name}_usd": values for name, values in causes.items()},
        "carried_usd": [0.0] * sessions,
        "expected_usd": middle,
        "low_usd": [value * math.exp(-0.008 * math.sqrt(each)) for each, value in enumerate(middle)],
        "high_usd": [value * math.exp(0.008 * math.sqrt(each)) for each, value in enumerate(middle)],
    }


def compared(sleeve: str, label: str, **figures: Any) -> dict[str, Any]:
    """A row of live against backtest; without figures nothing is promised."""
    names = [f"{part}{unit}" for part, unit in (("sharpe", ""), ("profit", "_pct"))]
    nothing = {f"{side}_{name}": None for name in names for side in ("backtest", "live")}
    nothing |= {"live_sharpe_low": None, "live_sharpe_high": None, "sharpe_delta": None}
    nothing |= {"live_profit_low_pct": None, "live_profit_high_pct": None, "profit_delta_pct": None}
    counts = {"backtest_trades": None, "backtest_sessions": None, "trades": 0, "sessions": 750}
    lights = {"sharpe_light": NOT_ENOUGH, "profit_light": NOT_ENOUGH, "light": NOT_ENOUGH, "reason": ""}
    return {"sleeve": sleeve, "label": label, **nothing, **counts, **lights, **figures}


def promised(backtest: float, live: float, profit: float) -> dict[str, Any]:
    """Figures and lights of a row with a promise of 1.2 % a trade."""
    lights = [light_of(live, backtest), light_of(profit, 1.2)]
    return {
        "backtest_sharpe": backtest,
        "live_sharpe": live,
        "live_sharpe_low": live - 0.6,
        "live_sharpe_high": live + 0.6,
        "sharpe_delta": live - backtest,
        "sharpe_light": lights[0],
        "backtest_profit_pct": 1.2,
        "live_profit_pct": profit,
        "live_profit_low_pct": profit - 0.15,
        "live_profit_high_pct": profit + 0.15,
        "profit_delta_pct": profit - 1.2,
        "profit_light": lights[1],
        "light": max(lights, key=DARKER.index),
        "backtest_trades": 400,
        "backtest_sessions": 1000,
        "trades": 312,
    }


def live_vs_backtest(sessions: int = 750) -> dict[str, Any]:
    """A deployment with a promise."""
    curve = live_curve(sessions)
    return {
        "book": "main",
        "first": curve["session"][0] if sessions else None,
        "last": curve["session"][-1] if sessions else None,
        "promised": True,
        "reason": "",
        "source": "parity days" if sessions else "nothing",
        "unmeasured": 3 if sessions else 0,
        "rows": [
            compared("", "book", **promised(1.1, 0.95, 1.02)),
            compared("main/rsi", "rsi", **promised(0.8, 1.31, 1.34)),
            compared("main/gap", "gap", **promised(1.4, 0.62, 0.55)),
            compared(f"main/{HTML}", HTML, reason="No backtest is on record."),
        ],
        "curve": curve,
    }


def without_promise() -> dict[str, Any]:
    """The default deployment: a live curve alone."""
    found = live_vs_backtest(40)
    unknown = dict.fromkeys(("backtest_usd", "gap_usd", "carried_usd", "expected_usd", "low_usd", "high_usd"), [None] * 40)
    zeros = {f"{name}_usd": [0.0] * 40 for name in CAUSES}
    rows = [compared("", "book", reason="No backtest is on record.", live_sharpe=0.4, trades=21)]
    reason = "main trades the strategies of the settings: nobody deployed it, so no backtest promised anything."
    about = {"promised": False, "reason": reason, "source": "nothing", "unmeasured": 39}
    return {**found, **about, "rows": rows, "curve": {**found["curve"], **unknown, **zeros}}


def version(number: str, *aliases: str, kind: str = "entry", objections: tuple[str, ...] = ()) -> dict[str, Any]:
    """A registered version."""
    model = "entry-filter" if kind == "entry" else "next-day-return"
    metrics = (
        {"auc": 0.561, "log_loss": 0.683, "calibration_error": 0.021} if kind == "entry" else {"rmse": 0.01312, "rank_ic": 0.03}
    )
    return {
        "kind": kind,
        "model": model,
        "version": number,
        "aliases": list(aliases),
        "registered_at": AT,
        "age_days": 28.5,
        "trained_through": "2026-01-30",
        "passed": not objections,
        "objections": list(objections),
        "metrics": metrics,
        "training_metrics": {"lift/difference": 1.5} if kind == "entry" else {},
        "version_url": f"{MLFLOW}/#/models/{model}/versions/{number}",
        "run_url": f"{MLFLOW}/#/experiments/7/runs/r{number}",
        "training_url": None,
    }


def served(arm: str, number: str, kind: str = "entry") -> dict[str, Any]:
    """A model that answers."""
    return {
        "kind": kind,
        "arm": arm,
        "name": "entry-filter" if kind == "entry" else "next-day-return",
        "version": number,
        "trained_through": "2026-01-30",
        "strategies": ["bollinger", "rsi"] if kind == "entry" else [],
        "features": ["rsi_14"],
        "loaded_at": AT,
        "fast": True,
    }


def reliability(n: int) -> dict[str, Any]:
    """A calibration curve of ten bins; without predictions it has its reason."""
    if not n:
        reason = "No entry that this version answered about was traded and is closed."
        return {"n": 0, "brier": None, "calibration_error": None, "base_rate": None, "bins": [], "reason": reason}
    enough = n >= 200
    bins = [
        {
            "low": 0.1 * each,
            "high": 0.1 * (each + 1),
            "n": n // 10,
            "predicted": 0.1 * each + 0.05,
            "realised": 0.08 * each + 0.08,
            "realised_low": 0.08 * each + 0.02 if enough else None,
            "realised_high": 0.08 * each + 0.16 if enough else None,
        }
        for each in range(10)
    ]
    return {"n": n, "brier": 0.2214, "calibration_error": 0.031, "base_rate": 0.452, "bins": bins, "reason": ""}


def ab_test(name: str, state: str, *, judged: bool = True, blocking: tuple[str, ...] = ()) -> dict[str, Any]:
    """An A/B test of one challenger."""
    effect = {
        "challenger": "4",
        "effect": 12.0,
        "low": -8.0,
        "high": 31.0,
        "unit": "bps a candidate",
        "candidates": 40,
        "pairs": 9,
    }
    return {
        "name": name,
        "model": "entry-filter",
        "champion": "3",
        "challengers": ["4"],
        "state": state,
        "created_at": AT,
        "first_session": "2026-02-02",
        "session": "2026-02-27" if judged else None,
        "decided_at": AT if judged else None,
        "promoted": "4" if state == "promoted" else None,
        "reason": "; ".join(blocking),
        "settled_sessions": 16 if judged else None,
        "comparisons": [{**effect, "blocks": 4, "p_value": 0.2}] if judged else [],
        "spa_p_value": None,
        "assigned": {"3": 26, "4": 14},
        "last_assigned": "2026-02-27",
        "void": 1 if judged else None,
        "late": 0 if judged else None,
        "terms": TERMS,
        "blocking": list(blocking),
    }


def drift(name: str, *, psi: float | None, alert: bool = False, detail: str = "", family: str = "feature") -> dict[str, Any]:
    """Drift of one feature."""
    means = {"reference_mean": 0.1, "recent_mean": 0.24, "reference_count": 4000, "recent_count": 220}
    about = {"session": "2026-02-27", "family": family, "name": name, "psi": psi, "statistic": 0.11, "p_value": 0.4}
    return {**about, **means, "alert": alert, "detail": detail, "created_at": AT}


def run(place: int, kind: str, strategy: str, sharpe_ratio: float | None, trades: int = 210) -> dict[str, Any]:
    """A stored backtest."""
    figures = {"total_return_pct": 21.4, "annual_return_pct": 6.6, "max_drawdown_pct": -7.25, "win_rate_pct": 55.5}
    defined = figures if trades else dict.fromkeys(figures)
    return {
        "run_id": f"20260302T2140{place:02}-{place:08x}",
        "kind": kind,
        "created_at": AT,
        "strategy": strategy,
        "symbols": ["SPY", "QQQ"],
        "first": "2023-01-03",
        "last": "2026-02-27",
        "dataset": None,
        "trades": trades,
        "sharpe": sharpe_ratio,
        **defined,
        "profit_per_trade_pct": 0.312 if trades else None,
        "cost_usd": 812.5,
        "deflated_sharpe": 0.87,
    }


def ranked(rank: int) -> dict[str, Any]:
    """A candidate of a sweep."""
    return {
        "session": "2026-02-27",
        "created_at": None,
        "key": "sweep",
        "rank": rank,
        "label": f"rsi@S{rank}",
        "strategy": "rsi",
        "symbol": f"S{rank}",
        "params": {"oversold": 20 + rank},
        "dataset": None,
        "profit_per_trade_pct": 2.0 / rank,
        "win_rate_pct": 58.1,
        "sharpe": 1.9 / rank,
        "max_drawdown_pct": -6.5,
        "trades": 40 + rank,
        "avg_hold_sessions": 2.4,
    }


def comparison(runs: list[dict[str, Any]], sessions: int = 500) -> dict[str, Any]:
    """Runs side by side; one without trades leaves no common session."""
    ids = [each["run_id"] for each in runs]
    days = weekdays(sessions if all(each["trades"] for each in runs) else 0)
    names = (
        ("sessions", "sessions", 790.0),
        ("total_return", "fraction", 0.214),
        ("sharpe", "ratio", None),
        ("cost_usd", "usd", 812.5),
    )
    figures = [{"name": name, "unit": unit, "values": [value] * len(ids)} for name, unit, value in names]
    figures.append({"name": "deflated_sharpe", "unit": "probability", "values": [0.87, *[None] * (len(ids) - 1)]})
    about = ("run_id", "kind", "created_at", "strategy", "first", "last")
    return {
        "runs": [{name: each[name] for name in about} for each in runs],
        "figures": figures,
        "session": [day.isoformat() for day in days],
        "curves": [
            {
                "run_id": each,
                "value": [100 + place * (number + 1) / 20 + 3 * math.sin(place / 20 + number) for place in range(len(days))],
            }
            for number, each in enumerate(ids)
        ],
    }


def heat_map(x: str = "oversold", y: str = "stop_pct") -> dict[str, Any]:
    """Trials by two parameters, one cell of which was not tried."""
    mean: list[list[float | None]] = [
        [1.2 - 0.1 * (column - 3) ** 2 - 0.2 * (row - 2) ** 2 for column in range(7)] for row in range(5)
    ]
    mean[4][6] = None
    count = [[2] * 7 for _ in range(4)] + [[2] * 6 + [0]]
    return {
        "strategy": "rsi",
        "symbol": None,
        "metric": "sharpe",
        "x": {"name": x, "values": [str(10 + 5 * each) for each in range(7)], "binned": False},
        "y": {"name": y, "values": [f"{1 + each}.0" for each in range(5)], "binned": False},
        "mean": mean,
        "count": count,
        "trials": count,
        "total": 68,
        "left_out": 0,
    }


def rows() -> dict[str, list[dict[str, Any]]]:
    """The rows of the views."""
    runs = [run(0, "filtered", "rsi", 0.84), run(1, "unfiltered", HTML, 0.61), run(2, "walk_forward", "bollinger+rsi", 1.02)]
    return {
        "/models/ab-tests": [
            ab_test("entry-filter:3-vs-4@2026-02-02", "running", blocking=(f"Too few samples: 9 of 12 pairs. {HTML}",)),
            ab_test("entry-filter:3-vs-5@2026-03-02", "running", judged=False, blocking=("It has not been judged yet.",)),
            ab_test("entry-filter:2-vs-3@2025-11-03", "promoted"),
        ],
        "/models/drift": [
            drift("atr_14", psi=0.02),
            drift("rsi_14", psi=0.41, alert=True, detail="psi 0.41 is above 0.25"),
            drift("win_rate", psi=None, family="outcome"),
        ],
        "/models/promotions": [
            {"id": 2, "model": "entry-filter", "kind": "promote", "from_version": "2", "to_version": "3", "author": "ann",
             "reason": HTML, "decision_id": 7, "created_at": AT},
            {"id": 1, "model": "entry-filter", "kind": "manual", "from_version": None, "to_version": "2", "author": "bob",
             "reason": "the first", "decision_id": None, "created_at": AT},
        ],
        "/research/runs": [*runs, run(3, "unfiltered", "gap", None, trades=0)],
        "/research/rankings": [ranked(each) for each in range(1, 41)],
    }  # fmt: skip


def objects() -> dict[str, Any]:
    """The answers of routes that give one object, or a bare list; a function takes the query."""
    params = {"rsi_sessions": 14, "oversold": 25.0, "stop_pct": 1.0}
    state = {"symbol": None, "enabled": True, "version": 0, "row_symbol": None, "preset": None, "author": None, "reason": None}
    serving = [served("challenger", "4"), served("champion", "3"), served("champion", "5", "next_day")]
    objections = ("AUC 0.51: expected at least 0.53", HTML)
    return {
        "/live-vs-backtest": live_vs_backtest(),
        "/models": {"models": serving, "trouble": []},
        "/models/versions": {"kind": "entry", "model": "entry-filter", "versions": [
            version("5", objections=objections), version("4", "challenger"), version("3", "champion"),
        ]},
        "/models/versions?kind=next_day": {"kind": "next_day", "model": "next-day-return", "versions": [
            version("5", "champion", kind="next_day"),
        ]},
        "/models/calibration": {
            "model": "entry-filter", "version": "3", "settled": reliability(240), "training": reliability(4000),
        },
        "/research/heatmap": heat_map(),
        "/strategies": [{"strategy": "rsi", "params": params, "created_at": None, **state}],
    }  # fmt: skip


@dataclass
class PagesApi(StandIn):
    """The API with these answers too; `broken` names paths with the problem that they answer."""

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: desk(sessions=30, closed=10) | rows())
    objects: dict[str, Any] = field(default_factory=objects)
    broken: dict[str, tuple[int, str]] = field(default_factory=dict)

    def app(self) -> Starlette:
        """The ASGI application."""
        paths = [*(path for path in self.objects if "?" not in path), "/research/compare"]
        return Starlette(routes=[*(Route(path, self.answer) for path in paths), *super().app().routes])

    async def answer(self, request: Request) -> Response:
        """One object, with its ETag."""
        path, query = request.url.path, request.query_params
        self.requests.append(path + (f"?{request.url.query}" if request.url.query else ""))
        await asyncio.sleep(self.slow_seconds)
        if (failure := self.problem or self.broken.get(path)) is not None:
            return problem(*failure)
        if path == "/research/compare":
            chosen = query.getlist("run")
            found: Any = comparison([row for each in chosen for row in self.rows["/research/runs"] if row["run_id"] == each])
        else:
            found = self.objects.get(f"{path}?kind={query.get('kind')}", self.objects[path])
        body = json.dumps(found, default=dt.date.isoformat).encode()
        tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        fresh = request.headers.get("if-none-match") == tag
        return Response(status_code=304) if fresh else Response(body, media_type="application/json", headers={"etag": tag})
