"""Routes of the views: a page as JSON with an ETag, or all rows as a stream of CSV or Parquet.

Every route is made from its view (`pipeline.views.catalogue`), so that fields and filters are those of the verb.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field, create_model

from pipeline.views.catalogue import VIEWS
from pipeline.views.export import MEDIA, csv_chunks, parquet_chunks
from pipeline.views.view import MOST_ROWS, Filter, View
from serving.access import reader
from serving.quick import JSON
from serving.routers.routes import DENIED, PROBLEM
from serving.state import state_of
from serving.tagged import NOT_MODIFIED, Tagged

Format = Annotated[
    Literal["json", "csv", "parquet"], Field(description="json: a page; csv and parquet: every row, as a stream.")
]
After = Annotated[str | None, Field(max_length=500, pattern=r"^[A-Za-z0-9_-]+$", description="`next` of the page before.")]
Limit = Annotated[int, Field(ge=1, le=MOST_ROWS, description="Rows of a page.")]
READING: dict[int | str, dict[str, Any]] = NOT_MODIFIED | dict.fromkeys((*DENIED, 404, 409, 422, 503), PROBLEM)
EXPORTED: dict[int | str, dict[str, Any]] = {200: {"content": {JSON: {}, **{media: {} for media in MEDIA.values()}}}}
PAGE: dict[int | str, dict[str, Any]] = READING | EXPORTED
CHUNKS = {"csv": csv_chunks, "parquet": parquet_chunks}

router = APIRouter(tags=["record"], dependencies=[Depends(reader)], route_class=Tagged)


def add_view(view: View[Any, Any], to: APIRouter | None = None) -> None:
    """Add the route of a view to a router, else to the one of the record."""
    (to or router).add_api_route(
        f"/{view.name}",
        endpoint_of(view),
        methods=["GET"],
        name=view.name,
        description=view.summary,
        response_model=page_type(view),
        responses=PAGE,
    )


def page_type(view: View[Any, Any]) -> type[BaseModel]:
    """Return the type of a page of a view."""
    page: type[BaseModel] = create_model(
        f"{view.row.__name__.removesuffix('Row')}Page",
        __doc__=f"A page: {view.summary}",
        rows=(list[view.row], ...),  # type: ignore[name-defined]
        next=(str | None, Field(description="Give it as `after` for the next page; null: this is the last one.")),
    )
    return page


def endpoint_of(view: View[Any, Any]) -> Any:  # noqa: ANN401  # an endpoint as FastAPI takes it
    """Return the endpoint of a view, its filter's fields as query parameters."""
    wanted_type: type[BaseModel] = create_model(
        f"{view.filter.__name__}Query",
        __base__=view.filter,
        after=(After, None),
        limit=(int, Field(100, ge=1, le=view.most, description="Rows of a page.")),
        format=(Format, "json"),
    )

    def endpoint(request: Request, wanted: Any) -> Response:  # noqa: ANN401  # the type is given below
        rows_wanted = view.filter.model_validate(wanted.model_dump(include={*view.filter.model_fields}))
        return rows_response(request, view, rows_wanted, wanted.after, wanted.limit, wanted.format)

    endpoint.__annotations__["wanted"] = Annotated[wanted_type, Query()]
    endpoint.__doc__ = view.summary
    return endpoint


def rows_response(  # noqa: PLR0917  # a view, and what is wanted of it
    request: Request, view: View[Any, Any], wanted: Filter, after: str | None, limit: int, kind: str
) -> Response:
    """Return a page of a view as JSON, or every row as CSV or Parquet."""
    if kind == "json":
        return page_response(request, view, wanted, after, limit)
    return export_response(request, view, wanted, kind)


def list_response(  # noqa: PLR0917  # a view, and what is wanted of it
    request: Request, view: View[Any, Any], wanted: Filter, after: tuple[Any, ...] | None, limit: int, kind: str
) -> Response:
    """Return rows after a key as a bare JSON list, or every row as CSV or Parquet."""
    if kind != "json":
        return export_response(request, view, wanted, kind)
    rows = view.read(wanted, after, limit, resources=state_of(request).resources)
    return Response(view.rows_adapter.dump_json(list(rows)), media_type=JSON)


def object_response(answer: BaseModel) -> Response:
    """Return one object as JSON; it is written once, by pydantic, and not checked against its own type."""
    return Response(answer.model_dump_json(), media_type=JSON)


def page_response(request: Request, view: View[Any, Any], wanted: Filter, after: str | None, limit: int) -> Response:
    """Return a page as JSON."""
    page = view.page(wanted, after=after, limit=limit, resources=state_of(request).resources)
    following = b"null" if page.after is None else f'"{page.after}"'.encode()
    return Response(
        b'{"rows":' + view.rows_adapter.dump_json(list(page.rows)) + b',"next":' + following + b"}", media_type=JSON
    )


def export_response(request: Request, view: View[Any, Any], wanted: Filter, kind: str) -> Response:
    """Return every row as a file; the first batch is read before the answer starts, so that an error is an answer."""
    batches = view.stream(wanted, resources=state_of(request).resources)
    first = next(batches)

    def rest() -> Any:  # noqa: ANN401  # batches
        yield first
        yield from batches

    name = f'attachment; filename="{view.name}.{kind}"'
    return StreamingResponse(CHUNKS[kind](view, rest()), media_type=MEDIA[kind], headers={"content-disposition": name})


for each in VIEWS:
    add_view(each)
