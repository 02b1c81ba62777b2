"""The mails of the evenings as files in `DATA_DIR/mails`: as HTML and text for people, as JSON for the desk.

A mail is stored whether a server took it or not. Each file is replaced as a whole; the JSON, which is what is read again, last.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

if TYPE_CHECKING:
    from pathlib import Path


class EveningMail(NamedTuple):
    """A mail as recipients see it; `sent_at` (aware) is None when no channel took it."""

    subject: str
    text: str
    html: str
    sent_at: dt.datetime | None


@dataclass(frozen=True)
class StoredMail:
    """A mail with its essentials, whose change makes it worth sending again; `sent_at` is an ISO instant or None."""

    subject: str
    text: str
    html: str
    sent_at: str | None
    essentials: str


def evening_mail(data_dir: Path, book: str, session: dt.date) -> EveningMail | None:
    """Return the mail of a book's evening as it was sent last, or as it was made when none was; None when there is none."""
    stored = EveningMails(data_dir).read(book, session)
    if stored is None:
        return None
    sent_at = None if stored.sent_at is None else dt.datetime.fromisoformat(stored.sent_at)
    return EveningMail(stored.subject, stored.text, stored.html, sent_at)


class EveningMails:
    """Mails in a data folder, one a book and session."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "mails"

    def path(self, book: str, session: dt.date) -> Path:
        """Return the path of a mail as text. A book's name is quoted, so that none leads out of the folder."""
        return self._file(book, session, "txt")

    def read(self, book: str, session: dt.date) -> StoredMail | None:
        """Return a mail; None when there is none, or when its file holds no mail."""
        try:
            return StoredMail(**json.loads(self._file(book, session, "json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):  # absent, a name that no file can have, or a file cut short
            return None

    def save(self, book: str, session: dt.date, mail: StoredMail) -> None:
        """Store a mail in place of the one before."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for ending, content in (("html", mail.html), ("txt", mail.text), ("json", json.dumps(asdict(mail), indent=1))):
            path = self._file(book, session, ending)
            draft = path.with_name(f"{path.name}.{os.getpid()}")
            draft.write_text(content, encoding="utf-8")
            draft.replace(path)

    def _file(self, book: str, session: dt.date, ending: str) -> Path:
        return self._folder / f"{quote(book, safe='', errors='backslashreplace')}-{session.isoformat()}.{ending}"
