"""The prediction API's application. Owns its assembly; `uvicorn serving.app:create_app --factory` runs it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request, Response
from fastapi_offline import FastAPIOffline

from pipeline.resources import Resources, live
from serving.champion import Champion
from serving.metrics import Metrics
from serving.problems import install
from serving.routes import router

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable


def create_app(resources: Resources | None = None) -> FastAPI:
    """Build the application over the process's resources, or over those given."""
    found = resources or live()
    metrics = Metrics()
    champion = Champion(found, metrics)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(champion.refresh)
        watcher = asyncio.create_task(champion.watch(found.settings.champion_poll_seconds))
        yield
        watcher.cancel()

    app = FastAPIOffline(  # /docs without a content delivery network
        title="Reversion desk",
        summary="The entry filter's predictions and the latest backtest.",
        version="0.1.0",
        lifespan=lifespan,
    )
    app.state.resources, app.state.champion, app.state.metrics = found, champion, metrics
    install(app)
    app.include_router(router)

    @app.middleware("http")
    async def measure(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        started = time.perf_counter()
        response = await call_next(request)
        route = getattr(request.scope.get("route"), "path", "unknown")
        metrics.requests.labels(route, response.status_code).inc()
        metrics.seconds.labels(route).observe(time.perf_counter() - started)
        return response

    return app
