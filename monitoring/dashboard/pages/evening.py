"""Evening: the steps of a session with times and outcomes, while they run and afterwards, and the mail as it was sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import streamlit as st

from monitoring.dashboard import figures, table
from monitoring.dashboard.errors import ApiError
from monitoring.dashboard.parts import mail_frame
from monitoring.dashboard.reading import Reader, api, environment, reading
from monitoring.dashboard.table import Column, Tone

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NEWEST: Final = 500  # evenings to choose from
SHARED: Final = "steps of all books"
NEWEST_SESSION: Final = "newest"
TONES: Final[dict[str, Tone]] = {"done": "good", "running": "", "refused": "caution"}


def run_url(row: Mapping[str, Any]) -> str | None:
    """Return Airflow's page of the run of a step; None for a terminal's, or where Airflow's address is not set."""
    dag, _, run = str(row["dag_run"] or "").partition("/")
    address = environment().airflow_url.rstrip("/")
    return f"{address}/dags/{quote(dag, safe='')}/runs/{quote(run, safe='')}" if address and run else None


STEPS: Final = (
    Column("step", "Step"),
    Column("symbol", "Symbol"),
    Column("attempt", "Run", kind="number", decimals=0),
    Column("outcome", "Outcome", tone=lambda row: TONES.get(row["outcome"], "bad")),
    Column("started_at", "Started", kind="instant"),
    Column("ended_at", "Ended", kind="instant"),
    Column("seconds", "Took", "s", kind="number", decimals=1),
    Column("detail", "Result, or error", text=lambda row: detail_of(row["detail"]), wraps=True),
    Column("dag_run", "Run in Airflow", text=lambda row: row["dag_run"] or "terminal", link=run_url),
    Column("code_commit", "Code"),
)


def draw(book: str | None) -> None:
    """Draw the page: the choice of an evening, and what it did."""
    st.title("Evening")
    session, of_book = _chosen(book)
    st.fragment(_refreshed, run_every=environment().refresh_seconds)(session, of_book)
    table.download("Evenings as CSV", "sessions.csv", lambda: api().export("/sessions", book=of_book), key="evening-csv")


def _chosen(book: str | None) -> tuple[str | None, str | None]:
    """Draw the choice of session and book; None for a session is the newest one, whichever that is when it is read."""
    try:
        rows = api().read("/sessions", limit=NEWEST).rows
    except ApiError:
        rows = []
    left, right = st.columns(2)
    sessions = [NEWEST_SESSION, *dict.fromkeys(str(row["session"]) for row in rows)]
    session = left.selectbox("Session", sessions, key="evening-session", bind="query-params")
    books = sorted({str(row["book"]) for row in rows} | ({book} if book else set()))
    place = books.index(book) if book in books else 0
    chosen = right.selectbox("Of", books, index=place, format_func=lambda each: each or SHARED, key=f"evening-of-{book}")
    return None if session in {None, NEWEST_SESSION} else str(session), None if chosen is None else str(chosen)


def _refreshed(session: str | None, book: str | None) -> None:
    with reading() as reader:
        rows = reader.rows("/sessions", book=book, first=session, last=session, limit=1)
        if not rows:
            table.draw(STEPS, rows, caption="Steps", empty="No step of this evening is on record.")
            return
        evening = rows[0]
        _draw_state(evening)
        caption = f"Steps of {evening['book'] or SHARED} after {evening['session']}"
        table.draw(STEPS, evening["steps"], caption=caption, empty="No step is on record.", rest="The file has the evenings.")
        if evening["book"]:
            _draw_mail(reader, evening)


def _draw_state(evening: Mapping[str, Any]) -> None:
    """Draw the outcome of an evening, its times, and what is running now."""
    running = [each for each in evening["steps"] if each["outcome"] == "running"]
    ended = figures.instant(evening["ended_at"]) if evening["ended_at"] else "still running"
    exchange = str(evening["started_at_exchange"])[:16].replace("T", " ")
    table.lights(
        [(f"Evening after {evening['session']}", TONES.get(evening["outcome"], "bad"), str(evening["outcome"]))]
        + [(f"since {figures.instant(each['started_at'])}", "", f"{_name(each)} is running") for each in running]
    )
    took = figures.UNDEFINED if evening["seconds"] is None else f"{figures.number(evening['seconds'], 1)} s"
    table.cards(
        [
            ("Started", figures.instant(evening["started_at"]), f"{exchange} at the exchange"),
            ("Ended", ended, f"it took {took}" if evening["ended_at"] else "n/a until the last step has ended"),
            ("Runs of steps", figures.number(evening["step_count"]), counted(evening["steps"])),
        ]
    )
    if evening["problem"]:
        st.html(f'<div role="alert" class="desk-notice bad">■ {figures.escaped(evening["problem"])}</div>')


def _name(step: Mapping[str, Any]) -> str:
    return f"{step['step']} {step['symbol']}".strip()


def counted(steps: Sequence[Mapping[str, Any]]) -> str:
    """Return how many runs ended how.

    >>> counted([{"outcome": "done"}, {"outcome": "running"}, {"outcome": "done"}])
    '2 done, 1 running'
    """
    outcomes = [str(each["outcome"]) for each in steps]
    return ", ".join(f"{outcomes.count(each)} {each}" for each in dict.fromkeys(outcomes))


def detail_of(detail: Mapping[str, Any]) -> str:
    """Return the result of a step, or its error, as text.

    >>> detail_of({"error": "DataError", "message": "no bar", "n": 2}), detail_of({})
    ('error: DataError; message: no bar; n: 2', 'n/a')
    """
    words = [f"{name}: {value if isinstance(value, str) else json.dumps(value)}" for name, value in detail.items()]
    return "; ".join(words) or figures.UNDEFINED


def _draw_mail(reader: Reader, evening: Mapping[str, Any]) -> None:
    """Draw the mail of an evening; one that is not stored (404) is no failure of the page."""
    st.header("The mail", divider=True)
    try:
        mail = reader.api.read(f"/sessions/{evening['session']}/mail", book=evening["book"]).content
    except ApiError as error:
        st.text("No mail of this evening is stored: the step mail makes it." if error.is_missing else f"No mail: {error}")
        return
    sent = f"Sent {figures.instant(mail['sent_at'])}" if mail["sent_at"] else "Made, and taken by no channel"
    st.html(f'<p class="desk-notice">{sent}: <strong>{figures.escaped(mail["subject"])}</strong></p>')
    mail_frame.draw(mail["html"], mail["subject"], key="evening-mail")
    with st.expander("As text"):
        st.code(mail["text"], language=None)
