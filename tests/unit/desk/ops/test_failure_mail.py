"""The mail server as an Airflow connection."""

from __future__ import annotations

import json

from core.settings import Settings
from desk.ops.airflow import failure_mail


def test_the_connection_carries_the_settings_and_is_never_shown() -> None:
    settings = Settings(
        _env_file=None,
        smtp_host="mail.desk.test",
        smtp_port=587,
        smtp_user="desk",
        smtp_password="s3cret",
        smtp_starttls=True,
        alert_to="ops@desk.test",
    )
    mail = failure_mail(settings)
    assert mail is not None
    connection = json.loads(mail.connection)
    assert (connection["host"], connection["port"], connection["password"]) == ("mail.desk.test", 587, "s3cret")
    assert connection["extra"]["disable_tls"] is False
    assert "s3cret" not in repr(mail)


def test_without_a_server_or_a_recipient_there_is_no_mail() -> None:
    assert failure_mail(Settings(_env_file=None, smtp_host="mail.desk.test")) is None
    assert failure_mail(Settings(_env_file=None, alert_to="ops@desk.test")) is None
