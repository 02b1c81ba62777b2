"""The API's application: assembly, start and end. `uvicorn serving.app:create_app --factory` runs it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from core.provenance import release
from pipeline.resources import Resources, live
from serving.access import key_header
from serving.exit_signals import on_exit_signal
from serving.middleware import Around
from serving.problems import install
from serving.quick import Quick
from serving.routers import (
    alerts,
    control,
    deployments,
    events,
    health,
    mails,
    model_pages,
    orders,
    performance,
    research,
    routes,
    views,
)
from serving.state import State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def create_app(resources: Resources | None = None) -> FastAPI:
    """Build the application over the process's resources, or over those given."""
    desk = State.of(resources or live())
    app = FastAPIOffline(  # /docs without a content delivery network
        title="Reversion desk",
        summary="Predictions of entries and of the next day, orders with all that is behind them, and the desk's switches.",
        version=release().removeprefix("version "),
        lifespan=lambda _: running(desk),
    )
    app.state.desk, app.state.access, app.state.health = desk, desk.access, health.RecentHealth()
    install(app)
    for router in (
        routes.quick,
        routes.router,
        views.router,
        mails.router,
        health.router,
        performance.router,
        model_pages.router,
        research.router,
        events.router,
        orders.router,
        control.router,
        control.trading,
        alerts.router,
        deployments.router,
        deployments.portfolios,
        routes.operation,
    ):
        app.include_router(router)
    app.router.routes.sort(key=lambda route: not isinstance(route, Quick))  # matched first; the others in their order
    app.add_middleware(Around, metrics=desk.metrics)
    declare_keys(app, open_reads=not desk.resources.settings.api.read_keys)
    return app


@contextlib.asynccontextmanager
async def running(desk: State) -> AsyncIterator[None]:
    """Run the application: load the models first; at the end close the streams and store the last prediction."""
    await asyncio.to_thread(desk.refresh_models)
    desk.journal.start()
    watcher = asyncio.create_task(desk.watch_models())
    gc.collect()
    gc.freeze()  # what lives as long as the process is not collected again: p99 with garbage collected was ten times this
    with on_exit_signal(desk.feed.close):
        yield
    desk.feed.close()
    watcher.cancel()
    await desk.journal.close()


def declare_keys(app: FastAPI, *, open_reads: bool) -> None:
    """Say in the OpenAPI document which routes take a key; as a dependency the header alone would cost 15 us a request."""
    plain = app.openapi

    def with_keys() -> dict[str, Any]:
        document = plain()
        schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
        schemes[key_header.scheme_name] = key_header.model.model_dump(by_alias=True, exclude_none=True, mode="json")
        for path in document["paths"].values():
            for operation in path.values():
                if "operation" not in operation.get("tags", ()):
                    controls = "403" in operation["responses"]
                    operation["security"] = [*([{}] if open_reads and not controls else []), {key_header.scheme_name: []}]
        return document

    app.openapi = with_keys  # type: ignore[method-assign]
