"""A view: its name, its filter, its rows and how they are read. The API makes a route of it and the command a verb."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from core.errors import ConfigError
from pipeline.resources import Resources
from storage.views.record_pages import Span

MOST_ROWS = 500  # of a page
MOST_POINTS = 2_000  # of a page of a curve
STREAMED_ROWS = 5_000  # read at once for an export
NAMES = r"^[^\x00]+$"
After = tuple[Any, ...] | None  # key of the last row of the page before


class Row(BaseModel):
    """A row of a view: money in US dollars as numbers, instants in UTC, and beside them at the exchange."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Filter(BaseModel):
    """The rows wanted; a filter without values wants all of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Book = Annotated[str | None, Field(max_length=100, pattern=NAMES, description="Book of the ledger, such as a deployment's.")]
Sleeve = Annotated[str | None, Field(max_length=200, pattern=NAMES, description="Sleeve: the strategy's name in the book.")]
Symbol = Annotated[str | None, Field(max_length=20, pattern=NAMES, description="Symbol as the desk spells it.")]
First = Annotated[dt.date | None, Field(description="First session (YYYY-MM-DD), included.")]
Last = Annotated[dt.date | None, Field(description="Last session (YYYY-MM-DD), included.")]


class SessionFilter(Filter):
    """Rows of a sleeve, a symbol and a span of sessions."""

    sleeve: Sleeve = None
    symbol: Symbol = None
    first: First = None
    last: Last = None

    def span(self, after: After, limit: int) -> Span:
        """Return the part of the record that is wanted: at most `limit` rows after a key."""
        return Span(self.first, self.last, self.model_dump(exclude={"first", "last", "entries"}), after, limit)


class RecordFilter(SessionFilter):
    """Rows of a book, a sleeve, a symbol and a span of sessions."""

    book: Book = None


F = TypeVar("F", bound=Filter)
R = TypeVar("R", bound=Row)
F_contra = TypeVar("F_contra", bound=Filter, contravariant=True)
R_co = TypeVar("R_co", bound=Row, covariant=True)


class Read(Protocol[F_contra, R_co]):
    """Returns at most `limit` rows after a key, in the order of the view."""

    def __call__(
        self, wanted: F_contra, after: After = None, limit: int = MOST_ROWS, *, resources: Resources | None = None
    ) -> Sequence[R_co]:
        """Read the rows."""


class BadCursor(ConfigError):
    """A cursor that no page of this view gave."""


@dataclass(frozen=True)
class Page(Generic[R]):
    """Some rows of a view, and the cursor of the rows after them; None on the last page."""

    rows: Sequence[R]
    after: str | None


@dataclass(frozen=True)
class View(Generic[F, R]):
    """Rows that people read: by `GET /NAME`, by `desk NAME` and in the dashboard.

    Attributes
    ----------
    name
        Of the route and of the verb.
    summary
        One sentence for the help text and the API's document.
    filter, row
        Types of what is wanted and of what is returned.
    read
        Returns the rows.
    key
        Fields of a row that name its place in the order; no two rows share them.
    shown
        Fields that a terminal shows; all of them are in JSON and exports.
    most
        Rows of the largest page.
    """

    name: str
    summary: str
    filter: type[F]
    row: type[R]
    read: Read[F, R]
    key: tuple[str, ...]
    shown: tuple[str, ...]
    most: int = MOST_ROWS

    @cached_property
    def rows_adapter(self) -> TypeAdapter[list[R]]:
        """The rows as pydantic writes them."""
        return TypeAdapter(list[self.row])  # type: ignore[name-defined]

    def rows(self, values: Sequence[dict[str, Any]]) -> list[R]:
        """Return rows of field values, all validated at once: a page of 500 costs a third of one by one."""
        return self.rows_adapter.validate_python(values)

    @cached_property
    def _keys(self) -> TypeAdapter[Any]:
        kinds = tuple(self.row.model_fields[name].annotation for name in self.key)
        return TypeAdapter(tuple[kinds])  # type: ignore[valid-type]

    def page(self, wanted: F, *, after: str | None = None, limit: int = 100, resources: Resources | None = None) -> Page[R]:
        """Return a page of at most `limit` rows after a cursor.

        Raises
        ------
        BadCursor
            When the cursor is not one of this view.
        """
        rows = self.read(wanted, self._place(after), limit + 1, resources=resources)
        more = len(rows) > limit
        return Page(rows[:limit], self._cursor(rows[limit - 1]) if more else None)

    def stream(self, wanted: F, batch: int = STREAMED_ROWS, *, resources: Resources | None = None) -> Iterator[Sequence[R]]:
        """Return every row wanted, batch by batch; the first may be empty."""
        after: After = None
        while True:
            rows = self.read(wanted, after, batch, resources=resources)
            yield rows
            if len(rows) < batch:
                return
            after = self._key_of(rows[-1])

    def _key_of(self, row: R) -> tuple[Any, ...]:
        return tuple(getattr(row, name) for name in self.key)

    def _cursor(self, row: R) -> str:
        return base64.urlsafe_b64encode(self._keys.dump_json(self._key_of(row))).decode().rstrip("=")

    def _place(self, cursor: str | None) -> After:
        if cursor is None:
            return None
        try:
            place: tuple[Any, ...] = self._keys.validate_json(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", True))
        except (binascii.Error, ValueError, ValidationError) as error:
            raise BadCursor(
                f"Cursor: expected the `next` of a page of {self.name}, found {cursor[:60]!r}. Start without one."
            ) from error
        return place


def part(rows: Sequence[R], key: tuple[str, ...], after: After, limit: int) -> list[R]:
    """Return the rows of a computed view after a key; rows are in the order of the view."""
    start = 0
    if after is not None:
        places = [tuple(getattr(row, name) for name in key) for row in rows]
        start = places.index(after) + 1 if after in places else len(rows)
    return list(rows[start : start + limit])
