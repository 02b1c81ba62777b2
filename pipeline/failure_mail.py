"""How the orchestrator reaches the operator: recipients, sender and the mail server as an Airflow connection. Sends nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from core.settings import Settings, get_settings


@dataclass(frozen=True)
class FailureMail:
    """Addressees and the server; `connection` is the JSON of an Airflow connection and holds the password."""

    to: tuple[str, ...]
    sender: str
    connection: str = field(repr=False)


def failure_mail(settings: Settings | None = None) -> FailureMail | None:
    """What a failure mail needs, or None when `SMTP_HOST` or `ALERT_TO` is not set."""
    found = settings or get_settings()
    if not (found.smtp_host and found.alert_to):
        return None
    connection = {
        "conn_type": "smtp",
        "host": found.smtp_host,
        "port": found.smtp_port,
        "login": found.smtp_user,
        "password": found.smtp_password.get_secret_value() if found.smtp_password else None,
        "extra": {"disable_ssl": True, "disable_tls": not found.smtp_starttls, "timeout": 20},
    }
    return FailureMail(to=found.alert_to, sender=found.alert_from, connection=json.dumps(connection))
