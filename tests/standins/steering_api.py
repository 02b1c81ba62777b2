"""The stand-in API with what the pages of parameters, alerts and the evening read and change, of the API's own types."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pipeline.views.research.parameters import ParameterVersionRow, strategy_schema
from pipeline.views.sessions import SessionRow, StepRow
from serving.routers.alerts import AlertDetail, AlertEventRow
from serving.routers.mails import Mail
from serving.schemas import StrategyState
from tests.standins.dashboard_answers import PagesApi
from tests.standins.dashboard_api import CONTROL_KEY, as_csv, problem
from tests.standins.money_rows import alerts as money_alerts

if TYPE_CHECKING:
    from pydantic import BaseModel
    from starlette.requests import Request

AT = dt.datetime(2026, 3, 2, 21, 30, tzinfo=dt.UTC)
HTML = "<script>alert('x')</script>"
NAMES = ("rsi", "bollinger", "gap")
RUN = "trading_execution/asset_triggered__2026-03-02T21:30:00+00:00_x"


def plain(model: BaseModel) -> dict[str, Any]:
    """The model as JSON has it."""
    return model.model_dump(mode="json")


def version(strategy: str, number: int, params: dict[str, Any], changed: list[str], **other: Any) -> dict[str, Any]:
    """A version of a strategy's parameters."""
    about = {"symbol": None, "enabled": True, "preset": None, "author": "ann", "reason": f"version {number}"}
    stored = {"id": number, "created_at": AT + dt.timedelta(hours=number), "strategy": strategy, "version": number}
    return plain(ParameterVersionRow.model_validate({**about, **stored, "params": params, "changed": changed, **other}))


def defaults(strategy: str) -> dict[str, Any]:
    """The defaults of a strategy's parameters."""
    return {each.name: each.default for each in strategy_schema(strategy).parameters}


def versions() -> list[dict[str, Any]]:
    """Two versions of rsi, newest first."""
    first = defaults("rsi")
    return [
        version("rsi", 2, first | {"stop_pct": 4.0}, ["stop_pct"], author="bob", reason=HTML),
        version("rsi", 1, first, sorted(first)),
    ]


def alert(number: int, **other: Any) -> dict[str, Any]:
    """An alert."""
    return money_alerts()[0] | {"id": number, "key": f"order-{number}", "subject": f"Order {number} is unknown"} | other


def alerts() -> list[dict[str, Any]]:
    """An open alert of a book, one of the whole desk, and a resolved one."""
    moved = {"resolved_by": "ann", "resolved_reason": "sold", "resolved_at": "2026-03-02T22:00:00Z"}
    return [
        alert(3, subject=f"Order {HTML} is unknown", details={"order": "d1"}, repeats=2),
        alert(2, kind="disk", book="", severity="warning", subject="The disk is 91 % full"),
        alert(1, state="resolved", **moved),
    ]


def event(number: int, kind: str, **other: Any) -> dict[str, Any]:
    """An entry of an alert's history."""
    about = {"id": number, "event": kind, "at": AT, "notice": 1, "channel": "", "author": "", "reason": ""}
    return plain(AlertEventRow.model_validate(about | other))


def step(name: str, minute: int, outcome: str = "done", **other: Any) -> dict[str, Any]:
    """A run of a step, a minute long."""
    started = AT + dt.timedelta(minutes=minute)
    over = outcome != "running"
    about = {"step": name, "symbol": "", "attempt": 1, "outcome": outcome, "started_at": started}
    times = {"ended_at": started + dt.timedelta(seconds=41.5) if over else None, "seconds": 41.5 if over else None}
    where = {"detail": {"orders": 2} if over else {}, "dag_run": RUN, "code_commit": "0123abc"}
    return plain(StepRow.model_validate({**about, **times, **where, **other}))


def evening(session: str, book: str, steps: list[dict[str, Any]], **other: Any) -> dict[str, Any]:
    """The evening of a book."""
    about = {"session": session, "book": book, "outcome": "done", "started_at": AT, "started_at_exchange": AT}
    times = {"ended_at": AT + dt.timedelta(minutes=10), "seconds": 600.0, "step_count": len(steps), "problem": None}
    return plain(SessionRow.model_validate({**about, **times, "steps": steps, **other}))


