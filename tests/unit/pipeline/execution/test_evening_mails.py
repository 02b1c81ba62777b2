"""Mails of the evenings as files: read as they were stored, and nothing else is read."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from pipeline.execution.evening_mails import EveningMail, EveningMails, StoredMail, evening_mail

if TYPE_CHECKING:
    from pathlib import Path

DAY = dt.date(2018, 12, 27)
MAIL = StoredMail("[INFO] Überschuß", "text\n", "<p>html</p>", "2018-12-27T22:00:00+00:00", "essentials")


def test_a_mail_is_read_as_it_was_stored(tmp_path: Path) -> None:
    EveningMails(tmp_path).save("main", DAY, MAIL)

    sent_at = dt.datetime(2018, 12, 27, 22, tzinfo=dt.UTC)
    assert evening_mail(tmp_path, "main", DAY) == EveningMail("[INFO] Überschuß", "text\n", "<p>html</p>", sent_at)
    assert EveningMails(tmp_path).read("main", DAY) == MAIL
    assert EveningMails(tmp_path).path("main", DAY).read_text(encoding="utf-8") == "text\n"


def test_the_last_mail_of_an_evening_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    for text in ("first", "second"):
        EveningMails(tmp_path).save("main", DAY, StoredMail("s", text, "", None, text))

    mail = evening_mail(tmp_path, "main", DAY)
    assert mail is not None
    assert (mail.text, mail.sent_at) == ("second", None)
    assert len(list((tmp_path / "mails").iterdir())) == 3, "no draft is left behind"


def test_there_is_no_mail_of_another_book_or_session(tmp_path: Path) -> None:
    EveningMails(tmp_path).save("main", DAY, MAIL)

    assert evening_mail(tmp_path, "main", dt.date(2018, 12, 28)) is None
    assert evening_mail(tmp_path, "trio", DAY) is None
    assert evening_mail(tmp_path / "nowhere", "main", DAY) is None


@pytest.mark.parametrize(
    "book",
    [
        "../secret",
        "..",
        "/etc/passwd",
        "a/../../secret",
        "..\\secret",
        "secret\x00",
        "%2e%2e%2fsecret",
        "\ud800",
        "x" * 5_000,
        "",
    ],
)
def test_no_name_of_a_book_leads_out_of_the_folder(tmp_path: Path, book: str) -> None:
    outside = EveningMails(tmp_path / "elsewhere")
    outside.save("secret", DAY, MAIL)
    for place in (tmp_path, tmp_path / "data"):
        place.mkdir(exist_ok=True)
        (place / f"secret-{DAY}.json").write_bytes((tmp_path / "elsewhere" / "mails" / f"secret-{DAY}.json").read_bytes())
    EveningMails(tmp_path / "data").save("main", DAY, MAIL)

    assert evening_mail(tmp_path / "data", book, DAY) is None
    path = EveningMails(tmp_path / "data").path(book, DAY)
    assert path.resolve().parent == (tmp_path / "data" / "mails").resolve()


def test_any_name_of_a_book_has_a_file_of_its_own(tmp_path: Path) -> None:
    books = ["a/b", "a%2Fb", "..", "a b", "ä"]
    for book in books:
        EveningMails(tmp_path).save(book, DAY, StoredMail(book, "", "", None, ""))

    assert [mail.subject for book in books if (mail := evening_mail(tmp_path, book, DAY))] == books


def test_a_file_that_was_cut_short_is_no_mail(tmp_path: Path) -> None:
    EveningMails(tmp_path).save("main", DAY, MAIL)
    file = tmp_path / "mails" / f"main-{DAY}.json"
    for content in ("", '{"subject": "s', "[]", '{"subject": "s"}'):
        file.write_text(content)
        assert evening_mail(tmp_path, "main", DAY) is None
