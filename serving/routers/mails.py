"""The route of an evening's mail, as it was sent or as it was made when no channel took it."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, Field

from pipeline.execution.evening_mails import evening_mail
from serving.access import reader
from serving.problems import NoMail
from serving.routers.routes import DENIED, PROBLEM
from serving.state import state_of
from serving.tagged import NOT_MODIFIED, Tagged

READING: dict[int | str, dict[str, Any]] = NOT_MODIFIED | dict.fromkeys((*DENIED, 404, 422), PROBLEM)
router = APIRouter(prefix="/sessions", tags=["record"], dependencies=[Depends(reader)], route_class=Tagged)


class Mail(BaseModel):
    """A mail as its recipients see it."""

    book: str
    session: dt.date
    subject: str
    text: str
    html: Annotated[str, Field(description="As in the mail; show it in a frame without scripts.")]
    sent_at: Annotated[dt.datetime | None, Field(description="null: no channel took it.")]


@router.get("/{session}/mail", responses=READING)
def mail(
    session: Annotated[dt.date, Path(description="Session (YYYY-MM-DD).")],
    request: Request,
    book: Annotated[
        str | None, Query(min_length=1, max_length=100, pattern=r"^[\w.-]+$", description="Omitted: the default deployment's.")
    ] = None,
) -> Mail:
    """The mail of a book's evening after a session."""
    resources = state_of(request).resources
    wanted = book or resources.settings.portfolio
    found = evening_mail(resources.data_dir, wanted, session)
    if found is None:
        raise NoMail(f"No mail of {wanted} after {session} is stored. GET /sessions lists the evenings.")
    return Mail(book=wanted, session=session, **found._asdict())
