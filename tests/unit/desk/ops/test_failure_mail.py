"""The mail server as an Airflow connection."""

from __future__ import annotations

import json

from core.settings import Settings
from desk.ops.airflow import failure_mail


def test_the_connection_carries_the_settings_and_is_never_shown() -> None:
    settings = Settings.of(
        mail__host="mail.desk.test",
        mail__port=587,
        mail__user="desk",
        mail__password="s3cret",
        mail__starttls=True,
        mail__recipients="ops@desk.test",
    )
    mail = failure_mail(settings)
    assert mail is not None
    connection = json.loads(mail.connection)
    assert (connection["host"], connection["port"], connection["password"]) == ("mail.desk.test", 587, "s3cret")
    assert connection["extra"]["disable_tls"] is False
    assert "s3cret" not in repr(mail)


def test_without_a_server_or_a_recipient_there_is_no_mail() -> None:
    assert failure_mail(Settings.of(mail__host="mail.desk.test")) is None
    assert failure_mail(Settings.of(mail__recipients="ops@desk.test")) is None