def evenings() -> list[dict[str, Any]]:
    """Tonight's evening, still running, what all books share, and an evening that failed."""
    error = {"error": "VenueDown", "message": f"no venue {HTML}"}
    tonight = [step("settle", 0), step("decide", 1), step("place", 2, "running", dag_run=None)]
    failed = [step("settle", 0), step("place", 1, "failed", detail=error)]
    return [
        evening("2026-03-02", "", [step("ingest", 0, symbol="SPY")]),
        evening("2026-03-02", "main", tonight, outcome="running", ended_at=None, seconds=None),
        evening("2026-02-27", "main", failed, outcome="failed", problem=f"place: no venue {HTML}"),
    ]


def mail() -> dict[str, Any]:
    """A mail with a script, which no page may run."""
    html = f"<h1>Evening of 2026-02-27</h1><table><tr><td>Result</td><td>+312.40 USD</td></tr></table>{HTML}"
    about = {"book": "main", "session": "2026-02-27", "subject": "Evening of 2026-02-27", "text": "Result +312.40 USD"}
    return plain(Mail.model_validate({**about, "html": html, "sent_at": AT}))


@dataclass
class SteeringApi(PagesApi):
    """The API that keeps parameters by version and moves alerts."""

    history: list[dict[str, Any]] = field(default_factory=versions)
    book_alerts: list[dict[str, Any]] = field(default_factory=alerts)
    events: dict[int, list[dict[str, Any]]] = field(
        default_factory=lambda: {3: [event(1, "raised"), event(2, "commented", author="bob", reason=f"<b>{HTML}</b>")]}
    )
    mails: dict[tuple[str, str], dict[str, Any]] = field(default_factory=lambda: {("2026-02-27", "main"): mail()})
    evenings: list[dict[str, Any]] = field(default_factory=evenings)
    own_symbols: tuple[str, ...] = ()
    refused_moves: set[int] = field(default_factory=set)  # alerts that somebody resolves between the page and its form

    def app(self) -> Starlette:
        """The ASGI application."""
        reads = {
            "/strategies": self.states,
            "/strategies/{name}": self.states,
            "/strategies/{name}/schema": self.schema,
            "/strategies/{name}/history": self.versions,
            "/alerts": self.alerts,
            "/alerts/{alert:int}": self.alert,
            "/sessions": self.sessions,
            "/sessions/{session}/mail": self.mail,
        }
        routes = [Route(path, self._read(answer)) for path, answer in reads.items()]
        routes.append(Route("/strategies/{name}/parameters", self.set_parameters, methods=["PUT"]))
        routes.append(Route("/strategies/{name}/{verb}", self.switch, methods=["POST"]))
        routes.append(Route("/alerts/{alert:int}/{verb}", self.move, methods=["POST"]))
        return Starlette(routes=[*routes, *super().app().routes])

    def _read(self, answer: Any) -> Any:
        async def read(request: Request) -> Response:
            self.requests.append(request.url.path + (f"?{request.url.query}" if request.url.query else ""))
            if self.problem:
                return problem(*self.problem)
            response: Response = answer(request)
            return response

        return read

    def states(self, request: Request) -> Response:
        """Parameters in force."""
        names = [request.path_params["name"]] if "name" in request.path_params else NAMES
        symbol = request.query_params.get("symbol")
        symbols = [symbol] if "name" in request.path_params else [None, *self.own_symbols]
        return JSONResponse([self.state(each, symbol) for each in names for symbol in symbols])

    def state(self, name: str, symbol: str | None = None) -> dict[str, Any]:
        """One strategy's parameters in force."""
        own = self.own(name, symbol) or self.own(name, None)
        stored = own[0] if own else {}
        names = ("enabled", "version", "preset", "author", "reason", "created_at")
        nothing = {"enabled": True, "version": 0, "preset": None, "author": None, "reason": None, "created_at": None}
        params = stored.get("params") or defaults(name)
        about = {"strategy": name, "symbol": symbol, "row_symbol": stored.get("symbol"), "params": params}
        return plain(StrategyState.model_validate(nothing | {each: stored[each] for each in names if stored} | about))

    def own(self, name: str, symbol: str | None) -> list[dict[str, Any]]:
        """Versions of a strategy's and symbol's own row, newest first."""
        return [row for row in self.history if (row["strategy"], row["symbol"]) == (name, symbol)]

    def schema(self, request: Request) -> Response:
        """The true schema."""
        return JSONResponse(plain(strategy_schema(request.path_params["name"])))

    def versions(self, request: Request) -> Response:
        """Every version, as a page or as CSV."""
        name, symbol = request.path_params["name"], request.query_params.get("symbol")
        rows = [row for row in self.history if row["strategy"] == name and symbol in {None, row["symbol"]}]
        if request.query_params.get("format") == "csv":
            return Response(as_csv(rows), media_type="text/csv")
        return JSONResponse({"rows": rows[: int(request.query_params.get("limit", 100))], "next": None})

    async def set_parameters(self, request: Request) -> Response:
        """Store a version, unless the newest is another than expected."""
        change, name = await request.json(), request.path_params["name"]
        own = self.own(name, change.get("symbol"))
        newest = own[0]["version"] if own else 0
        if request.headers.get("x-api-key") != CONTROL_KEY:
            return problem(403, "This key reads; expected a control key in X-API-Key")
        if change["expected_version"] != newest:
            return problem(409, f"Expected version {change['expected_version']}, found {newest}")
        self.changes.append((request.url.path, change))
        before = self.state(name, change.get("symbol"))["params"]
        params = {} if change.get("reset") else {**before, **change["values"]}
        self.add(name, params, sorted(change.get("values") or before), change)
        return JSONResponse(self.state(name, change.get("symbol")))

    def add(self, name: str, params: dict[str, Any], changed: list[str], change: dict[str, Any], **other: Any) -> None:
        """Add a version."""
        own = self.own(name, change.get("symbol"))
        number = own[0]["version"] + 1 if own else 1
        about = {"symbol": change.get("symbol"), "author": change["author"], "reason": change["reason"]}
        identity = {"id": len(self.history) + 1}
        self.history.insert(0, version(name, number, params, changed, **about, **identity, **other))

    async def switch(self, request: Request) -> Response:
        """Turn a switch."""
        change, name = await request.json(), request.path_params["name"]
        if request.headers.get("x-api-key") != CONTROL_KEY:
            return problem(403, "This key reads; expected a control key in X-API-Key")
        self.changes.append((request.url.path, change))
        params = self.state(name, change.get("symbol"))["params"]
        self.add(name, params, [], change, enabled=request.path_params["verb"] == "enable")
        return JSONResponse(self.state(name, change.get("symbol")))

    def alerts(self, request: Request) -> Response:
        """The alerts by the filters."""
        query = request.query_params
        rows = [row for row in self.book_alerts if query.get("closed") or row["state"] != "resolved"]
        rows = [row for row in rows if all(query.get(each, row[each]) == row[each] for each in ("kind", "book"))]
        if query.get("format") == "csv":
            return Response(as_csv(rows), media_type="text/csv")
        rows = [row for row in rows if row["id"] < int(query.get("before", 10**9))]
        return JSONResponse(rows[: int(query.get("limit", 100))])

    def alert(self, request: Request) -> Response:
        """One alert with its history."""
        number = request.path_params["alert"]
        row = next((row for row in self.book_alerts if row["id"] == number), None)
        if row is None:
            return problem(404, f"No alert has the number {number}")
        found = AlertDetail.model_validate({**row, "events": self.events.get(number, [])})
        return JSONResponse(plain(found))

    async def move(self, request: Request) -> Response:
        """Acknowledge, comment or resolve an alert."""
        change, number, verb = await request.json(), request.path_params["alert"], request.path_params["verb"]
        row = next(row for row in self.book_alerts if row["id"] == number)
        if request.headers.get("x-api-key") != CONTROL_KEY:
            return problem(403, "This key reads; expected a control key in X-API-Key")
        state = {"acknowledge": "acknowledged", "resolve": "resolved"}.get(verb, row["state"])
        if number in self.refused_moves:
            return problem(409, f"Alert {number} is resolved already")
        self.changes.append((request.url.path, change))
        if verb != "comment":
            who = {f"{state}_by": change["author"], f"{state}_reason": change["reason"], f"{state}_at": AT.isoformat()}
            row |= {"state": state} | who
        said = change.get("text") or change["reason"]
        entries = self.events.setdefault(number, [])
        kind = "commented" if verb == "comment" else state
        entries.append(event(len(entries) + 1, kind, author=change["author"], reason=said))
        return JSONResponse(row)

    def sessions(self, request: Request) -> Response:
        """The evenings of a book and a span."""
        query = request.query_params
        first, last = query.get("first", ""), query.get("last", "9999")
        rows = [row for row in self.evenings if first <= row["session"] <= last]
        rows = [row for row in rows if query.get("book", row["book"]) == row["book"]]
        return JSONResponse({"rows": rows[: int(query.get("limit", 100))], "next": None})

    def mail(self, request: Request) -> Response:
        """The mail of an evening."""
        found = self.mails.get((request.path_params["session"], request.query_params.get("book", "main")))
        return problem(404, "No mail of that evening is stored") if found is None else JSONResponse(found)
